/* upstream/turn.c - see turn.h. */
#include "gateway/upstream/turn.h"

/* Negative when `a` is less busy than `b` for what they weigh. */
static int compare_load(const sheaf_server_t *a, const sheaf_server_t *b)
{
    uint64_t x = (uint64_t)a->flying * b->weight, y = (uint64_t)b->flying * a->weight;

    return (x > y) - (x < y);
}

/* Everyone earns its weight; the richest is chosen and pays what all have earned. `like` not NULL: only among those as
 * busy as it. */
static sheaf_server_t *richest(sheaf_balance_t *balance, const sheaf_server_t *like)
{
    sheaf_server_t *best = NULL;
    int64_t earned = 0;

    for (uint32_t i = 0; i < balance->end; i++) {
        sheaf_server_t *server = &balance->servers[i];

        if (!server->is_open || (like != NULL && compare_load(server, like) != 0))
            continue;
        server->credit += server->weight;
        earned += server->weight;
        if (best == NULL || server->credit > best->credit)
            best = server;
    }
    best->credit -= earned;
    return best;
}

sheaf_server_t *sheaf_turn_round_robin(sheaf_balance_t *balance)
{
    return richest(balance, NULL);
}

sheaf_server_t *sheaf_turn_least_requests(sheaf_balance_t *balance)
{
    const sheaf_server_t *least = NULL;

    for (uint32_t i = 0; i < balance->end; i++) {
        const sheaf_server_t *server = &balance->servers[i];

        if (server->is_open && (least == NULL || compare_load(server, least) < 0))
            least = server;
    }
    return richest(balance, least);
}

/* splitmix64 (Steele, Lea, Flood): a number below `end`. */
static uint64_t chance(sheaf_balance_t *balance, uint64_t end)
{
    uint64_t z = balance->chance += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % end;
}

/* One by chance and weight; not `but`, when there is another one. */
static sheaf_server_t *any_but(sheaf_balance_t *balance, const sheaf_server_t *but)
{
    uint64_t left = balance->open_weight - (but != NULL ? but->weight : 0);
    sheaf_server_t *last = NULL;

    if (left == 0)
        return NULL;
    left = chance(balance, left) + 1;
    for (uint32_t i = 0; i < balance->end && left != 0; i++) {
        if (!balance->servers[i].is_open || &balance->servers[i] == but)
            continue;
        last = &balance->servers[i];
        left -= left < last->weight ? left : last->weight;
    }
    return last;
}

sheaf_server_t *sheaf_turn_random_two(sheaf_balance_t *balance)
{
    sheaf_server_t *one = any_but(balance, NULL), *other = any_but(balance, one);

    return other != NULL && compare_load(other, one) < 0 ? other : one;
}

/* Together they may have more than there is (bound is over 100 %), so there is always one with room. */
static bool has_room(const sheaf_balance_t *balance, const sheaf_server_t *server)
{
    return server->flying * 100 * balance->open_weight <
           balance->hash_bound * (balance->open_flying + 1) * server->weight;
}

sheaf_server_t *sheaf_turn_hash(sheaf_balance_t *balance, sheaf_str_t key)
{
    const sheaf_ring_t *ring = &balance->ring;
    uint32_t at = sheaf_ring_find(ring, key);

    for (uint32_t i = 0; i < ring->count; i++) {
        sheaf_server_t *server = &balance->servers[ring->points[at].server];

        if (server->is_open && has_room(balance, server))
            return server;
        at = at + 1 == ring->count ? 0 : at + 1;
    }
    return richest(balance, NULL); /* of two servers at one place of the ring only the first can be met */
}
