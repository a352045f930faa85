/* upstream/ring.c - see ring.h. */
#include "gateway/upstream/ring.h"

#include <stdlib.h>

#include "config/yaml.h"
#include "gateway/base/pool.h"

#define POINTS_PER_WEIGHT 160            /* shares are then within some 10 % of what the weights say */
#define POINTS_MAX        65536          /* unless the weights alone are more */
#define WEIGHTS_MAX       (1024u * 256u) /* what a configuration may say; what DNS says may be more */

/* FNV-1a leaves neighbours close together; this (MurmurHash3's finalizer) tears them apart. */
static uint64_t scatter(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

/* What a weight is divided by, at first and, while it is too large, by 2^shift; and how many points the rest is worth. */
typedef struct measure {
    uint64_t divisor;
    uint32_t shift, per_weight;
} measure_t;

/* So that servers which all weigh the same are no matter of how much: DNS servers say 100 / n of n. */
static uint64_t common_divisor(const sheaf_ring_member_t *members, uint32_t count)
{
    uint64_t divisor = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t weight = members[i].weight;

        while (weight != 0) {
            uint64_t rest = divisor % weight;

            divisor = weight;
            weight = rest;
        }
    }
    return divisor != 0 ? divisor : 1;
}

/* Halved, not divided: it changes seldom, and a change of it moves keys that had no need to move. */
static measure_t measure_of(const sheaf_ring_member_t *members, uint32_t count)
{
    measure_t measure = {common_divisor(members, count), 0, POINTS_PER_WEIGHT};
    uint64_t weights = 0;

    for (uint32_t i = 0; i < count; i++)
        weights += members[i].weight / measure.divisor;
    while (measure.per_weight > 1 && measure.per_weight * weights > POINTS_MAX)
        measure.per_weight /= 2;
    while (weights >> measure.shift > WEIGHTS_MAX)
        measure.shift++;
    return measure;
}

static uint64_t points_of(measure_t measure, const sheaf_ring_member_t *member)
{
    uint64_t weight = member->weight / measure.divisor >> measure.shift;

    return measure.per_weight * (weight != 0 ? weight : 1);
}

static int by_place(const void *a, const void *b)
{
    const sheaf_ring_point_t *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->server > y->server) - (x->server < y->server);
}

static void put_points(sheaf_ring_t *ring, const sheaf_ring_member_t *member, uint64_t count)
{
    uint64_t start = sheaf_hash(SHEAF_HASH_START, member->host) ^ scatter(member->port);

    for (uint64_t i = 0; i < count; i++)
        ring->points[ring->count++] = (sheaf_ring_point_t){(uint32_t)scatter(start + scatter(i + 1)), member->server};
}

void sheaf_ring_init(sheaf_ring_t *ring, const sheaf_ring_member_t *members, uint32_t count)
{
    measure_t measure = measure_of(members, count);
    uint64_t points = 0;

    for (uint32_t i = 0; i < count; i++)
        points += points_of(measure, &members[i]);
    ring->points = sheaf_alloc(points * sizeof(*ring->points));
    ring->count = 0;
    for (uint32_t i = 0; i < count; i++)
        put_points(ring, &members[i], points_of(measure, &members[i]));
    qsort(ring->points, ring->count, sizeof(*ring->points), by_place);
}

void sheaf_ring_fini(sheaf_ring_t *ring)
{
    free(ring->points);
    *ring = (sheaf_ring_t){NULL, 0};
}

uint32_t sheaf_ring_find(const sheaf_ring_t *ring, sheaf_str_t key)
{
    uint32_t at = (uint32_t)scatter(sheaf_hash(SHEAF_HASH_START, key));
    uint32_t low = 0, high = ring->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (ring->points[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low == ring->count ? 0 : low;
}
