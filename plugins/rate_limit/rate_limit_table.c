#include "rate_limit_table.h"

#include <stdatomic.h>

#define SLOTS 8
/* a tag: 52 bits of the key's hash, how the state is to be read (8), IN_USE (1), number of the rule (3) */
#define RULE_BITS  7u
#define IN_USE     8u
#define KIND_SHIFT 4
#define KIND_BITS  (0xffu << KIND_SHIFT)

typedef struct slot {
    _Atomic uint64_t tag, state;
} slot_t;

typedef struct bucket {
    slot_t slots[SLOTS];
} bucket_t;

struct rate_limit_memory {
    _Atomic uint64_t secret[2];
    uint64_t unused[6]; /* buckets begin at a cache line */
    bucket_t buckets[];
};

static uint64_t buckets_for(uint64_t entries)
{
    uint64_t buckets = 1;

    while (buckets * SLOTS < entries)
        buckets *= 2;
    return buckets;
}

uint64_t rate_limit_table_bytes(uint64_t entries)
{
    return sizeof(rate_limit_memory_t) + buckets_for(entries) * sizeof(bucket_t);
}

/* The first one's secret stands. 0 is "not drawn yet". */
static uint64_t agreed(_Atomic uint64_t *secret, uint64_t mine)
{
    uint64_t stands = 0;

    if (mine == 0)
        mine = 1;
    return atomic_compare_exchange_strong(secret, &stands, mine) ? mine : stands;
}

void rate_limit_table_init(rate_limit_table_t *table, void *memory, uint64_t entries, const uint64_t random[2],
                           const rate_limit_rule_t *rules, uint32_t rule_count)
{
    *table = (rate_limit_table_t){
        .memory = memory, .buckets = buckets_for(entries), .rules = rules, .rule_count = rule_count};
    for (int i = 0; i < 2; i++)
        table->secret[i] = agreed(&table->memory->secret[i], random[i]);
}

/* What a state means depends on it: of a bucket it is a time, of a window its number, which depends on the period. */
static uint64_t kind_of(const rate_limit_rule_t *rule)
{
    return !rule->is_sliding ? 0 : (1 + rule->period_ms % 255) << KIND_SHIFT;
}

static slot_t *find(bucket_t *bucket, uint64_t tag)
{
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load(&bucket->slots[i].tag) == tag)
            return &bucket->slots[i];
    return NULL;
}

/* How much of its limit a slot has used. What another configuration left behind counts as nothing. */
static uint32_t used(const rate_limit_table_t *table, const slot_t *slot, uint64_t now_ms)
{
    const uint64_t tag = atomic_load(&slot->tag), rule = tag & RULE_BITS;

    if (tag == 0 || rule >= table->rule_count || (tag & KIND_BITS) != kind_of(&table->rules[rule]))
        return 0;
    return rate_limit_used(&table->rules[rule], atomic_load(&slot->state), now_ms);
}

static slot_t *least_used(const rate_limit_table_t *table, bucket_t *bucket, uint64_t now_ms, uint32_t *ret_used)
{
    slot_t *least = NULL;

    for (int i = 0; i < SLOTS; i++) {
        const uint32_t share = used(table, &bucket->slots[i], now_ms);

        if (least == NULL || share < *ret_used) {
            least = &bucket->slots[i];
            *ret_used = share;
        }
    }
    return least;
}

/* A slot for a key that has none. NULL: somebody else was here in the same instant, look again. */
static slot_t *claim(const rate_limit_table_t *table, bucket_t *bucket, uint64_t tag, uint64_t now_ms,
                     uint32_t *evicted)
{
    uint32_t share = 0;
    slot_t *slot = least_used(table, bucket, now_ms, &share);
    uint64_t was = atomic_load(&slot->tag), state = atomic_load(&slot->state);

    if (was == tag || !atomic_compare_exchange_strong(&slot->tag, &was, tag))
        return NULL;
    /* Where it fails somebody has charged the slot meanwhile: what stands there is not less than what was used. */
    atomic_compare_exchange_strong(&slot->state, &state, 0);
    *evicted += share > 0;
    return find(bucket, tag); /* the first of two, if another worker has claimed one for the same key */
}

static slot_t *slot_of(const rate_limit_table_t *table, const uint64_t hash[2], uint32_t rule, uint64_t now_ms,
                       uint32_t *evicted)
{
    bucket_t *bucket = &table->memory->buckets[hash[0] & (table->buckets - 1)];
    const uint64_t tag =
        (hash[1] & ~(uint64_t)(KIND_BITS | RULE_BITS | IN_USE)) | kind_of(&table->rules[rule]) | IN_USE | rule;
    slot_t *slot = find(bucket, tag);

    while (slot == NULL) {
        slot = claim(table, bucket, tag, now_ms, evicted);
        if (slot == NULL)
            slot = find(bucket, tag);
    }
    return slot;
}

static void charge_slot(const rate_limit_rule_t *rule, slot_t *slot, uint64_t now_ms, uint64_t cost,
                        rate_limit_verdict_t *ret_verdict)
{
    uint64_t state = atomic_load(&slot->state), next;

    do {
        next = rate_limit_step(rule, state, now_ms, cost, ret_verdict);
    } while (next != state && !atomic_compare_exchange_weak(&slot->state, &state, next));
}

static void undo_slot(const rate_limit_rule_t *rule, slot_t *slot, uint64_t now_ms, uint64_t cost)
{
    uint64_t state = atomic_load(&slot->state);

    while (!atomic_compare_exchange_weak(&slot->state, &state, rate_limit_undo(rule, state, now_ms, cost)))
        continue;
}

void rate_limit_table_charge(rate_limit_table_t *table, const uint64_t hash[2], uint64_t now_ms, uint64_t cost,
                             rate_limit_outcome_t *ret_outcome)
{
    slot_t *slots[RATE_LIMIT_RULES_MAX] = {NULL};

    *ret_outcome = (rate_limit_outcome_t){.is_allowed = true};
    for (uint32_t i = 0; i < table->rule_count; i++) {
        rate_limit_verdict_t *verdict = &ret_outcome->verdicts[i];

        slots[i] = slot_of(table, hash, i, now_ms, &ret_outcome->evicted);
        charge_slot(&table->rules[i], slots[i], now_ms, cost, verdict);
        if (verdict->is_allowed)
            continue;
        ret_outcome->is_allowed = false;
        if (verdict->retry_ms > ret_outcome->retry_ms)
            ret_outcome->retry_ms = verdict->retry_ms;
    }
    for (uint32_t i = 0; i < table->rule_count && !ret_outcome->is_allowed; i++) {
        if (!ret_outcome->verdicts[i].is_allowed)
            continue;
        undo_slot(&table->rules[i], slots[i], now_ms, cost);
        ret_outcome->verdicts[i].remaining += cost;
    }
}
