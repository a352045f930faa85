#include "plugins/cache/cache_hash.h"
#include "plugins/cache/cache_inside.h"

#include <stdlib.h>
#include <string.h>

static cache_flight_t **bucket(cache_t *cache, const char *uri)
{
    return &cache->flights[cache_hash(cache->secret, uri, strlen(uri)) % CACHE_BUCKETS];
}

cache_flight_t *cache_flight_find(cache_t *cache, const char *uri, const char *place)
{
    cache_flight_t *flight = *bucket(cache, uri);

    while (flight != NULL && (strcmp(flight->uri, uri) != 0 || strcmp(flight->place, place) != 0))
        flight = flight->next;
    return flight;
}

static void flight_free(cache_flight_t *flight)
{
    free(flight->uri);
    free(flight->place);
    cache_head_free(&flight->question);
    free(flight);
}

cache_flight_t *cache_flight_new(cache_t *cache, const char *uri, const char *place, cache_ask_t *leader)
{
    cache_flight_t *flight = calloc(1, sizeof(*flight));

    if (flight == NULL)
        return NULL;
    flight->cache = cache;
    flight->uri = strdup(uri);
    flight->place = strdup(place);
    if (flight->uri == NULL || flight->place == NULL) {
        flight_free(flight);
        return NULL;
    }
    flight->asked_ms = cache->api->now_ms(cache->worker);
    flight->leader = leader;
    if (leader != NULL)
        leader->flight = flight;
    flight->next = *bucket(cache, uri);
    *bucket(cache, uri) = flight;
    return flight;
}

static void unlink_flight(cache_flight_t *flight)
{
    cache_flight_t **at = bucket(flight->cache, flight->uri);

    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
}

void cache_flight_drop(cache_flight_t *flight)
{
    unlink_flight(flight);
    if (flight->is_calling)
        flight->cache->api->call_cancel(flight->cache->worker, flight->call);
    flight_free(flight);
}

/* --- who waits --- */

static void let_go(cache_ask_t *ask)
{
    cache_t *cache = ask->cache;
    cache_ask_t **at = &ask->flight->waiting;

    while (*at != ask)
        at = &(*at)->next_waiting;
    *at = ask->next_waiting;
    cache->api->timer_stop(cache->worker, ask->timer);
    cache->waiting--;
    ask->flight = NULL;
}

static void stop_waiting(cache_ask_t *ask)
{
    let_go(ask);
    ask->is_alone = 1;
}

/* What has waited decides anew; once, since it is alone from now on, or until its time is over. */
static void wake(cache_ask_t *ask, int has_failed)
{
    if (cache_decide(ask, has_failed) == SHEAF_P_PASS)
        ask->cache->api->resume(ask->item);
}

static void on_time(void *data)
{
    cache_ask_t *ask = data;

    stop_waiting(ask);
    wake(ask, 0);
}

/* A quarter of the time that it has is left for a question of its own: the one it waits for may be stuck. */
static uint64_t patience_ms(const cache_ask_t *ask)
{
    const cache_t *cache = ask->cache;
    uint64_t waited_ms = cache->api->now_ms(cache->worker) - ask->asked_ms;
    uint64_t wait_ms = waited_ms < cache->collapse_ms ? cache->collapse_ms - waited_ms : 0;
    uint64_t most_ms = cache_ask_left_ms(ask) / 4 * 3;

    return wait_ms < most_ms ? wait_ms : most_ms;
}

int cache_flight_wait(cache_flight_t *flight, cache_ask_t *ask)
{
    cache_t *cache = flight->cache;
    uint64_t wait_ms = patience_ms(ask);

    if (wait_ms == 0 || cache->waiting >= cache->max_waiting)
        return -1;
    ask->timer = cache->api->timer_start(cache->worker, wait_ms, on_time, ask);
    ask->role = CACHE_ROLE_WAITING;
    ask->flight = flight;
    ask->next_waiting = flight->waiting;
    flight->waiting = ask;
    cache->waiting++;
    return 0;
}

int cache_flight_is_overdue(const cache_flight_t *flight)
{
    const cache_t *cache = flight->cache;

    return cache->api->now_ms(cache->worker) - flight->asked_ms >= cache->collapse_ms;
}

void cache_flight_land(cache_flight_t *flight, cache_landing_kind_t how)
{
    unlink_flight(flight); /* first: who decides anew must not find it */
    if (flight->leader != NULL)
        flight->leader->flight = NULL;
    while (flight->waiting != NULL) {
        cache_ask_t *ask = flight->waiting;

        let_go(ask);
        ask->is_alone = how != CACHE_DESERTED;
        wake(ask, how == CACHE_FAILED);
    }
    flight_free(flight);
}

/* One who leads and is gone takes nothing with him: a call of its own goes on, who waits for nothing is let go. */
void cache_flight_leave(cache_ask_t *ask)
{
    cache_flight_t *flight = ask->flight;

    if (flight == NULL)
        return;
    if (flight->leader != ask) {
        stop_waiting(ask);
        return;
    }
    flight->leader = NULL;
    ask->flight = NULL;
    if (!flight->is_calling)
        cache_flight_land(flight, CACHE_DESERTED);
}

void cache_flight_end_all(cache_t *cache)
{
    for (size_t i = 0; i < CACHE_BUCKETS; i++)
        while (cache->flights[i] != NULL) {
            cache_flight_t *flight = cache->flights[i];

            while (flight->waiting != NULL)
                stop_waiting(flight->waiting);
            if (flight->leader != NULL)
                flight->leader->flight = NULL;
            cache_flight_drop(flight);
        }
}
