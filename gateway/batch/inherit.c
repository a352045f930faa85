#include "gateway/batch/inherit.h"

#include <stdlib.h>

#include "gateway/batch/forwarded.h"

#define INHERITED_PER_ITEM UINT64_C(8192) /* of max_inherited when the endpoint does not say: what most servers take */

/* A block for items that override names in `shared`; counted by the items that fly with it, and kept by the batch as
 * long as it is the latest, so that a thousand items with one and the same override make it once. Built at launch and
 * not before: a client's ten thousand different overrides cost as many blocks as fly, not ten thousand. */
typedef struct sheaf_override {
    sheaf_header_block_t block;
    uint32_t holds;
    uint32_t words; /* of `mask`: a bit per entry of `shared`, set when it is left out */
    uint64_t mask[];
} override_t;

/* --- what a client may set --- */

static bool is_cookie(sheaf_str_t name)
{
    return sheaf_str_eq(name, SHEAF_STR("cookie"));
}

static char *copy(char *at, sheaf_str_t s)
{
    memcpy(at, s.base, s.len);
    return at + s.len;
}

/* Makes the Cookie fields of `headers` one field (RFC 9113 8.2.3), in one copy. */
static void join_cookies(sheaf_headers_t *headers, sheaf_pool_t *pool)
{
    sheaf_header_t *cookie = NULL;
    uint32_t kept = 0;
    size_t len = 0;
    char *start, *at;

    for (uint32_t i = 0; i < headers->count; i++)
        len += is_cookie(headers->entries[i].name) ? headers->entries[i].value.len + 2 : 0;
    start = at = sheaf_pool_alloc(pool, len + 1);
    for (uint32_t i = 0; i < headers->count; i++) {
        sheaf_header_t h = headers->entries[i];

        if (!is_cookie(h.name)) {
            headers->entries[kept++] = h;
            continue;
        }
        at = copy(cookie == NULL ? at : copy(at, SHEAF_STR("; ")), h.value);
        if (cookie == NULL) {
            cookie = &headers->entries[kept++];
            *cookie = h;
        }
    }
    cookie->value = sheaf_str(start, (size_t)(at - start));
    headers->count = kept;
}

static bool connection_lists(const sheaf_headers_t *headers, sheaf_str_t name)
{
    for (uint32_t i = 0; i < headers->count; i++)
        if (sheaf_str_ieq(headers->entries[i].name, SHEAF_STR("connection")) &&
            sheaf_header_list_has(headers->entries[i].value, name))
            return true;
    return false;
}

/* How many names the Connection fields list. */
static uint32_t count_listed(const sheaf_headers_t *headers)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < headers->count; i++)
        if (sheaf_str_ieq(headers->entries[i].name, SHEAF_STR("connection")))
            count += sheaf_header_list_count(headers->entries[i].value);
    return count;
}

#define NEVER_FROM_CLIENT (SHEAF_HEADER_HOP_BY_HOP | SHEAF_HEADER_TRUST | SHEAF_HEADER_FRAMING | SHEAF_HEADER_VIA)

sheaf_err_t sheaf_inherit_own(sheaf_pool_t *pool, const sheaf_headers_t *from, sheaf_headers_t *ret_own,
                              sheaf_fail_t *fail)
{
    sheaf_headers_t own = {0};
    uint32_t listed = count_listed(from), cookies = 0;
    size_t len = 0;

    if (from->count > SHEAF_ITEM_FIELDS_MAX)
        return sheaf_fail(fail, SHEAF_ERR_ITEM_TOO_LARGE, "there are more than %u headers", SHEAF_ITEM_FIELDS_MAX);
    if (listed > SHEAF_HEADER_LISTED_MAX) /* each field is looked for among them */
        return sheaf_fail(fail, SHEAF_ERR_ITEM_TOO_LARGE, "Connection lists more than %u names",
                          SHEAF_HEADER_LISTED_MAX);

    for (uint32_t i = 0; i < from->count; i++) {
        sheaf_str_t name = from->entries[i].name;
        sheaf_str_t value = sheaf_str_trim(from->entries[i].value);

        len += name.len + value.len + 4;
        if (len > SHEAF_ITEM_HEADERS_MAX)
            return sheaf_fail(fail, SHEAF_ERR_ITEM_TOO_LARGE, "the headers are larger than 64 KiB");
        if (!sheaf_header_name_is_valid(name))
            return sheaf_fail(fail, SHEAF_ERR_ITEM_HEADER, "\"%.*s\" is no header name",
                              (int)(name.len < 64 ? name.len : 64), name.base);
        if (!sheaf_header_value_is_valid(value))
            return sheaf_fail(fail, SHEAF_ERR_ITEM_HEADER, "the value of \"%.*s\" holds a control character",
                              (int)(name.len < 64 ? name.len : 64), name.base);
        name = sheaf_header_lower(pool, name);
        if (sheaf_header_classify(name) & NEVER_FROM_CLIENT)
            continue;
        if (listed > 0 && connection_lists(from, name))
            continue;
        sheaf_headers_add(&own, pool, name, value);
        cookies += is_cookie(name);
    }
    if (cookies > 1)
        join_cookies(&own, pool);
    *ret_own = own;
    return SHEAF_OK;
}

