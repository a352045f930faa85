/* upstream/leaving.h - an exchange that is over before its answer: cancelled, out of time, or sent anew. */
#ifndef SHEAF_UPSTREAM_LEAVING_H
#define SHEAF_UPSTREAM_LEAVING_H

#include "gateway/upstream/group.h"

/* Takes the exchange from wherever it is; its place is given on from the soon-queue, so that a batch that cancels all
 * it has does not launch what it is about to cancel. Fine on one that is nowhere. No callback runs. */
void sheaf_leaving_detach(sheaf_exchange_t *exchange);

/* The same because its owner gives it up. Where its time is over, too, which its owner's own clock may tell first, it is
 * counted as late. */
void sheaf_leaving_cancel(sheaf_exchange_t *exchange);

/* The same because its time is over: which is a failure of its upstream, counted as one, and where it had the time that the
 * configuration gives, of its server. */
void sheaf_leaving_late(sheaf_exchange_t *exchange);

#endif
