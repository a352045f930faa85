#include "gateway/base/deadline.h"

#include <stdlib.h>

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

void sheaf_deadlines_init(sheaf_deadlines_t *all, sheaf_clock_t *clock)
{
    *all = (sheaf_deadlines_t){.clock = clock};
}

void sheaf_deadlines_fini(sheaf_deadlines_t *all)
{
    free(all->heap);
    *all = (sheaf_deadlines_t){0};
}

/* heap[slot - 1] is the node at `slot`; children of slot s are 2s and 2s + 1. */
static void put_at(sheaf_deadlines_t *all, sheaf_deadline_t *node, uint32_t slot)
{
    all->heap[slot - 1] = node;
    node->slot = slot;
}

static void sift_up(sheaf_deadlines_t *all, sheaf_deadline_t *node, uint32_t slot)
{
    while (slot > 1 && all->heap[slot / 2 - 1]->at_ms > node->at_ms) {
        put_at(all, all->heap[slot / 2 - 1], slot);
        slot /= 2;
    }
    put_at(all, node, slot);
}

static void sift_down(sheaf_deadlines_t *all, sheaf_deadline_t *node, uint32_t slot)
{
    for (uint32_t child; (child = slot * 2) <= all->count; slot = child) {
        if (child < all->count && all->heap[child]->at_ms < all->heap[child - 1]->at_ms)
            child++;
        if (all->heap[child - 1]->at_ms >= node->at_ms)
            break;
        put_at(all, all->heap[child - 1], slot);
    }
    put_at(all, node, slot);
}

static void settle_at(sheaf_deadlines_t *all, sheaf_deadline_t *node, uint32_t slot)
{
    if (slot > 1 && all->heap[slot / 2 - 1]->at_ms > node->at_ms)
        sift_up(all, node, slot);
    else
        sift_down(all, node, slot);
}

void sheaf_deadline_set(sheaf_deadlines_t *all, sheaf_deadline_t *node, uint64_t at_ms)
{
    if (at_ms == SHEAF_NEVER) {
        sheaf_deadline_clear(all, node);
        return;
    }
    SHEAF_ASSERT(node->on_expired != NULL);
    node->at_ms = at_ms;
    if (node->slot != 0) {
        settle_at(all, node, node->slot);
        return;
    }
    if (all->count == all->size) {
        all->size = all->size != 0 ? all->size * 2 : 64;
        all->heap = sheaf_realloc(all->heap, all->size * sizeof(*all->heap));
    }
    sift_up(all, node, ++all->count);
}

void sheaf_deadline_clear(sheaf_deadlines_t *all, sheaf_deadline_t *node)
{
    uint32_t slot = node->slot;

    if (slot == 0)
        return;
    SHEAF_ASSERT(slot <= all->count && all->heap[slot - 1] == node);
    node->slot = 0;
    sheaf_deadline_t *last = all->heap[--all->count];
    if (last != node)
        settle_at(all, last, slot);
}

uint64_t sheaf_deadlines_next(const sheaf_deadlines_t *all)
{
    return all->count != 0 ? all->heap[0]->at_ms : SHEAF_NEVER;
}

/* Fires at most as many as were set when it began: a callback that sets a time that is over already would keep the
 * loop here for ever; it is due again in the next turn. */
void sheaf_deadlines_run(sheaf_deadlines_t *all)
{
    for (uint32_t most = all->count; most != 0 && all->count != 0; most--) {
        sheaf_deadline_t *node = all->heap[0];
        if (node->at_ms > all->clock->now_ms)
            return;
        sheaf_deadline_clear(all, node);
        node->on_expired(node);
    }
}
