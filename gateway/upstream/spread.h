/* upstream/spread.h - how latencies are spread: counts in buckets whose width is a sixteenth of what they count.
 *
 * Exact below 16 us, within 6 % up to two minutes, all beyond in the last bucket. Pure; adding costs a few
 * instructions, reading walks the buckets. */
#ifndef SHEAF_UPSTREAM_SPREAD_H
#define SHEAF_UPSTREAM_SPREAD_H

#include <stdint.h>

#define SHEAF_SPREAD_BUCKETS 384 /* 16 for each doubling from 16 us to 2^27 us (134 s), and the first 16 us */

typedef struct sheaf_spread {
    uint64_t count;
    uint32_t buckets[SHEAF_SPREAD_BUCKETS];
} sheaf_spread_t;

void sheaf_spread_clear(sheaf_spread_t *spread);
void sheaf_spread_add(sheaf_spread_t *spread, uint64_t us);

/* What `per_mille` of those in `spread` and `other` (may be NULL) together are at most, rounded down to the bucket it is
 * in; 0 when there is none. */
uint64_t sheaf_spread_at(const sheaf_spread_t *spread, const sheaf_spread_t *other, uint32_t per_mille);

#endif
