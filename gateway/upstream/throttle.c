/* upstream/throttle.c - see throttle.h. */
#include "gateway/upstream/throttle.h"

#include <stdlib.h>

#include "gateway/base/pool.h"

static uint64_t now_us(const sheaf_throttle_t *throttle)
{
    return sheaf_clock_us(throttle->clock);
}

/* So many more may be in flight, or fewer. */
static void show_limit(const sheaf_throttle_t *throttle, int64_t by)
{
    sheaf_gauge(throttle->metrics, SHEAF_METRIC_ADAPTIVE_LIMIT, by);
    sheaf_upstats_gauge(throttle->upstats, SHEAF_UPSTAT_ADAPTIVE_LIMIT, by);
}

static void show_in_flight(const sheaf_throttle_t *throttle, int64_t by)
{
    sheaf_gauge(throttle->metrics, SHEAF_METRIC_EXCHANGES_FLYING, by);
    sheaf_upstats_gauge(throttle->upstats, SHEAF_UPSTAT_IN_FLIGHT, by);
}

static void show_waiting(const sheaf_throttle_t *throttle, int64_t by)
{
    sheaf_gauge(throttle->metrics, SHEAF_METRIC_EXCHANGES_WAITING, by);
    sheaf_upstats_gauge(throttle->upstats, SHEAF_UPSTAT_WAITING, by);
}

void sheaf_throttle_init(sheaf_throttle_t *throttle, sheaf_clock_t *clock, sheaf_metrics_t *metrics,
                         sheaf_upstats_t *upstats, const sheaf_upstream_conf_t *conf)
{
    *throttle = (sheaf_throttle_t){.clock = clock, .metrics = metrics, .upstats = upstats, .conf = conf};
    if (sheaf_mark_is_set(conf->adaptive.mark)) {
        throttle->gradient = sheaf_zalloc(sizeof(*throttle->gradient));
        sheaf_gradient_init(throttle->gradient, &conf->adaptive, now_us(throttle));
        show_limit(throttle, sheaf_gradient_limit(throttle->gradient));
    }
    if (conf->shed) {
        throttle->shed = sheaf_zalloc(sizeof(*throttle->shed));
        sheaf_shed_init(throttle->shed, clock->now_ms);
    }
}

void sheaf_throttle_fini(sheaf_throttle_t *throttle)
{
    if (throttle->gradient != NULL)
        show_limit(throttle, -(int64_t)sheaf_gradient_limit(throttle->gradient));
    free(throttle->gradient);
    free(throttle->shed);
}

void sheaf_throttle_rebase(sheaf_throttle_t *throttle, const sheaf_upstream_conf_t *conf)
{
    throttle->conf = conf;
    if (throttle->gradient != NULL)
        throttle->gradient->conf = &conf->adaptive;
}

bool sheaf_throttle_has_room(sheaf_throttle_t *throttle)
{
    if (throttle->conf->max_in_flight != 0 && throttle->in_flight >= throttle->conf->max_in_flight)
        return false;
    if (throttle->gradient == NULL ||
        throttle->in_flight - throttle->answered < sheaf_gradient_limit(throttle->gradient))
        return true;
    sheaf_gradient_full(throttle->gradient);
    return false;
}

/* One that was let through at the door is not asked again when it comes out of the line. */
bool sheaf_throttle_sheds(sheaf_throttle_t *throttle, sheaf_exchange_t *exchange)
{
    uint64_t now_ms = throttle->clock->now_ms;
    uint64_t left_ms = exchange->end_ms > now_ms ? exchange->end_ms - now_ms : 0;

    if (throttle->shed == NULL || exchange->is_trial)
        return false;
    switch (sheaf_shed_ask(throttle->shed, left_ms, now_ms)) {
    case SHEAF_SHED_SEND:
        return false;
    case SHEAF_SHED_TRY:
        exchange->is_trial = true;
        return false;
    case SHEAF_SHED_LATE:
        break;
    }
    sheaf_count(throttle->metrics, SHEAF_METRIC_SHED, 1);
    return true;
}

void sheaf_throttle_enter(sheaf_throttle_t *throttle, sheaf_exchange_t *exchange)
{
    if (exchange->is_in_flight)
        return;
    exchange->is_in_flight = true;
    throttle->in_flight++;
    show_in_flight(throttle, 1);
    exchange->since_us = now_us(throttle);
}

