/* What an upstream's own metrics say, on real sockets: each end of an attempt once, whatever the way there. */
#include "tests/unit/upstream/failing.h"

/* The sum of its answers, and of its failures. */
static uint64_t ends(worker_t *w)
{
    uint64_t sum = 0;

    for (uint32_t i = SHEAF_UPSTAT_ANSWERS_2XX; i <= SHEAF_UPSTAT_FAILED_ELSE; i++)
        sum += upstat(w, (sheaf_upstat_t)i);
    return sum;
}

static uint64_t observed(worker_t *w)
{
    sheaf_upstats_t *page = sheaf_upstats_page(w->upstats, 0, w->snapshot->conf.upstreams.items->map_key);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < SHEAF_HISTOGRAM_BUCKETS; i++)
        sum += page->histograms[SHEAF_UPSTAT_ANSWER_SECONDS].buckets[i];
    return sum;
}

static void an_answer_that_a_retry_threw_away_counts_too(void **state)
{
    worker_t *w = retrying(2);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->b, OK_HI);
    get_whole(&ask, w);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(upstat(w, SHEAF_UPSTAT_ANSWERS_2XX), 1);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_ANSWERS_5XX), 1);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_RETRIES), 1);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_CONNS_OPENED), 2);
    assert_int_equal(ends(w), 2);
    assert_int_equal(observed(w), 2);
    worker_end(w);
}

static void what_ends_without_an_answer_counts_by_its_error(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_close(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi");
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_FAILED_RESET), 1);
    backend_stop(&w->a);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_REFUSED);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_FAILED_REFUSED), 1);
    assert_int_equal(ends(w), 2);
    assert_int_equal(observed(w), 0);
    worker_end(w);
}

static void a_timeout_counts_whoever_set_it(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->timeout_ms = 50;
    worker_open(w);
    for (uint32_t i = 0; i < 2; i++) { /* that of the upstream, and a shorter one of the item */
        ask_get(&ask, w, "/");
        if (i == 1)
            ask.exchange.deadline_ms = w->clock.now_ms + 20;
        ask_whole(&ask);
        assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
        assert_int_equal(upstat(w, SHEAF_UPSTAT_FAILED_TIMEOUT), i + 1);
    }
    assert_int_equal(ends(w), 2);
    worker_end(w);
}

static void what_is_cancelled_counts_nowhere(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_IN_FLIGHT), 1);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_CONNS), 1);
    worker_until_count(w, &w->a.requests, 1);
    ask_cancel(&ask);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_IN_FLIGHT), 0);
    assert_int_equal(ends(w), 0);
    worker_end(w);
}

/* An item's batch has a clock of its own, which may tell it first that their time is over. */
static void what_its_owner_takes_back_when_its_time_is_over_is_late(void **state)
{
    worker_t *w = worker_new();
    ask_t first, second;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->max_connections = 1;
    worker_open(w);
    ask_get(&first, w, "/1");
    ask_get(&second, w, "/2");
    ask_send(&first);
    ask_send(&second);
    worker_until_count(w, &w->a.requests, 1);
    w->clock.now_ms = second.exchange.end_ms;
    ask_cancel(&second);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_FAILED_LINE), 1);
    ask_cancel(&first);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_FAILED_TIMEOUT), 1);
    assert_int_equal(ends(w), 2);
    ask_cancel(&first); /* it is nowhere */
    assert_int_equal(ends(w), 2);
    worker_end(w);
}

/* Half of its answer is there. */
static void begin_streamed(ask_t *ask, worker_t *w)
{
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
    ask_get(ask, w, "/");
    ask->exchange.is_streamed = true;
    ask_send(ask);
    worker_until(w, &ask->has_head);
}

static void a_streamed_answer_that_goes_on_beyond_its_time_is_not_late(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    begin_streamed(&ask, w);
    w->clock.now_ms = ask.exchange.end_ms;
    ask_cancel(&ask);
    assert_int_equal(ends(w), 0);
    worker_end(w);
}

static void who_waits_in_vain_is_a_failure_that_was_never_in_flight(void **state)
{
    worker_t *w = worker_new();
    ask_t first, second, third;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->max_connections = 1;
    w->conf->max_waiting = 1;
    worker_open(w);
    ask_get(&first, w, "/1");
    ask_get(&second, w, "/2");
    ask_get(&third, w, "/3");
    second.exchange.deadline_ms = w->clock.now_ms + 20;
    second.exchange.is_direct = third.exchange.is_direct = true;
    ask_send(&first);
    ask_send(&second);
    ask_send(&third);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_IN_FLIGHT), 1);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_WAITING), 1);
    worker_until(w, &third.is_done);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_FAILED_LINE), 1); /* the line was full */
    worker_until(w, &second.is_done);
    assert_int_equal(second.err, SHEAF_ERR_QUEUE_FULL);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_FAILED_LINE), 2); /* its time was over */
    assert_int_equal(upstat(w, SHEAF_UPSTAT_WAITING), 0);
    ask_cancel(&first);
    assert_int_equal(ends(w), 2);
    worker_end(w);
}

static void a_name_goes_on_counting_after_a_reload_that_changed_it(void **state)
{
    worker_t *w = worker_new();
    sheaf_dispatch_t *old;
    sheaf_snapshot_t *first;
    ask_t ask;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->map_key = SHEAF_STR("orders");
    worker_open(w);
    step_text(&w->a, OK_HI);
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    old = w->view;
    first = w->snapshot;
    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->map_key = SHEAF_STR("orders");
    w->conf->max_connections = 3;
    worker_open(w);
    assert_int_equal(upstat_of(w, "orders", SHEAF_UPSTAT_CONNS), 1); /* of the old one */
    sheaf_upstreams_close(old);
    sheaf_snapshot_drop(first);
    assert_int_equal(upstat_of(w, "orders", SHEAF_UPSTAT_CONNS), 0);
    ask_whole(&ask);
    assert_int_equal(upstat_of(w, "orders", SHEAF_UPSTAT_ANSWERS_2XX), 2);
    assert_int_equal(upstat_of(w, "orders", SHEAF_UPSTAT_CONNS), 1);
    worker_end(w);
}

static void a_streamed_answer_is_timed_by_its_head_and_counted_by_its_end(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    begin_streamed(&ask, w);
    assert_int_equal(observed(w), 1);
    assert_int_equal(ends(w), 0);
    while (ask.len < 2)
        uv_run(&w->loop, UV_RUN_ONCE);
    backend_say(w->a.conn[0], "ho", 2);
    worker_until(w, &ask.is_done);
    assert_answer(&ask, 200, "hiho");
    assert_int_equal(observed(w), 1);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_ANSWERS_2XX), 1);
    assert_int_equal(ends(w), 1);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_that_a_retry_threw_away_counts_too),
        cmocka_unit_test(what_ends_without_an_answer_counts_by_its_error),
        cmocka_unit_test(a_timeout_counts_whoever_set_it),
        cmocka_unit_test(what_is_cancelled_counts_nowhere),
        cmocka_unit_test(what_its_owner_takes_back_when_its_time_is_over_is_late),
        cmocka_unit_test(a_streamed_answer_that_goes_on_beyond_its_time_is_not_late),
        cmocka_unit_test(who_waits_in_vain_is_a_failure_that_was_never_in_flight),
        cmocka_unit_test(a_name_goes_on_counting_after_a_reload_that_changed_it),
        cmocka_unit_test(a_streamed_answer_is_timed_by_its_head_and_counted_by_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
