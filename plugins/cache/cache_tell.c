#include "plugins/cache/cache_inside.h"
#include "plugins/cache/cache_text.h"
#include "plugins/cache/cache_validate.h"

#include <stdio.h>
#include <string.h>

/* A 304 speaks of the answer, not of its body (RFC 9110 15.4.5). */
static int is_told(const char *name, int is_not_modified)
{
    if (strcmp(name, "content-type") == 0) /* goes with answer() */
        return 0;
    return !is_not_modified || strncmp(name, "content-", 8) != 0 || strcmp(name, "content-location") == 0;
}

static void tell_fields(const cache_ask_t *ask, const cache_head_t *head, int is_not_modified)
{
    const sheaf_p_api_t *api = ask->cache->api;
    sheaf_p_str_t value, first;
    const char *name;
    size_t at = 0;

    while (cache_head_next(head, &at, &name, &value)) {
        if (!is_told(name, is_not_modified))
            continue;
        cache_head_find(head, name, 0, &first);
        if (first.base == value.base)
            api->header_set(ask->item, SHEAF_P_RESULT, name, value);
        else
            api->header_add(ask->item, SHEAF_P_RESULT, name, value);
    }
}

static void tell_own(const cache_ask_t *ask, const cache_entry_t *entry, const char *how)
{
    const sheaf_p_api_t *api = ask->cache->api;
    char text[160];
    int len = snprintf(text, sizeof(text), "%lld", (long long)cache_age_s(ask->cache, entry));

    api->header_set(ask->item, SHEAF_P_RESULT, "age", sheaf_p_str(text, (size_t)len));
    if (!ask->cache->says_status)
        return;
    len = snprintf(text, sizeof(text), "sheaf; %s", how);
    api->header_set(ask->item, SHEAF_P_RESULT, "cache-status", sheaf_p_str(text, (size_t)len));
}

sheaf_p_verdict_t cache_tell(cache_ask_t *ask, const cache_entry_t *entry, const char *how)
{
    int is_not_modified =
        entry->status == 200 && cache_validate_is_not_modified(&ask->question, &entry->head, entry->facts.date_s);
    sheaf_p_str_t type, body = sheaf_p_str(entry->body, entry->body_len);

    cache_head_find(&entry->head, "content-type", 0, &type); /* NUL-terminated, as all of a head */
    if (is_not_modified || ask->is_head)
        body = sheaf_p_str("", 0);
    ask->role = CACHE_ROLE_ANSWERED;
    if (ask->cache->api->answer(ask->item, is_not_modified ? 304 : entry->status, is_not_modified ? NULL : type.base,
                                body) != 0)
        return SHEAF_P_PASS;
    tell_fields(ask, &entry->head, is_not_modified);
    tell_own(ask, entry, how);
    return SHEAF_P_ANSWER;
}

int cache_tell_not_modified(const cache_ask_t *ask, const cache_head_t *head)
{
    if (ask->cache->api->answer(ask->item, 304, NULL, sheaf_p_str("", 0)) != 0)
        return -1;
    tell_fields(ask, head, 1);
    return 0;
}

void cache_tell_forwarded(const cache_ask_t *ask, const char *refusal, int is_not_modified)
{
    const cache_t *cache = ask->cache;
    const char *was = is_not_modified ? "; fwd-status=200" : "";
    char text[160];
    int len;

    if (!cache->says_status)
        return;
    if (ask->role == CACHE_ROLE_BYPASS)
        len = snprintf(text, sizeof(text), "sheaf; fwd=bypass");
    else if (refusal == NULL)
        len = snprintf(text, sizeof(text), "sheaf; fwd=%s%s; stored", ask->forward, was);
    else
        len = snprintf(text, sizeof(text), "sheaf; fwd=%s%s; detail=%s", ask->forward, was, refusal);
    cache->api->header_add(ask->item, SHEAF_P_RESULT, "cache-status", sheaf_p_str(text, (size_t)len));
}
