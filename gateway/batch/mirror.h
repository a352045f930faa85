/* batch/mirror.h - copies of what goes to a route's backend, for another upstream that nobody waits for.
 *
 *   item --sheaf_fanout_send--> its backend          the answer is the item's
 *                  \__ a copy --> the mirror         the answer is read and dropped
 *
 * A copy is what the backend gets, after policy and plugins: method, target, header fields and body are the same, and no
 * field tells it from the original. It owns all of that, so the item, its batch and its client may be gone long before it
 * ends. What copies hold is bounded by `mirror` of the route, and for all routes together by a part of limits.memory; what
 * goes beyond is not copied. A copy is sent once: neither `retry` nor `hedge` nor `fallback` apply, and its upstream's
 * breaker and outlier hear of it as of any exchange. Nothing of it reaches the item.
 *
 * One sheaf_mirrors_t per epoch. NULL where no route has a mirror: a pointer test is all that it costs then. */
#ifndef SHEAF_BATCH_MIRROR_H
#define SHEAF_BATCH_MIRROR_H

#include "gateway/batch/batch.h"

#define SHEAF_MIRROR_ANSWER_MOST ((size_t)1 << 20) /* of an answer that is read; then its exchange is ended */

typedef struct sheaf_mirrors sheaf_mirrors_t;

/* For the routes of env->snapshot, sent through env->dispatch; NULL: none of them has a mirror. `env` is copied. */
sheaf_mirrors_t *sheaf_mirrors_new(const sheaf_batch_env_t *env);

/* A copy of `item`, which was just sent, if its route wants one and there is room. */
void sheaf_mirrors_send(sheaf_mirrors_t *mirrors, const sheaf_item_t *item);

/* Nothing is copied any more. on_ended is called when the last copy has ended, and `mirrors` is gone then: from inside where
 * nothing flies, else from the soon-queue, or from sheaf_mirrors_cut. NULL is fine. */
void sheaf_mirrors_end(sheaf_mirrors_t *mirrors, void (*on_ended)(void *data), void *data);

/* Cancels what flies, and nothing is copied any more. Not from inside a sink. */
void sheaf_mirrors_cut(sheaf_mirrors_t *mirrors);

#endif
