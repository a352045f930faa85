#include "gateway/batch/budget.h"

uint64_t sheaf_budget_need(const sheaf_item_t *item)
{
    if (sheaf_str_eq(item->exchange.method, SHEAF_STR("HEAD")))
        return 0;
    return item->batch->endpoint->max_item_body_bytes;
}

/* The whole of it is kept until its end, and the budget holds it: the configuration was checked. */
static bool is_merged(const sheaf_batch_t *batch)
{
    return batch->endpoint->kind == SHEAF_KIND_AGGREGATE && batch->endpoint->response == SHEAF_RESPONSE_MERGE;
}

static bool fits(const sheaf_batch_t *batch, const sheaf_item_t *item)
{
    return batch->held_bytes + batch->reserved_bytes + sheaf_budget_need(item) <= batch->endpoint->budget_bytes;
}

static bool may_exceed(const sheaf_batch_t *batch, const sheaf_item_t *item)
{
    bool has_room = batch->held_bytes + batch->reserved_bytes < batch->endpoint->budget_bytes;

    if (is_merged(batch)) /* heads and problems count too: what they take must not keep it waiting for itself */
        return batch->flying == 0;
    if (item->is_urgent)
        return has_room || (batch->encoded_bytes == 0 && batch->urgent_flying == 0);
    /* in completion order whatever is held is on its way, or kept for items that only this one may lead to: so one at a
     * time is enough */
    return batch->order == SHEAF_ORDER_COMPLETION && batch->flying == 0 &&
           (has_room || batch->held_bytes == batch->kept_bytes);
}

bool sheaf_budget_lets(const sheaf_batch_t *batch, const sheaf_item_t *item)
{
    return fits(batch, item) || may_exceed(batch, item);
}
