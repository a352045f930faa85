#include "gateway/front/memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/spare.h"

#define LOOK_EVERY_MS 5   /* clients can send a gigabyte a second */
#define REST_TIMES    4   /* as long as adding up took: of a heap in crumbs that is tens of milliseconds */
#define TRIM_EVERY_MS 250 /* what buffers that doubled left behind is as much again */
#define TIGHT_PERCENT 95
#define FULL_PERCENT  98

/* Resident bytes: the second number of /proc/self/statm, in pages. */
static uint64_t resident_bytes(sheaf_memory_t *memory)
{
    char text[128];
    ssize_t len;
    char *second;

    if (memory->statm_fd == 0)
        memory->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (memory->statm_fd < 0)
        return 0;
    len = pread(memory->statm_fd, text, sizeof(text) - 1, 0);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    second = strchr(text, ' ');
    return second == NULL ? 0 : strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t cpu_us(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (uint64_t)spent.tv_sec * 1000000 + (uint64_t)spent.tv_nsec / 1000;
}

/* malloc walks over all that is free. */
static uint64_t used_bytes(sheaf_memory_t *memory)
{
    uint64_t begun_us = cpu_us();
    struct mallinfo2 info = mallinfo2();

    memory->rest_ms = REST_TIMES * (cpu_us() - begun_us) / 1000;
    return info.uordblks + info.hblkhd;
}

static sheaf_memory_level_t look(sheaf_memory_t *memory, uint64_t most_bytes, uint64_t now_ms)
{
    uint64_t tight = most_bytes / 100 * TIGHT_PERCENT, full = most_bytes / 100 * FULL_PERCENT, used;
    uint64_t resident = resident_bytes(memory);

    if (resident < tight)
        return SHEAF_MEMORY_FINE;
    used = used_bytes(memory);
    if (used == 0) /* another malloc, which does not tell */
        used = resident;
    if (used < tight) {
        if (now_ms - memory->trimmed_ms >= TRIM_EVERY_MS) {
            sheaf_spare_trim();
            malloc_trim(0); /* it is free, only not given back: the next look is cheap again */
            memory->trimmed_ms = now_ms;
        }
        return SHEAF_MEMORY_FINE;
    }
    return used < full ? SHEAF_MEMORY_TIGHT : SHEAF_MEMORY_FULL;
}

sheaf_memory_level_t sheaf_memory_level(sheaf_memory_t *memory, uint64_t most_bytes, uint64_t now_ms)
{
    if (now_ms < memory->next_ms)
        return memory->level;
    memory->rest_ms = LOOK_EVERY_MS;
    memory->level = look(memory, most_bytes, now_ms);
    memory->next_ms = now_ms + (memory->rest_ms > LOOK_EVERY_MS ? memory->rest_ms : LOOK_EVERY_MS);
    return memory->level;
}
