/* Streamed answers: which limits of time hold when, what is heard of them by those that judge backends, and what is not done
 * with them (hedge, pipeline). */
#include "tests/unit/upstream/spring.h"

static const sheaf_mark_t written = {1, 1};

static spring_t *with_idle_timeout(way_t way, size_t stop)
{
    spring_t *spring = spring_new(way, 64 * MEGA);

    spring->stop = stop;
    spring->w->conf->idle_timeout_ms = 2000;
    worker_open(spring->w);
    return spring;
}

static void no_silence_is_counted_while_a_backend_waits(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = with_idle_timeout(way, 8 * MEGA);
        ask_t ask;

        begin(&ask, spring, true, check);
        until_paused(spring, &ask);
        for (int i = 0; i < 3; i++) {
            pass(spring, 3000);
            assert_false(ask.is_done);
        }
        ask.on_body = check_and_give; /* and from here on it flows, until it falls silent */
        give(&ask, ask.len - given);
        until_quiet(spring);
        assert_int_equal(ask.len, 8 * MEGA);
        pass(spring, 1000);
        assert_false(ask.is_done);
        pass(spring, 1100);
        assert_true(ask.is_done);
        assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
        assert_blamed(&ask, "the answer made no progress");
        spring_end(spring);
    }
}

/* It waits, and goes silent as it is let on: its time begins then. */
static void silence_begins_when_what_was_out_is_given_back(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = with_idle_timeout(way, HALF + 4096);
        ask_t ask;

        begin(&ask, spring, true, check);
        until_paused(spring, &ask);
        pass(spring, 60000);
        assert_false(ask.is_done);
        give(&ask, ask.len);
        pass(spring, 1000);
        assert_false(ask.is_done);
        pass(spring, 1100);
        assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
        assert_true(ask.is_done);
        spring_end(spring);
    }
}

static void on_no_request(backend_conn_t *conn)
{
    (void)conn;
}

static void time_limits_hold_until_the_head_has_come(void **state)
{
    static const struct {
        uint64_t timeout_ms, first_byte_ms, route_ms, own_ms;
    } cases[] = {{30, 0, 0, SHEAF_NEVER}, {5000, 30, 0, SHEAF_NEVER}, {5000, 0, 30, SHEAF_NEVER}, {5000, 0, 0, 30}};

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        spring_t *spring = spring_new(WAY_CLEAR, 64 * MEGA);
        worker_t *w = spring->w;
        ask_t ask;

        w->a.on_request = on_no_request;
        w->conf->timeout_ms = cases[i].timeout_ms;
        w->conf->first_byte_timeout_ms = cases[i].first_byte_ms;
        worker_open(w);
        ask_get(&ask, w, "/");
        ask.exchange.is_streamed = true;
        ask.exchange.route_timeout_ms = cases[i].route_ms;
        if (cases[i].own_ms != SHEAF_NEVER)
            ask.exchange.deadline_ms = w->clock.now_ms + cases[i].own_ms;
        ask_whole(&ask);
        assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
        spring_end(spring);
    }
}

static void time_limits_end_with_the_head(void **state)
{
    for (way_t way = 0; way < WAY_COUNT; way++) {
        spring_t *spring = spring_new(way, 8 * MEGA);
        worker_t *w = spring->w;
        ask_t ask;

        w->conf->timeout_ms = w->conf->first_byte_timeout_ms = 3000;
        worker_open(w);
        ask_get(&ask, w, "/");
        ask.exchange.is_streamed = true;
        ask.exchange.route_timeout_ms = 3000;
        ask.exchange.deadline_ms = w->clock.now_ms + 3000;
        ask.on_body = check;
        given = 0;
        ask_send(&ask);
        until_paused(spring, &ask);
        pass(spring, 3600000);
        assert_false(ask.is_done);
        ask.on_body = check_and_give;
        give(&ask, ask.len);
        pass(spring, 3600000);
        worker_until(w, &ask.is_done);
        assert_int_equal(ask.err, SHEAF_OK);
        assert_int_equal(ask.len, 8 * MEGA);
        spring_end(spring);
    }
}

static void say_half(backend_conn_t *conn)
{
    const char *half = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi";

    backend_say(conn, half, strlen(half));
}

