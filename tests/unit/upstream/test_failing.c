/* Retries, ejection and breaker on real sockets: what the owner of an exchange, and the backends, see of them. */
#include "tests/unit/upstream/harness.h"

#define BUSY     "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
#define BUSY_FOR "HTTP/1.1 503 Service Unavailable\r\nRetry-After: "
#define REST     "\r\nContent-Length: 4\r\n\r\nbusy"

static const sheaf_mark_t written = {1, 1};

/* A worker whose upstream has both backends (or one) and retries. */
static worker_t *retrying(uint32_t servers)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};

    worker_use(w, "127.0.0.1", ports, servers);
    w->conf->retry =
        (sheaf_retry_conf_t){.mark = written, .attempts = 2, .on = 0x3f, .budget_percent = 20, .backoff_ms = 2};
    return w;
}

static void get_repeatable(ask_t *ask, worker_t *w, const char *target)
{
    ask_get(ask, w, target);
    ask->exchange.is_repeatable = true;
}

static void assert_retries(worker_t *w, uint64_t count)
{
    assert_int_equal(metric(w, SHEAF_METRIC_RETRIES), count);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RESTING), 0);
}

static void an_answer_to_retry_never_reaches_its_owner_and_another_server_is_asked(void **state)
{
    static const char *const bad[] = {
        BUSY,
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 504 Gateway Timeout\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 100000\r\n\r\nnot all of it",
        "HTTP/1.1 503 Service Unavailable\r\n\r\nuntil the end",
    };

    for (size_t i = 0; i < SHEAF_COUNT(bad); i++) {
        worker_t *w = retrying(2);
        ask_t ask;

        worker_open(w);
        step_text(&w->a, bad[i]);
        step_text(&w->b, OK_HI);
        get_repeatable(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
        assert_int_equal(w->a.requests, 1);
        assert_int_equal(w->b.requests, 1);
        assert_retries(w, 1);
        worker_end(w);
    }
}

/* The primary takes connections, so balance alone would never leave it. */
static void a_second_attempt_goes_to_the_backup_when_there_is_no_other_server(void **state)
{
    worker_t *w = retrying(2);
    ask_t ask;

    w->conf->servers.items[1].backup = true;
    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->b, OK_HI);
    get_repeatable(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->a.requests, 1);
    assert_int_equal(w->b.requests, 1);
    worker_end(w);
}

static void a_conn_whose_answer_was_thrown_away_whole_is_used_again(void **state)
{
    worker_t *w = retrying(1);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->a, OK_HI);
    get_repeatable(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_string_equal(w->a.log, "0:GET / 0:GET / ");
    worker_end(w);
}

static void a_reset_before_the_head_is_retried_and_one_behind_it_is_final(void **state)
{
    static const struct {
        const char *bytes;
        sheaf_err_t err;
    } cases[] = {
        {"", SHEAF_OK}, {"HTTP/1.1 20", SHEAF_OK}, {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", SHEAF_ERR_RESET}};

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        worker_t *w = retrying(2);
        ask_t ask;

        worker_open(w);
        step_close(&w->a, cases[i].bytes);
        step_text(&w->b, OK_HI);
        get_repeatable(&ask, w, "/");
        ask_whole(&ask);
        assert_int_equal(ask.err, cases[i].err);
        assert_retries(w, cases[i].err == SHEAF_OK);
        worker_end(w);
    }
}

static void a_post_is_not_sent_twice_unless_its_owner_vouches_for_it(void **state)
{
    for (int is_vouched = 0; is_vouched < 2; is_vouched++) {
        worker_t *w = retrying(2);
        ask_t ask;

        worker_open(w);
        step_close(&w->a, "");
        step_text(&w->b, OK_HI);
        ask_post(&ask, w, "/", SHEAF_STR("x"));
        ask.exchange.is_repeatable = is_vouched;
        ask_whole(&ask);
        assert_int_equal(ask.err, is_vouched ? SHEAF_OK : SHEAF_ERR_RESET);
        assert_int_equal(w->a.requests + w->b.requests, 1 + is_vouched);
        worker_end(w);
    }
}

static void the_last_attempt_is_passed_on_as_it_is(void **state)
{
    worker_t *w = retrying(2);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->b, BUSY);
    get_repeatable(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 503, "busy");
    assert_retries(w, 1);
    worker_end(w);
}

