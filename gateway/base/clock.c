#include "gateway/base/clock.h"

#include <time.h>

uint64_t sheaf_clock_monotonic_us(sheaf_clock_t *clock)
{
    struct timespec now;

    (void)clock;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static char *put_digits(char *dst, unsigned value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        dst[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return dst + width;
}

/* By hand: snprintf would have to be argued with about widths of years that never come. */
void sheaf_clock_rfc3339(char dst[25])
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    const unsigned parts[] = {(unsigned)utc.tm_year + 1900,
                              (unsigned)utc.tm_mon + 1,
                              (unsigned)utc.tm_mday,
                              (unsigned)utc.tm_hour,
                              (unsigned)utc.tm_min,
                              (unsigned)utc.tm_sec,
                              (unsigned)(now.tv_nsec / 1000000)};
    static const char after[] = "--T::.Z";

    for (int i = 0; i < 7; i++) {
        dst = put_digits(dst, parts[i], i == 0 ? 4 : i == 6 ? 3 : 2);
        *dst++ = after[i];
    }
    *dst = '\0';
}
