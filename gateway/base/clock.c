#include "gateway/base/clock.h"

#include <stdio.h>
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
    struct timespec now;
    struct tm parts;
    char text[64];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", parts.tm_year + 1900, parts.tm_mon + 1,
             parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1000000);
    for (int i = 0; i < 24; i++)
        dst[i] = text[i];
    dst[24] = '\0';
}
