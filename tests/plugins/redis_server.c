#include "tests/plugins/redis_server.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/redis-server"

bool redis_server_is_installed(void)
{
    return access(PROGRAM, X_OK) == 0;
}

static bool takes_connections(const redis_server_t *server)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool takes;

    snprintf(at.sun_path, sizeof(at.sun_path), "%s/redis.sock", server->folder);
    takes = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return takes;
}

static void become_redis(const redis_server_t *server)
{
    char socket[96];

    snprintf(socket, sizeof(socket), "%s/redis.sock", server->folder);
    if (freopen("/dev/null", "w", stdout) == NULL)
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (server->password != NULL)
        execl(PROGRAM, PROGRAM, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", server->folder,
              "--loglevel", "warning", "--requirepass", server->password, NULL);
    else
        execl(PROGRAM, PROGRAM, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", server->folder,
              "--loglevel", "warning", NULL);
    _exit(127);
}

void redis_server_start(redis_server_t *server)
{
    server->pid = fork();
    if (server->pid == 0)
        become_redis(server);
    for (int i = 0; i < 1000 && !takes_connections(server); i++)
        poll(NULL, 0, 10);
    if (!takes_connections(server)) {
        fprintf(stderr, "redis-server does not start\n");
        abort();
    }
}

void redis_server_new(redis_server_t *server, const char *password)
{
    *server = (redis_server_t){.password = password};
    strcpy(server->folder, "/tmp/sheaf-redis-XXXXXX");
    if (mkdtemp(server->folder) == NULL)
        abort();
    snprintf(server->address, sizeof(server->address), "unix:%s/redis.sock", server->folder);
    redis_server_start(server);
}

void redis_server_kill(redis_server_t *server)
{
    char socket[96];

    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
    snprintf(socket, sizeof(socket), "%s/redis.sock", server->folder);
    unlink(socket);
}

void redis_server_free(redis_server_t *server)
{
    redis_server_kill(server);
    rmdir(server->folder);
}
