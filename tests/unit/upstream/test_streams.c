/* Exchanges that share conns that speak HTTP/2. */
#include "tests/unit/upstream/h2_backend.h"

static worker_t *worker_with(h2_backend_t *a, h2_backend_t *b)
{
    worker_t *w = h2_worker_with(a, b);

    worker_open(w);
    return w;
}

/* One is answered, and what came behind it is not looked at. */
static void take_one_and_leave(h2_conn_t *conn, int32_t id)
{
    if (conn->requests != 1)
        return;
    peer_goaway(&conn->peer, id, NGHTTP2_NO_ERROR);
    peer_answer(&conn->peer, id, "hi");
}

static void what_comes_while_it_is_dialed_boards_it_too(void **state)
{
    h2_backend_t a;
    worker_t *w = worker_with(&a, NULL);
    ask_t asks[5];
    int done = 0;

    a.on_request = h2_answer;
    h2_ask_all(asks, 5, w, true, &done);
    worker_until_count(w, &done, 5);
    for (int i = 0; i < 5; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_int_equal(a.conns, 1);
    h2_worker_end(w, &a, NULL);
}

static void one_that_is_cancelled_ends_no_other(void **state)
{
    h2_backend_t a;
    worker_t *w = worker_with(&a, NULL);
    ask_t asks[2];
    int done = 0;

    h2_ask_all(asks, 2, w, true, &done);
    worker_until_count(w, &a.requests, 2);
    ask_cancel(&asks[0]);
    worker_until_count(w, &a.resets, 1);
    h2_answer(a.conn[0], 3);
    h2_flush(a.conn[0]);
    worker_until_count(w, &done, 1);
    assert_false(asks[0].is_done);
    assert_answer(&asks[1], 200, "hi");
    assert_int_equal(a.conns, 1);
    h2_worker_end(w, &a, NULL);
}

static void a_conn_whose_last_stream_was_cancelled_is_kept_as_long_as_any(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t ask;

    w->conf->keepalive_ms = 30;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until_count(w, &a.requests, 1);
    ask_cancel(&ask);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    assert_true(sheaf_deadlines_next(&w->deadlines) <= w->clock.now_ms + 30);
    worker_until_metric(w, SHEAF_METRIC_CONNS_IDLE, 0);
    h2_worker_end(w, &a, NULL);
}

static void what_a_goaway_leaves_is_sent_again_many_times(void **state)
{
    enum { COUNT = 40 };
    h2_backend_t a;
    worker_t *w = worker_with(&a, NULL);
    ask_t asks[COUNT];
    int done = 0;

    w->conf->max_connections = 1;
    a.on_request = take_one_and_leave;
    h2_ask_all(asks, COUNT, w, true, &done);
    worker_until_count(w, &done, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_int_equal(a.conns, COUNT);
    h2_worker_end(w, &a, NULL);
}

static void leave(h2_conn_t *conn, int32_t id)
{
    (void)id;
    peer_goaway(&conn->peer, 0, NGHTTP2_NO_ERROR);
}

/* A server that says goodbye to whatever comes is not dialed as fast as it can say so. */
static void a_server_that_takes_nothing_is_given_time(void **state)
{
    h2_backend_t a;
    worker_t *w = worker_with(&a, NULL);
    uint64_t began_ms;
    ask_t ask;

    a.on_request = leave;
    ask_post(&ask, w, "/", SHEAF_STR("x"));
    began_ms = w->clock.now_ms;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(a.conns, 65);
    assert_true(w->clock.now_ms - began_ms >= (64 - 8) * 2);
    h2_worker_end(w, &a, NULL);
}

static void a_refused_stream_is_tried_a_few_times_with_rests(void **state)
{
    h2_backend_t a;
    worker_t *w = worker_with(&a, NULL);
    uint64_t began_ms;
    ask_t ask;

    a.on_request = h2_refuse;
    ask_post(&ask, w, "/", SHEAF_STR("x"));
    began_ms = w->clock.now_ms;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(a.requests, 9);
    assert_int_equal(a.conns, 1);
    assert_true(w->clock.now_ms - began_ms >= 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256);
    h2_worker_end(w, &a, NULL);
}

static void rests_end_with_the_deadline(void **state)
{
    h2_backend_t a;
    worker_t *w = worker_with(&a, NULL);
    ask_t ask;

    a.on_request = h2_refuse;
    ask_post(&ask, w, "/", SHEAF_STR("x"));
    ask.exchange.deadline_ms = w->clock.now_ms + 50;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    h2_worker_end(w, &a, NULL);
}

static void what_one_server_refuses_another_one_gets(void **state)
{
    h2_backend_t a, b;
    worker_t *w = worker_with(&a, &b);
    ask_t asks[4];
    int done = 0;

    a.on_request = h2_refuse;
    b.on_request = h2_answer;
    h2_ask_all(asks, 4, w, true, &done);
    worker_until_count(w, &done, 4);
    for (int i = 0; i < 4; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_true(a.requests >= 1 && a.requests <= 4);
    assert_int_equal(b.requests, 4);
    h2_worker_end(w, &a, &b);
}

/* POSTs may have been acted on. */
static void a_conn_that_is_lost_ends_all_that_were_sent(void **state)
{
    h2_backend_t a;
    worker_t *w = worker_with(&a, NULL);
    ask_t asks[3];
    int done = 0;

    h2_ask_all(asks, 3, w, true, &done);
    worker_until_count(w, &a.requests, 3);
    h2_drop(a.conn[0]);
    worker_until_count(w, &done, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(asks[i].err, SHEAF_ERR_RESET);
    assert_int_equal(a.requests, 3);
    h2_worker_end(w, &a, NULL);
}

static void room_that_the_backend_gives_later_is_used(void **state)
{
    h2_backend_t a;
    worker_t *w = worker_with(&a, NULL);
    ask_t asks[3];
    int done = 0;

    w->conf->max_connections = 1;
    w->conf->max_streams = 100;
    a.max_streams = 1;
    ask_post(&asks[0], w, "/", SHEAF_STR("x"));
    ask_send(&asks[0]);
    worker_until_count(w, &a.requests, 1);
    h2_ask_all(asks + 1, 2, w, true, &done);
    worker_until_metric(w, SHEAF_METRIC_EXCHANGES_WAITING, 2);
    peer_setting(&a.conn[0]->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 10);
    h2_flush(a.conn[0]);
    worker_until_count(w, &a.requests, 3); /* the first one still flies */
    for (int i = 0; i < 3; i++)
        ask_cancel(&asks[i]);
    h2_worker_end(w, &a, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_while_it_is_dialed_boards_it_too),
        cmocka_unit_test(one_that_is_cancelled_ends_no_other),
        cmocka_unit_test(a_conn_whose_last_stream_was_cancelled_is_kept_as_long_as_any),
        cmocka_unit_test(what_a_goaway_leaves_is_sent_again_many_times),
        cmocka_unit_test(a_server_that_takes_nothing_is_given_time),
        cmocka_unit_test(a_refused_stream_is_tried_a_few_times_with_rests),
        cmocka_unit_test(rests_end_with_the_deadline),
        cmocka_unit_test(what_one_server_refuses_another_one_gets),
        cmocka_unit_test(a_conn_that_is_lost_ends_all_that_were_sent),
        cmocka_unit_test(room_that_the_backend_gives_later_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
