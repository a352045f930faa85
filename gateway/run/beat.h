/* run/beat.h - a worker's sign of life: the time in its slot of the shared region, as long as its loop turns.
 *
 * What the supervisor makes of it is told in pulse.h. */
#ifndef SHEAF_RUN_BEAT_H
#define SHEAF_RUN_BEAT_H

#include <uv.h>

#include "gateway/base/metrics.h"

typedef struct sheaf_beat {
    uv_timer_t timer; /* closed with the loop */
    sheaf_metrics_t *metrics;
} sheaf_beat_t;

void sheaf_beat_init(sheaf_beat_t *beat, uv_loop_t *loop, sheaf_metrics_t *metrics);

/* Beats at once and then often enough for `stuck_after_ms`; 0: nobody looks, it stops. */
void sheaf_beat_start(sheaf_beat_t *beat, uint64_t stuck_after_ms);

#endif
