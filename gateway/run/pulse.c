#include "gateway/run/pulse.h"

#define INTERVAL_LEAST_MS 50
#define INTERVAL_MOST_MS  1000
#define LATE              2 /* looks that come later than so many intervals tell of the supervisor, not of the worker */

uint64_t sheaf_pulse_interval_ms(uint64_t stuck_after_ms)
{
    uint64_t interval_ms = stuck_after_ms / 4;

    return interval_ms < INTERVAL_LEAST_MS  ? INTERVAL_LEAST_MS
           : interval_ms > INTERVAL_MOST_MS ? INTERVAL_MOST_MS
                                            : interval_ms;
}

void sheaf_pulse_init(sheaf_pulse_t *pulse, uint64_t beat_ms, uint64_t now_ms)
{
    *pulse = (sheaf_pulse_t){.beat_ms = beat_ms, .looked_ms = now_ms};
}

uint64_t sheaf_pulse_look(sheaf_pulse_t *pulse, uint64_t beat_ms, uint64_t now_ms, uint64_t interval_ms)
{
    uint64_t passed_ms = now_ms - pulse->looked_ms;

    pulse->looked_ms = now_ms;
    if (beat_ms != pulse->beat_ms) {
        pulse->beat_ms = beat_ms;
        pulse->silent_ms = 0;
        return 0;
    }
    pulse->silent_ms += passed_ms < LATE * interval_ms ? passed_ms : LATE * interval_ms;
    return pulse->silent_ms;
}
