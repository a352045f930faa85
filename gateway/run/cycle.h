/* run/cycle.h - the loop of a worker, and what happens in each of its turns.
 *
 *   uv_run:  timers -> prepare (drain soon, arm the one timer) -> poll (sockets) -> check (deadlines, drain soon) -> ...
 *
 * It owns the clock, the deadlines and the soon-queue. Its handles are closed by whoever ends the loop. */
#ifndef SHEAF_RUN_CYCLE_H
#define SHEAF_RUN_CYCLE_H

#include <uv.h>

#include "gateway/base/deadline.h"
#include "gateway/base/soon.h"

typedef struct sheaf_cycle {
    uv_loop_t loop;
    sheaf_clock_t clock;
    sheaf_deadlines_t deadlines;
    sheaf_soon_t soon;
    uv_prepare_t prepare; /* private, as all below */
    uv_check_t check;
    uv_idle_t idle; /* runs only while the soon-queue could not be emptied, or is_due: makes poll not wait */
    uv_timer_t timer;
    uint64_t timer_at_ms;
    bool is_due; /* a deadline may be over: they are looked at after the poll */
} sheaf_cycle_t;

void sheaf_cycle_start(sheaf_cycle_t *cycle);

#endif