/* --- the outer request --- */

#define NEVER_INHERITED (NEVER_FROM_CLIENT | SHEAF_HEADER_NOT_INHERITED)

static void inherit_outer(sheaf_batch_t *batch, const sheaf_headers_t *envelope)
{
    const sheaf_headers_t *outer = batch->outer->headers;
    bool has_list = count_listed(outer) > 0; /* and no more than may be: see http/wire */
    uint32_t cookies = 0;

    for (uint32_t i = 0; i < outer->count; i++) {
        sheaf_str_t name = outer->entries[i].name;
        sheaf_str_t value = sheaf_str_trim(outer->entries[i].value);

        if (sheaf_header_classify(name) & NEVER_INHERITED)
            continue;
        /* what the listener let pass must still not break out of a line of ours */
        if (!sheaf_header_name_is_valid(name) || !sheaf_header_value_is_valid(value))
            continue;
        if ((has_list && connection_lists(outer, name)) || sheaf_headers_find(envelope, name) != NULL)
            continue;
        sheaf_headers_add(&batch->shared.list, batch->pool, name, value);
        cookies += is_cookie(name);
    }
    if (cookies > 1)
        join_cookies(&batch->shared.list, batch->pool);
}

/* --- the blocks --- */

static size_t wire_len(const sheaf_headers_t *list)
{
    size_t len = 0;

    for (uint32_t i = 0; i < list->count; i++)
        len += list->entries[i].name.len + list->entries[i].value.len + 4;
    return len;
}

static sheaf_str_t write_wire(const sheaf_headers_t *list, char *dst)
{
    char *at = dst;

    for (uint32_t i = 0; i < list->count; i++) {
        at = copy(at, list->entries[i].name);
        at = copy(at, SHEAF_STR(": "));
        at = copy(at, list->entries[i].value);
        at = copy(at, SHEAF_STR("\r\n"));
    }
    return sheaf_str(dst, (size_t)(at - dst));
}

static uint64_t most_inherited(const sheaf_endpoint_conf_t *endpoint)
{
    return endpoint->max_inherited_bytes != 0 ? endpoint->max_inherited_bytes
                                              : INHERITED_PER_ITEM * endpoint->max_items;
}

uint64_t sheaf_inherit_most_items(const sheaf_batch_t *batch)
{
    return batch->inherited_bytes == 0 ? UINT64_MAX : most_inherited(batch->endpoint) / batch->inherited_bytes;
}

/* What one item inherits is paid for once and sent once per item: a header field that is a byte in HPACK must not become
 * gigabytes towards the backends. So there is a bound per item and one for all of them. */
static sheaf_err_t check_inherited(sheaf_batch_t *batch, size_t bytes, sheaf_fail_t *fail)
{
    const sheaf_endpoint_conf_t *endpoint = batch->endpoint;
    uint64_t each = batch->env.snapshot->conf.limits.inherited_bytes;
    uint64_t total = most_inherited(endpoint);

    batch->inherited_bytes = bytes;
    if (bytes <= each && (uint64_t)bytes * batch->total <= total)
        return SHEAF_OK;
    sheaf_count(batch->env.metrics, SHEAF_METRIC_REFUSED_INHERITED, 1);
    batch->fault = (sheaf_fault_t){UINT32_MAX, SHEAF_FAULT_ITEM, 0};
    if (bytes > each)
        return sheaf_fail(fail, SHEAF_ERR_INHERITED,
                          "every item would inherit %zu bytes of headers, limits.inherited allows %llu", bytes,
                          (unsigned long long)each);
    return sheaf_fail(
        fail, SHEAF_ERR_INHERITED,
        "%u items would inherit %zu bytes of headers each, the endpoint's max_inherited allows %llu for all",
        batch->total, bytes, (unsigned long long)total);
}

