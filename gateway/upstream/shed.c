#include "gateway/upstream/shed.h"

#define QUICKEST   20  /* of a thousand answers, which may be luck */
#define RECKON_MS  100 /* an estimate is good for so long */
#define NEVER_DONE UINT64_MAX

void sheaf_shed_init(sheaf_shed_t *shed, uint64_t now_ms)
{
    *shed = (sheaf_shed_t){.newest = now_ms / SHEAF_SHED_PERIOD_MS, .reckoned_ms = NEVER_DONE};
}

void sheaf_shed_disproved(sheaf_shed_t *shed, uint64_t now_ms)
{
    sheaf_shed_init(shed, now_ms);
}

static void turn(sheaf_shed_t *shed, uint64_t now_ms)
{
    uint64_t newest = now_ms / SHEAF_SHED_PERIOD_MS;

    if (newest == shed->newest)
        return;
    if (newest > shed->newest + 1) /* the last one is too old as well */
        sheaf_spread_clear(&shed->periods[(newest + 1) % 2]);
    sheaf_spread_clear(&shed->periods[newest % 2]);
    shed->newest = newest;
    shed->reckoned_ms = NEVER_DONE;
}

void sheaf_shed_note(sheaf_shed_t *shed, uint64_t took_us, uint64_t now_ms)
{
    turn(shed, now_ms);
    sheaf_spread_add(&shed->periods[shed->newest % 2], took_us);
}

static void reckon(sheaf_shed_t *shed, uint64_t now_ms)
{
    const sheaf_spread_t *one = &shed->periods[0], *other = &shed->periods[1];

    shed->least_us = one->count + other->count < SHEAF_SHED_LEAST ? 0 : sheaf_spread_at(one, other, QUICKEST);
    shed->reckoned_ms = now_ms;
}

sheaf_shed_verdict_t sheaf_shed_ask(sheaf_shed_t *shed, uint64_t left_ms, uint64_t now_ms)
{
    turn(shed, now_ms);
    if (shed->reckoned_ms == NEVER_DONE || now_ms - shed->reckoned_ms >= RECKON_MS)
        reckon(shed, now_ms);
    if (left_ms >= shed->least_us / 1000)
        return SHEAF_SHED_SEND;
    return ++shed->late_count % SHEAF_SHED_TRIALS == 0 ? SHEAF_SHED_TRY : SHEAF_SHED_LATE;
}