static void without_the_section_nothing_is_retried(void **state)
{
    worker_t *w = retrying(2);
    ask_t ask;

    w->conf->retry.mark = (sheaf_mark_t){0, 0};
    worker_open(w);
    step_text(&w->a, BUSY);
    get_repeatable(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 503, "busy");
    assert_retries(w, 0);
    worker_end(w);
}

static void a_refused_connection_is_tried_again_once_every_address_was(void **state)
{
    worker_t *w = retrying(1);
    ask_t ask;

    backend_stop(&w->a);
    worker_open(w);
    ask_post(&ask, w, "/", SHEAF_STR("x")); /* nothing was sent: safe whatever it is */
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_REFUSED);
    assert_retries(w, 1);
    worker_end(w);
}

static void retry_after_beyond_the_deadline_passes_the_answer_on(void **state)
{
    worker_t *w = retrying(1);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY_FOR "60" REST);
    get_repeatable(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 503, "busy");
    assert_int_equal(w->a.requests, 1);
    worker_end(w);
}

static void retry_after_is_waited_for(void **state)
{
    worker_t *w = retrying(1);
    uint64_t sent_ms;
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY_FOR "1" REST);
    step_text(&w->a, OK_HI);
    get_repeatable(&ask, w, "/");
    sent_ms = w->clock.now_ms;
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_true(w->clock.now_ms - sent_ms >= 1000);
    worker_end(w);
}

static void a_retry_does_not_outlive_the_deadline(void **state)
{
    worker_t *w = retrying(1);
    uint64_t sent_ms;
    ask_t ask;

    w->conf->retry.attempts = 10;
    worker_open(w);
    for (int i = 0; i < 3; i++)
        step_text(&w->a, BUSY);
    get_repeatable(&ask, w, "/"); /* the fourth attempt gets no answer */
    sent_ms = w->clock.now_ms;
    ask.exchange.deadline_ms = sent_ms + 200;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(w->a.requests, 4);
    assert_in_range(w->clock.now_ms - sent_ms, 200, 1000);
    worker_end(w);
}

static void an_exchange_at_rest_can_be_cancelled(void **state)
{
    worker_t *w = retrying(1);
    ask_t ask;

    w->conf->retry.backoff_ms = 1000;
    worker_open(w);
    step_text(&w->a, BUSY);
    get_repeatable(&ask, w, "/");
    ask_send(&ask);
    worker_until_metric(w, SHEAF_METRIC_EXCHANGES_RESTING, 1);
    ask_cancel(&ask);
    assert_false(ask.is_done || ask.has_head);
    assert_int_equal(w->a.requests, 1);
    assert_retries(w, 1);
    worker_end(w);
}

/* Asks `count` at once and waits for all. */
static void ask_many(worker_t *w, ask_t *asks, int count)
{
    int done = 0;

    for (int i = 0; i < count; i++) {
        get_repeatable(&asks[i], w, "/");
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    worker_turn(w); /* what was refused at once */
    worker_until_count(w, &done, count);
}

static void a_backend_that_only_fails_sees_no_more_than_the_budget(void **state)
{
    worker_t *w = retrying(1);
    uint64_t sent_ms = w->clock.now_ms;
    ask_t asks[40];
    int seconds;

    w->conf->retry.attempts = 10;
    worker_open(w);
    for (int i = 0; i < MAX_STEPS; i++)
        step_text(&w->a, BUSY);
    ask_many(w, asks, 40);
    for (int i = 0; i < 40; i++)
        assert_answer(&asks[i], 503, "busy");
    seconds = (int)((w->clock.now_ms - sent_ms) / 1000) + 2; /* begun ones count */
    assert_in_range(w->a.requests, 40 + 8, 40 + 8 + 3 * seconds);
    assert_true(metric(w, SHEAF_METRIC_RETRIES_REFUSED) > 0);
    worker_end(w);
}

static worker_t *ejecting(void)
{
    worker_t *w = retrying(2);

    w->conf->outlier = (sheaf_outlier_conf_t){.mark = written,
                                              .errors = 2,
                                              .interval_ms = 10000,
                                              .eject_ms = 100,
                                              .max_eject_ms = 1000,
                                              .max_ejected_percent = 50};
    return w;
}

static void an_ejected_server_is_not_asked_until_its_time_is_over(void **state)
{
    worker_t *w = ejecting();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->a, BUSY);
    for (int i = 0; i < 20; i++)
        step_text(&w->b, OK_HI);
    for (int i = 0; i < 4; i++) {
        get_repeatable(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(metric(w, SHEAF_METRIC_EJECTIONS), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_EJECTED), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1); /* a's is closed */
    for (int i = 0; i < 6; i++) {
        get_repeatable(&ask, w, "/");
        ask_whole(&ask);
    }
    assert_int_equal(w->a.requests, 2);
    worker_until_metric(w, SHEAF_METRIC_SERVERS_EJECTED, 0);
    step_text(&w->a, OK_HI);
    for (int i = 0; i < 2; i++) {
        get_repeatable(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->a.requests, 3);
    worker_end(w);
}

static void a_server_that_refuses_connections_is_ejected(void **state)
{
    worker_t *w = ejecting();
    ask_t asks[4];

    w->conf->outlier.eject_ms = w->conf->outlier.max_eject_ms = 60000;
    backend_stop(&w->a);
    worker_open(w);
    for (int i = 0; i < 4; i++)
        step_text(&w->b, OK_HI);
    ask_many(w, asks, 4);
    for (int i = 0; i < 4; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_int_equal(metric(w, SHEAF_METRIC_EJECTIONS), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_EJECTED), 1);
    sheaf_upstreams_close(w->view); /* an upstream that goes takes its gauges along */
    w->view = NULL;
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_EJECTED), 0);
    worker_end(w);
}

