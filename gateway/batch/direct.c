#include "gateway/batch/direct.h"

#include "gateway/batch/fanout.h"
#include "gateway/batch/hooks.h"
#include "gateway/batch/inherit.h"
#include "gateway/batch/plan.h"

/* What an endpoint says of its batches; here nobody is asked. */
static const sheaf_endpoint_conf_t alone = {
    .max_items = 1,
    .max_inherited_bytes = UINT64_MAX,
    .parallel = 1,
    .timeout_ms = 30000, /* where the upstream has none */
    .order = SHEAF_ORDER_REQUEST,
    .on_error = SHEAF_ON_ERROR_CONTINUE,
    .on_client_abort = SHEAF_ON_CLIENT_ABORT_CANCEL,
    .hide_servers = true, /* whoever asks one service is not told of its servers */
};

sheaf_batch_t *sheaf_direct_new(const sheaf_batch_env_t *env, const sheaf_outer_t *outer)
{
    sheaf_batch_t *batch = sheaf_batch_new(env, &alone, outer);
    sheaf_item_t *item = sheaf_zalloc(sizeof(*item));

    item->batch = batch;
    item->pool = batch->pool;
    item->id = SHEAF_STR("0");
    item->after = SHEAF_BATCH_END;
    item->exchange.is_direct = true;
    item->exchange.is_streamed = true;
    batch->is_direct = true;
    batch->inherits_nothing = true;
    batch->items = item;
    batch->count = batch->size = batch->total = 1;
    return batch;
}

/* --- the plan --- */

/* What is wrong with an item, said of a request. */
static sheaf_err_t as_request(const sheaf_item_t *item, sheaf_str_t body, sheaf_err_t err)
{
    switch (err) {
    case SHEAF_ERR_ITEM_URL:
    case SHEAF_ERR_ITEM_METHOD:
    case SHEAF_ERR_ITEM_HEADER:
        return SHEAF_ERR_BAD_REQUEST;
    case SHEAF_ERR_ITEM_TOO_LARGE:
        return body.len > item->route->max_body_bytes ? SHEAF_ERR_TOO_LARGE : SHEAF_ERR_HEAD_TOO_LARGE;
    case SHEAF_ERR_ITEM_NOT_ALLOWED:
        return SHEAF_ERR_METHOD;
    case SHEAF_ERR_NO_ROUTE:
        return SHEAF_ERR_NOT_FOUND;
    default:
        return err;
    }
}

/* Methods are case-sensitive (RFC 9110 9.1): what we take for HEAD, libh2o must take for HEAD. */
static sheaf_err_t check_method(const sheaf_batch_t *batch, sheaf_fail_t *fail)
{
    if (sheaf_str_eq(batch->items->exchange.method, batch->outer->method))
        return SHEAF_OK;
    return sheaf_fail(fail, SHEAF_ERR_BAD_REQUEST, "methods are written in capitals");
}

static sheaf_err_t check_headers(const sheaf_item_t *item, sheaf_fail_t *fail)
{
    if (sheaf_inherit_fits(item))
        return SHEAF_OK;
    return sheaf_fail(fail, SHEAF_ERR_HEAD_TOO_LARGE, "the header fields are larger than 64 KiB");
}

/* --- how often it may be forwarded (RFC 9110 7.6.2); TRACE never is --- */

static bool is_counted(const sheaf_batch_t *batch)
{
    return sheaf_str_eq(batch->items->exchange.method, SHEAF_STR("OPTIONS"));
}

static bool read_hops(const sheaf_header_t *field, uint64_t *ret_hops)
{
    return sheaf_str_eq(field->name, SHEAF_STR("max-forwards")) && sheaf_str_to_u64(field->value, ret_hops);
}

static void spend_hop(sheaf_batch_t *batch)
{
    sheaf_headers_t *headers = &batch->items->exchange.headers;
    uint64_t hops;

    for (uint32_t i = 0; is_counted(batch) && i < headers->count; i++)
        if (read_hops(&headers->entries[i], &hops) && hops > 0)
            headers->entries[i].value = sheaf_pool_printf(batch->pool, "%llu", (unsigned long long)hops - 1);
}

bool sheaf_direct_ends_here(const sheaf_batch_t *batch)
{
    const sheaf_headers_t *headers = batch->outer->headers; /* as they came: one hop is spent in the item's */
    uint64_t hops;

    for (uint32_t i = 0; is_counted(batch) && i < headers->count; i++)
        if (read_hops(&headers->entries[i], &hops) && hops == 0)
            return true;
    return false;
}

