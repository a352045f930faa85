#include "plugins/cache/cache_inside.h"
#include "plugins/cache/cache_rules.h"
#include "plugins/cache/cache_validate.h"

#include <stdio.h>

int64_t cache_age_s(const cache_t *cache, const cache_entry_t *entry)
{
    return entry->facts.age_s + (int64_t)((cache->api->now_ms(cache->worker) - entry->came_ms) / 1000);
}

/* Who has said who he is gets only what is for all, and never learns what else is stored. */
cache_entry_t *cache_find(cache_ask_t *ask)
{
    cache_entry_t *entry = cache_store_find(ask->cache->store, ask->uri, ask->place, &ask->question);

    if (entry != NULL && ask->is_personal && !cache_rules_is_for_all(&entry->facts))
        return NULL;
    return entry;
}

static const char *why_forward(const cache_ask_t *ask, const cache_entry_t *entry)
{
    if (entry == NULL)
        return cache_store_has(ask->cache->store, ask->uri, ask->place) ? "vary-miss" : "uri-miss";
    return entry->facts.lifetime_s > cache_age_s(ask->cache, entry) ? "request" : "stale";
}

/* --- from the store --- */

static sheaf_p_verdict_t answer_hit(cache_ask_t *ask, const cache_entry_t *entry, int is_stale)
{
    int64_t lifetime = entry->facts.lifetime_s < 0 ? 0 : entry->facts.lifetime_s;
    long long ttl = (long long)(lifetime - cache_age_s(ask->cache, entry));
    char how[96];

    ask->cache->api->count(ask->cache->worker, is_stale ? CACHE_STALE : CACHE_HITS, 1);
    if (ask->role == CACHE_ROLE_WAITING) {
        ask->cache->api->count(ask->cache->worker, CACHE_COLLAPSED, 1);
        snprintf(how, sizeof(how), "fwd=%s; collapsed; ttl=%lld", ask->forward, ttl);
    } else {
        snprintf(how, sizeof(how), "hit; ttl=%lld", ttl);
    }
    return cache_tell(ask, entry, how);
}

/* RFC 9111 5.2.1.7. */
static sheaf_p_verdict_t answer_nothing(cache_ask_t *ask)
{
    ask->role = CACHE_ROLE_ANSWERED;
    if (ask->cache->api->problem(ask->item, 504, "not-cached", "The answer is not stored, and none else was wanted.") !=
        0)
        return SHEAF_P_PASS;
    return SHEAF_P_ANSWER;
}

/* Stale, and permitted while somebody revalidates it: is somebody at it? Who cannot send others goes himself. */
static int is_being_refreshed(cache_ask_t *ask, const cache_entry_t *entry)
{
    cache_t *cache = ask->cache;
    cache_flight_t *flight = cache_flight_find(cache, ask->uri, ask->place);

    if (flight != NULL)
        return 1;
    if (ask->is_personal || !cache->validates)
        return 0;
    flight = cache_flight_new(cache, ask->uri, ask->place, NULL);
    if (flight == NULL)
        return 0;
    if (cache_refresh_start(flight, ask, entry) == 0)
        return 1;
    cache_flight_drop(flight);
    return 0;
}

/* --- to the backend --- */

static int is_marked(const cache_ask_t *ask)
{
    const cache_t *cache = ask->cache;

    return cache_store_is_marked(cache->store, ask->uri, ask->place, cache->api->now_ms(cache->worker));
}

/* Others are answered from the store meanwhile: it is only this one who wants no other than the backend's word. */
static int is_of_no_use(cache_ask_t *ask)
{
    return (ask->control.said & CACHE_NO_CACHE) != 0 && cache_find(ask) != NULL;
}

/* A 304 to its own conditions would be of use to nobody else. Where the answer will not be stored, as far as is known, or one is stored
 * that is not wanted, its backend may judge them, and need not send what is there already. */
void cache_unconditional(cache_ask_t *ask)
{
    const sheaf_p_api_t *api = ask->cache->api;

    if (!cache_validate_is_conditional(&ask->question) || ask->is_personal || ask->is_head || is_marked(ask) ||
        is_of_no_use(ask))
        return;
    ask->is_unconditional = api->header_remove(ask->item, SHEAF_P_QUESTION, "if-none-match") == 0 &&
                            api->header_remove(ask->item, SHEAF_P_QUESTION, "if-modified-since") == 0;
}

static sheaf_p_verdict_t go_alone(cache_ask_t *ask)
{
    ask->role = CACHE_ROLE_ALONE;
    cache_unconditional(ask);
    return SHEAF_P_PASS;
}

static sheaf_p_verdict_t lead(cache_ask_t *ask, const cache_entry_t *entry)
{
    cache_t *cache = ask->cache;
    cache_flight_t *flight = cache_flight_new(cache, ask->uri, ask->place, ask);

    if (flight == NULL)
        return go_alone(ask);
    ask->role = CACHE_ROLE_LEADING;
    if (entry == NULL || !entry->facts.has_validator || !cache->validates ||
        cache_refresh_start(flight, ask, entry) != 0) {
        cache_unconditional(ask);
        return SHEAF_P_PASS;
    }
    ask->role = CACHE_ROLE_VALIDATING;
    return SHEAF_P_LATER;
}

static sheaf_p_verdict_t go(cache_ask_t *ask, const cache_entry_t *entry)
{
    cache_t *cache = ask->cache;
    cache_flight_t *flight;

    if (ask->is_alone || is_marked(ask))
        return go_alone(ask);
    flight = cache_flight_find(cache, ask->uri, ask->place);
    if (flight == NULL)
        return lead(ask, entry);
    if (cache_flight_is_overdue(flight))
        return go_alone(ask); /* whoever leads may be a client that reads slowly */
    return cache_flight_wait(flight, ask) == 0 ? SHEAF_P_LATER : go_alone(ask);
}

sheaf_p_verdict_t cache_decide(cache_ask_t *ask, int has_failed)
{
    cache_entry_t *entry = cache_find(ask);
    cache_use_t use = CACHE_USE_REVALIDATE;

    if (entry != NULL)
        use = cache_rules_use(&entry->facts, cache_age_s(ask->cache, entry), &ask->control);
    if (use == CACHE_USE_FRESH || use == CACHE_USE_STALE)
        return answer_hit(ask, entry, use == CACHE_USE_STALE);
    if (entry != NULL && has_failed && cache_rules_stands_in(&entry->facts, cache_age_s(ask->cache, entry)))
        return answer_hit(ask, entry, 1);
    if (use == CACHE_USE_WHILE && is_being_refreshed(ask, entry))
        return answer_hit(ask, entry, 1);
    if (ask->control.said & CACHE_ONLY_IF_CACHED)
        return answer_nothing(ask);
    if (ask->role != CACHE_ROLE_WAITING) {
        ask->forward = why_forward(ask, entry);
        ask->cache->api->count(ask->cache->worker, CACHE_MISSES, 1);
    }
    return go(ask, entry);
}
