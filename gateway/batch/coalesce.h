/* batch/coalesce.h - the same question once: items of a batch that ask the same share one exchange.
 *
 *   seal --> share (a leader, and those that follow it) --> the leader flies --> it settles, then each follower does,
 *                                                                                  with the same answer
 *
 * Two items ask the same when both are GETs on one route with `coalesce: true`, go to the same target after
 * normalisation, send the same headers of their own (all others are the batch's; so a different Authorization never
 * shares) and have the same timeout. Items with dependencies, and with them all that take something from other answers,
 * ask for themselves: they may want to see what those have changed. With parallel 1 everybody does: each item is asked
 * after the one before it was answered. Items that are fed through a window do as well, and those about which a plugin is
 * asked: it may refuse one and let the other pass.
 *
 * A follower waits until its leader settles, is no exchange and takes no place among those in flight. It holds the body
 * of the leader (counted bufs), and the batch's budget counts it once for each item: more than there is in memory,
 * never less. */
#ifndef SHEAF_BATCH_COALESCE_H
#define SHEAF_BATCH_COALESCE_H

#include "gateway/batch/batch.h"

/* Finds who asks the same; once the batch is sealed, before it starts. Constant time per item. */
void sheaf_coalesce_share(sheaf_batch_t *batch);

/* The answer of `leader` is final and it is about to settle: its open followers get it too. */
void sheaf_coalesce_hand_on(sheaf_item_t *leader);
/* The leader has settled: its followers settle as well. */
void sheaf_coalesce_settle(sheaf_item_t *leader);

#endif
