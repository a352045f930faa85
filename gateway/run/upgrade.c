#include "gateway/run/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/run/handover.h"

static char **command_line;
static char binary_path[PATH_MAX];

void sheaf_upgrade_remember(char **argv)
{
    ssize_t len = readlink("/proc/self/exe", binary_path, sizeof(binary_path) - 1);

    binary_path[len > 0 ? len : 0] = '\0';
    command_line = argv;
}

/* As it was called, so that a symbolic link that points to a newer version is followed; a name that was looked up in
 * PATH, or is no path at all, is replaced by where the binary was found. */
static const char *path_to_run(void)
{
    const char *called = command_line[0];

    return strchr(called, '/') != NULL && access(called, X_OK) == 0 ? called : binary_path;
}

_Noreturn static void become(const sheaf_sockets_t *sockets, const sheaf_tickets_t *tickets, int ready_fd,
                             const sigset_t *blocked)
{
    const char *path = path_to_run();

    signal(SIGPIPE, SIG_DFL);
    signal(SIGUSR1, SIG_IGN); /* until it hears it, it has no files open */
    sigprocmask(SIG_UNBLOCK, blocked, NULL);
    if (sheaf_handover_give(sockets, tickets, ready_fd))
        execv(path, command_line);
    fprintf(stderr, "error: cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

bool sheaf_upgrade_start(sheaf_upgrade_t *upgrade, const sheaf_sockets_t *sockets, const sheaf_tickets_t *tickets,
                         const sigset_t *blocked, uint64_t now_ms)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        become(sockets, tickets, ends[1], blocked);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return false;
    }
    *upgrade = (sheaf_upgrade_t){.pid = pid, .ready_fd = ends[0], .until_ms = now_ms + SHEAF_UPGRADE_MS};
    return true;
}

bool sheaf_upgrade_read(sheaf_upgrade_t *upgrade)
{
    char byte;

    if (read(upgrade->ready_fd, &byte, 1) == 1)
        return true;
    close(upgrade->ready_fd); /* it ended, SIGCHLD follows */
    upgrade->ready_fd = -1;
    return false;
}

void sheaf_upgrade_end(sheaf_upgrade_t *upgrade)
{
    if (upgrade->ready_fd >= 0)
        close(upgrade->ready_fd);
    *upgrade = (sheaf_upgrade_t){.pid = 0, .ready_fd = -1};
}
