/* batch/view.h - from where the client of an item sees what its backend says of places: for http/relocate. */
#ifndef SHEAF_BATCH_VIEW_H
#define SHEAF_BATCH_VIEW_H

#include "gateway/batch/item.h"
#include "gateway/http/relocate.h"

/* What of a question tells where its client stands. Borrowed: good as long as the item. */
typedef struct sheaf_stance {
    const sheaf_snapshot_t *snapshot;
    const sheaf_route_conf_t *route;
    sheaf_exposure_t who;
    sheaf_str_t client_host, scheme; /* of the client's request */
    sheaf_str_t host;                /* that its backend is sent; absent: that of each server */
    sheaf_str_t method, path, target;
} sheaf_stance_t;

sheaf_stance_t sheaf_stance_of(const sheaf_item_t *item);
/* Copies what is borrowed into `pool`, for an answer that outlives its item. The snapshot is to outlive it as well. */
void sheaf_stance_keep(sheaf_stance_t *stance, sheaf_pool_t *pool);

/* Good as long as `stance`. Its backend is any server of the route's upstreams (those of its split, too) or fallback,
 * by the name that the configuration or the Host that was sent gives it, whatever the scheme. The client's own host is
 * the gateway only by the scheme that the client speaks: a redirect from http to https leads on, and not back; where backends
 * are sent that host, its path is turned all the same, for they know none but their own. */
sheaf_view_t sheaf_view_of(const sheaf_stance_t *stance);

#endif
