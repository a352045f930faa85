/* upstream/ring.c - see ring.h. */
#include "gateway/upstream/ring.h"

#include <stdlib.h>

#include "config/yaml.h"
#include "gateway/base/pool.h"

#define POINTS_PER_WEIGHT 160   /* shares are then within some 10 % of what the weights say */
#define POINTS_MAX        65536 /* unless the weights alone are more */

/* FNV-1a leaves neighbours close together; this (MurmurHash3's finalizer) tears them apart. */
static uint64_t scatter(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

/* Halved, not divided: it changes seldom, and a change of it moves keys that had no need to move. */
static uint32_t points_per_weight(const sheaf_upstream_conf_t *conf)
{
    uint32_t points = POINTS_PER_WEIGHT;
    uint64_t weights = 0;

    for (uint32_t i = 0; i < conf->servers.count; i++)
        weights += conf->servers.items[i].weight;
    while (points > 1 && points * weights > POINTS_MAX)
        points /= 2;
    return points;
}

static int by_place(const void *a, const void *b)
{
    const sheaf_ring_point_t *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->server > y->server) - (x->server < y->server);
}

static void put_points(sheaf_ring_t *ring, const sheaf_server_conf_t *server, uint32_t index, uint64_t count)
{
    uint64_t start = sheaf_hash(SHEAF_HASH_START, server->url.host) ^ scatter(server->url.port);

    for (uint64_t i = 0; i < count; i++)
        ring->points[ring->count++] = (sheaf_ring_point_t){(uint32_t)scatter(start + scatter(i + 1)), index};
}

void sheaf_ring_init(sheaf_ring_t *ring, const sheaf_upstream_conf_t *conf)
{
    uint32_t per_weight = points_per_weight(conf);
    uint64_t count = 0;

    for (uint32_t i = 0; i < conf->servers.count; i++)
        count += per_weight * conf->servers.items[i].weight;
    ring->points = sheaf_alloc(count * sizeof(*ring->points));
    ring->count = 0;
    for (uint32_t i = 0; i < conf->servers.count; i++)
        put_points(ring, &conf->servers.items[i], i, per_weight * conf->servers.items[i].weight);
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
