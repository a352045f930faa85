/* Pipelining on real sockets: what becomes of those behind when what they stand behind ends otherwise than by a whole
 * answer. */
#include "tests/unit/upstream/piping.h"

/* Ends of the first answer that leave it in doubt what follows: those behind are asked again on another conn. */
static void whatever_puts_the_order_in_doubt_sends_the_rest_again(void **state)
{
    static const struct {
        const char *bytes;
        sheaf_err_t err;
        bool then_close;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n#0", SHEAF_OK, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n#0", SHEAF_OK, false},
        {"HTTP/1.1 200 OK\r\n\r\n#0", SHEAF_OK, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n#0", SHEAF_ERR_RESET, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n#0" SECOND, SHEAF_ERR_MALFORMED, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n#0" SECOND, SHEAF_OK, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#0", SHEAF_OK, true},
    };

    for (size_t row = 0; row < SHEAF_COUNT(rows); row++) {
        worker_t *w = piping(1);
        ask_t asks[3];

        send_and_see(w, asks, 3);
        answer_by_target(&w->a);
        say(w, 0, rows[row].bytes);
        if (rows[row].then_close)
            backend_drop(w->a.conn[0]);
        until_done(w, asks, 3);
        assert_int_equal(asks[0].err, rows[row].err);
        if (rows[row].err == SHEAF_OK)
            assert_own_answer(&asks[0], 0);
        assert_own_answer(&asks[1], 1);
        assert_own_answer(&asks[2], 2);
        assert_int_equal(metric(w, SHEAF_METRIC_PIPELINE_CUTS), row + 1 == SHEAF_COUNT(rows) ? 1 : 2);
        worker_end(w);
    }
}

/* The conn ends as idle ones do: the first goes again for that reason, the others because they stood behind it. Each
 * stands alone now. */
static void a_conn_that_is_lost_before_any_answer_costs_nothing(void **state)
{
    worker_t *w = piping(1);
    ask_t asks[3];

    send_and_see(w, asks, 3);
    answer_by_target(&w->a);
    backend_drop(w->a.conn[0]);
    until_done(w, asks, 3);
    for (int i = 0; i < 3; i++)
        assert_own_answer(&asks[i], i);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RETRIED), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_PIPELINE_CUTS), 2);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), 2); /* once each */
    worker_end(w);
}

static void who_is_cancelled_takes_nobody_with_it(void **state)
{
    for (int gone = 0; gone < 3; gone++) {
        worker_t *w = piping(1);
        ask_t asks[3];

        send_and_see(w, asks, 3);
        answer_by_target(&w->a);
        ask_cancel(&asks[gone]);
        if (w->a.conn[0] != NULL)
            say(w, 0, FIRST);
        for (int i = 0; i < 3; i++)
            if (i != gone) {
                worker_until(w, &asks[i].is_done);
                assert_own_answer(&asks[i], i);
            }
        assert_false(asks[gone].is_done);
        worker_end(w);
    }
}

static void all_that_stand_on_a_conn_are_cancelled_at_once(void **state)
{
    for (int is_backwards = 0; is_backwards < 2; is_backwards++) {
        worker_t *w = piping(1);
        ask_t asks[MANY];

        send_and_see(w, asks, MANY);
        for (int i = 0; i < MANY; i++)
            ask_cancel(&asks[is_backwards ? MANY - 1 - i : i]);
        assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RESTING), 0);
        assert_int_equal(w->a.conns, 1); /* nothing was sent again on the way */
        worker_end(w);
    }
}

static void cancel_next(ask_t *ask)
{
    ask_cancel(ask + 1);
}

static void cancel_this(ask_t *ask)
{
    ask_cancel(ask);
}

/* While the answers of all three are in one read. */
static void a_sink_cancels_another_or_itself_from_inside(void **state)
{
    for (int kind = 0; kind < 5; kind++) {
        worker_t *w = piping(1);
        ask_t asks[3];

        send_and_see(w, asks, 3);
        answer_by_target(&w->a);
        asks[0].on_head = kind == 0 ? cancel_next : kind == 1 ? cancel_this : NULL;
        asks[0].on_body = kind == 2 ? cancel_next : kind == 3 ? cancel_this : NULL;
        asks[0].then = kind == 4 ? cancel_next : NULL;
        say(w, 0, FIRST SECOND THIRD);
        worker_until(w, &asks[2].is_done);
        assert_own_answer(&asks[2], 2);
        if (kind == 1 || kind == 3)
            worker_until(w, &asks[1].is_done);
        assert_int_equal(asks[0].is_done, kind != 1 && kind != 3);
        assert_int_equal(asks[1].is_done, kind == 1 || kind == 3);
        worker_end(w);
    }
}

