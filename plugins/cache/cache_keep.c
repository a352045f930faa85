#include "plugins/cache/cache_inside.h"
#include "plugins/cache/cache_rules.h"
#include "plugins/cache/cache_text.h"
#include "plugins/cache/cache_validate.h"
#include "plugins/cache/cache_vary.h"

#include <stdlib.h>
#include <string.h>

/* --- storing --- */

static int copy_head(const cache_head_t *from, cache_head_t *dst)
{
    sheaf_p_str_t value;
    const char *name;
    size_t at = 0;

    while (cache_head_next(from, &at, &name, &value)) {
        sheaf_p_str_t text = {name, strlen(name)};

        if (cache_validate_is_kept(text, from) && cache_head_add(dst, text, value) != 0)
            return -1;
    }
    return 0;
}

static int copy_body(cache_entry_t *entry, sheaf_p_str_t body)
{
    entry->body = malloc(body.len + 1);
    if (entry->body == NULL)
        return -1;
    if (body.len > 0)
        memcpy(entry->body, body.base, body.len);
    entry->body_len = body.len;
    return 0;
}

static cache_entry_t *entry_of(cache_t *cache, const cache_landing_t *landing, const cache_facts_t *facts)
{
    cache_entry_t *entry = cache_entry_new(landing->uri, landing->place);

    if (entry == NULL)
        return NULL;
    entry->status = landing->status;
    entry->facts = *facts;
    entry->came_ms = cache->api->now_ms(cache->worker);
    if (copy_head(landing->head, &entry->head) == 0 && copy_body(entry, landing->body) == 0)
        return entry;
    cache_entry_free(entry);
    return NULL;
}

static const char *put(cache_t *cache, const cache_landing_t *landing, const cache_facts_t *facts)
{
    cache_head_t selecting = {0};
    cache_entry_t *entry;

    if (landing->body.len > cache->limits.entry_bytes)
        return "size";
    if (cache_vary_select(landing->head, landing->question, &selecting) != 0)
        return "vary";
    entry = entry_of(cache, landing, facts);
    if (entry == NULL) {
        cache_head_free(&selecting);
        return "size";
    }
    cache_head_take(&entry->selecting, &selecting);
    if (cache_store_put(cache->store, entry) != 0)
        return "size";
    cache->api->count(cache->worker, CACHE_STORED, 1);
    return NULL;
}

/* The backend has answered, and not with what is stored: that is not worth keeping for another time. */
static void forget_stale(cache_t *cache, const cache_landing_t *landing)
{
    cache_entry_t *entry = cache_store_find(cache->store, landing->uri, landing->place, landing->question);

    if (entry != NULL && cache_age_s(cache, entry) >= entry->facts.lifetime_s)
        cache_store_remove(cache->store, entry);
}

void cache_keep_not(cache_t *cache, const cache_landing_t *landing)
{
    if (landing->status >= 500 || (landing->is_personal && !landing->is_led))
        return;
    if (!landing->is_personal)
        forget_stale(cache, landing);
    cache_store_mark(cache->store, landing->uri, landing->place, cache->api->now_ms(cache->worker) + cache->mark_ms);
}

/* What the head says. */
static const char *judge(const cache_t *cache, const cache_landing_t *landing, cache_facts_t *ret_facts)
{
    const char *refusal;

    cache_facts_read(landing->head, landing->asked_s, cache->api->wall_s(cache->worker), cache->heuristic, ret_facts);
    refusal = cache_rules_refusal(landing->status, landing->head, ret_facts, landing->is_personal);
    if (refusal == NULL && landing->is_changed)
        refusal = "changed";
    if (refusal == NULL && cache_store_is_spoiled(cache->store, landing->uri, landing->asked_ms))
        refusal = "invalidated";
    return refusal;
}

const char *cache_keep(cache_t *cache, const cache_landing_t *landing)
{
    cache_facts_t facts;
    const char *refusal = judge(cache, landing, &facts);

    if (refusal == NULL)
        refusal = put(cache, landing, &facts);
    if (refusal != NULL)
        cache_keep_not(cache, landing);
    return refusal;
}

const char *cache_keep_would(cache_t *cache, const cache_landing_t *landing)
{
    cache_head_t selecting = {0};
    cache_facts_t facts;
    const char *refusal = judge(cache, landing, &facts);

    if (refusal == NULL && cache_vary_select(landing->head, landing->question, &selecting) != 0)
        refusal = "vary";
    cache_head_free(&selecting);
    if (refusal != NULL)
        cache_keep_not(cache, landing);
    return refusal;
}

