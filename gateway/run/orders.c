#include "gateway/run/orders.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "gateway/base/str.h"

static const int of_operators[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

bool sheaf_orders_open(sheaf_orders_t *orders)
{
    sigemptyset(&orders->signals);
    sigaddset(&orders->signals, SIGCHLD);
    for (size_t i = 0; i < SHEAF_COUNT(of_operators); i++)
        sigaddset(&orders->signals, of_operators[i]);
    sigprocmask(SIG_BLOCK, &orders->signals, NULL);
    orders->fd = signalfd(-1, &orders->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return orders->fd >= 0;
}

int sheaf_orders_next(const sheaf_orders_t *orders)
{
    struct signalfd_siginfo info;

    return read(orders->fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

/* The supervisor decides; a signal to the whole group must not do it twice. Before they are unblocked: one that waits
 * would end the worker. */
void sheaf_orders_leave(sheaf_orders_t *orders)
{
    close(orders->fd);
    for (size_t i = 0; i < SHEAF_COUNT(of_operators); i++)
        signal(of_operators[i], SIG_IGN);
    sigprocmask(SIG_UNBLOCK, &orders->signals, NULL);
}
