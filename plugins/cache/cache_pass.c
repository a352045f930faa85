/* cache/cache_pass.c - answers of direct requests: their bodies pass to the client, and are stored once they have come whole. */
#include "plugins/cache/cache_inside.h"
#include "plugins/cache/cache_text.h"

/* What its copy may take: as much as it says, else as an entry may. */
static uint64_t bound_of(const cache_t *cache, const cache_head_t *head)
{
    sheaf_p_str_t text;
    int64_t length = cache_head_find(head, "content-length", 0, &text) ? cache_text_seconds(text) : -1;

    return length >= 0 && (uint64_t)length < cache->limits.entry_bytes ? (uint64_t)length : cache->limits.entry_bytes;
}

const char *cache_pass(cache_ask_t *ask, const cache_landing_t *landing, cache_head_t *head)
{
    cache_t *cache = ask->cache;
    const char *refusal = cache_keep_would(cache, landing);
    uint64_t bound = bound_of(cache, head);

    if (refusal != NULL)
        return refusal;
    if (cache->passing_bytes + bound > cache->limits.bytes || cache->api->keep_body(ask->item, bound) != 0) {
        cache_keep_not(cache, landing);
        return "size";
    }
    ask->role = CACHE_ROLE_PASSING;
    ask->status = landing->status;
    ask->is_personal = landing->is_personal;
    ask->is_led = landing->is_led;
    ask->passing_bytes = bound;
    cache->passing_bytes += bound;
    cache_head_take(&ask->head, head);
    return NULL;
}

cache_landing_kind_t cache_pass_ended(const cache_ask_t *ask)
{
    const sheaf_p_api_t *api = ask->cache->api;
    sheaf_p_str_t error;
    int64_t status;

    if (api->text(ask->item, SHEAF_P_ERROR, &error) && cache_text_is(error, "cancelled"))
        return CACHE_DESERTED;
    api->number(ask->item, SHEAF_P_STATUS, &status);
    return status >= 500 ? CACHE_FAILED : CACHE_LANDED;
}

static cache_landing_t landing_of(const cache_ask_t *ask)
{
    return (cache_landing_t){.uri = ask->uri,
                             .place = ask->place,
                             .question = &ask->question,
                             .is_personal = ask->is_personal,
                             .is_led = ask->is_led,
                             .asked_s = ask->asked_s,
                             .asked_ms = ask->asked_ms,
                             .status = ask->status,
                             .head = &ask->head};
}

void cache_pass_end(cache_ask_t *ask)
{
    cache_t *cache = ask->cache;
    cache_flight_t *flight = ask->flight;
    cache_landing_t landing = landing_of(ask);
    cache_landing_kind_t how = cache_pass_ended(ask);

    if (cache->api->body(ask->item, SHEAF_P_RESULT, &landing.body))
        cache_keep(cache, &landing);
    else if (how == CACHE_LANDED)
        cache_keep_not(cache, &landing); /* it was too long */
    if (flight != NULL)
        cache_flight_land(flight, how);
    cache_ask_free(ask);
}
