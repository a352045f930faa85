/* batch/each.h - one item for each element of an array in another's answer (forEach).
 *
 *   list --settles--> the item is spread --> item[0] item[1] ... --all settle--> the item settles, unheard
 *
 * A forEach item has no result of its own once it is spread: its elements stand in its place in request order, and who
 * depends on it waits for all of them. Its status is then the largest of theirs, 200 when there are none. All results of
 * a batch together are at most max_items; room for them is made when the batch is sealed, so that items never move. */
#ifndef SHEAF_BATCH_EACH_H
#define SHEAF_BATCH_EACH_H

#include "gateway/batch/batch.h"

/* Makes room for the elements that forEach items may become. While the batch is sealed, before it is linked. */
void sheaf_each_make_room(sheaf_batch_t *batch);

/* Is it an item that must be spread instead of sent? */
bool sheaf_each_is_whole(const sheaf_item_t *item);

/* Adds an item for each element; the caller makes those from `*ret_first` to below batch->count ready. UNRESOLVED when
 * there is no array, REFERENCE when it has more elements than may be added: nothing has changed then. */
sheaf_err_t sheaf_each_spread(sheaf_item_t *item, uint32_t *ret_first, sheaf_fail_t *fail);

/* An element has settled: the last one settles the item it comes from. */
void sheaf_each_element_settled(sheaf_item_t *element);

/* The first item from `index` on, in request order, that has or will have a result. */
uint32_t sheaf_each_skip_silent(const sheaf_batch_t *batch, uint32_t index);

#endif
