#include "plugins/cache/cache_inside.h"
#include "plugins/cache/cache_rules.h"
#include "plugins/cache/cache_text.h"

#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 64u

/* Conditions are the cache's own here, the rest is about one request or one hop; X-Forwarded-Host and -Proto are of the key
 * (place_of in cache_ask) and go along. Who asks is never among them: a question with a
 * credential leads nobody. */
static const char *const not_sent[] = {"if-none-match",
                                       "if-modified-since",
                                       "cache-control",
                                       "pragma",
                                       "connection",
                                       "keep-alive",
                                       "te",
                                       "trailer",
                                       "upgrade",
                                       "transfer-encoding",
                                       "content-length",
                                       "host",
                                       "via",
                                       "forwarded",
                                       "x-real-ip",
                                       "x-forwarded-for",
                                       "x-request-id",
                                       "traceparent",
                                       "tracestate",
                                       "authorization",
                                       "cookie",
                                       "expect",
                                       "proxy-connection",
                                       "proxy-authorization",
                                       NULL};

static int is_sent(const char *name)
{
    return !cache_text_is_one_of(sheaf_p_str(name, strlen(name)), not_sent);
}

static uint32_t fields_of(const cache_flight_t *flight, const cache_entry_t *entry, sheaf_p_field_t *ret_fields)
{
    uint32_t count = 0;
    sheaf_p_str_t value;
    const char *name;
    size_t at = 0;

    if (cache_head_find(&entry->head, "etag", 0, &value))
        ret_fields[count++] = (sheaf_p_field_t){{"if-none-match", 13}, value};
    if (cache_head_find(&entry->head, "last-modified", 0, &value))
        ret_fields[count++] = (sheaf_p_field_t){{"if-modified-since", 17}, value};
    while (cache_head_next(&flight->question, &at, &name, &value)) {
        if (!is_sent(name))
            continue;
        if (count == FIELDS_MAX)
            return 0;
        ret_fields[count++] = (sheaf_p_field_t){{name, strlen(name)}, value};
    }
    return count;
}

static int copy_question(cache_flight_t *flight, const cache_ask_t *ask)
{
    sheaf_p_str_t value;
    const char *name;
    size_t at = 0;

    while (cache_head_next(&ask->question, &at, &name, &value))
        if (cache_head_add(&flight->question, sheaf_p_str(name, strlen(name)), value) != 0)
            return -1;
    return 0;
}

static void on_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t count, sheaf_p_str_t body,
                      const char *error);

/* Who waits for the answer has some time left behind it: to be answered with what is stale, or to hear of the backend itself that it
 * takes too long. */
static uint64_t timeout_of(const cache_flight_t *flight)
{
    uint64_t left_ms = flight->leader == NULL ? UINT64_MAX : cache_ask_left_ms(flight->leader);

    if (left_ms == UINT64_MAX)
        return 0;
    return left_ms < 2 ? 1 : left_ms - (left_ms + 15) / 16;
}

int cache_refresh_start(cache_flight_t *flight, const cache_ask_t *ask, const cache_entry_t *entry)
{
    cache_t *cache = flight->cache;
    sheaf_p_request_t request = {.size = sizeof(request), .method = {"GET", 3}, .on_answer = on_answer, .data = flight};
    sheaf_p_field_t fields[FIELDS_MAX];

    if (!cache->api->text(ask->item, SHEAF_P_TARGET, &request.target) || copy_question(flight, ask) != 0)
        return -1;
    request.upstream = -1;
    request.like = ask->item;
    request.fields = fields;
    request.field_count = fields_of(flight, entry, fields);
    request.max_bytes = cache->limits.entry_bytes;
    request.timeout_ms = timeout_of(flight);
    flight->serial = entry->serial;
    flight->asked_s = cache->api->wall_s(cache->worker);
    flight->asked_ms = cache->api->now_ms(cache->worker);
    flight->call = cache->api->call(cache->worker, &request);
    flight->is_calling = flight->call.value != 0;
    return flight->is_calling ? 0 : -1;
}

/* --- its answer --- */

static int read_fields(const sheaf_p_field_t *fields, uint32_t count, cache_head_t *ret_head)
{
    for (uint32_t i = 0; i < count; i++)
        if (cache_head_add(ret_head, fields[i].name, fields[i].value) != 0)
            return -1;
    return 0;
}

/* Did it bring something to answer with? Then that is in the store. */
static int take(cache_flight_t *flight, const cache_landing_t *landing)
{
    cache_t *cache = flight->cache;
    cache_entry_t *entry = cache_store_by_serial(cache->store, flight->uri, flight->serial);

    if (landing->status == 304)
        return entry != NULL && cache_keep_refresh(cache, entry, landing) == 0;
    return landing->status >= 200 && landing->status < 500 && cache_keep(cache, landing) == NULL;
}

static int tell_leader(cache_flight_t *flight, uint32_t status, int is_taken, int has_failed)
{
    cache_ask_t *ask = flight->leader;
    cache_t *cache = flight->cache;
    cache_entry_t *entry = cache_store_find(cache->store, ask->uri, ask->place, &ask->question);
    char how[96];

    if (entry == NULL ||
        (!is_taken && !(has_failed && cache_rules_stands_in(&entry->facts, cache_age_s(cache, entry)))))
        return -1;
    if (status == 0)
        snprintf(how, sizeof(how), "fwd=stale; detail=error");
    else
        snprintf(how, sizeof(how), "fwd=stale; fwd-status=%u%s", status, status == 200 ? "; stored" : "");
    if (has_failed)
        cache->api->count(cache->worker, CACHE_STALE, 1);
    return cache_tell(ask, entry, how) == SHEAF_P_ANSWER ? 0 : -1;
}

static void on_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t count, sheaf_p_str_t body,
                      const char *error)
{
    cache_flight_t *flight = data;
    cache_head_t head = {0};
    cache_landing_t landing = {.uri = flight->uri, .place = flight->place, .question = &flight->question, .body = body};
    int is_taken, is_large = status == 0 && error != NULL && strcmp(error, "answer-too-large") == 0;
    int has_failed = (status == 0 && !is_large) || status >= 500;

    flight->is_calling = 0;
    landing.is_led = 1;
    landing.asked_s = flight->asked_s;
    landing.asked_ms = flight->asked_ms;
    landing.status = status;
    landing.head = &head;
    is_taken = read_fields(fields, count, &head) == 0 && take(flight, &landing);
    if (is_large)
        cache_keep_not(flight->cache, &landing);
    cache_head_free(&head);
    if (flight->leader != NULL && tell_leader(flight, status, is_taken, has_failed) != 0) {
        flight->leader->role = CACHE_ROLE_LEADING; /* goes itself; others still wait for what it brings */
        cache_unconditional(flight->leader);
        flight->cache->api->resume(flight->leader->item);
        return;
    }
    cache_flight_land(flight, has_failed ? CACHE_FAILED : CACHE_LANDED);
}
