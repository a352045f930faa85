/* upstream/hedge.c - see hedge.h. */
#include "gateway/upstream/hedge.h"

#include <stdlib.h>

#include "gateway/base/eight.h"
#include "gateway/http/message.h"

#define SLOTS (SHEAF_COUNT(((sheaf_hedge_t *)0)->paces) - 1) /* odd: the last one is set apart */
#define REST  SLOTS

void sheaf_hedge_init(sheaf_hedge_t *hedge, const sheaf_hedge_conf_t *conf)
{
    *hedge = (sheaf_hedge_t){.conf = conf, .is_on = sheaf_mark_is_set(conf->mark)};
    sheaf_tally_init(&hedge->tally, SHEAF_HEDGE_WINDOW_MS);
}

void sheaf_hedge_fini(sheaf_hedge_t *hedge)
{
    for (size_t i = 0; i < SHEAF_COUNT(hedge->paces); i++) {
        free(hedge->paces[i]);
        hedge->paces[i] = NULL;
    }
    hedge->pace_count = 0;
}

void sheaf_hedge_rebase(sheaf_hedge_t *hedge, const sheaf_hedge_conf_t *conf)
{
    hedge->conf = conf;
    if (hedge->pace_count == SHEAF_HEDGE_ROUTES) /* some may be of routes that are gone */
        sheaf_hedge_fini(hedge);
}

/* --- what a route takes --- */

/* FNV-1a, eight bytes at a time while there are so many: the text of a template outlives a reload, its index does not. */
static uint64_t hash_of(sheaf_str_t route)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t at = 0;

    for (; route.len - at >= sizeof(uint64_t); at += sizeof(uint64_t))
        hash = (hash ^ sheaf_eight_at(route.base + at)) * UINT64_C(0x100000001b3);
    for (; at < route.len; at++)
        hash = (hash ^ (unsigned char)route.base[at]) * UINT64_C(0x100000001b3);
    return hash;
}

/* The place of a route; it may be empty still. */
static uint32_t place_of(const sheaf_hedge_t *hedge, uint64_t route)
{
    uint32_t at = (uint32_t)(route % SLOTS);

    while (hedge->paces[at] != NULL && hedge->paces[at]->route != route)
        at = (at + 1) % (uint32_t)SLOTS;
    return hedge->paces[at] == NULL && hedge->pace_count == SHEAF_HEDGE_ROUTES ? (uint32_t)REST : at;
}

static sheaf_pace_t *pace_at(sheaf_hedge_t *hedge, uint32_t at, uint64_t route)
{
    if (hedge->paces[at] == NULL) {
        hedge->paces[at] = sheaf_zalloc(sizeof(*hedge->paces[at]));
        hedge->paces[at]->route = route;
        hedge->pace_count += at != REST;
    }
    return hedge->paces[at];
}

/* Forgets what is older than two windows, which follow each other however seldom it is called. */
static void turn(sheaf_pace_t *pace, uint64_t now_ms)
{
    uint64_t age_ms = now_ms - pace->turned_ms;

    if (age_ms < SHEAF_HEDGE_WINDOW_MS)
        return;
    pace->newest ^= 1;
    sheaf_spread_clear(&pace->spread[pace->newest]);
    if (age_ms >= (uint64_t)2 * SHEAF_HEDGE_WINDOW_MS)
        sheaf_spread_clear(&pace->spread[pace->newest ^ 1]);
    pace->turned_ms = now_ms - age_ms % SHEAF_HEDGE_WINDOW_MS;
}

/* A whole millisecond more than the bucket of the percentile reaches: what ends there is counted beyond it. */
static uint64_t read_late_ms(const sheaf_pace_t *pace, uint32_t per_mille)
{
    uint64_t count = pace->spread[0].count + pace->spread[1].count, us;

    if (count < SHEAF_HEDGE_LEAST || count * (1000 - per_mille) < 1000)
        return SHEAF_NEVER;
    us = sheaf_spread_at(&pace->spread[0], &pace->spread[1], per_mille);
    return (us + us / 16) / 1000 + 1;
}

static uint64_t late_after_ms(sheaf_hedge_t *hedge, sheaf_exchange_t *exchange, uint64_t now_ms)
{
    uint64_t route;
    sheaf_pace_t *pace;

    if (hedge->conf->after.per_mille == 0)
        return hedge->conf->after.after_ms;
    route = hash_of(exchange->route);
    exchange->pace = (uint16_t)place_of(hedge, route);
    exchange->is_timed = exchange->sends == 1;
    pace = pace_at(hedge, exchange->pace, route);
    if (pace->known_ms == 0 || now_ms - pace->known_ms >= SHEAF_HEDGE_KNOWN_MS) {
        turn(pace, now_ms);
        pace->late_ms = read_late_ms(pace, hedge->conf->after.per_mille);
        pace->known_ms = now_ms;
    }
    return pace->late_ms;
}

/* --- an exchange --- */

uint64_t sheaf_hedge_begin(sheaf_hedge_t *hedge, sheaf_exchange_t *exchange, uint64_t now_ms)
{
    uint64_t after_ms;

    exchange->is_timed = false;
    if (exchange->flown_ms == 0)
        sheaf_tally_add(&hedge->tally, now_ms);
    exchange->flown_ms = now_ms;
    if (!exchange->is_idempotent || !sheaf_method_is_safe(exchange->method))
        return SHEAF_NEVER;
    after_ms = late_after_ms(hedge, exchange, now_ms);
    return after_ms == SHEAF_NEVER || exchange->was_hedged ? SHEAF_NEVER : now_ms + after_ms;
}

void sheaf_hedge_note(sheaf_hedge_t *hedge, sheaf_exchange_t *exchange, bool is_good, uint64_t now_ms)
{
    sheaf_pace_t *pace = exchange->is_timed ? hedge->paces[exchange->pace] : NULL;
    uint64_t took_ms = now_ms - exchange->flown_ms;

    exchange->is_timed = false;
    if (pace == NULL || (!is_good && took_ms < pace->late_ms))
        return;
    turn(pace, now_ms);
    sheaf_spread_add(&pace->spread[pace->newest], took_ms * 1000);
}

bool sheaf_hedge_affords(sheaf_hedge_t *hedge, uint64_t now_ms)
{
    sheaf_tally_turn(&hedge->tally, now_ms);
    return hedge->tally.marked == 0 ||
           (hedge->tally.marked + 1) * 100 <= hedge->tally.all * hedge->conf->budget_percent;
}

void sheaf_hedge_spend(sheaf_hedge_t *hedge, uint64_t now_ms)
{
    sheaf_tally_mark(&hedge->tally, now_ms);
}