/* It has answered before it read the request, and stands still on both sides: the limit is for that, too. */
static void an_upload_that_is_stuck_is_no_excuse_for_an_answer_that_is(void **state)
{
    spring_t *spring = spring_new(WAY_CLEAR, 0);
    worker_t *w = spring->w;
    char *body = calloc(1, 32 * MEGA);
    ask_t ask;

    w->conf->idle_timeout_ms = 2000;
    w->a.is_deaf = true;
    worker_open(w);
    ask_post(&ask, w, "/", sheaf_str(body, 32 * MEGA));
    ask.exchange.is_streamed = true;
    ask_send(&ask);
    worker_until_count(w, &w->a.conns, 1);
    say_half(w->a.conn[0]);
    worker_until(w, &ask.has_head);
    pass(spring, 1000);
    assert_false(ask.is_done);
    pass(spring, 1100);
    assert_true(ask.is_done);
    assert_blamed(&ask, "the answer made no progress");
    spring_end(spring);
    free(body);
}

/* Over HTTP/2 its window is what the request waits for. */
static void over_http2_neither(void **state)
{
    spring_t *spring = with_idle_timeout(WAY_H2, 4096);
    char *body = calloc(1, MEGA);
    ask_t ask;

    ask_post(&ask, spring->w, "/", sheaf_str(body, MEGA));
    ask.exchange.is_streamed = true;
    ask.on_body = check_and_give;
    given = 0;
    ask_send(&ask);
    worker_until(spring->w, &ask.has_head);
    until_quiet(spring);
    assert_int_equal(ask.len, 4096);
    pass(spring, 1900);
    assert_false(ask.is_done);
    pass(spring, 200); /* by then some of it had been taken */
    assert_false(ask.is_done);
    pass(spring, 2000);
    assert_true(ask.is_done);
    assert_blamed(&ask, "the answer made no progress");
    spring_end(spring);
    free(body);
}

/* --- before the head it is like any other --- */

#define BUSY "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"

static worker_t *two_servers(void)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};

    worker_use(w, "127.0.0.1", ports, 2);
    return w;
}

static void get_streamed(ask_t *ask, worker_t *w, const char *target)
{
    ask_get(ask, w, target);
    ask->exchange.is_streamed = ask->exchange.is_repeatable = true;
}

static void what_is_thrown_away_is_not_counted(void **state)
{
    worker_t *w = two_servers();
    ask_t ask;

    w->conf->retry = (sheaf_retry_conf_t){
        .mark = written, .attempts = 2, .on = 1u << SHEAF_RETRY_ON_503, .budget_percent = 20, .backoff_ms = 1};
    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->b, OK_HI);
    get_streamed(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(ask.exchange.unused, 2);
    worker_end(w);
}

static void what_breaks_off_behind_its_head_is_not_sent_again(void **state)
{
    worker_t *w = two_servers();
    ask_t ask;

    w->conf->retry =
        (sheaf_retry_conf_t){.mark = written, .attempts = 2, .on = 0x3f, .budget_percent = 20, .backoff_ms = 1};
    worker_open(w);
    step_close(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
    get_streamed(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(w->b.requests, 0);
    worker_end(w);
}

static void no_second_flight_is_sent_for_one_that_is_late(void **state)
{
    worker_t *w = two_servers();
    ask_t late;

    w->conf->hedge = (sheaf_hedge_conf_t){.mark = written, .after.after_ms = 10, .budget_percent = 100};
    worker_open(w);
    get_streamed(&late, w, "/late");
    ask_send(&late);
    worker_until_count(w, &w->a.requests, 1);
    w->ahead_ms += 100;
    for (int i = 0; i < 10; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(metric(w, SHEAF_METRIC_HEDGES), 0);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 1);
    ask_cancel(&late);
    worker_end(w);
}

/* Neither behind another one nor before it. */
static void none_stands_in_a_pipeline(void **state)
{
    for (int is_second = 0; is_second < 2; is_second++) {
        worker_t *w = worker_new();
        ask_t asks[3];

        worker_use(w, "127.0.0.1", &w->a.port, 1);
        w->conf->pipeline = 4;
        w->conf->max_connections = 1;
        worker_open(w);
        step_text(&w->a, OK_HI);
        ask_get(&asks[2], w, "/first");
        ask_whole(&asks[2]);
        for (int i = 0; i < 2; i++) {
            ask_get(&asks[i], w, "/");
            asks[i].exchange.is_streamed = i == is_second;
            ask_send(&asks[i]);
        }
        assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
        worker_until_count(w, &w->a.requests, 2);
        assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), 0);
        step_text(&w->a, "");
        step_text(&w->a, OK_HI);
        backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
        worker_until(w, &asks[1].is_done);
        assert_answer(&asks[0], 200, "hi");
        assert_answer(&asks[1], 200, "hi");
        worker_end(w);
    }
}

