/* batch/view.h - from where the client of an item sees what its backend says of places: for http/relocate. */
#ifndef SHEAF_BATCH_VIEW_H
#define SHEAF_BATCH_VIEW_H

#include "gateway/batch/item.h"
#include "gateway/http/relocate.h"

/* Good as long as the item. Its backend is any server of the route's upstreams (those of its split, too) or fallback,
 * by the name that the configuration or the Host that was sent gives it, whatever the scheme. The client's own host is
 * the gateway only by the scheme that the client speaks: a redirect from http to https leads on, and not back; where backends
 * are sent that host, its path is turned all the same, for they know none but their own. */
sheaf_view_t sheaf_view_of(const sheaf_item_t *item);

#endif
