/* How many fly at once, what is not sent, and where a retry goes at the limit of conns. */
#include "tests/unit/upstream/h2_backend.h"

#include "gateway/upstream/throttle.h"

static void beyond_max_in_flight_exchanges_wait_though_conns_are_free(void **state)
{
    worker_t *w = worker_new();
    ask_t asks[3];
    int done = 0;

    worker_open(w);
    w->conf->max_in_flight = 1;
    for (int i = 0; i < 3; i++)
        step_text(&w->a, OK_HI);
    for (int i = 0; i < 3; i++) {
        ask_get(&asks[i], w, "/");
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 2);
    worker_until_count(w, &done, 3);
    assert_int_equal(w->a.conns, 1);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 0);
    worker_end(w);
}

static void a_cancelled_exchange_makes_room_for_the_next(void **state)
{
    worker_t *w = worker_new();
    ask_t silent, next;

    worker_open(w);
    w->conf->max_in_flight = 1;
    ask_get(&silent, w, "/1");
    ask_get(&next, w, "/2");
    ask_send(&silent);
    ask_send(&next);
    worker_until_count(w, &w->a.requests, 1);
    step_text(&w->a, "");
    step_text(&w->a, OK_HI);
    ask_cancel(&silent);
    worker_until(w, &next.is_done);
    assert_answer(&next, 200, "hi");
    worker_end(w);
}

static void a_retry_at_the_limit_of_conns_goes_to_another_server(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_use(w, "127.0.0.1", (uint16_t[]){w->a.port, w->b.port}, 2);
    w->conf->max_connections = 1;
    w->conf->retry = (sheaf_retry_conf_t){
        .mark = {1, 1}, .attempts = 2, .on = 1u << SHEAF_RETRY_ON_503, .budget_percent = 100, .backoff_ms = 1};
    worker_open(w);
    for (int i = 0; i < 2; i++) {
        step_text(&w->a, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        step_text(&w->b, OK_HI);
    }
    ask_get(&ask, w, "/");
    ask.exchange.is_repeatable = true;
    ask_whole(&ask);
    if (w->a.requests == 0) /* the first turn was that of the good one */
        ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->a.requests, 1);
    worker_end(w);
}

/* An event stream stands for hours: it is not to stand in the way of others for as long. */
static void a_streamed_answer_leaves_the_adaptive_limit_with_its_head(void **state)
{
    worker_t *w = worker_new();
    ask_t stream, waiting, last;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->adaptive = (sheaf_adaptive_conf_t){
        .mark = {1, 1}, .min = 1, .max = 1, .tolerance_percent = 200, .window_ms = 100, .measure_ms = 3600000};
    worker_open(w);
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
    step_text(&w->a, OK_HI);
    step_text(&w->a, OK_HI);
    ask_get(&stream, w, "/events");
    stream.exchange.is_streamed = true;
    ask_get(&waiting, w, "/1");
    ask_send(&stream);
    ask_send(&waiting);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
    worker_until(w, &waiting.is_done);
    assert_answer(&waiting, 200, "hi");
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 1);
    ask_cancel(&stream);
    ask_get(&last, w, "/2");
    ask_whole(&last);
    assert_answer(&last, 200, "hi");
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 0);
    worker_end(w);
}

#define CROWD 20

/* Asks in crowds until the adaptive limit is below `most`, or not below it any more. */
static void crowd_until(worker_t *w, ask_t *asks, uint64_t most, bool is_below)
{
    while ((metric(w, SHEAF_METRIC_ADAPTIVE_LIMIT) < most) != is_below) {
        int done = 0;

        h2_ask_all(asks, CROWD, w, false, &done);
        worker_until_count(w, &done, CROWD);
    }
}