/* --- what is heard of it --- */

/* The last one is on its way for as long as its owner likes: nobody else waits for that. */
static void the_breaker_closes_with_the_head_of_its_trial(void **state)
{
    worker_t *w = worker_new();
    ask_t ask, other;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->breaker = (sheaf_breaker_conf_t){
        .mark = written, .errors_percent = 50, .requests = 1, .window_ms = 10000, .open_ms = 100, .probes = 1};
    worker_open(w);
    step_text(&w->a, BUSY);
    get_streamed(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(metric(w, SHEAF_METRIC_BREAKERS_OPEN), 1);
    w->ahead_ms += 200;
    sheaf_clock_refresh(&w->clock);
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
    step_text(&w->a, OK_HI);
    get_streamed(&ask, w, "/");
    ask_send(&ask);
    worker_until(w, &ask.has_head);
    assert_int_equal(metric(w, SHEAF_METRIC_BREAKERS_OPEN), 0);
    ask_get(&other, w, "/");
    ask_whole(&other);
    assert_answer(&other, 200, "hi");
    ask_cancel(&ask);
    worker_end(w);
}

/* A server is restarted, and all its event streams with it: the upstream has answered each of them. */
static void the_breaker_does_not_open_for_streams_that_break_off(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->breaker = (sheaf_breaker_conf_t){
        .mark = written, .errors_percent = 50, .requests = 2, .window_ms = 10000, .open_ms = 60000, .probes = 1};
    worker_open(w);
    for (int i = 0; i < 4; i++) {
        step_close(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
        get_streamed(&ask, w, "/");
        ask_whole(&ask);
        assert_int_equal(ask.err, SHEAF_ERR_RESET);
    }
    assert_int_equal(metric(w, SHEAF_METRIC_BREAKERS_OPEN), 0);
    worker_end(w);
}

/* A good head does not make up for what breaks off behind it. */
static void a_server_whose_answers_break_off_is_ejected(void **state)
{
    worker_t *w = two_servers();
    ask_t ask;

    w->conf->outlier = (sheaf_outlier_conf_t){.mark = written,
                                              .errors = 2,
                                              .interval_ms = 10000,
                                              .eject_ms = 60000,
                                              .max_eject_ms = 60000,
                                              .max_ejected_percent = 50};
    worker_open(w);
    for (int i = 0; i < 2; i++) {
        step_close(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
        step_text(&w->b, OK_HI);
    }
    for (int i = 0; i < 4; i++) {
        get_streamed(&ask, w, "/");
        ask_whole(&ask);
    }
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_EJECTED), 1);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_silence_is_counted_while_a_backend_waits),
        cmocka_unit_test(silence_begins_when_what_was_out_is_given_back),
        cmocka_unit_test(time_limits_hold_until_the_head_has_come),
        cmocka_unit_test(time_limits_end_with_the_head),
        cmocka_unit_test(an_upload_that_is_stuck_is_no_excuse_for_an_answer_that_is),
        cmocka_unit_test(over_http2_neither),
        cmocka_unit_test(what_is_thrown_away_is_not_counted),
        cmocka_unit_test(what_breaks_off_behind_its_head_is_not_sent_again),
        cmocka_unit_test(no_second_flight_is_sent_for_one_that_is_late),
        cmocka_unit_test(none_stands_in_a_pipeline),
        cmocka_unit_test(the_breaker_closes_with_the_head_of_its_trial),
        cmocka_unit_test(the_breaker_does_not_open_for_streams_that_break_off),
        cmocka_unit_test(a_server_whose_answers_break_off_is_ejected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
