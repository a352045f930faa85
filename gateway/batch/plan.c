#include "gateway/batch/plan.h"

#include <stdlib.h>

#include "gateway/base/chance.h"
#include "gateway/batch/each.h"
#include "gateway/batch/ids.h"
#include "gateway/batch/inherit.h"
#include "gateway/batch/reference.h"

/* --- one item --- */

static bool is_method(const sheaf_item_t *item, const char *name)
{
    return sheaf_str_eq(item->exchange.method, sheaf_str_of(name));
}

static void allow(sheaf_item_t *item, sheaf_str_t methods)
{
    sheaf_headers_add(&item->answer, item->pool, SHEAF_STR("allow"), methods);
}

static sheaf_err_t take_method(sheaf_item_t *item, const sheaf_draft_t *draft, sheaf_fail_t *fail)
{
    sheaf_str_t text = draft->method.base == NULL ? SHEAF_STR("GET") : draft->method;

    item->exchange.method = SHEAF_STR("GET"); /* what a malformed one is taken for; it is never sent */
    if (!sheaf_method_normalise(item->pool, text, &item->exchange.method))
        return sheaf_fail(fail, SHEAF_ERR_ITEM_METHOD, "the method is no token of at most 32 characters");
    if (is_method(item, "CONNECT") || is_method(item, "TRACE")) {
        allow(item, SHEAF_STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        return sheaf_fail(fail, SHEAF_ERR_ITEM_NOT_ALLOWED, "%.*s is never allowed",
                          SHEAF_STR_ARG(item->exchange.method));
    }
    item->exchange.is_idempotent = sheaf_method_is_idempotent(item->exchange.method);
    return SHEAF_OK;
}

/* True when `text` holds the path and, right after a '?', the query: nothing needs to be copied then. */
static bool is_as_written(sheaf_str_t text, const sheaf_url_t *url)
{
    uintptr_t start = (uintptr_t)text.base, path = (uintptr_t)url->path.base;

    if (path < start || path + url->path.len > start + text.len)
        return false;
    return url->query.base == NULL || (uintptr_t)url->query.base == path + url->path.len + 1;
}

static sheaf_str_t target_of(const sheaf_item_t *item, const sheaf_url_t *url, const sheaf_match_t *match)
{
    sheaf_pool_t *pool = item->pool;
    sheaf_str_t path = url->path;
    char *target;

    if (item->route->rewrite != NULL)
        path = sheaf_rewrite_apply(item->route->rewrite, match, pool);
    else if (is_as_written(item->url_text, url))
        return sheaf_str(path.base, url->query.base == NULL ? path.len : path.len + 1 + url->query.len);
    if (url->query.base == NULL)
        return path;
    target = sheaf_pool_alloc(pool, path.len + 1 + url->query.len);
    memcpy(target, path.base, path.len);
    target[path.len] = '?';
    if (url->query.len > 0)
        memcpy(target + path.len + 1, url->query.base, url->query.len);
    return sheaf_str(target, path.len + 1 + url->query.len);
}

/* The dice fall as the name of the request and the index of the item say: it may be planned twice, and falls the same. */
static uint32_t deal(const sheaf_item_t *item)
{
    sheaf_chance_t chance;

    if (item->route->split.count == 0)
        return item->route->upstream;
    chance.state = sheaf_ids_hash(item->batch->outer->id) + item->index;
    return sheaf_route_upstream(item->route, sheaf_chance_next(&chance));
}

static bool has_other_route(const sheaf_item_t *item, sheaf_str_t path, sheaf_exposure_t who)
{
    sheaf_match_t match;
    const sheaf_route_conf_t *route = sheaf_snapshot_route(item->batch->env.snapshot, item->batch->outer->host, path,
                                                           item->exchange.method, who, item->pool, &match);

    return route != NULL ? route != item->route : match.allow.base != NULL;
}

/* A backend that reads the path in another way would answer for another route, whose guards nobody has asked. */
static bool leads_elsewhere(const sheaf_item_t *item)
{
    sheaf_str_t bare = sheaf_url_bare(item->pool, item->path);

    return bare.base != item->path.base &&
           (has_other_route(item, bare, SHEAF_EXPOSURE_DIRECT) || has_other_route(item, bare, SHEAF_EXPOSURE_BATCH));
}

static sheaf_err_t find_route(sheaf_item_t *item, const sheaf_url_t *url, sheaf_fail_t *fail)
{
    const sheaf_snapshot_t *snapshot = item->batch->env.snapshot;
    sheaf_match_t match;

    item->path = url->path;
    if (sheaf_snapshot_has_endpoint(snapshot, url->path))
        return sheaf_fail(fail, SHEAF_ERR_ITEM_URL, "an item may not name a batch endpoint (no batch inside a batch)");
    item->route =
        sheaf_snapshot_route(snapshot, item->batch->outer->host, url->path, item->exchange.method,
                             item->batch->is_direct ? SHEAF_EXPOSURE_DIRECT : SHEAF_EXPOSURE_BATCH, item->pool, &match);
    if (item->route == NULL) {
        if (match.allow.base == NULL)
            return sheaf_fail(fail, SHEAF_ERR_NO_ROUTE, "no route matches the path");
        allow(item, match.allow);
        return sheaf_fail(fail, SHEAF_ERR_ITEM_NOT_ALLOWED, "the route allows %.*s", SHEAF_STR_ARG(match.allow));
    }
    if (leads_elsewhere(item))
        return sheaf_fail(fail, SHEAF_ERR_ITEM_URL,
                          "without parameters and empty segments the path is another route's");
    if (url->has_encoded_slash && item->route->encoded_slashes == SHEAF_ENCODED_SLASHES_REFUSE)
        return sheaf_fail(fail, SHEAF_ERR_ITEM_URL, "the path holds an encoded slash or backslash");
    if (url->has_encoded_slash && sheaf_url_hides_dots(url->path)) /* who decodes first would leave the route */
        return sheaf_fail(fail, SHEAF_ERR_ITEM_URL, "the path holds a dot segment beside an encoded slash");
    item->exchange.upstream = deal(item);
    if (item->route->fallback != item->exchange.upstream)    /* a split may have sent it there already */
        item->exchange.fallback = item->route->fallback + 1; /* UINT32_MAX, absent, is 0, none */
    item->exchange.target = target_of(item, url, &match);
    item->exchange.host = sheaf_route_host(item->route, item->batch->outer->host);
    item->exchange.route = item->route->match;
    return SHEAF_OK;
}

/* The same place below the base, whether it is written with a slash or without; nothing is the base itself. */
static sheaf_str_t below_base(sheaf_str_t text)
{
    while (text.len > 0 && text.base[0] == '/')
        text = sheaf_str(text.base + 1, text.len - 1);
    return text.len > 0 ? text : SHEAF_STR(".");
}

sheaf_err_t sheaf_plan_url(sheaf_item_t *item, sheaf_fail_t *fail)
{
    sheaf_batch_t *batch = item->batch;
    sheaf_str_t text = item->url_text;
    sheaf_url_t url;
    sheaf_err_t err;

    if (batch->urls_are_below_base)
        text = below_base(text);
    if ((err = sheaf_url_normalise(item->pool, text, batch->base, SHEAF_ITEM_URL_MAX, &url, fail)) != SHEAF_OK)
        return err;
    if (batch->urls_are_below_base && !sheaf_str_starts(url.path, batch->base))
        return sheaf_fail(fail, SHEAF_ERR_ITEM_URL, "the url leaves %.*s", SHEAF_STR_ARG(batch->base));
    return find_route(item, &url, fail);
}

sheaf_err_t sheaf_plan_body_size(const sheaf_item_t *item, sheaf_fail_t *fail)
{
    if (item->exchange.body.len <= item->route->max_body_bytes)
        return SHEAF_OK;
    return sheaf_fail(fail, SHEAF_ERR_ITEM_TOO_LARGE, "the body is larger than the %llu bytes the route takes",
                      (unsigned long long)item->route->max_body_bytes);
}

static sheaf_err_t take_body(sheaf_item_t *item, const sheaf_draft_t *draft, sheaf_fail_t *fail)
{
    sheaf_exchange_t *exchange = &item->exchange;

    if (draft->has_body && !item->batch->is_direct && !sheaf_method_takes_body(exchange->method))
        return sheaf_fail(fail, SHEAF_ERR_ITEM_BODY, "%.*s takes no body", SHEAF_STR_ARG(exchange->method));
    item->has_content = draft->has_body;
    item->body_is_json = draft->body_is_json;
    if (draft->has_body)
        exchange->body = draft->body;
    /* RFC 9110 8.6: a method that expects content says Content-Length: 0 when there is none */
    exchange->has_body =
        draft->has_body || is_method(item, "POST") || is_method(item, "PUT") || is_method(item, "PATCH");
    /* a body with references in it, or one that goes who knows where, is measured once they are resolved */
    return item->recipe != NULL ? SHEAF_OK : sheaf_plan_body_size(item, fail);
}

sheaf_err_t sheaf_plan_item(sheaf_item_t *item, const sheaf_draft_t *draft, sheaf_fail_t *fail)
{
    const sheaf_endpoint_conf_t *endpoint = item->batch->endpoint;
    sheaf_err_t err = take_method(item, draft, fail);

    if (draft->err != SHEAF_OK)
        return sheaf_fail(fail, draft->err, "%s", draft->detail);
    if (draft->has_condition)
        return sheaf_fail(fail, SHEAF_ERR_CONDITION, "\"if\" is not supported");
    if (draft->is_in_change_set && endpoint->change_sets == SHEAF_CHANGE_SETS_REFUSE)
        return sheaf_fail(fail, SHEAF_ERR_CHANGE_SETS, "atomicityGroup is not supported here");
    if (err == SHEAF_OK)
        err = sheaf_reference_compile(item, draft, fail);
    if (err == SHEAF_OK && (item->recipe == NULL || item->recipe->url.first == NULL))
        err = sheaf_plan_url(item, fail);
    if (err == SHEAF_OK)
        err = sheaf_inherit_own(item->pool, &draft->headers, &item->exchange.headers, fail);
    return err == SHEAF_OK ? take_body(item, draft, fail) : err;
}

static void add_content_type(sheaf_item_t *item, const sheaf_header_t *envelope)
{
    if (!item->has_content || (envelope == NULL && !item->body_is_json) ||
        sheaf_headers_find(&item->exchange.headers, SHEAF_STR("content-type")) != NULL)
        return;
    sheaf_headers_add(&item->exchange.headers, item->pool, SHEAF_STR("content-type"),
                      envelope != NULL ? envelope->value : SHEAF_STR("application/json"));
}

/* Whoever names codings, or wants a range of the bytes as they are, knows better. */
static void ask_for_gzip(sheaf_item_t *item)
{
    const sheaf_headers_t *own = &item->exchange.headers, *envelope = &item->batch->headers;

    if (item->route == NULL || !item->route->compress || item->err != SHEAF_OK ||
        sheaf_headers_find(own, SHEAF_STR("accept-encoding")) != NULL ||
        sheaf_headers_find(envelope, SHEAF_STR("accept-encoding")) != NULL ||
        sheaf_headers_find(own, SHEAF_STR("range")) != NULL || sheaf_headers_find(envelope, SHEAF_STR("range")) != NULL)
        return;
    sheaf_headers_add(&item->exchange.headers, item->pool, SHEAF_STR("accept-encoding"), SHEAF_STR("gzip"));
}

sheaf_err_t sheaf_plan_own_headers(sheaf_item_t *item, sheaf_fail_t *fail)
{
    ask_for_gzip(item);
    add_content_type(item, sheaf_headers_find(&item->batch->headers, SHEAF_STR("content-type")));
    if (sheaf_inherit_fits(item))
        return SHEAF_OK;
    return sheaf_fail(fail, SHEAF_ERR_ITEM_TOO_LARGE, "the headers, with those it inherits, are larger than 64 KiB");
}

static void finish_headers(sheaf_item_t *item, const sheaf_header_t *envelope)
{
    ask_for_gzip(item);
    add_content_type(item, envelope);
    if (item->exchange.headers.count == 0 || item->err != SHEAF_OK || sheaf_inherit_fits(item))
        return;
    item->err = SHEAF_ERR_ITEM_TOO_LARGE;
    item->detail = SHEAF_STR("the headers, with those it inherits, are larger than 64 KiB");
}

void sheaf_plan_headers(sheaf_batch_t *batch)
{
    const sheaf_header_t *envelope = sheaf_headers_find(&batch->headers, SHEAF_STR("content-type"));

    for (uint32_t i = 0; i < batch->count; i++)
        finish_headers(sheaf_batch_item(batch, i), envelope);
}

void sheaf_plan_item_headers(sheaf_item_t *item)
{
    finish_headers(item, sheaf_headers_find(&item->batch->headers, SHEAF_STR("content-type")));
}

/* --- who waits for whom --- */

static void set_fault(sheaf_batch_t *batch, uint32_t item, uint32_t at)
{
    batch->fault = (sheaf_fault_t){item, SHEAF_FAULT_DEPENDS_ON, at};
}

static sheaf_err_t resolve(sheaf_batch_t *batch, sheaf_item_t *item, sheaf_fail_t *fail)
{
    for (uint32_t i = 0; i < item->depends_on_count; i++) {
        sheaf_edge_t *edge = &item->depends_on[i];

        edge->dependent = item->index;
        edge->blocker = sheaf_ids_find(batch->ids, edge->id);
        if (edge->blocker == SHEAF_IDS_NONE) {
            set_fault(batch, item->index, i);
            return sheaf_fail(fail, SHEAF_ERR_DEPENDENCY, "no item has the id \"%.*s\"", SHEAF_STR_ARG(edge->id));
        }
        sheaf_batch_item(batch, edge->blocker)->dependents_count++;
        sheaf_batch_item(batch, edge->blocker)->readers += edge->is_read;
        if (edge->is_named && sheaf_each_is_whole(sheaf_batch_item(batch, edge->blocker)) && item->err == SHEAF_OK) {
            item->err = SHEAF_ERR_REFERENCE;
            item->detail =
                sheaf_pool_printf(item->pool, "\"%.*s\" runs once for each element: it has no answer to refer to",
                                  SHEAF_STR_ARG(edge->id));
        }
    }
    item->blockers = item->depends_on_count;
    return SHEAF_OK;
}

/* The other direction of every edge, in one array. */
static void fill_dependents(sheaf_batch_t *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        sheaf_item_t *item = sheaf_batch_item(batch, i);

        if (item->dependents_count > 0)
            item->dependents = sheaf_pool_alloc(batch->pool, item->dependents_count * sizeof(*item->dependents));
        item->dependents_count = 0;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        const sheaf_item_t *item = sheaf_batch_item(batch, i);

        for (uint32_t k = 0; k < item->depends_on_count; k++) {
            sheaf_item_t *blocker = sheaf_batch_item(batch, item->depends_on[k].blocker);

            blocker->dependents[blocker->dependents_count++] = &item->depends_on[k];
        }
    }
}

