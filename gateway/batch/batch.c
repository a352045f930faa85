#include "gateway/batch/batch.h"

#include <stdlib.h>

#include "gateway/batch/each.h"
#include "gateway/batch/coalesce.h"
#include "gateway/batch/fanout.h"
#include "gateway/batch/ids.h"
#include "gateway/batch/inherit.h"
#include "gateway/batch/plan.h"

#define FIRST_ITEMS  16
#define EXPECT_MOST  256u /* more than that is moved: a few large items look like many small ones */
#define WINDOW_LEAST 256u /* slots of a window, a power of two: four times what flies, so that order costs little */
#define WINDOW_MOST  2048u

/* --- birth and death --- */

/* What stands in the request's path for `base`, which holds parameters and is where the endpoint's path begins. */
static sheaf_str_t base_in_request(sheaf_str_t base, sheaf_str_t path, sheaf_pool_t *pool)
{
    size_t slashes = 0, len = 0;

    for (size_t i = 0; i < base.len; i++)
        slashes += base.base[i] == '/';
    while (len < path.len && slashes > 0)
        slashes -= path.base[len++] == '/';
    return slashes == 0 ? sheaf_pool_dup(pool, sheaf_str(path.base, len)) : SHEAF_STR("/");
}

/* Where relative urls start: the endpoint's `base`, else the folder of a path that ends in $batch, else the root. */
static sheaf_str_t base_of(const sheaf_endpoint_conf_t *endpoint, const sheaf_outer_t *outer, sheaf_pool_t *pool)
{
    sheaf_str_t path = endpoint->path, base = endpoint->base;

    if (base.len > 0 && memchr(base.base, '{', base.len) != NULL)
        return base_in_request(base, outer->path, pool);
    if (base.len > 0 && base.base[base.len - 1] == '/')
        return base;
    if (base.len > 0)
        return sheaf_pool_printf(pool, "%.*s/", SHEAF_STR_ARG(base));
    if (sheaf_str_ends(path, SHEAF_STR("/$batch")))
        return sheaf_str(path.base, path.len - (sizeof("$batch") - 1));
    return SHEAF_STR("/");
}

sheaf_batch_t *sheaf_batch_new(const sheaf_batch_env_t *env, const sheaf_endpoint_conf_t *endpoint,
                               const sheaf_outer_t *outer)
{
    sheaf_batch_t *batch = sheaf_zalloc(sizeof(*batch));

    batch->env = *env;
    sheaf_snapshot_hold(env->snapshot);
    batch->endpoint = endpoint;
    batch->outer = outer;
    batch->pool = sheaf_pool_new();
    batch->timeout_ms = endpoint->timeout_ms;
    batch->parallel = (uint32_t)endpoint->parallel;
    batch->order = endpoint->order;
    batch->stops_on_error = endpoint->on_error == SHEAF_ON_ERROR_STOP;
    batch->fault.item = UINT32_MAX;
    batch->mask = UINT32_MAX;
    batch->base = base_of(endpoint, outer, batch->pool);
    batch->started_us = sheaf_clock_us(env->clock);
    sheaf_fanout_init(batch);
    return batch;
}

void sheaf_batch_free(sheaf_batch_t *batch)
{
    SHEAF_ASSERT(batch->flying == 0);
    sheaf_fanout_fini(batch);
    for (uint32_t i = batch->oldest; i < batch->count; i++)
        sheaf_item_give_back(sheaf_batch_item(batch, i));
    for (uint32_t i = 0; batch->feed.next != NULL && i < batch->size; i++)
        sheaf_pool_free(batch->items[i].pool);
    sheaf_inherit_fini(batch);
    sheaf_ids_free(batch->ids);
    free(batch->items);
    sheaf_pool_free(batch->pool);
    sheaf_snapshot_drop(batch->env.snapshot);
    free(batch);
}

/* --- what the client prefers --- */

void sheaf_batch_prefer(sheaf_batch_t *batch, const sheaf_prefer_t *prefer)
{
    uint64_t wait_ms = (uint64_t)prefer->wait_s * 1000;

    batch->prefer = *prefer;
    if (prefer->has_wait && wait_ms < batch->timeout_ms)
        batch->timeout_ms = wait_ms;
    if (prefer->continues != SHEAF_CONTINUE_UNSAID)
        batch->stops_on_error = prefer->continues == SHEAF_CONTINUE_NO;
}

sheaf_prefer_t sheaf_batch_preferred(const sheaf_batch_t *batch)
{
    sheaf_prefer_t applied = batch->prefer;

    if (applied.continues != SHEAF_CONTINUE_UNSAID && (applied.continues == SHEAF_CONTINUE_NO) != batch->stops_on_error)
        applied.continues = SHEAF_CONTINUE_UNSAID; /* the envelope says otherwise */
    return applied;
}