/* A bit per name, from its ends and its length: names that share none are surely different. */
static uint64_t name_bit(sheaf_str_t name)
{
    size_t hash = name.len == 0 ? 0 : (size_t)name.base[0] * 7 + (size_t)name.base[name.len - 1] * 3 + name.len;

    return UINT64_C(1) << (hash & 63);
}

static sheaf_err_t take_envelope(sheaf_batch_t *batch, sheaf_fail_t *fail)
{
    sheaf_fail_t why;
    sheaf_err_t err;

    why.detail[0] = '\0';
    err = sheaf_inherit_own(batch->pool, &batch->headers, &batch->headers, &why);
    if (err == SHEAF_OK)
        return SHEAF_OK;
    batch->fault = (sheaf_fault_t){UINT32_MAX, SHEAF_FAULT_ITEM, 0};
    return sheaf_fail(fail, err == SHEAF_ERR_ITEM_TOO_LARGE ? SHEAF_ERR_TOO_LARGE : SHEAF_ERR_VALUE,
                      "envelope headers: %s", why.detail);
}

sheaf_err_t sheaf_inherit_build(sheaf_batch_t *batch, sheaf_fail_t *fail)
{
    sheaf_headers_t *list = &batch->shared.list;
    sheaf_err_t err = take_envelope(batch, fail);
    const sheaf_header_t *type;
    size_t len;

    if (err == SHEAF_OK)
        err = sheaf_forwarded_check(batch, fail);
    if (err != SHEAF_OK)
        return err;
    if (!batch->inherits_nothing)
        inherit_outer(batch, &batch->headers);
    for (uint32_t i = 0; i < batch->headers.count; i++)
        if (!sheaf_str_eq(batch->headers.entries[i].name, SHEAF_STR("content-type"))) /* only with a body: see plan */
            sheaf_headers_add(list, batch->pool, batch->headers.entries[i].name, batch->headers.entries[i].value);
    batch->shared_client = list->count;
    sheaf_forwarded_add(batch);

    type = sheaf_headers_find(&batch->headers, SHEAF_STR("content-type"));
    len = wire_len(list);
    err = check_inherited(batch, len + (type == NULL ? 0 : type->name.len + type->value.len + 4), fail);
    if (err != SHEAF_OK)
        return err;
    batch->shared.wire = write_wire(list, sheaf_pool_alloc(batch->pool, len + 1));
    for (uint32_t i = 0; i < list->count; i++)
        batch->shared_names |= name_bit(list->entries[i].name);
    return SHEAF_OK;
}

/* --- items that override --- */

static bool may_override(const sheaf_item_t *item)
{
    const sheaf_headers_t *own = &item->exchange.headers;

    for (uint32_t i = 0; i < own->count; i++)
        if (item->batch->shared_names & name_bit(own->entries[i].name))
            return true;
    return item->hidden != NULL;
}

/* Does it have a field of that name of its own, or none at all? */
static bool is_overridden(const sheaf_item_t *item, sheaf_str_t name)
{
    return sheaf_headers_find(&item->exchange.headers, name) != NULL ||
           (item->hidden != NULL && sheaf_headers_find(item->hidden, name) != NULL);
}

/* Marks in `mask` the shared headers that the item names; returns how many. */
static uint32_t mark_overridden(const sheaf_item_t *item, uint64_t *mask)
{
    const sheaf_headers_t *shared = &item->batch->shared.list;
    uint32_t count = 0;

    for (uint32_t i = 0; i < shared->count; i++) {
        if (!is_overridden(item, shared->entries[i].name))
            continue;
        mask[i / 64] |= UINT64_C(1) << (i % 64);
        count++;
    }
    return count;
}

