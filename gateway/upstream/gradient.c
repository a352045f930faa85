#include "gateway/upstream/gradient.h"

#include <math.h>

#define MEDIAN     500
#define HAS_FALLEN 0.85     /* of two medians: below it the second is lower by more than chance */
#define LONGEST_US 4000000u /* a window need not wait longer for four medians */
#define PATIENCE   5        /* windows that are too slow whatever the limit, until they are taken for the floor */

static double bounded(const sheaf_gradient_t *gradient, double limit)
{
    double least = (double)gradient->conf->min, most = (double)gradient->conf->max;

    if (limit > most)
        limit = most;
    return limit < least ? least : limit; /* min wins where max is below it */
}

static void begin_window(sheaf_gradient_t *gradient, uint64_t now_us)
{
    gradient->begun_us = now_us;
    gradient->overloaded = gradient->cut = 0;
    gradient->was_full = false;
    sheaf_spread_clear(&gradient->spread);
}

/* The next multiple of the interval: the same one in every worker of the machine. */
static void measure_later(sheaf_gradient_t *gradient, uint64_t now_us)
{
    uint64_t interval_us = gradient->conf->measure_ms * 1000;

    gradient->measure_us = (now_us / interval_us + 1) * interval_us;
}

void sheaf_gradient_init(sheaf_gradient_t *gradient, const sheaf_adaptive_conf_t *conf, uint64_t now_us)
{
    *gradient = (sheaf_gradient_t){.conf = conf, .is_measuring = true};
    gradient->limit = gradient->limit_before = bounded(gradient, SHEAF_GRADIENT_START);
    begin_window(gradient, now_us);
    measure_later(gradient, now_us);
}

uint32_t sheaf_gradient_limit(const sheaf_gradient_t *gradient)
{
    return (uint32_t)gradient->limit;
}

void sheaf_gradient_full(sheaf_gradient_t *gradient)
{
    gradient->was_full = true;
}

/* --- at the end of a window --- */

static double fine_us(const sheaf_gradient_t *gradient)
{
    double floor_us = (double)gradient->floor_us;
    double tolerated = floor_us * (double)gradient->conf->tolerance_percent / 100;

    return fmax(tolerated, floor_us + SHEAF_GRADIENT_SLACK_US);
}

/* Of the window's ends, those that were not overloaded. */
static double share_of_good(const sheaf_gradient_t *gradient)
{
    double good = (double)gradient->spread.count;

    return good / (good + (double)gradient->overloaded);
}

/* Its median is how long owners wait, and no latency. */
static bool is_cut_short(const sheaf_gradient_t *gradient)
{
    return gradient->cut * 2 > gradient->spread.count;
}

/* Lower and lower, and still more than twice what should be fine: the floor is of another time. */
static void mind_floor(sheaf_gradient_t *gradient, uint64_t median_us)
{
    bool is_hopeless = (double)median_us > 2 * fine_us(gradient);

    if (is_cut_short(gradient))
        return;
    gradient->hopeless = is_hopeless ? gradient->hopeless + 1 : 0;
    if (gradient->hopeless < PATIENCE && median_us >= gradient->floor_us && gradient->floor_us != 0)
        return;
    if (median_us != 0)
        gradient->floor_us = median_us;
    gradient->hopeless = 0;
}

static void adapt(sheaf_gradient_t *gradient, uint64_t median_us)
{
    double by = share_of_good(gradient), room = 0;

    if (median_us != 0)
        by = fmin(by, fine_us(gradient) / (double)median_us);
    if (gradient->was_full && gradient->overloaded == 0 && !is_cut_short(gradient))
        room = sqrt(gradient->limit);
    gradient->limit = bounded(gradient, gradient->limit * fmin(1, fmax(0.5, by)) + room);
}

static void halve(sheaf_gradient_t *gradient)
{
    gradient->limit = bounded(gradient, gradient->limit / 2);
}

static void measure(sheaf_gradient_t *gradient)
{
    gradient->is_measuring = true;
    gradient->limit_before = gradient->limit;
    halve(gradient);
}

static void end_measure(sheaf_gradient_t *gradient, uint64_t now_us)
{
    gradient->is_measuring = false;
    gradient->limit = gradient->limit_before;
    measure_later(gradient, now_us);
}

/* A window at a lower limit than the one before it. */
static void measure_on(sheaf_gradient_t *gradient, uint64_t median_us, uint64_t now_us)
{
    uint64_t before_us = gradient->median_us;
    bool can_fall = gradient->limit > (double)gradient->conf->min;

    if (gradient->overloaded > gradient->spread.count || median_us == 0 || is_cut_short(gradient)) {
        /* it is in no state to be measured */
        gradient->limit_before = bounded(gradient, gradient->limit_before * fmax(0.5, share_of_good(gradient)));
        end_measure(gradient, now_us);
        return;
    }
    if (can_fall && (before_us == 0 || (double)median_us < (double)before_us * HAS_FALLEN)) {
        halve(gradient);
        return;
    }
    gradient->floor_us = before_us != 0 && before_us < median_us ? before_us : median_us;
    end_measure(gradient, now_us);
}

static void end_window(sheaf_gradient_t *gradient, uint64_t now_us)
{
    uint64_t median_us = sheaf_spread_at(&gradient->spread, NULL, MEDIAN);

    if (gradient->is_measuring) {
        measure_on(gradient, median_us, now_us);
    } else {
        mind_floor(gradient, median_us);
        adapt(gradient, median_us);
        if (now_us >= gradient->measure_us)
            measure(gradient);
    }
    gradient->median_us = median_us;
    begin_window(gradient, now_us);
}

/* --- what ends tell --- */

static uint64_t window_us(const sheaf_gradient_t *gradient)
{
    uint64_t least_us = gradient->conf->window_ms * 1000, medians_us = gradient->median_us * 4;

    if (medians_us > LONGEST_US)
        medians_us = LONGEST_US;
    return medians_us > least_us ? medians_us : least_us;
}

/* Too long already, whatever would have become of it. */
static bool is_long(const sheaf_gradient_t *gradient, uint64_t took_us)
{
    return gradient->floor_us != 0 && (double)took_us > fine_us(gradient);
}

bool sheaf_gradient_note(sheaf_gradient_t *gradient, sheaf_gradient_end_t end, uint64_t begun_us, uint64_t now_us)
{
    uint64_t took_us = now_us - begun_us;

    if (begun_us < gradient->begun_us)
        return false;
    if (end == SHEAF_GRADIENT_OVERLOADED) {
        gradient->overloaded++;
    } else if (end == SHEAF_GRADIENT_DONE || is_long(gradient, took_us)) {
        sheaf_spread_add(&gradient->spread, took_us); /* cut: as long as that at the least */
        gradient->cut += end == SHEAF_GRADIENT_CUT;
    }
    if (gradient->spread.count + gradient->overloaded < SHEAF_GRADIENT_LEAST ||
        now_us - gradient->begun_us < window_us(gradient))
        return false;
    end_window(gradient, now_us);
    return true;
}
