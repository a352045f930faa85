#include "gateway/batch/each.h"

#include <stdlib.h>

#include "gateway/batch/expand.h"
#include "gateway/batch/inherit.h"
#include "gateway/batch/reference.h"

void sheaf_each_make_room(sheaf_batch_t *batch)
{
    uint32_t whole = 0, size;
    sheaf_item_t *items;

    for (uint32_t i = 0; i < batch->count; i++)
        whole += sheaf_each_is_whole(sheaf_batch_item(batch, i));
    if (whole == 0)
        return;
    size = (uint32_t)batch->endpoint->max_items + whole;
    items = sheaf_zalloc((size_t)size * sizeof(*items)); /* pages that are never written cost nothing */
    memcpy(items, batch->items, batch->count * sizeof(*items));
    free(batch->items);
    batch->items = items;
    batch->size = size;
}

bool sheaf_each_is_whole(const sheaf_item_t *item)
{
    return item->recipe != NULL && item->recipe->each != NULL && !item->is_element;
}

static void add_element(sheaf_item_t *item, sheaf_json_t value, uint32_t at)
{
    sheaf_batch_t *batch = item->batch;
    uint32_t index = batch->count++;
    sheaf_item_t *element = sheaf_batch_item(batch, index);

    *element = *item; /* the question, and what is inherited; nothing of it has flown */
    element->index = index;
    element->id = sheaf_pool_printf(item->pool, "%.*s[%u]", SHEAF_STR_ARG(item->id), at);
    element->is_element = true;
    element->is_silent = false;
    element->whole = item->index;
    element->each = value;
    element->after = index + 1;
    element->state = SHEAF_ITEM_READY;
    element->dependents = NULL;
    element->dependents_count = 0;
    element->readers = 0;
    element->made_body = NULL;
    element->made_body_size = 0;
    element->blockers = 0;
}

static sheaf_err_t count_elements(const sheaf_item_t *item, sheaf_json_t array, uint32_t *ret_count, sheaf_fail_t *fail)
{
    const sheaf_batch_t *batch = item->batch;
    uint64_t most = sheaf_inherit_most_items(batch), taken = sheaf_batch_results(batch) - 1; /* its own place is free */
    uint64_t room;
    sheaf_json_iter_t iter = sheaf_json_iter(array);
    sheaf_json_t value;
    uint64_t count = 0;

    most = most < batch->endpoint->max_items ? most : batch->endpoint->max_items;
    room = most > taken ? most - taken : 0;
    while (count <= room && sheaf_json_next_element(&iter, &value))
        count++;
    if (count > room)
        return sheaf_fail(fail, SHEAF_ERR_REFERENCE,
                          "\"forEach\" found more than the %llu elements the batch has room for",
                          (unsigned long long)room);
    *ret_count = (uint32_t)count;
    return SHEAF_OK;
}

sheaf_err_t sheaf_each_spread(sheaf_item_t *item, uint32_t *ret_first, sheaf_fail_t *fail)
{
    sheaf_batch_t *batch = item->batch;
    uint32_t first = batch->count, count;
    sheaf_json_iter_t iter;
    sheaf_json_t array, value;
    sheaf_err_t err = sheaf_expand_array(item, item->recipe->each, &array, fail);

    if (err == SHEAF_OK)
        err = count_elements(item, array, &count, fail);
    if (err != SHEAF_OK)
        return err;
    iter = sheaf_json_iter(array);
    for (uint32_t i = 0; i < count && sheaf_json_next_element(&iter, &value); i++)
        add_element(item, value, i);
    item->is_silent = true;
    item->state = SHEAF_ITEM_WAITING;
    item->blockers = item->inside = count;
    item->elements = first;
    item->elements_count = count;
    item->status = 200;
    batch->silent++;
    batch->open += count;
    batch->total += count;
    if (count > 0) {
        sheaf_batch_item(batch, first + count - 1)->after = item->after;
        item->after = first;
    }
    batch->first_unsent = sheaf_each_skip_silent(batch, batch->first_unsent);
    *ret_first = first;
    return SHEAF_OK;
}

void sheaf_each_element_settled(sheaf_item_t *element)
{
    sheaf_item_t *whole = sheaf_batch_item(element->batch, element->whole);

    if (whole->state == SHEAF_ITEM_SETTLED)
        return; /* the batch was stopped */
    if (element->status > whole->status)
        whole->status = element->status;
    if (--whole->blockers == 0)
        sheaf_item_settle(whole);
}

uint32_t sheaf_each_skip_silent(const sheaf_batch_t *batch, uint32_t index)
{
    while (index < batch->count && sheaf_batch_item(batch, index)->is_silent)
        index = sheaf_batch_item(batch, index)->after;
    return index;
}
