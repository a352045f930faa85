/* run/worker.h - a process with one event loop: the floors put together.
 *
 * The worker owns the loop (cycle.h), the upstreams and the front, and the epochs. Under
 * a supervisor (which makes it ignore signals meant for the group) it listens to the control socket; alone (workers: 0)
 * it handles SIGTERM, SIGINT, SIGHUP and SIGUSR1 itself. */
#ifndef SHEAF_RUN_WORKER_H
#define SHEAF_RUN_WORKER_H

#include "gateway/base/metrics.h"
#include "gateway/base/slate.h"
#include "gateway/front/tickets.h"
#include "gateway/run/shares.h"
#include "gateway/run/sockets.h"

#define SHEAF_CONFIG_MAX_BYTES (8u << 20)

typedef struct sheaf_worker_setup {
    const char *config_path;    /* for SIGHUP when alone; NULL: SIGHUP is ignored */
    sheaf_snapshot_t *snapshot; /* the worker takes its own hold */
    sheaf_sockets_t sockets;    /* the worker owns these descriptors from here on */
    sheaf_shares_t shares;      /* and these */
    int control_fd;             /* -1: alone */
    sheaf_metrics_region_t *region;
    sheaf_slate_t *slate; /* what the worker in slot 0 finds out about the servers of upstreams; NULL: it asks none */
    sheaf_tickets_t *tickets; /* shared by all workers, rotated by the supervisor; NULL: the worker makes its own */
    uint32_t slot;
    void (*on_ready)(void *data); /* accepting; may be NULL */
    void *data;
} sheaf_worker_setup_t;

/* Runs until drained; returns the exit status of the process. */
int sheaf_worker_run(const sheaf_worker_setup_t *setup);

#endif