/* --- adding --- */

static void refuse(sheaf_batch_t *batch, unsigned member)
{
    batch->fault = (sheaf_fault_t){.item = batch->count};
    batch->fault.member = member;
}

static sheaf_err_t take_id(sheaf_batch_t *batch, sheaf_str_t id, sheaf_str_t *ret_id, sheaf_fail_t *fail)
{
    const char *refusal;
    char digits[20];

    if (id.base == NULL)
        id = sheaf_pool_dup(batch->pool, sheaf_str(digits, sheaf_u64_to_dec(batch->count, digits)));
    refusal = sheaf_ids_refusal(id);
    if (refusal == NULL && !batch->is_multipart && sheaf_ids_is_of_element(id))
        refusal = "ends in [digits]";
    if (refusal != NULL) {
        refuse(batch, SHEAF_FAULT_ID);
        return sheaf_fail(fail, SHEAF_ERR_ID, "the id %s", refusal);
    }
    if (batch->ids == NULL)
        batch->ids = sheaf_ids_new();
    if (!sheaf_ids_add(batch->ids, id, batch->count)) {
        refuse(batch, SHEAF_FAULT_ID);
        return sheaf_fail(fail, SHEAF_ERR_ID, "the id \"%.*s\" stands twice", SHEAF_STR_ARG(id));
    }
    *ret_id = id;
    return SHEAF_OK;
}

void sheaf_batch_expect(sheaf_batch_t *batch, size_t items)
{
    SHEAF_ASSERT(batch->count == 0 && batch->items == NULL);
    batch->expected = items < EXPECT_MOST ? (uint32_t)items : EXPECT_MOST;
    if (batch->expected > batch->endpoint->max_items)
        batch->expected = (uint32_t)batch->endpoint->max_items;
}

static void grow(sheaf_batch_t *batch)
{
    uint32_t size = batch->size * 2;

    if (size == 0)
        for (size = FIRST_ITEMS; size < batch->expected;)
            size *= 2;
    batch->size = size;
    batch->items = sheaf_realloc(batch->items, size * sizeof(sheaf_item_t));
}

static sheaf_item_t *next_item(sheaf_batch_t *batch)
{
    sheaf_item_t *item;

    if (batch->count == batch->size && batch->feed.next == NULL)
        grow(batch); /* nothing points into the array before the batch is sealed */
    item = sheaf_batch_item(batch, batch->count);
    memset(item, 0, sizeof(*item));
    item->batch = batch;
    item->pool = batch->pool;
    item->index = batch->count;
    item->after = batch->count + 1;
    return item;
}

static void keep_dependencies(sheaf_item_t *item, const sheaf_draft_t *draft)
{
    size_t size = draft->depends_on_count * sizeof(sheaf_edge_t);

    if (size == 0)
        return;
    item->depends_on = sheaf_pool_alloc(item->pool, size);
    memcpy(item->depends_on, draft->depends_on, size);
    item->depends_on_count = draft->depends_on_count;
}

static void plan(sheaf_item_t *item, const sheaf_draft_t *draft)
{
    sheaf_fail_t why;

    item->url_text = draft->url;
    item->timeout_ms = draft->timeout_ms;
    item->err = sheaf_plan_item(item, draft, &why);
    if (item->err != SHEAF_OK)
        item->detail = sheaf_pool_dup(item->pool, sheaf_str_of(why.detail));
}

sheaf_err_t sheaf_batch_add(sheaf_batch_t *batch, const sheaf_draft_t *draft, sheaf_fail_t *fail)
{
    sheaf_item_t *item;
    sheaf_str_t id;
    sheaf_err_t err;

    if (batch->count >= batch->endpoint->max_items) {
        refuse(batch, SHEAF_FAULT_ITEMS);
        return sheaf_fail(fail, SHEAF_ERR_TOO_MANY_ITEMS, "more than %llu items",
                          (unsigned long long)batch->endpoint->max_items);
    }
    err = take_id(batch, draft->id, &id, fail);
    if (err != SHEAF_OK)
        return err;

    item = next_item(batch);
    item->id = id;
    item->label = draft->label;
    item->group = draft->group;
    item->set = batch->endpoint->change_sets == SHEAF_CHANGE_SETS_INDEPENDENT ? draft->set : 0;
    keep_dependencies(item, draft);
    plan(item, draft);
    batch->count++;
    return SHEAF_OK;
}

/* --- a window --- */

