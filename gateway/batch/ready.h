/* batch/ready.h - a set of item indexes whose smallest is found at once.
 *
 * A bit per item and, above it, a bit per word of bits, up to a single word: put, drop and first look at one word per
 * level (two for 4,096 items, three for 262,144), so a batch costs the same per item whatever its length. */
#ifndef SHEAF_BATCH_READY_H
#define SHEAF_BATCH_READY_H

#include "gateway/base/pool.h"

#define SHEAF_READY_NONE   UINT32_MAX
#define SHEAF_READY_LEVELS 6 /* 64^6 > 2^32 */

typedef struct sheaf_ready {
    uint64_t *levels[SHEAF_READY_LEVELS]; /* [0] is one word, the last in use has a bit per index */
    uint32_t depth;
} sheaf_ready_t;

/* Empty, for indexes below `count`; lives in `pool`. */
void sheaf_ready_init(sheaf_ready_t *set, sheaf_pool_t *pool, uint32_t count);

void sheaf_ready_put(sheaf_ready_t *set, uint32_t index);
void sheaf_ready_drop(sheaf_ready_t *set, uint32_t index); /* harmless when it is not there */

/* The smallest index, or SHEAF_READY_NONE. */
uint32_t sheaf_ready_first(const sheaf_ready_t *set);

/* The smallest index from `from` on, or SHEAF_READY_NONE. */
uint32_t sheaf_ready_next(const sheaf_ready_t *set, uint32_t from);

#endif
