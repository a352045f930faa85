/* upstream/monitor.h - who is healthy, of the servers of a group: one worker asks, all workers know.
 *
 *   the worker that asks: begin --> probe each server, every interval --> health --> slate, log, metrics
 *   every worker:         look, when a server is about to be chosen <------------------'
 *
 * The worker in slot 0 asks, for the newest snapshot's upstreams, until it drains; what it sends counts among connections,
 * handshakes and bytes. One per group; without a `health` section it does nothing. Looking costs a load and a
 * comparison as long as nothing is new. A server that is unhealthy is left out as an ejected one is: its idle conns are
 * closed and none is kept, and it is passed over while another one is open. When all servers of the group are unhealthy
 * none is left out: probes may be wrong, and there is nobody to go to.
 *
 * What is known stays on the slate, by a key of the upstream's name, its `health` section and the server's url: so it
 * outlives a reload that changes none of these, and the worker that asked, but not the binary. Targets of a service are asked
 * from when they come until they leave, and forgotten then. A server for which the slate has no line is not
 * asked and counts as healthy. */
#ifndef SHEAF_UPSTREAM_MONITOR_H
#define SHEAF_UPSTREAM_MONITOR_H

#include "gateway/upstream/health.h"
#include "gateway/upstream/stock.h"

typedef struct sheaf_watch sheaf_watch_t; /* of one server, by who asks */

typedef struct sheaf_monitor {
    sheaf_conn_env_t *env;
    sheaf_slate_t *slate; /* NULL: there is nothing to know */
    sheaf_balance_t *balance;
    sheaf_stock_t *stock;
    sheaf_outliers_t *outliers;
    const sheaf_upstream_conf_t *conf;
    uint64_t version;        /* of the slate, as far as it was read */
    uint64_t *keys;          /* of the servers; 0: there is none, of a service */
    sheaf_str_t path;        /* owned: a probe may be under way when its snapshot goes */
    sheaf_watch_t **watches; /* of the servers that are asked, each may be NULL; NULL: somebody else asks */
    sheaf_chance_t chance;
    bool is_full_told; /* that some of them have no line */
} sheaf_monitor_t;

/* Without env->slate nobody is ever unhealthy. */
void sheaf_monitor_init(sheaf_monitor_t *monitor, sheaf_conn_env_t *env, sheaf_balance_t *balance, sheaf_stock_t *stock,
                        sheaf_outliers_t *outliers, const sheaf_upstream_conf_t *conf, uint64_t seed);
void sheaf_monitor_fini(sheaf_monitor_t *monitor);
void sheaf_monitor_rebase(sheaf_monitor_t *monitor, const sheaf_upstream_conf_t *conf); /* an equal one */

/* Servers of a service came or left. */
void sheaf_monitor_renew(sheaf_monitor_t *monitor);

void sheaf_monitor_refresh(sheaf_monitor_t *monitor); /* private */

/* Before a server is chosen or a conn kept: server->is_unhealthy of each is right after it. */
static inline void sheaf_monitor_look(sheaf_monitor_t *monitor)
{
    if (monitor->slate != NULL && sheaf_slate_is_news(monitor->slate, &monitor->version))
        sheaf_monitor_refresh(monitor);
}

/* Asks from here on, or goes on asking; within a round of the slate. In one process at a time. */
void sheaf_monitor_begin(sheaf_monitor_t *monitor);
/* Asks no more; fine when it did not. */
void sheaf_monitor_end(sheaf_monitor_t *monitor);

#endif
