#include "gateway/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t sheaf_clock_monotonic_us(sheaf_clock_t *clock)
{
    struct timespec now;

    (void)clock;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t sheaf_clock_kept_us(sheaf_clock_t *clock)
{
    if (clock->kept_us == 0)
        clock->kept_us = sheaf_clock_monotonic_us(clock);
    return clock->kept_us;
}

void sheaf_clock_rfc3339(char dst[25])
{
    static _Thread_local char text[64]; /* of a second that many lines share */
    static _Thread_local time_t second = -1;
    struct timespec now;
    struct tm parts;
    long ms;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        second = now.tv_sec;
        gmtime_r(&second, &parts);
        snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.000Z", parts.tm_year + 1900, parts.tm_mon + 1,
                 parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    }
    ms = now.tv_nsec / 1000000;
    memcpy(dst, text, 24);
    dst[20] = (char)('0' + ms / 100);
    dst[21] = (char)('0' + ms / 10 % 10);
    dst[22] = (char)('0' + ms % 10);
    dst[24] = '\0';
}
