/* rate_limit_table - the states of all keys, in memory that every worker sees.
 *
 *   | secret | bucket: 8 slots | bucket: 8 slots | ...        slot: tag 64 bits, state 64 bits
 *
 * A key's place comes from a keyed hash of 128 bits: half says which bucket, of the other half 52 bits are the tag (beside the
 * number of the limit and how its state is read: a reload may change that, and what was there then counts as nothing). The secret is drawn at random by whoever comes first, so nobody outside can aim at a bucket. No locks:
 * tag and state are words that are compared and swapped, so a worker that dies in the middle harms nobody.
 *
 * A key that is not there takes, of its bucket, the slot that is used the least as a share of its limit (rate_limit_used): an
 * empty one, else one whose limit is as good as new, else the one that loses the least. So the table forgets last whoever
 * has used up a limit. To make it forget one, a client must bring as many other keys as the table has slots, and use up
 * the limit of each of them; who can do that may send that many requests anyway.
 *
 * When two workers see a key for the first time in the same instant one of the two may not be counted. That is all. */
#ifndef RATE_LIMIT_TABLE_H
#define RATE_LIMIT_TABLE_H

#include <stddef.h>

#include "rate_limit_math.h"

#define RATE_LIMIT_RULES_MAX 8

typedef struct rate_limit_memory rate_limit_memory_t;

typedef struct rate_limit_table {
    rate_limit_memory_t *memory;
    uint64_t buckets; /* a power of two */
    uint64_t secret[2];
    const rate_limit_rule_t *rules;
    uint32_t rule_count;
} rate_limit_table_t;

/* What is charged for all limits together: the worst of them. */
typedef struct rate_limit_outcome {
    bool is_allowed;
    uint64_t retry_ms;                                   /* the longest of those that refuse */
    uint32_t evicted;                                    /* keys that were forgotten before their time */
    rate_limit_verdict_t verdicts[RATE_LIMIT_RULES_MAX]; /* of each rule */
} rate_limit_outcome_t;

/* Memory for at least `entries` keys. */
uint64_t rate_limit_table_bytes(uint64_t entries);

/* `memory` is zeroed or has been used by tables of the same size; `random` are 16 unpredictable bytes; `rules` are borrowed. */
void rate_limit_table_init(rate_limit_table_t *table, void *memory, uint64_t entries, const uint64_t random[2],
                           const rate_limit_rule_t *rules, uint32_t rule_count);

/* Charges `cost` to every rule of the key, or to none where one of them refuses. `hash` is made with table->secret. */
void rate_limit_table_charge(rate_limit_table_t *table, const uint64_t hash[2], uint64_t now_ms, uint64_t cost,
                             rate_limit_outcome_t *ret_outcome);

#endif