sheaf_err_t sheaf_direct_plan(sheaf_batch_t *batch, sheaf_str_t target, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_item_t *item = batch->items;
    sheaf_draft_t draft = {.method = batch->outer->method,
                           .url = target,
                           .headers = *batch->outer->headers,
                           .body = body,
                           .has_body = body.base != NULL};
    uint64_t timeout_ms;
    sheaf_err_t err;

    if (target.len > SHEAF_ITEM_URL_MAX)
        return sheaf_fail(fail, SHEAF_ERR_URI_TOO_LONG, "the path and the query are longer than %u bytes",
                          SHEAF_ITEM_URL_MAX);
    item->url_text = target;
    err = sheaf_plan_item(item, &draft, fail);
    if (err != SHEAF_OK)
        return fail->err = as_request(item, body, err);
    timeout_ms = batch->env.snapshot->conf.upstreams.items[item->exchange.upstream].timeout_ms;
    if (timeout_ms > 0)
        batch->timeout_ms = timeout_ms;
    spend_hop(batch);
    err = check_method(batch, fail);
    if (err == SHEAF_OK)
        err = sheaf_inherit_build(batch, fail);
    return err == SHEAF_OK ? check_headers(item, fail) : err;
}

sheaf_str_t sheaf_direct_allow(const sheaf_batch_t *batch)
{
    const sheaf_header_t *allow = sheaf_headers_find(&batch->items->answer, SHEAF_STR("allow"));

    return allow == NULL ? SHEAF_STR_NONE : allow->value;
}

sheaf_str_t sheaf_direct_methods(const sheaf_batch_t *batch)
{
    const sheaf_item_t *item = batch->items;
    sheaf_match_t match;

    sheaf_snapshot_route(batch->env.snapshot, batch->outer->host, item->path, SHEAF_STR(""), SHEAF_EXPOSURE_DIRECT,
                         item->pool, &match);
    return match.allow;
}

void sheaf_direct_take_other(sheaf_batch_t *batch)
{
    sheaf_str_t methods = sheaf_direct_allow(batch);
    const sheaf_snapshot_t *snapshot = batch->env.snapshot;
    sheaf_item_t *item = batch->items;
    sheaf_match_t match;

    if (methods.base != NULL && item->path.base != NULL)
        item->route = sheaf_snapshot_route(snapshot, batch->outer->host, item->path, sheaf_str_cut(&methods, ','),
                                           SHEAF_EXPOSURE_DIRECT, item->pool, &match);
}

/* --- the answer --- */

/* What a HEAD or a 304 says of a body that does not come (RFC 9110 8.6); a 204 may say nothing. */
static uint64_t length_without_body(const sheaf_item_t *item)
{
    const sheaf_header_t *told = sheaf_headers_find(&item->answer, SHEAF_STR("content-length"));
    uint64_t length = UINT64_MAX;

    if (item->status == 204 || told == NULL || !sheaf_str_to_u64(told->value, &length))
        return UINT64_MAX;
    return length;
}

static uint64_t length_of(const sheaf_item_t *item, const sheaf_answer_head_t *head)
{
    bool is_head = sheaf_str_eq(item->exchange.method, SHEAF_STR("HEAD"));

    if (is_head || item->status == 204 || item->status == 304)
        return length_without_body(item);
    return head->content_length;
}

bool sheaf_direct_take_head(sheaf_item_t *item, const sheaf_answer_head_t *head)
{
    sheaf_batch_t *batch = item->batch;

    sheaf_item_keep_head(item, head);
    batch->watch->on_head(batch, length_of(item, head));
    return true;
}

bool sheaf_direct_take_body(sheaf_item_t *item, const char *bytes, size_t len)
{
    item->batch->watch->on_body(item->batch, bytes, len);
    return true;
}

void sheaf_direct_tell_head(sheaf_batch_t *batch)
{
    sheaf_item_t *item = batch->items;

    sheaf_hooks_tell(item);
    if (item->is_given && item->state == SHEAF_ITEM_FLYING)
        sheaf_fanout_land(item);
}

void sheaf_direct_forget_body(sheaf_batch_t *batch)
{
    SHEAF_ASSERT(batch->flying == 0);
    batch->items->exchange.body = SHEAF_STR_NONE;
    batch->items->exchange.has_body = false;
}

void sheaf_direct_credit(sheaf_batch_t *batch, size_t len)
{
    if (batch->env.dispatch->credit != NULL)
        batch->env.dispatch->credit(batch->env.dispatch, &batch->items->exchange, len);
}
