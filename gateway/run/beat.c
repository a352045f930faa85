#include "gateway/run/beat.h"

#include "gateway/base/clock.h"
#include "gateway/run/pulse.h"

void sheaf_beat_init(sheaf_beat_t *beat, uv_loop_t *loop, sheaf_metrics_t *metrics)
{
    uv_timer_init(loop, &beat->timer);
    beat->metrics = metrics;
}

static void on_beat(uv_timer_t *timer)
{
    sheaf_beat_t *beat = SHEAF_OWNER(timer, sheaf_beat_t, timer);

    atomic_store_explicit(&beat->metrics->beat_ms, sheaf_clock_monotonic_us(NULL) / 1000, memory_order_relaxed);
}

void sheaf_beat_start(sheaf_beat_t *beat, uint64_t stuck_after_ms)
{
    if (stuck_after_ms == 0)
        uv_timer_stop(&beat->timer);
    else
        uv_timer_start(&beat->timer, on_beat, 0, sheaf_pulse_interval_ms(stuck_after_ms));
}
