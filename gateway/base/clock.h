/* base/clock.h - time as a value that is handed in.
 *
 * now_ms is the loop's idea of now: monotonic, refreshed once per loop turn by the worker, wound by hand in the
 * simulator. read_us is a finer reading for latencies; it may be called at any time. */
#ifndef SHEAF_BASE_CLOCK_H
#define SHEAF_BASE_CLOCK_H

#include <stdint.h>

typedef struct sheaf_clock {
    uint64_t now_ms;
    uint64_t (*read_us)(struct sheaf_clock *clock);
} sheaf_clock_t;

/* CLOCK_MONOTONIC in microseconds (vdso, no syscall); the read_us of real clocks. */
uint64_t sheaf_clock_monotonic_us(sheaf_clock_t *clock);

/* Wall clock, for logs: writes "2026-01-31T12:00:00.123Z" and a NUL to `dst` (25 bytes). */
void sheaf_clock_rfc3339(char dst[25]);

#endif
