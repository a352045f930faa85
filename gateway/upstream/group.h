/* upstream/group.h - one upstream of a worker: its servers, its conns, and the line before them.
 *
 *   send --> idle conn of the server whose turn it is (most recently used)     --> write
 *        \-> a new conn, while there are fewer than max_connections             --> dial, write
 *         \-> the line: a conn that gets free takes the next exchange whose turn it is
 *
 * An exchange is in one place at a time: in the line, on a conn, at rest between two attempts (triage), or on its way
 * back through the soon-queue. Whoever
 * waits does so because all conns are busy, or because as many fly as may (throttle). */
#ifndef SHEAF_UPSTREAM_GROUP_H
#define SHEAF_UPSTREAM_GROUP_H

#include "gateway/upstream/conn.h"
#include "gateway/upstream/hedge.h"
#include "gateway/upstream/line.h"
#include "gateway/upstream/monitor.h"
#include "gateway/upstream/stock.h"
#include "gateway/upstream/throttle.h"
#include "gateway/upstream/triage.h"

typedef struct sheaf_group {
    sheaf_link_t link;                 /* in its owner's list of groups */
    uint32_t users;                    /* views that share it */
    const void *newest;                /* the last of them that was opened */
    const sheaf_upstream_conf_t *conf; /* the newest user's */
    sheaf_snapshot_t *snapshot;        /* held for conf */
    sheaf_conn_env_t *env;
    sheaf_upstats_t *upstats;          /* of its name; may be NULL */
    const sheaf_conn_events_t *events; /* of its conns */
    sheaf_soon_t *soon;
    sheaf_balance_t balance;
    sheaf_stock_t stock;
    sheaf_line_t line;
    sheaf_throttle_t throttle;
    sheaf_triage_t triage;
    sheaf_monitor_t monitor;
    sheaf_hedge_t hedge;
    sheaf_task_t serve;   /* a conn got free: serve the line */
    uint64_t answered_ms; /* when an answer was whole last */
} sheaf_group_t;

/* `snapshot` holds `conf`. */
sheaf_group_t *sheaf_group_new(sheaf_conn_env_t *env, sheaf_soon_t *soon, sheaf_resolver_t *resolver,
                               sheaf_snapshot_t *snapshot, const sheaf_upstream_conf_t *conf);
/* Closes its idle conns; nothing may fly. */
void sheaf_group_free(sheaf_group_t *group);

/* An equal configuration from a newer snapshot: the old one can go. */
void sheaf_group_rebase(sheaf_group_t *group, sheaf_snapshot_t *snapshot, const sheaf_upstream_conf_t *conf);

/* See sheaf_dispatch_t. */
void sheaf_group_send(sheaf_group_t *group, sheaf_exchange_t *exchange);
void sheaf_group_credit(sheaf_exchange_t *exchange, size_t len);
void sheaf_group_cancel(sheaf_exchange_t *exchange);

/* --- for the rooms of a group --- */

/* A place may have become free: whoever waits for one gets it, from the soon-queue. */
void sheaf_group_serve_soon(sheaf_group_t *group);

/* Closes a conn of its group, and the one that is dialed beside it. It stays readable until its close callback. */
void sheaf_group_let_go(sheaf_conn_t *conn);

#endif
