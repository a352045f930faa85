/* front/memory.h - how much memory the worker uses, and what to do about it (limits.memory).
 *
 * What malloc has handed out is dear to add up, what the kernel counts for the process is not, but does not sink when
 * memory is given back to malloc. So the second is looked at, every 5 ms at most, and the first only when the second is near
 * the limit; and where that takes long it is done more rarely, so that adding up costs a quarter of the CPU at most. */
#ifndef SHEAF_FRONT_MEMORY_H
#define SHEAF_FRONT_MEMORY_H

#include "gateway/base/str.h"

typedef enum sheaf_memory_level {
    SHEAF_MEMORY_FINE,
    SHEAF_MEMORY_TIGHT, /* from 95 %: connections are not kept alive */
    SHEAF_MEMORY_FULL,  /* from 98 %: no new batches */
} sheaf_memory_level_t;

typedef struct sheaf_memory {
    int statm_fd;     /* 0: not opened yet, -1: cannot be */
    uint64_t next_ms; /* when it is looked again */
    uint64_t rest_ms; /* what looking asks for until then */
    uint64_t trimmed_ms;
    sheaf_memory_level_t level;
} sheaf_memory_t;

sheaf_memory_level_t sheaf_memory_level(sheaf_memory_t *memory, uint64_t most_bytes, uint64_t now_ms);

#endif
