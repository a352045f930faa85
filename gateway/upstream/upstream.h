/* upstream/upstream.h - the backends of one worker: groups of servers, their conns, and the line before them.
 *
 * One sheaf_upstreams_t per worker. Each snapshot opens a view on it: a sheaf_dispatch_t whose upstream indexes are
 * that snapshot's. An upstream that a reload left unchanged (sheaf_upstream_conf_eq, same name and same content of its
 * files) is shared by both views and keeps its conns, records and line; one that no view uses any more closes its idle
 * conns and ends when its last exchange did. */
#ifndef SHEAF_UPSTREAM_UPSTREAM_H
#define SHEAF_UPSTREAM_UPSTREAM_H

#include <uv.h>

#include "config/snapshot.h"
#include "gateway/base/metrics.h"
#include "gateway/base/slate.h"
#include "gateway/base/upstats.h"
#include "gateway/http/exchange.h"

typedef struct sheaf_upstreams sheaf_upstreams_t;

typedef struct sheaf_upstreams_env {
    uv_loop_t *loop;
    sheaf_clock_t *clock;
    sheaf_deadlines_t *deadlines;
    sheaf_soon_t *soon;
    sheaf_metrics_t *metrics;      /* may be NULL */
    sheaf_upstats_book_t *upstats; /* may be NULL; where each upstream gets a page by its name */
    uint32_t slot;                 /* this worker's, in upstats */
    sheaf_slate_t *slate;          /* where all workers read who is unhealthy; NULL: nobody is ever asked */
    bool is_prober;                /* this worker asks, and writes there */
} sheaf_upstreams_env_t;

sheaf_upstreams_t *sheaf_upstreams_new(const sheaf_upstreams_env_t *env);

/* Closes everything; no exchange may be flying. The loop must run until its handles are closed; on_closed is then
 * called (may be NULL) and `upstreams` is gone. */
void sheaf_upstreams_free(sheaf_upstreams_t *upstreams, void (*on_closed)(void *data), void *data);

/* The view of `snapshot` (held by it). Its upstreams are those whose servers are asked how they are from here on. */
sheaf_dispatch_t *sheaf_upstreams_open(sheaf_upstreams_t *upstreams, sheaf_snapshot_t *snapshot);
/* No exchange sent through the view may be flying. */
void sheaf_upstreams_close(sheaf_dispatch_t *view);

/* This worker drains: it asks no server any more how it is. */
void sheaf_upstreams_rest(sheaf_upstreams_t *upstreams);

#endif
