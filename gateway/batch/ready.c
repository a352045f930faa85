#include "gateway/batch/ready.h"

void sheaf_ready_init(sheaf_ready_t *set, sheaf_pool_t *pool, uint32_t count)
{
    size_t words[SHEAF_READY_LEVELS];
    size_t bits = count == 0 ? 1 : count;

    set->depth = 0;
    do {
        bits = (bits + 63) / 64;
        words[set->depth++] = bits;
    } while (bits > 1);
    for (uint32_t i = 0; i < set->depth; i++) /* one more word: sheaf_ready_next looks behind the last */
        set->levels[i] = sheaf_pool_zalloc(pool, (words[set->depth - 1 - i] + 1) * sizeof(uint64_t));
}

void sheaf_ready_put(sheaf_ready_t *set, uint32_t index)
{
    for (uint32_t level = set->depth; level-- > 0; index /= 64) {
        uint64_t *word = &set->levels[level][index / 64];
        uint64_t before = *word;

        *word |= UINT64_C(1) << (index % 64);
        if (before != 0)
            return; /* the levels above know of this word already */
    }
}

void sheaf_ready_drop(sheaf_ready_t *set, uint32_t index)
{
    for (uint32_t level = set->depth; level-- > 0; index /= 64) {
        uint64_t *word = &set->levels[level][index / 64];

        *word &= ~(UINT64_C(1) << (index % 64));
        if (*word != 0)
            return;
    }
}

uint32_t sheaf_ready_first(const sheaf_ready_t *set)
{
    uint32_t at = 0;

    if (set->depth == 0 || set->levels[0][0] == 0)
        return SHEAF_READY_NONE;
    for (uint32_t level = 0; level < set->depth; level++)
        at = at * 64 + (uint32_t)__builtin_ctzll(set->levels[level][at]);
    return at;
}

/* The smallest index below bit `at` of `level`. */
static uint32_t descend(const sheaf_ready_t *set, uint32_t level, uint32_t at)
{
    while (++level < set->depth)
        at = at * 64 + (uint32_t)__builtin_ctzll(set->levels[level][at]);
    return at;
}

uint32_t sheaf_ready_next(const sheaf_ready_t *set, uint32_t from)
{
    for (uint32_t level = set->depth; level-- > 0;) {
        uint64_t word = set->levels[level][from / 64] & (UINT64_MAX << (from % 64));

        if (word != 0)
            return descend(set, level, from / 64 * 64 + (uint32_t)__builtin_ctzll(word));
        from = from / 64 + 1; /* what follows this word, seen from the level above */
    }
    return SHEAF_READY_NONE;
}
