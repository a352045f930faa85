#include "gateway/base/deadline.h"

#include <stdlib.h>

#include "gateway/base/pool.h"

/* A binary heap in an array; slot i + 1 in a node says that heap[i] is that node. The times stand in the array as well:
 * owners lie scattered in memory, and a comparison should not go there. */
typedef struct sheaf_deadline_place {
    uint64_t at_ms;
    sheaf_deadline_t *node;
} place_t;

void sheaf_deadlines_init(sheaf_deadlines_t *all, sheaf_clock_t *clock)
{
    *all = (sheaf_deadlines_t){.clock = clock};
}

void sheaf_deadlines_fini(sheaf_deadlines_t *all)
{
    free(all->heap);
    all->heap = NULL;
    all->count = all->size = 0;
}

static void put(sheaf_deadlines_t *all, uint32_t at, place_t place)
{
    all->heap[at] = place;
    place.node->slot = at + 1;
}

static void sift_up(sheaf_deadlines_t *all, uint32_t at, place_t place)
{
    while (at > 0 && all->heap[(at - 1) / 2].at_ms > place.at_ms) {
        put(all, at, all->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(all, at, place);
}

static void sift_down(sheaf_deadlines_t *all, uint32_t at, place_t place)
{
    uint32_t child;

    while ((child = at * 2 + 1) < all->count) {
        if (child + 1 < all->count && all->heap[child + 1].at_ms < all->heap[child].at_ms)
            child++;
        if (all->heap[child].at_ms >= place.at_ms)
            break;
        put(all, at, all->heap[child]);
        at = child;
    }
    put(all, at, place);
}

static void sift(sheaf_deadlines_t *all, uint32_t at, place_t place)
{
    if (at > 0 && all->heap[(at - 1) / 2].at_ms > place.at_ms)
        sift_up(all, at, place);
    else
        sift_down(all, at, place);
}

void sheaf_deadline_set(sheaf_deadlines_t *all, sheaf_deadline_t *node, uint64_t at_ms)
{
    if (at_ms == SHEAF_NEVER) {
        sheaf_deadline_clear(all, node);
        return;
    }
    if (node->slot == 0) {
        if (all->count == all->size) {
            all->size = all->size > 0 ? all->size * 2 : 64;
            all->heap = sheaf_realloc(all->heap, all->size * sizeof(*all->heap));
        }
        node->slot = ++all->count;
    }
    node->at_ms = at_ms;
    sift(all, node->slot - 1, (place_t){at_ms, node});
}

void sheaf_deadline_clear(sheaf_deadlines_t *all, sheaf_deadline_t *node)
{
    uint32_t at = node->slot - 1;
    place_t last;

    if (node->slot == 0)
        return;
    node->slot = 0;
    last = all->heap[--all->count];
    if (last.node != node)
        sift(all, at, last);
}

uint64_t sheaf_deadlines_next(const sheaf_deadlines_t *all)
{
    return all->count > 0 ? all->heap[0].at_ms : SHEAF_NEVER;
}

/* At most as many as were set at the start: a callback that sets a time which is over would hold the loop for ever. It
 * fires in the next run, which is due at once. */
void sheaf_deadlines_run(sheaf_deadlines_t *all)
{
    for (uint32_t most = all->count; most > 0 && all->count > 0 && all->heap[0].at_ms <= all->clock->now_ms; most--) {
        sheaf_deadline_t *node = all->heap[0].node;
        sheaf_deadline_clear(all, node);
        node->on_expired(node);
    }
}