/* --- freshening (4.3.4) --- */

static int same_vary(const cache_head_t *a, const cache_head_t *b)
{
    sheaf_p_str_t of_a, of_b;

    for (uint32_t i = 0;; i++) {
        int has_a = cache_head_find(a, "vary", i, &of_a), has_b = cache_head_find(b, "vary", i, &of_b);

        if (!has_a && !has_b)
            return 1;
        if (has_a != has_b || !cache_text_eq(of_a, of_b))
            return 0;
    }
}

/* Its age is that of the 304: Date and Age are. One without Date was made when it came (RFC 9110 6.6.1). */
static int take_over(cache_entry_t *entry, const cache_head_t *not_modified, cache_head_t *aged)
{
    sheaf_p_str_t value;

    if (!cache_head_has(not_modified, "date"))
        cache_head_remove(&entry->head, "date");
    if (cache_validate_refresh(&entry->head, not_modified) != 0 || copy_head(&entry->head, aged) != 0)
        return -1;
    if (cache_head_find(not_modified, "age", 0, &value))
        return cache_head_add(aged, sheaf_p_str("age", 3), value);
    return 0;
}

static int holds_again(cache_t *cache, cache_entry_t *entry, const cache_landing_t *landing)
{
    cache_head_t aged = {0};
    int is_taken;

    if (cache_store_is_spoiled(cache->store, landing->uri, landing->asked_ms) ||
        !cache_validate_is_about(landing->head, &entry->head) ||
        (cache_head_has(landing->head, "vary") && !same_vary(landing->head, &entry->head)))
        return 0;
    is_taken = take_over(entry, landing->head, &aged) == 0;
    if (is_taken)
        cache_facts_read(&aged, landing->asked_s, cache->api->wall_s(cache->worker), cache->heuristic, &entry->facts);
    cache_head_free(&aged);
    return is_taken && cache_rules_refusal(entry->status, &entry->head, &entry->facts, landing->is_personal) == NULL;
}

int cache_keep_refresh(cache_t *cache, cache_entry_t *entry, const cache_landing_t *not_modified)
{
    if (!holds_again(cache, entry, not_modified)) {
        cache_store_remove(cache->store, entry);
        return -1;
    }
    entry->came_ms = cache->api->now_ms(cache->worker);
    cache_store_weigh(cache->store, entry);
    cache->api->count(cache->worker, CACHE_VALIDATED, 1);
    return 0;
}

/* --- invalidating (4.4) --- */

static void invalidate(cache_t *cache, const char *uri)
{
    uint32_t count = cache_store_invalidate(cache->store, uri, cache->api->now_ms(cache->worker));

    cache->api->count(cache->worker, CACHE_INVALIDATED, count);
}

/* What Location and Content-Location name goes too, if it is of the same origin: else one could invalidate for another. */
static void invalidate_named(cache_t *cache, sheaf_p_ref_t item, const char *field, const char *uri)
{
    const char *scheme_end = strstr(uri, "://"), *path = scheme_end == NULL ? NULL : strchr(scheme_end + 3, '/');
    size_t origin = path == NULL ? 0 : (size_t)(path - uri);
    sheaf_p_str_t value;
    char *named;

    if (origin == 0 || !cache->api->header(item, SHEAF_P_RESULT, field, 0, &value) || value.len == 0)
        return;
    if (value.len > origin && strncasecmp(value.base, uri, origin) == 0) {
        value.base += origin;
        value.len -= origin;
    }
    if (value.base[0] != '/' || memchr(value.base, '\0', value.len) != NULL || value.len > CACHE_HEAD_BYTES)
        return;
    named = malloc(origin + value.len + 1);
    if (named == NULL)
        return;
    memcpy(named, uri, origin);
    memcpy(named + origin, value.base, value.len);
    named[origin + value.len] = '\0';
    invalidate(cache, named);
    free(named);
}

void cache_keep_invalidate(cache_t *cache, sheaf_p_ref_t item)
{
    char *uri = cache_ask_uri(cache, item);

    if (uri == NULL)
        return;
    invalidate(cache, uri);
    invalidate_named(cache, item, "location", uri);
    invalidate_named(cache, item, "content-location", uri);
    free(uri);
}
