/* base/clock.h - time as a value that is handed in.
 *
 * now_ms is the loop's idea of now: monotonic, refreshed in every loop turn by the worker, wound by hand in the
 * simulator. The loop sleeps within a turn, and what wakes it (bytes, a connection) is told of before anybody has looked at
 * the time: who hears of it first calls sheaf_clock_refresh(), or all that is timed from there begins in the past.
 * read_us is a finer reading for latencies, asked for with sheaf_clock_us() at any time. A worker's is kept for all that is
 * done between two system calls, so an exchange that ends reads the clock once, however many want to know how long it
 * took. */
#ifndef SHEAF_BASE_CLOCK_H
#define SHEAF_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

typedef struct sheaf_clock {
    uint64_t now_ms;
    uint64_t (*read_us)(struct sheaf_clock *clock);
    void (*refresh)(struct sheaf_clock *clock); /* NULL: wound by hand */
    uint64_t kept_us;                           /* private: the last reading while it is good, else 0 */
} sheaf_clock_t;

/* A system call was made: what was read before it is old. */
static inline void sheaf_clock_pass(sheaf_clock_t *clock)
{
    clock->kept_us = 0;
}

static inline void sheaf_clock_refresh(sheaf_clock_t *clock)
{
    sheaf_clock_pass(clock);
    if (clock->refresh != NULL)
        clock->refresh(clock);
}

/* A reading for latencies: the last one while it is good. */
static inline uint64_t sheaf_clock_us(sheaf_clock_t *clock)
{
    return clock->kept_us != 0 ? clock->kept_us : clock->read_us(clock);
}

/* CLOCK_MONOTONIC in microseconds (vdso, no syscall); the read_us of real clocks. */
uint64_t sheaf_clock_monotonic_us(sheaf_clock_t *clock);

/* The same, kept until sheaf_clock_pass() or sheaf_clock_refresh(); the read_us of a worker. */
uint64_t sheaf_clock_kept_us(sheaf_clock_t *clock);

/* Wall clock, for logs: writes "2026-01-31T12:00:00.123Z" and a NUL to `dst` (25 bytes). */
void sheaf_clock_rfc3339(char dst[25]);

#endif
