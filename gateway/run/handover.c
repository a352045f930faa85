#include "gateway/run/handover.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/log.h"

#define VARIABLE         "SHEAF_HANDOVER"
#define SYSTEMD_FIRST_FD 3
#define LINE_MOST        160 /* a descriptor, a word, an address */

static int ready_fd = -1, tickets_fd = -1;
static pid_t predecessor; /* 0: there is none */

/* --- taking --- */

static bool is_listening(int fd)
{
    int is_on = 0;
    socklen_t len = sizeof(is_on);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_on, &len) == 0 && is_on != 0;
}

static void take(sheaf_sockets_t *sockets, int fd, bool is_admin, sheaf_str_t text)
{
    sheaf_socket_t *socket = &sockets->items[sockets->count];

    if (sockets->count == SHEAF_SOCKETS_MAX || text.len >= sizeof(socket->text) || !is_listening(fd))
        return;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    memset(socket, 0, sizeof(*socket));
    memcpy(socket->text, text.base, text.len);
    socket->is_admin = is_admin;
    socket->fd = fd;
    sockets->count++;
}

static bool to_fd(sheaf_str_t text, int *ret_fd)
{
    uint64_t fd;

    if (!sheaf_str_to_u64(text, &fd) || fd > 1u << 30)
        return false;
    *ret_fd = (int)fd;
    return true;
}

static bool is_for_us(sheaf_str_t pid)
{
    uint64_t number;

    return sheaf_str_to_u64(pid, &number) && number == (uint64_t)getpid();
}

static void take_tickets_fd(int fd)
{
    if (tickets_fd < 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        tickets_fd = fd;
}

static void take_ours(sheaf_sockets_t *sockets, sheaf_str_t rest)
{
    sheaf_str_t head = sheaf_str_cut(&rest, '\n');
    int fd;

    if (!is_for_us(sheaf_str_cut(&head, ' ')) || !to_fd(head, &ready_fd))
        return;
    fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
    predecessor = getppid();
    while (rest.len > 0) {
        sheaf_str_t line = sheaf_str_cut(&rest, '\n');
        sheaf_str_t number = sheaf_str_cut(&line, ' ');
        sheaf_str_t kind = sheaf_str_cut(&line, ' ');

        if (line.base == NULL || !to_fd(number, &fd))
            continue;
        if (sheaf_str_eq(kind, SHEAF_STR("tickets")))
            take_tickets_fd(fd);
        else
            take(sockets, fd, sheaf_str_eq(kind, SHEAF_STR("admin")), line);
    }
}

static void take_systemds(sheaf_sockets_t *sockets, const char *pid, const char *count)
{
    uint64_t number;

    if (!is_for_us(sheaf_str_of(pid)) || !sheaf_str_to_u64(sheaf_str_of(count), &number))
        return;
    for (uint64_t i = 0; i < number && i < SHEAF_SOCKETS_MAX; i++)
        take(sockets, SYSTEMD_FIRST_FD + (int)i, false, SHEAF_STR(""));
}

void sheaf_handover_take(sheaf_sockets_t *ret_sockets)
{
    const char *ours = getenv(VARIABLE), *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

    ret_sockets->count = 0;
    if (ours != NULL)
        take_ours(ret_sockets, sheaf_str_of(ours));
    else if (pid != NULL && count != NULL)
        take_systemds(ret_sockets, pid, count);
    unsetenv(VARIABLE);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

void sheaf_handover_close_unused(const sheaf_sockets_t *taken, const sheaf_sockets_t *used)
{
    for (uint32_t i = 0; i < taken->count; i++) {
        const sheaf_socket_t *socket = &taken->items[i];
        bool is_used = false;

        for (uint32_t j = 0; j < used->count; j++)
            is_used |= used->items[j].fd == socket->fd;
        if (is_used)
            continue;
        if (socket->text[0] == '\0') /* of systemd: somebody meant it to be served */
            sheaf_log(SHEAF_LOG_WARN, "listen", "a socket from systemd has an address that the configuration has not");
        close(socket->fd);
    }
}

void sheaf_handover_take_tickets(sheaf_tickets_t *tickets, uint64_t now_ms)
{
    if (tickets_fd >= 0)
        sheaf_tickets_take(tickets, tickets_fd, now_ms);
    tickets_fd = -1;
}

void sheaf_handover_ready(void)
{
    if (ready_fd < 0)
        return;
    if (write(ready_fd, "r", 1) != 1)
        sheaf_log(SHEAF_LOG_WARN, "upgrade", "the predecessor is gone already");
    sheaf_handover_forget();
}

/* It is our parent until it ends. Before it had our word it is the one that passes on. */
void sheaf_handover_pass_on(int number)
{
    if (predecessor != 0 && ready_fd < 0 && getppid() == predecessor)
        kill(predecessor, number);
}

void sheaf_handover_forget(void)
{
    if (ready_fd >= 0)
        close(ready_fd);
    ready_fd = -1;
}

/* --- giving --- */

static bool keep_open(int fd)
{
    return fcntl(fd, F_SETFD, 0) == 0;
}

bool sheaf_handover_give(const sheaf_sockets_t *sockets, const sheaf_tickets_t *tickets, int fd)
{
    char text[LINE_MOST * (SHEAF_SOCKETS_MAX + 2)];
    size_t len = (size_t)snprintf(text, LINE_MOST, "%d %d\n", (int)getpid(), fd);
    int keys = sheaf_tickets_give(tickets);

    if (!keep_open(fd))
        return false;
    for (uint32_t i = 0; i < sockets->count; i++) {
        const sheaf_socket_t *socket = &sockets->items[i];

        if (!keep_open(socket->fd))
            return false;
        len += (size_t)snprintf(text + len, LINE_MOST, "%d %s %s\n", socket->fd, socket->is_admin ? "admin" : "client",
                                socket->text);
    }
    if (keys >= 0)
        len += (size_t)snprintf(text + len, LINE_MOST, "%d tickets -\n", keys);
    return setenv(VARIABLE, text, 1) == 0;
}