/* Kahn's algorithm: takes away what waits for nothing, again and again. left[i] is what item i still waits for. */
static uint32_t take_away(const sheaf_batch_t *batch, uint32_t *left, uint32_t *queue)
{
    uint32_t head = 0, tail = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        left[i] = sheaf_batch_item(batch, i)->blockers;
        if (left[i] == 0)
            queue[tail++] = i;
    }
    while (head < tail) {
        const sheaf_item_t *item = sheaf_batch_item(batch, queue[head++]);

        for (uint32_t i = 0; i < item->dependents_count; i++)
            if (--left[item->dependents[i]->dependent] == 0)
                queue[tail++] = item->dependents[i]->dependent;
    }
    return tail;
}

/* Position of the first dependency of `index` that was not taken away. There is one for every item that was not. */
static uint32_t first_left(const sheaf_batch_t *batch, const uint32_t *left, uint32_t index)
{
    const sheaf_item_t *item = sheaf_batch_item(batch, index);
    uint32_t at = 0;

    while (left[item->depends_on[at].blocker] == 0)
        at++;
    return at;
}

/* What is left holds a circle, but not all of it lies on one: walk until an item comes again, then name the first item
 * of that circle. */
static sheaf_err_t report_circle(sheaf_batch_t *batch, const uint32_t *left, uint32_t *seen, sheaf_fail_t *fail)
{
    uint32_t at = 0, first, next;

    memset(seen, 0, batch->count * sizeof(*seen));
    while (left[at] == 0)
        at++;
    while (!seen[at]) {
        seen[at] = 1;
        at = sheaf_batch_item(batch, at)->depends_on[first_left(batch, left, at)].blocker;
    }
    first = at;
    for (uint32_t on = sheaf_batch_item(batch, at)->depends_on[first_left(batch, left, at)].blocker; on != at;
         on = sheaf_batch_item(batch, on)->depends_on[first_left(batch, left, on)].blocker)
        first = on < first ? on : first;

    set_fault(batch, first, first_left(batch, left, first));
    next = sheaf_batch_item(batch, first)->depends_on[batch->fault.at].blocker;
    if (next == first)
        return sheaf_fail(fail, SHEAF_ERR_CYCLE, "item \"%.*s\" depends on itself",
                          SHEAF_STR_ARG(sheaf_batch_item(batch, first)->id));
    return sheaf_fail(fail, SHEAF_ERR_CYCLE, "item \"%.*s\" depends on \"%.*s\", which depends on it in turn",
                      SHEAF_STR_ARG(sheaf_batch_item(batch, first)->id),
                      SHEAF_STR_ARG(sheaf_batch_item(batch, next)->id));
}

sheaf_err_t sheaf_plan_link(sheaf_batch_t *batch, sheaf_fail_t *fail)
{
    sheaf_err_t err = SHEAF_OK;
    bool has_edges = false;
    uint32_t *left;

    for (uint32_t i = 0; i < batch->count; i++) {
        err = resolve(batch, sheaf_batch_item(batch, i), fail);
        if (err != SHEAF_OK)
            return err;
        has_edges = has_edges || sheaf_batch_item(batch, i)->depends_on_count > 0;
    }
    if (!has_edges)
        return SHEAF_OK;
    fill_dependents(batch);
    left = sheaf_alloc(2 * (size_t)batch->count * sizeof(*left));
    if (take_away(batch, left, left + batch->count) < batch->count)
        err = report_circle(batch, left, left + batch->count, fail);
    free(left);
    return err;
}
