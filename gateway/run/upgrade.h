/* run/upgrade.h - a new binary takes over without a refused connection (SIGUSR2).
 *
 *   old: fork, exec of the same command line ---> new: opens nothing it was given, starts its workers
 *   old: serves on, both accept                   new: all accept: a byte on the pipe
 *   old: drains and exits 0                       new: passes SIGUSR1 on to it until then, goes on alone
 *
 * The listening sockets are the same all the time (handover.h), so the queue of those who wait has no gap. A new
 * process that ends or stays silent before its word is a failed start: the old one goes on. Counters begin anew; keys of
 * TLS session tickets are copied, so clients resume. */
#ifndef SHEAF_RUN_UPGRADE_H
#define SHEAF_RUN_UPGRADE_H

#include <signal.h>
#include <sys/types.h>

#include "gateway/front/tickets.h"
#include "gateway/run/sockets.h"

#define SHEAF_UPGRADE_MS 60000 /* how long a start may take */

typedef struct sheaf_upgrade {
    pid_t pid;    /* 0: none is under way */
    int ready_fd; /* to read its word from; -1 once it closed it */
    uint64_t until_ms;
} sheaf_upgrade_t;

/* Call first thing in main: the command line, and where the binary is while its file is still there. */
void sheaf_upgrade_remember(char **argv);

/* Starts the binary that is in its place now. `blocked` are the signals to unblock in it. False when the system refuses;
 * that an exec fails shows as the end of the process. */
bool sheaf_upgrade_start(sheaf_upgrade_t *upgrade, const sheaf_sockets_t *sockets, const sheaf_tickets_t *tickets,
                         const sigset_t *blocked, uint64_t now_ms);

/* ready_fd is readable: true when it said that it is ready. */
bool sheaf_upgrade_read(sheaf_upgrade_t *upgrade);

/* Forgets it; it lives on. */
void sheaf_upgrade_end(sheaf_upgrade_t *upgrade);

#endif
