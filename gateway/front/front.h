/* front/front.h - the client side of one worker: all that floor 6 needs to know of libh2o.
 *
 * One sheaf_front_t per worker on the worker's loop. It accepts from listening sockets that the supervisor opened, runs
 * the batch endpoints of the current epoch, and serves the admin paths on the admin socket. */
#ifndef SHEAF_FRONT_FRONT_H
#define SHEAF_FRONT_FRONT_H

#include <uv.h>

#include "gateway/batch/batch.h"

typedef struct sheaf_front sheaf_front_t;

/* One snapshot in use: what a batch is started with. Counted; batches hold it until they end. */
typedef struct sheaf_epoch {
    sheaf_batch_env_t env;
    uint32_t holds;
    void (*on_last_drop)(struct sheaf_epoch *epoch); /* the worker closes the view and drops the snapshot */
} sheaf_epoch_t;

typedef struct sheaf_front_env {
    uv_loop_t *loop;
    sheaf_clock_t *clock;
    sheaf_deadlines_t *deadlines;
    sheaf_soon_t *soon;
    sheaf_metrics_t *metrics;
    sheaf_metrics_region_t *region; /* for /metrics */
    struct sheaf_tickets *tickets;  /* of TLS, see tickets.h; may be NULL */
    /* Is the whole gateway draining (for /readyz)? */
    bool (*is_draining)(void *data);
    void *data;
} sheaf_front_env_t;

sheaf_front_t *sheaf_front_new(const sheaf_front_env_t *env);

/* New batches run in `epoch` from now on. The front holds the current one. */
void sheaf_front_set_epoch(sheaf_front_t *front, sheaf_epoch_t *epoch);

/* Accepts from the listening socket `fd` (owned by the front from here on). `address`, as configured, is where the
 * current epoch's settings of the listener are found; those of later epochs too. */
sheaf_err_t sheaf_front_listen(sheaf_front_t *front, int fd, sheaf_str_t address, bool is_admin, sheaf_fail_t *fail);

/* Stops accepting from `fd` (closes this process's copy). */
void sheaf_front_unlisten(sheaf_front_t *front, int fd);

/* Drain: stops accepting from all client sockets, lets running requests finish, ends idle keep-alive connections
 * (never h2o_context_request_shutdown: libh2o.md fact 3). The admin listener stays. on_idle is called from the
 * soon-queue once no client connection is left. */
void sheaf_front_drain(sheaf_front_t *front, void (*on_idle)(void *data), void *data);

/* Closes what is left at once, running batches are abandoned; then, with the loop running, on_closed. */
void sheaf_front_free(sheaf_front_t *front, void (*on_closed)(void *data), void *data);

/* "2.2.5": the libh2o that this was built against. */
const char *sheaf_front_library_version(void);

#endif
