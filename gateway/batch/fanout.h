/* batch/fanout.h - the pump: launches what may start, hears what comes back, ends the batch.
 *
 *   start, settle, encoded, sent --soon--> pump --launch--> dispatch->send
 *                                           |                    |
 *                                           |     settle <--- on_head, on_body, on_done
 *                                           +--nothing open--> watch->on_done   (one line of one function)
 *
 * Back-pressure by launch: an item starts when the largest answer it can give fits what is left of the budget; what
 * flies is read to its end. The first unsent result and what it waits for go first and may exceed the budget, by one
 * answer while something is on its way to the client and without bound when nothing is: so nothing can deadlock.
 * The batch's deadline counts from start and stands still while the pump waits for nobody but the client. */
#ifndef SHEAF_BATCH_FANOUT_H
#define SHEAF_BATCH_FANOUT_H

#include "gateway/batch/batch.h"

void sheaf_fanout_init(sheaf_batch_t *batch);
void sheaf_fanout_fini(sheaf_batch_t *batch);

/* The next item of the feed, open and planned, in its slot; NULL when all have been fed or no slot is free. In batch.c. */
sheaf_item_t *sheaf_batch_feed_next(sheaf_batch_t *batch);

/* For hooks: an item that flies is sent, or has its answer. */
void sheaf_fanout_send(sheaf_item_t *item);
void sheaf_fanout_settle(sheaf_item_t *item);
/* It has its answer, and what its backend still says of another is heard no more. */
void sheaf_fanout_land(sheaf_item_t *item);

/* Queues the pump if there is something it could do. */
void sheaf_fanout_wake(sheaf_batch_t *batch);

#endif