static void let_pass(worker_t *w, uint64_t ms)
{
    uint64_t until_ms = w->clock.now_ms + ms;

    while (w->clock.now_ms < until_ms)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* A backend that lets streams stand, and then refuses them: that is no latency, though it took long. */
static void what_was_not_acted_on_says_nothing_of_latency(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t asks[CROWD];
    int done = 0, before;

    w->conf->adaptive = (sheaf_adaptive_conf_t){
        .mark = {1, 1}, .min = 4, .max = 100, .tolerance_percent = 200, .window_ms = 10, .measure_ms = 3600000};
    a.on_request = h2_answer;
    worker_open(w);
    crowd_until(w, asks, SHEAF_GRADIENT_START, true);  /* the floor is measured, */
    crowd_until(w, asks, SHEAF_GRADIENT_START, false); /* and known */
    a.on_request = NULL;
    before = a.requests;
    h2_ask_all(asks, CROWD, w, false, &done);
    worker_until_count(w, &a.requests, before + CROWD);
    let_pass(w, 60);
    a.on_request = h2_answer;
    for (int i = 0; i < CROWD; i++)
        h2_refuse(a.conn[0], 2 * (before + i) + 1);
    h2_flush(a.conn[0]);
    worker_until_count(w, &done, CROWD);
    assert_int_equal(a.requests, before + 2 * CROWD);
    assert_int_equal(metric(w, SHEAF_METRIC_ADAPTIVE_LIMIT), SHEAF_GRADIENT_START);
    h2_worker_end(w, &a, NULL);
}

/* --- by itself, under a hand-wound clock --- */

static uint64_t wound_us;

static uint64_t read_wound(sheaf_clock_t *clock)
{
    return wound_us;
}

typedef struct bench {
    sheaf_clock_t clock;
    sheaf_metrics_t metrics;
    sheaf_upstream_conf_t conf;
    sheaf_throttle_t throttle;
} bench_t;

static void bench_begin(bench_t *b)
{
    wound_us = 1000000000;
    b->clock = (sheaf_clock_t){.now_ms = wound_us / 1000, .read_us = read_wound};
    sheaf_throttle_init(&b->throttle, &b->clock, &b->metrics, NULL, &b->conf);
}

static void bench_pass(bench_t *b, uint64_t ms)
{
    wound_us += ms * 1000;
    b->clock.now_ms = wound_us / 1000;
}

static void bench_answer(bench_t *b, sheaf_exchange_t *exchange, uint64_t took_ms, uint16_t status)
{
    sheaf_throttle_enter(&b->throttle, exchange);
    bench_pass(b, took_ms);
    sheaf_throttle_leave(&b->throttle, exchange, SHEAF_OK, status);
}

static bool bench_sheds(bench_t *b, uint64_t left_ms)
{
    sheaf_exchange_t exchange = {.end_ms = b->clock.now_ms + left_ms};

    return sheaf_throttle_sheds(&b->throttle, &exchange);
}

static void what_cannot_be_in_time_is_shed_until_a_trial_makes_it(void **state)
{
    static bench_t b;
    sheaf_exchange_t exchange = {.sends = 1}, trial = {0};
    uint64_t shed = 0;

    b.conf.shed = true;
    bench_begin(&b);
    for (int i = 0; i < 100; i++)
        bench_answer(&b, &exchange, 1, 503); /* quick refusals are no answers */
    for (int i = 0; i < 100; i++)
        bench_answer(&b, &exchange, 50, 200);
    assert_false(bench_sheds(&b, 50));
    do {
        trial = (sheaf_exchange_t){.end_ms = b.clock.now_ms + 20};
        shed += sheaf_throttle_sheds(&b.throttle, &trial);
    } while (!trial.is_trial);
    assert_int_equal(shed, SHEAF_SHED_TRIALS - 1);
    assert_int_equal(atomic_load(&b.metrics.values[SHEAF_METRIC_SHED]), shed);
    assert_false(sheaf_throttle_sheds(&b.throttle, &trial)); /* it is not asked twice */
    bench_answer(&b, &trial, 10, 200);
    assert_false(bench_sheds(&b, 20));
    sheaf_throttle_fini(&b.throttle);
}

static void the_adaptive_limit_is_shown_and_bounds_what_flies(void **state)
{
    static bench_t b;
    sheaf_exchange_t all[SHEAF_GRADIENT_START] = {0};

    b.conf.adaptive = (sheaf_adaptive_conf_t){
        .mark = {1, 1}, .min = 8, .max = 1000, .tolerance_percent = 200, .window_ms = 100, .measure_ms = 30000};
    bench_begin(&b);
    assert_int_equal(atomic_load(&b.metrics.values[SHEAF_METRIC_ADAPTIVE_LIMIT]), SHEAF_GRADIENT_START);
    for (int i = 0; i < SHEAF_GRADIENT_START; i++) {
        assert_true(sheaf_throttle_has_room(&b.throttle));
        sheaf_throttle_enter(&b.throttle, &all[i]);
        sheaf_throttle_enter(&b.throttle, &all[i]); /* it flies already */
    }
    assert_false(sheaf_throttle_has_room(&b.throttle));
    assert_int_equal(b.throttle.in_flight, SHEAF_GRADIENT_START);
    wound_us += 200000;
    for (int i = 0; i < SHEAF_GRADIENT_START; i++) {
        sheaf_throttle_leave(&b.throttle, &all[i], SHEAF_ERR_TIMEOUT, 0);
        sheaf_throttle_leave(&b.throttle, &all[i], SHEAF_ERR_CANCELLED, 0);
    }
    assert_int_equal(b.throttle.in_flight, 0);
    assert_true(atomic_load(&b.metrics.values[SHEAF_METRIC_ADAPTIVE_LIMIT]) < SHEAF_GRADIENT_START);
    sheaf_throttle_fini(&b.throttle);
    assert_int_equal(atomic_load(&b.metrics.values[SHEAF_METRIC_ADAPTIVE_LIMIT]), 0);
}

/* Its head comes after 5 ms; its owner takes a minute for the rest, and then gives up. */
static void a_streamed_answer_takes_as_long_as_its_head(void **state)
{
    static bench_t b;
    sheaf_err_t ends[] = {SHEAF_OK, SHEAF_ERR_CANCELLED, SHEAF_ERR_TIMEOUT};

    b.conf.shed = true;
    b.conf.adaptive = (sheaf_adaptive_conf_t){
        .mark = {1, 1}, .min = 8, .max = 1000, .tolerance_percent = 200, .window_ms = 100, .measure_ms = 30000000};
    bench_begin(&b);
    for (int i = 0; i < 300; i++) {
        sheaf_exchange_t exchange = {.is_streamed = true, .sends = 1};

        sheaf_throttle_enter(&b.throttle, &exchange);
        bench_pass(&b, 5);
        sheaf_throttle_answered(&b.throttle, &exchange, 200);
        exchange.is_answered = true;
        assert_int_equal(b.throttle.in_flight, 1);
        assert_int_equal(b.throttle.answered, 1);
        bench_pass(&b, 60000);
        sheaf_throttle_leave(&b.throttle, &exchange, ends[i % 3], 200);
        assert_int_equal(b.throttle.in_flight, 0);
        assert_int_equal(b.throttle.answered, 0);
    }
    assert_false(bench_sheds(&b, 10));
    assert_true(sheaf_gradient_limit(b.throttle.gradient) >= SHEAF_GRADIENT_START);
    sheaf_throttle_fini(&b.throttle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_max_in_flight_exchanges_wait_though_conns_are_free),
        cmocka_unit_test(a_cancelled_exchange_makes_room_for_the_next),
        cmocka_unit_test(a_retry_at_the_limit_of_conns_goes_to_another_server),
        cmocka_unit_test(a_streamed_answer_leaves_the_adaptive_limit_with_its_head),
        cmocka_unit_test(what_was_not_acted_on_says_nothing_of_latency),
        cmocka_unit_test(what_cannot_be_in_time_is_shed_until_a_trial_makes_it),
        cmocka_unit_test(the_adaptive_limit_is_shown_and_bounds_what_flies),
        cmocka_unit_test(a_streamed_answer_takes_as_long_as_its_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