static void a_server_that_swallows_requests_is_ejected_by_the_timeout_of_the_upstream_alone(void **state)
{
    for (int is_clients = 0; is_clients < 2; is_clients++) {
        worker_t *w = ejecting();
        ask_t asks[4];

        w->conf->timeout_ms = is_clients ? 5000 : 50;
        w->conf->outlier.eject_ms = w->conf->outlier.max_eject_ms = 60000;
        worker_open(w); /* a is silent */
        for (int i = 0; i < 2; i++)
            step_text(&w->b, OK_HI);
        for (int i = 0; i < 4; i++) {
            get_repeatable(&asks[i], w, "/");
            asks[i].exchange.deadline_ms = is_clients ? w->clock.now_ms + 50 : SHEAF_NEVER;
            ask_send(&asks[i]);
        }
        for (int i = 0; i < 4; i++)
            worker_until(w, &asks[i].is_done);
        assert_int_equal(asks[0].err, SHEAF_ERR_TIMEOUT);
        assert_int_equal(metric(w, SHEAF_METRIC_EJECTIONS), !is_clients);
        worker_end(w);
    }
}

static void a_server_is_not_blamed_for_time_that_was_spent_in_the_line(void **state)
{
    worker_t *w = ejecting();
    ask_t first, second;

    w->conf->timeout_ms = 50;
    w->conf->max_connections = 1;
    w->conf->outlier.errors = 1;
    worker_open(w); /* both are silent */
    get_repeatable(&first, w, "/1");
    get_repeatable(&second, w, "/2");
    ask_send(&first);
    ask_send(&second);
    worker_until_count(w, &w->a.requests, 1);
    ask_cancel(&first);
    worker_until(w, &second.is_done);
    assert_int_equal(second.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(metric(w, SHEAF_METRIC_EJECTIONS), 0);
    worker_end(w);
}

static worker_t *breaking(void)
{
    worker_t *w = retrying(1);

    w->conf->retry.mark = (sheaf_mark_t){0, 0};
    w->conf->breaker = (sheaf_breaker_conf_t){
        .mark = written, .errors_percent = 50, .requests = 4, .window_ms = 10000, .open_ms = 100, .probes = 1};
    return w;
}

static void fail_four(worker_t *w)
{
    ask_t asks[4];

    for (int i = 0; i < 4; i++)
        step_text(&w->a, BUSY);
    ask_many(w, asks, 4);
    assert_int_equal(metric(w, SHEAF_METRIC_BREAKER_OPENED), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_BREAKERS_OPEN), 1);
}

/* Sends until the breaker lets one through; it flies then. */
static void send_until_let(worker_t *w, ask_t *ask)
{
    do {
        get_repeatable(ask, w, "/");
        ask_send(ask);
        uv_run(&w->loop, UV_RUN_NOWAIT);
        worker_turn(w);
    } while (ask->is_done && ask->err == SHEAF_ERR_BREAKER_OPEN);
}

