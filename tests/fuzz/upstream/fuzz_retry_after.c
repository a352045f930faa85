/* Any bytes as Retry-After: never an endless wait, and what comes later is never waited for longer. */
#include <stdlib.h>

#include "gateway/upstream/retry.h"

#define MOST_MS ((uint64_t)400000000000 * 1000) /* a date has four digits of year, seconds are cut below that */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_str_t value = sheaf_str((const char *)data, size);
    uint64_t early_ms = sheaf_retry_after_ms(value, 0), late_ms = sheaf_retry_after_ms(value, 1700000000);

    if (early_ms > MOST_MS || late_ms > early_ms)
        abort();
    return 0;
}