static uint32_t window_size(const sheaf_batch_t *batch, uint32_t total)
{
    uint32_t size = WINDOW_LEAST;

    while (size < WINDOW_MOST && size / 4 < batch->parallel)
        size *= 2;
    while (size > FIRST_ITEMS && size / 2 >= total)
        size /= 2;
    return size;
}

void sheaf_batch_feed(sheaf_batch_t *batch, const sheaf_feed_t *feed)
{
    SHEAF_ASSERT(batch->count == 0 && batch->items == NULL);
    batch->feed = *feed;
    batch->shows_index = true;
    batch->size = window_size(batch, feed->total);
    batch->mask = batch->size - 1;
    batch->items = sheaf_zalloc(batch->size * sizeof(sheaf_item_t));
}

/* What an item is called by whoever feeds it may not be an id at all: that is its own fault alone. */
static sheaf_str_t fed_id(sheaf_item_t *item, sheaf_draft_t *draft)
{
    const char *refusal = draft->id.base == NULL ? NULL : sheaf_ids_refusal(draft->id);
    char digits[20];

    if (draft->id.base != NULL && refusal == NULL)
        return draft->id;
    if (refusal != NULL && draft->err == SHEAF_OK) {
        draft->err = SHEAF_ERR_ITEM_DATA;
        snprintf(draft->detail, sizeof(draft->detail), "the id %s", refusal);
    }
    return sheaf_pool_dup(item->pool, sheaf_str(digits, sheaf_u64_to_dec(item->index, digits)));
}

sheaf_item_t *sheaf_batch_feed_next(sheaf_batch_t *batch)
{
    sheaf_pool_t *pool = sheaf_batch_item(batch, batch->count)->pool;
    sheaf_draft_t draft = {0};
    sheaf_item_t *item;

    if (batch->count >= batch->total || batch->count - batch->oldest >= batch->size)
        return NULL;
    if (pool == NULL)
        pool = sheaf_pool_new();
    else
        sheaf_pool_reset(pool);
    item = next_item(batch);
    item->pool = pool;
    batch->feed.next(batch->feed.data, item->index, pool, &draft);
    item->id = fed_id(item, &draft);
    plan(item, &draft);
    sheaf_plan_item_headers(item);
    batch->count++;
    batch->open++;
    return item;
}

/* --- the end of adding --- */

sheaf_err_t sheaf_batch_seal(sheaf_batch_t *batch, sheaf_fail_t *fail)
{
    const sheaf_endpoint_conf_t *endpoint = batch->endpoint;
    sheaf_err_t err;

    sheaf_each_make_room(batch);
    err = sheaf_plan_link(batch, fail);
    batch->total = batch->feed.next != NULL ? batch->feed.total : batch->count;
    if (err == SHEAF_OK)
        err = sheaf_inherit_build(batch, fail);
    if (err != SHEAF_OK)
        return err;
    sheaf_plan_headers(batch);
    if (batch->count > 0)
        sheaf_batch_item(batch, batch->count - 1)->after = SHEAF_BATCH_END;
    if (batch->parallel == 0 || batch->parallel > endpoint->parallel)
        batch->parallel = (uint32_t)endpoint->parallel;
    if (batch->timeout_ms == 0 || batch->timeout_ms > endpoint->timeout_ms)
        batch->timeout_ms = endpoint->timeout_ms;
    sheaf_coalesce_share(batch);
    return SHEAF_OK;
}

/* --- the way to the client --- */

void sheaf_batch_encoded(sheaf_batch_t *batch, uint32_t index)
{
    sheaf_item_t *item = sheaf_batch_item(batch, index);

    if (index < batch->oldest)
        return; /* its slot has gone on */
    SHEAF_ASSERT(item->state == SHEAF_ITEM_SETTLED);
    if (item->is_encoded)
        return;
    item->is_encoded = true;
    batch->encoded_bytes += sheaf_item_held(item);
    if (batch->order == SHEAF_ORDER_REQUEST)
        batch->first_unsent = sheaf_each_skip_silent(batch, item->after);
    sheaf_fanout_wake(batch);
}

static void move_window(sheaf_batch_t *batch)
{
    while (batch->oldest < batch->count && sheaf_batch_item(batch, batch->oldest)->is_sent)
        batch->oldest++;
    sheaf_fanout_wake(batch);
}

void sheaf_batch_sent(sheaf_batch_t *batch, uint32_t index)
{
    sheaf_item_t *item = sheaf_batch_item(batch, index);

    if (index < batch->oldest)
        return;
    sheaf_batch_encoded(batch, index);
    if (!item->is_sent) {
        sheaf_item_sent(item);
        sheaf_fanout_wake(batch);
    }
    if (batch->feed.next != NULL)
        move_window(batch);
}
