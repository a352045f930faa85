/* run/cycle.c - see cycle.h. */
#include "gateway/run/cycle.h"

#define SOON_PER_TURN 100000 /* a task that queues itself for ever must not keep the sockets from being read */

static void refresh_clock(sheaf_clock_t *clock)
{
    clock->now_ms = uv_now(&SHEAF_OWNER(clock, sheaf_cycle_t, clock)->loop);
}

static void on_idle_turn(uv_idle_t *idle)
{
    (void)idle;
}

/* libuv has timers before it polls. A worker that was late itself, stopped or out of CPU, must first hear what came
 * meanwhile, or it blames others for its own silence. */
static void on_timer(uv_timer_t *timer)
{
    sheaf_cycle_t *cycle = timer->data;

    cycle->timer_at_ms = SHEAF_NEVER;
    cycle->is_due = true;
    uv_idle_start(&cycle->idle, on_idle_turn); /* and does not sleep over it */
}

static void run_due(sheaf_cycle_t *cycle)
{
    if (!cycle->is_due)
        return;
    cycle->is_due = false;
    sheaf_clock_refresh(&cycle->clock);
    sheaf_deadlines_run(&cycle->deadlines);
}

/* The timer is only ever moved forward in time: when it fires too early (its deadline was met and cleared, the
 * normal case) it finds nothing due and is set again, which is far rarer than a deadline being cleared. */
static void arm_timer(sheaf_cycle_t *cycle)
{
    uint64_t next_ms = sheaf_deadlines_next(&cycle->deadlines);

    if (cycle->is_due || next_ms >= cycle->timer_at_ms)
        return;
    cycle->timer_at_ms = next_ms;
    uv_timer_start(&cycle->timer, on_timer, next_ms > cycle->clock.now_ms ? next_ms - cycle->clock.now_ms : 0, 0);
}

static void drain_soon(sheaf_cycle_t *cycle)
{
    sheaf_clock_refresh(&cycle->clock);
    sheaf_soon_drain(&cycle->soon, SOON_PER_TURN);
    if (sheaf_soon_is_empty(&cycle->soon) && !cycle->is_due)
        uv_idle_stop(&cycle->idle);
    else
        uv_idle_start(&cycle->idle, on_idle_turn);
}

static void on_prepare(uv_prepare_t *prepare)
{
    sheaf_cycle_t *cycle = prepare->data;

    drain_soon(cycle);
    arm_timer(cycle);
}

static void on_check(uv_check_t *check)
{
    run_due(check->data);
    drain_soon(check->data);
}

void sheaf_cycle_start(sheaf_cycle_t *cycle)
{
    uv_loop_t *loop = &cycle->loop;

    uv_loop_init(loop);
    uv_prepare_init(loop, &cycle->prepare);
    uv_check_init(loop, &cycle->check);
    uv_idle_init(loop, &cycle->idle);
    uv_timer_init(loop, &cycle->timer);
    cycle->prepare.data = cycle->check.data = cycle->timer.data = cycle;
    uv_prepare_start(&cycle->prepare, on_prepare);
    uv_check_start(&cycle->check, on_check);
    cycle->timer_at_ms = SHEAF_NEVER;
    cycle->clock.now_ms = uv_now(loop);
    cycle->clock.refresh = refresh_clock;
    cycle->clock.read_us = sheaf_clock_kept_us;
    sheaf_deadlines_init(&cycle->deadlines, &cycle->clock);
    sheaf_soon_init(&cycle->soon);
}
