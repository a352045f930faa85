/* base/deadline.h - per-worker timeouts: intrusive nodes in one binary heap.
 *
 * A node sits inside its owner and is set or cleared in O(log n); expiry calls node->on_expired from
 * sheaf_deadlines_run(), which the worker calls from its one uv_timer_t and the simulator by hand. A node that fires
 * is cleared first, so it may be set again from its own callback. Zero-initialised nodes are idle. */
#ifndef SHEAF_BASE_DEADLINE_H
#define SHEAF_BASE_DEADLINE_H

#include "gateway/base/clock.h"
#include "gateway/base/str.h"

typedef struct sheaf_deadline {
    uint64_t at_ms;
    uint32_t slot; /* 1-based place in the heap; 0 = idle */
    void (*on_expired)(struct sheaf_deadline *node);
} sheaf_deadline_t;

typedef struct sheaf_deadlines {
    sheaf_clock_t *clock;
    struct sheaf_deadline_place *heap;
    uint32_t count, size;
} sheaf_deadlines_t;

#define SHEAF_NEVER UINT64_MAX

void sheaf_deadlines_init(sheaf_deadlines_t *all, sheaf_clock_t *clock);
void sheaf_deadlines_fini(sheaf_deadlines_t *all);

/* Sets (or moves) `node` to the absolute time `at_ms`; SHEAF_NEVER clears it. on_expired must be set. */
void sheaf_deadline_set(sheaf_deadlines_t *all, sheaf_deadline_t *node, uint64_t at_ms);
void sheaf_deadline_clear(sheaf_deadlines_t *all, sheaf_deadline_t *node);

static inline bool sheaf_deadline_is_set(const sheaf_deadline_t *node)
{
    return node->slot != 0;
}

/* The earliest time that is set, or SHEAF_NEVER. */
uint64_t sheaf_deadlines_next(const sheaf_deadlines_t *all);

/* Fires everything due at clock->now_ms, in order of time. */
void sheaf_deadlines_run(sheaf_deadlines_t *all);

#endif
