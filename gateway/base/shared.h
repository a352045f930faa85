/* base/shared.h - memory that processes share, and tables in it of which whoever comes first takes the next place.
 *
 *   FREE --one process takes it--> TAKEN --its words are written--> KNOWN, for good
 *                                    \----others wait in vain-----> LOST, for good
 *
 * All look from the front: who finds a free place knows that what it looks for stands on none, and as one alone gets the
 * place, two never take one each for the same words. Whoever took a place and died, or stands still, holds up nobody for
 * long: the place is lost, and who goes on after all looks for another one. A place is never given back. */
#ifndef SHEAF_BASE_SHARED_H
#define SHEAF_BASE_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, shared with processes forked later; pages are not there before they are looked at. NULL when the system refuses.
 * `name` is what /proc/PID/maps calls it. */
void *sheaf_shared_new(const char *name, size_t size);
void sheaf_shared_free(void *memory, size_t size);

typedef _Atomic uint32_t sheaf_claim_t; /* 0 at first */

typedef enum sheaf_claim_state {
    SHEAF_CLAIM_FREE,
    SHEAF_CLAIM_TAKEN,
    SHEAF_CLAIM_KNOWN,
    SHEAF_CLAIM_LOST,
} sheaf_claim_state_t;

/* Its words may be read. */
static inline bool sheaf_claim_is_known(const sheaf_claim_t *claim)
{
    return atomic_load_explicit(claim, memory_order_acquire) == SHEAF_CLAIM_KNOWN;
}

static inline bool sheaf_claim_turn(sheaf_claim_t *claim, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong(claim, &from, to);
}

/* True: the place was free and is the caller's, who writes its words and calls settle. */
static inline bool sheaf_claim_take(sheaf_claim_t *claim)
{
    return sheaf_claim_turn(claim, SHEAF_CLAIM_FREE, SHEAF_CLAIM_TAKEN);
}

/* False: it was lost meanwhile, and what is looked for may stand behind it. */
static inline bool sheaf_claim_settle(sheaf_claim_t *claim)
{
    return sheaf_claim_turn(claim, SHEAF_CLAIM_TAKEN, SHEAF_CLAIM_KNOWN);
}

/* Of a place that was not free: true when its words may be read. Another process may write them at this moment, which does
 * not take long; when that one has died in the midst of it, the place is lost. */
static inline bool sheaf_claim_wait(sheaf_claim_t *claim)
{
    for (uint32_t i = 0; i < 100000; i++)
        if (atomic_load_explicit(claim, memory_order_acquire) != SHEAF_CLAIM_TAKEN)
            return sheaf_claim_is_known(claim);
    return !sheaf_claim_turn(claim, SHEAF_CLAIM_TAKEN, SHEAF_CLAIM_LOST) && sheaf_claim_is_known(claim);
}

#endif
