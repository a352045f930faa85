/* base/chance.h - dice for jitter and for turns: small, fast, and nothing that has to stay secret (splitmix64).
 *
 * The seed is the owner's, so that a test's dice fall the same way every time. */
#ifndef SHEAF_BASE_CHANCE_H
#define SHEAF_BASE_CHANCE_H

#include <stdint.h>

typedef struct sheaf_chance {
    uint64_t state; /* any value is a seed */
} sheaf_chance_t;

static inline uint64_t sheaf_chance_next(sheaf_chance_t *chance)
{
    uint64_t z = chance->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 to `most`, both included. */
static inline uint64_t sheaf_chance_upto(sheaf_chance_t *chance, uint64_t most)
{
    return most == UINT64_MAX ? sheaf_chance_next(chance) : sheaf_chance_next(chance) % (most + 1);
}

#endif