static void an_answer_that_its_owner_refuses_is_the_last_of_its_conn(void **state)
{
    worker_t *w = piping(1);
    ask_t asks[2];

    send_and_see(w, asks, 2);
    answer_by_target(&w->a);
    asks[0].most = 1;
    say(w, 0, FIRST SECOND);
    until_done(w, asks, 2);
    assert_int_equal(asks[0].err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_own_answer(&asks[1], 1);
    assert_int_equal(w->a.conns, 2);
    worker_end(w);
}

static void a_silent_first_ends_by_itself(void **state)
{
    worker_t *w = worker_new();
    ask_t asks[3], ask;

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->pipeline = MANY;
    w->conf->max_connections = 1;
    w->conf->first_byte_timeout_ms = 60;
    worker_open(w);
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/first");
    ask_whole(&ask);
    send_and_see(w, asks, 3);
    answer_by_target(&w->a);
    until_done(w, asks, 3);
    assert_int_equal(asks[0].err, SHEAF_ERR_TIMEOUT);
    assert_own_answer(&asks[1], 1);
    assert_own_answer(&asks[2], 2);
    worker_end(w);
}

/* The other conn gets free while the first answer is still to come. */
static void who_is_held_up_goes_where_there_is_a_place(void **state)
{
    worker_t *w = piping_on_two();
    ask_t asks[4];

    send_all(w, asks, 4); /* two on each */
    worker_until_count(w, &w->a.requests, 3 + 4);
    answer_by_target(&w->a);
    for (int conn = 0; conn < 2; conn++)
        assert_non_null(w->a.conn[conn]);
    say(w, strstr(w->a.log, "0:GET /0") != NULL ? 1 : 0, SECOND "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#3");
    for (int i = 1; i < 4; i++) { /* /0 stays silent: /2, which stood behind it, does not wait for it */
        worker_until(w, &asks[i].is_done);
        assert_own_answer(&asks[i], i);
    }
    assert_false(asks[0].is_done);
    assert_int_equal(metric(w, SHEAF_METRIC_PIPELINE_CUTS), 1);
    say(w, strstr(w->a.log, "0:GET /0") != NULL ? 0 : 1, FIRST);
    worker_until(w, &asks[0].is_done);
    assert_own_answer(&asks[0], 0);
    worker_end(w);
}

/* An answer that retry throws away: over with its conn if it is not whole, else the next one's turn. */
static void an_answer_that_is_thrown_away_is_matched_too(void **state)
{
    static const char *const busy[] = {
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy" SECOND,
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 400\r\n\r\nbusy",
    };

    for (size_t i = 0; i < SHEAF_COUNT(busy); i++) {
        worker_t *w = worker_new();
        ask_t asks[2], ask;

        worker_use(w, "127.0.0.1", &w->a.port, 1);
        w->conf->pipeline = MANY;
        w->conf->max_connections = 1;
        w->conf->retry =
            (sheaf_retry_conf_t){.mark = {1, 1}, .attempts = 2, .on = 0x3f, .budget_percent = 20, .backoff_ms = 2};
        worker_open(w);
        step_text(&w->a, OK_HI);
        ask_get(&ask, w, "/first");
        ask_whole(&ask);
        for (int k = 0; k < 2; k++) {
            ask_get(&asks[k], w, targets[k]);
            asks[k].exchange.is_repeatable = true;
            ask_send(&asks[k]);
        }
        worker_until_count(w, &w->a.requests, 3);
        answer_by_target(&w->a);
        say(w, 0, busy[i]);
        until_done(w, asks, 2);
        assert_own_answer(&asks[0], 0);
        assert_own_answer(&asks[1], 1);
        assert_int_equal(metric(w, SHEAF_METRIC_RETRIES), 1);
        assert_int_equal(w->a.conns, 1 + i);
        worker_end(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_that_is_thrown_away_is_matched_too),
        cmocka_unit_test(whatever_puts_the_order_in_doubt_sends_the_rest_again),
        cmocka_unit_test(a_conn_that_is_lost_before_any_answer_costs_nothing),
        cmocka_unit_test(who_is_cancelled_takes_nobody_with_it),
        cmocka_unit_test(all_that_stand_on_a_conn_are_cancelled_at_once),
        cmocka_unit_test(a_sink_cancels_another_or_itself_from_inside),
        cmocka_unit_test(an_answer_that_its_owner_refuses_is_the_last_of_its_conn),
        cmocka_unit_test(a_silent_first_ends_by_itself),
        cmocka_unit_test(who_is_held_up_goes_where_there_is_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
