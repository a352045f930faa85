#include "gateway/upstream/spread.h"

#include <string.h>

#define STEPS_LOG2 4 /* buckets of a doubling */
#define STEPS      (1u << STEPS_LOG2)

static uint32_t bucket_of(uint64_t us)
{
    uint32_t doubling, index;

    if (us < STEPS)
        return (uint32_t)us;
    doubling = 63 - (uint32_t)__builtin_clzll(us);
    index = (doubling - STEPS_LOG2 + 1) * STEPS + (uint32_t)(us >> (doubling - STEPS_LOG2) & (STEPS - 1));
    return index < SHEAF_SPREAD_BUCKETS ? index : SHEAF_SPREAD_BUCKETS - 1;
}

/* The smallest that is counted there. */
static uint64_t least_of(uint32_t bucket)
{
    uint32_t doubling = bucket / STEPS + STEPS_LOG2 - 1;

    if (bucket < STEPS)
        return bucket;
    return (uint64_t)(STEPS + bucket % STEPS) << (doubling - STEPS_LOG2);
}

void sheaf_spread_clear(sheaf_spread_t *spread)
{
    memset(spread, 0, sizeof(*spread));
}

void sheaf_spread_add(sheaf_spread_t *spread, uint64_t us)
{
    uint32_t *bucket = &spread->buckets[bucket_of(us)];

    if (*bucket == UINT32_MAX)
        return;
    ++*bucket;
    spread->count++;
}

uint64_t sheaf_spread_at(const sheaf_spread_t *spread, const sheaf_spread_t *other, uint32_t per_mille)
{
    uint64_t all = spread->count + (other == NULL ? 0 : other->count), seen = 0;
    uint64_t wanted = (all * per_mille + 999) / 1000; /* the how-manieth it is */

    for (uint32_t i = 0; i < SHEAF_SPREAD_BUCKETS && all != 0; i++) {
        seen += spread->buckets[i] + (uint64_t)(other == NULL ? 0 : other->buckets[i]);
        if (seen != 0 && seen >= wanted)
            return least_of(i);
    }
    return 0;
}
