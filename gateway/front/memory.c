#include "gateway/front/memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/base/spare.h"

#define LOOK_EVERY_MS 5   /* clients can send a gigabyte a second */
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

static uint64_t used_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static sheaf_memory_level_t look(sheaf_memory_t *memory, uint64_t most_bytes, uint64_t now_ms)
{
    uint64_t tight = most_bytes / 100 * TIGHT_PERCENT, full = most_bytes / 100 * FULL_PERCENT, used;
    uint64_t resident = resident_bytes(memory);

    if (resident < tight)
        return SHEAF_MEMORY_FINE;
    used = used_bytes();
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
    if (memory->looked_ms != 0 && now_ms - memory->looked_ms < LOOK_EVERY_MS)
        return memory->level;
    memory->looked_ms = now_ms;
    memory->level = look(memory, most_bytes, now_ms);
    return memory->level;
}