static void tell_shed(const sheaf_throttle_t *throttle, const sheaf_exchange_t *exchange, sheaf_err_t err,
                      uint16_t status, uint64_t at_us)
{
    uint64_t now_ms = throttle->clock->now_ms;

    if (err != SHEAF_OK || status >= 500 || status == 429) /* quick refusals are no answers */
        return;
    if (exchange->is_trial)
        sheaf_shed_disproved(throttle->shed, now_ms);
    sheaf_shed_note(throttle->shed, at_us - exchange->since_us, now_ms);
}

static bool is_overload(sheaf_err_t err, uint16_t status)
{
    return err == SHEAF_ERR_TIMEOUT || err == SHEAF_ERR_CONNECT_TIMEOUT || (err == SHEAF_OK && status == 503);
}

/* Quick errors, and attempts after the first, which come at odd times, say nothing of a queue. */
static void tell_gradient(const sheaf_throttle_t *throttle, const sheaf_exchange_t *exchange, sheaf_err_t err,
                          uint16_t status, uint64_t at_us)
{
    sheaf_gradient_t *gradient = throttle->gradient;
    int64_t before = sheaf_gradient_limit(gradient);
    sheaf_gradient_end_t end = SHEAF_GRADIENT_DONE;

    if (is_overload(err, status))
        end = SHEAF_GRADIENT_OVERLOADED;
    else if (err == SHEAF_ERR_CANCELLED)
        end = SHEAF_GRADIENT_CUT;
    else if (err != SHEAF_OK || status >= 400 || exchange->sends != 1)
        return;
    if (sheaf_gradient_note(gradient, end, exchange->since_us, at_us))
        show_limit(throttle, (int64_t)sheaf_gradient_limit(gradient) - before);
}

void sheaf_throttle_undo(sheaf_throttle_t *throttle, sheaf_exchange_t *exchange)
{
    if (!exchange->is_in_flight)
        return;
    exchange->is_in_flight = false;
    throttle->in_flight--;
    throttle->answered -= exchange->is_answered;
    show_in_flight(throttle, -1);
}

static void tell(const sheaf_throttle_t *throttle, const sheaf_exchange_t *exchange, sheaf_err_t err, uint16_t status)
{
    uint64_t at_us = now_us(throttle);

    if (err == SHEAF_OK)
        sheaf_upstats_observe_us(throttle->upstats, SHEAF_UPSTAT_ANSWER_SECONDS, at_us - exchange->since_us);
    if (throttle->shed != NULL)
        tell_shed(throttle, exchange, err, status, at_us);
    if (throttle->gradient != NULL)
        tell_gradient(throttle, exchange, err, status, at_us);
}

static void count_end(const sheaf_throttle_t *throttle, sheaf_err_t err, uint16_t status)
{
    if (err == SHEAF_OK)
        sheaf_upstats_answered(throttle->upstats, status);
    else if (err != SHEAF_ERR_CANCELLED)
        sheaf_upstats_failed(throttle->upstats, err);
}

void sheaf_throttle_leave(sheaf_throttle_t *throttle, sheaf_exchange_t *exchange, sheaf_err_t err, uint16_t status)
{
    bool was_in_flight = exchange->is_in_flight;

    sheaf_throttle_undo(throttle, exchange);
    if (!was_in_flight)
        return;
    count_end(throttle, err, status);
    if (!exchange->is_answered)
        tell(throttle, exchange, err, status);
}

void sheaf_throttle_answered(sheaf_throttle_t *throttle, const sheaf_exchange_t *exchange, uint16_t status)
{
    throttle->answered += exchange->is_in_flight;
    tell(throttle, exchange, SHEAF_OK, status);
}

void sheaf_throttle_joined(const sheaf_throttle_t *throttle, sheaf_exchange_t *exchange)
{
    exchange->since_us = now_us(throttle);
    show_waiting(throttle, 1);
}

void sheaf_throttle_waited(const sheaf_throttle_t *throttle, const sheaf_exchange_t *exchange)
{
    sheaf_observe_us(throttle->metrics, SHEAF_HISTOGRAM_WAIT_SECONDS, now_us(throttle) - exchange->since_us);
    show_waiting(throttle, -1);
}
