/* rate_limit_math - one limit, one key: what is left of it, in one word of memory.
 *
 * The state of a key is 64 bits, so that every worker can change it with one compare-and-swap. 0 is a key that has used nothing,
 * and every state turns into one that means the same after a while (reset_ms): then it may be forgotten.
 *
 *   token bucket     when the bucket will be full again, in nanoseconds (the "theoretical arrival time" of GCRA). It holds
 *                    `burst` and gets `rate` in every `period_ms`.
 *   sliding window   number of the window (24 bits) | used in it (20) | used in the one before (20). What was used in the window
 *                    before counts for as much of it as the last `period_ms` still cover.
 *
 * Pure: the time is handed in. Times may stand still, and one that goes back is taken as standing still. */
#ifndef RATE_LIMIT_MATH_H
#define RATE_LIMIT_MATH_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_LIMIT_SLIDING_MAX ((1u << 20) - 1)
#define RATE_LIMIT_NEVER       UINT64_MAX

typedef struct rate_limit_rule {
    bool is_sliding;
    uint64_t rate, period_ms; /* both over 0; sliding: rate at most RATE_LIMIT_SLIDING_MAX */
    uint64_t burst;           /* what may come at once; sliding: the same as rate */
} rate_limit_rule_t;

typedef struct rate_limit_verdict {
    bool is_allowed;
    uint64_t remaining; /* what could be used now, after this one */
    uint64_t reset_ms;  /* until nothing of it is used */
    uint64_t retry_ms;  /* when refused: until this one could pass, or RATE_LIMIT_NEVER */
} rate_limit_verdict_t;

/* Whether the states of this rule fit their word: a bucket may take 100 years to fill, not more. */
bool rate_limit_rule_fits(const rate_limit_rule_t *rule);

/* Uses `cost` of what is left at `now_ms`, if there is as much. Returns the new state; the same one where it refuses. */
uint64_t rate_limit_step(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms, uint64_t cost,
                         rate_limit_verdict_t *ret_verdict);

/* Gives `cost` back that a step at `now_ms` used. */
uint64_t rate_limit_undo(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms, uint64_t cost);

/* How much is used, as a share of all there is: 0 (as good as new) to 65536. */
uint32_t rate_limit_used(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms);

#endif
