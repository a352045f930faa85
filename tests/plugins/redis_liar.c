#include "tests/plugins/redis_liar.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(int is_done, const char *what)
{
    if (is_done)
        return;
    perror(what);
    abort();
}

void redis_liar_new(redis_liar_t *liar)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    liar->conn = -1;
    liar->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(liar->listener, (struct sockaddr *)&at, len) == 0, "bind");
    must(listen(liar->listener, 8) == 0, "listen");
    must(getsockname(liar->listener, (struct sockaddr *)&at, &len) == 0, "getsockname");
    snprintf(liar->address, sizeof(liar->address), "127.0.0.1:%d", ntohs(at.sin_port));
}

void redis_liar_accept(redis_liar_t *liar)
{
    liar->conn = accept(liar->listener, NULL, NULL);
    must(liar->conn >= 0, "accept");
}

void redis_liar_say(const redis_liar_t *liar, const char *bytes, size_t len)
{
    must(send(liar->conn, bytes, len, MSG_NOSIGNAL) == (ssize_t)len, "send");
}

size_t redis_liar_hear(const redis_liar_t *liar, char *ret_bytes, size_t room)
{
    const ssize_t len = recv(liar->conn, ret_bytes, room - 1, 0);

    must(len >= 0, "recv");
    ret_bytes[len] = 0;
    return (size_t)len;
}

void redis_liar_free(redis_liar_t *liar)
{
    if (liar->conn >= 0)
        close(liar->conn);
    close(liar->listener);
}
