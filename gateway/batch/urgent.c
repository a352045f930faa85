#include "gateway/batch/urgent.h"

static void mark(sheaf_batch_t *batch, uint32_t index, uint32_t *top)
{
    sheaf_item_t *item = sheaf_batch_item(batch, index);

    if (item->is_urgent || item->state == SHEAF_ITEM_SETTLED)
        return;
    item->is_urgent = true;
    batch->urgent_flying += item->state == SHEAF_ITEM_FLYING;
    if (item->state == SHEAF_ITEM_READY) {
        sheaf_ready_drop(&batch->ready, sheaf_batch_slot(item));
        sheaf_ready_put(&batch->urgent, sheaf_batch_slot(item));
    }
    item->below = *top;
    *top = index;
}

void sheaf_urgent_mark(sheaf_batch_t *batch)
{
    uint32_t top = SHEAF_READY_NONE;

    if (batch->order != SHEAF_ORDER_REQUEST || batch->first_unsent >= batch->count)
        return;
    mark(batch, batch->first_unsent, &top);
    while (top != SHEAF_READY_NONE) {
        const sheaf_item_t *item = sheaf_batch_item(batch, top);

        top = item->below;
        for (uint32_t i = 0; item->state == SHEAF_ITEM_WAITING && i < item->depends_on_count; i++)
            mark(batch, item->depends_on[i].blocker, &top);
        for (uint32_t i = 0; item->state == SHEAF_ITEM_WAITING && i < item->elements_count; i++)
            mark(batch, item->elements + i, &top);
        if (item->state == SHEAF_ITEM_WAITING && item->leader != NULL)
            mark(batch, item->leader->index, &top);
    }
}
