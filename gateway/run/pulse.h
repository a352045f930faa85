/* run/pulse.h - is a process alive that should show a sign of life every so often?
 *
 * A worker writes the time into its slot of the shared region (metrics.h, beat_ms) every sheaf_pulse_interval_ms. The
 * supervisor looks about as often and adds up how long the same time has stood there. Only what it saw itself counts:
 * when all processes stood still together (a frozen container, a stopped machine), nobody is to blame. */
#ifndef SHEAF_RUN_PULSE_H
#define SHEAF_RUN_PULSE_H

#include <stdint.h>

typedef struct sheaf_pulse {
    uint64_t beat_ms;   /* the last one that was seen */
    uint64_t looked_ms; /* when */
    uint64_t silent_ms; /* for how long it has not changed */
} sheaf_pulse_t;

/* How often to beat and to look, so that `stuck_after_ms` can be told: at most once a second. */
uint64_t sheaf_pulse_interval_ms(uint64_t stuck_after_ms);

void sheaf_pulse_init(sheaf_pulse_t *pulse, uint64_t beat_ms, uint64_t now_ms);

/* Returns how long the process has been silent. */
uint64_t sheaf_pulse_look(sheaf_pulse_t *pulse, uint64_t beat_ms, uint64_t now_ms, uint64_t interval_ms);

#endif
