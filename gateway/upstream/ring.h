/* upstream/ring.h - which server a key belongs to: consistent hashing.
 *
 *   0 ---- b1 -- a1 ------ c1 -- a2 --- b2 -- ... ---- 2^32     a key belongs to the first point at or after its hash
 *
 * Each server has points on a ring, as many as its weight asks for. When a server goes, only the keys of its own points
 * move, each to the next point; when one comes, it takes only what is now its own. Points come from the server's host
 * and port, so that all workers and all gateways agree, whatever the order in the configuration. Pure. */
#ifndef SHEAF_UPSTREAM_RING_H
#define SHEAF_UPSTREAM_RING_H

#include "gateway/base/str.h"

typedef struct sheaf_ring_member {
    sheaf_str_t host;
    uint16_t port;
    uint32_t server;
    uint64_t weight;
} sheaf_ring_member_t;

typedef struct sheaf_ring_point {
    uint32_t at;
    uint32_t server; /* index in the upstream's servers */
} sheaf_ring_point_t;

typedef struct sheaf_ring {
    sheaf_ring_point_t *points; /* by `at` */
    uint32_t count;
} sheaf_ring_t;

/* At least one member; all are borrowed for the call. */
void sheaf_ring_init(sheaf_ring_t *ring, const sheaf_ring_member_t *members, uint32_t count);
void sheaf_ring_fini(sheaf_ring_t *ring);

/* The index of the point that `key` belongs to; those after it (the first follows the last) are its next choices. */
uint32_t sheaf_ring_find(const sheaf_ring_t *ring, sheaf_str_t key);

#endif