static void an_open_breaker_refuses_at_once_and_a_probe_closes_it(void **state)
{
    worker_t *w = breaking();
    ask_t asks[4], probe;

    worker_open(w);
    fail_four(w);
    ask_many(w, asks, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(asks[i].err, SHEAF_ERR_BREAKER_OPEN);
    assert_int_equal(metric(w, SHEAF_METRIC_BREAKER_REFUSED), 4);
    assert_int_equal(w->a.requests, 4);
    step_text(&w->a, OK_HI);
    send_until_let(w, &probe);
    worker_until(w, &probe.is_done);
    assert_answer(&probe, 200, "hi");
    assert_int_equal(metric(w, SHEAF_METRIC_BREAKERS_OPEN), 0);
    worker_end(w);
}

static void one_probe_flies_at_a_time_and_one_that_is_cancelled_makes_room(void **state)
{
    worker_t *w = breaking();
    ask_t probe, other;

    w->conf->breaker.open_ms = 1;
    worker_open(w);
    fail_four(w);
    send_until_let(w, &probe); /* the backend is silent from here on */
    get_repeatable(&other, w, "/other");
    ask_send(&other);
    worker_turn(w);
    assert_true(other.is_done);
    assert_int_equal(other.err, SHEAF_ERR_BREAKER_OPEN);
    ask_cancel(&probe);
    step_text(&w->a, OK_HI); /* for the probe, if it came as far */
    step_text(&w->a, OK_HI);
    get_repeatable(&other, w, "/other");
    ask_whole(&other);
    assert_answer(&other, 200, "hi");
    worker_end(w);
}

static void what_waits_when_the_breaker_opens_is_refused_and_not_sent(void **state)
{
    worker_t *w = breaking();
    ask_t asks[8];

    w->conf->max_connections = 1;
    w->conf->breaker.open_ms = 60000;
    worker_open(w);
    for (int i = 0; i < 8; i++)
        step_text(&w->a, BUSY);
    ask_many(w, asks, 8);
    assert_int_equal(w->a.requests, 4);
    for (int i = 4; i < 8; i++) {
        assert_int_equal(asks[i].err, SHEAF_ERR_BREAKER_OPEN);
        assert_in_range(asks[i].exchange.retry_after_s, 59, 60); /* a moment of them may be over */
    }
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_to_retry_never_reaches_its_owner_and_another_server_is_asked),
        cmocka_unit_test(a_second_attempt_goes_to_the_backup_when_there_is_no_other_server),
        cmocka_unit_test(a_conn_whose_answer_was_thrown_away_whole_is_used_again),
        cmocka_unit_test(a_reset_before_the_head_is_retried_and_one_behind_it_is_final),
        cmocka_unit_test(a_post_is_not_sent_twice_unless_its_owner_vouches_for_it),
        cmocka_unit_test(the_last_attempt_is_passed_on_as_it_is),
        cmocka_unit_test(without_the_section_nothing_is_retried),
        cmocka_unit_test(a_refused_connection_is_tried_again_once_every_address_was),
        cmocka_unit_test(retry_after_beyond_the_deadline_passes_the_answer_on),
        cmocka_unit_test(retry_after_is_waited_for),
        cmocka_unit_test(a_retry_does_not_outlive_the_deadline),
        cmocka_unit_test(an_exchange_at_rest_can_be_cancelled),
        cmocka_unit_test(a_backend_that_only_fails_sees_no_more_than_the_budget),
        cmocka_unit_test(an_ejected_server_is_not_asked_until_its_time_is_over),
        cmocka_unit_test(a_server_that_refuses_connections_is_ejected),
        cmocka_unit_test(a_server_that_swallows_requests_is_ejected_by_the_timeout_of_the_upstream_alone),
        cmocka_unit_test(a_server_is_not_blamed_for_time_that_was_spent_in_the_line),
        cmocka_unit_test(an_open_breaker_refuses_at_once_and_a_probe_closes_it),
        cmocka_unit_test(one_probe_flies_at_a_time_and_one_that_is_cancelled_makes_room),
        cmocka_unit_test(what_waits_when_the_breaker_opens_is_refused_and_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