/* Marks those of the client's that do not pass on the item's route; returns how many. */
static uint32_t mark_denied(const sheaf_item_t *item, const sheaf_policy_t *policy, uint64_t *mask)
{
    const sheaf_headers_t *shared = &item->batch->shared.list;
    uint32_t count = 0;

    for (uint32_t i = 0; i < item->batch->shared_client; i++) {
        if (sheaf_policy_passes(policy, shared->entries[i].name))
            continue;
        mask[i / 64] |= UINT64_C(1) << (i % 64);
        count++;
    }
    return count;
}

static void override_drop(override_t *override)
{
    if (override != NULL && --override->holds == 0)
        free(override);
}

/* One allocation: the override, its list, its bytes. */
static override_t *override_new(const sheaf_batch_t *batch, const uint64_t *mask, uint32_t words)
{
    const sheaf_headers_t *shared = &batch->shared.list;
    size_t head = sizeof(override_t) + words * sizeof(uint64_t);
    size_t list = shared->count * sizeof(sheaf_header_t);
    override_t *override = sheaf_alloc(head + list + wire_len(shared));
    sheaf_headers_t *left = &override->block.list;

    *left = (sheaf_headers_t){(sheaf_header_t *)(void *)((char *) override + head), 0, shared->count};
    override->holds = 1;
    override->words = words;
    memcpy(override->mask, mask, words * sizeof(uint64_t));
    for (uint32_t i = 0; i < shared->count; i++)
        if ((mask[i / 64] >> (i % 64) & 1) == 0)
            left->entries[left->count++] = shared->entries[i];
    override->block.wire = write_wire(left, (char *) override + head + list);
    return override;
}

static override_t *override_for(sheaf_batch_t *batch, const uint64_t *mask, uint32_t words)
{
    override_t *latest = batch->override;

    if (latest == NULL || memcmp(latest->mask, mask, words * sizeof(uint64_t)) != 0) {
        override_drop(latest);
        latest = batch->override = override_new(batch, mask, words);
    }
    latest->holds++;
    return latest;
}

static size_t overridden_len(const sheaf_item_t *item)
{
    const sheaf_headers_t *shared = &item->batch->shared.list;
    size_t len = 0;

    for (uint32_t i = 0; i < shared->count; i++)
        if (is_overridden(item, shared->entries[i].name))
            len += shared->entries[i].name.len + shared->entries[i].value.len + 4;
    return len;
}

bool sheaf_inherit_shows(const sheaf_item_t *item, sheaf_str_t name)
{
    return !is_overridden(item, name);
}

bool sheaf_inherit_passes(const sheaf_item_t *item, sheaf_str_t name)
{
    sheaf_policy_t policy = sheaf_route_request_policy(item->route);

    return sheaf_policy_passes(&policy, name);
}

bool sheaf_inherit_fits(const sheaf_item_t *item)
{
    size_t len = item->batch->shared.wire.len + wire_len(&item->exchange.headers);

    return len <= SHEAF_ITEM_HEADERS_MAX || len - overridden_len(item) <= SHEAF_ITEM_HEADERS_MAX;
}

void sheaf_inherit_attach(sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;
    sheaf_policy_t policy = sheaf_route_request_policy(item->route);
    bool is_open = sheaf_policy_is_open(&policy);
    uint32_t words = batch->shared.list.count / 64 + 1;

    item->exchange.request_id = batch->outer->id;
    item->exchange.request_item = batch->is_direct ? 0 : item->index + 1;
    item->exchange.shared = &batch->shared;
    if (!is_open)
        sheaf_policy_filter(&policy, item->vouched, item->pool, &item->exchange.headers);
    else if (!may_override(item))
        return;

    uint64_t few[4] = {0};
    uint64_t *mask = words <= SHEAF_COUNT(few) ? few : sheaf_zalloc(words * sizeof(uint64_t));
    uint32_t marked = mark_overridden(item, mask) + (is_open ? 0 : mark_denied(item, &policy, mask));
    if (marked > 0)
        item->exchange.shared = &override_for(batch, mask, words)->block;
    if (mask != few)
        free(mask);
}

void sheaf_inherit_detach(sheaf_item_t *item)
{
    const sheaf_header_block_t *block = item->exchange.shared;

    if (block != NULL && block != &item->batch->shared)
        override_drop(SHEAF_OWNER(block, override_t, block));
    item->exchange.shared = NULL;
}

void sheaf_inherit_fini(sheaf_batch_t *batch)
{
    override_drop(batch->override);
    batch->override = NULL;
}
