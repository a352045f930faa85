/* Streams that get no answer: what becomes of each, and of those beside it. */
#include "tests/unit/upstream/h2_backend.h"

static void a_dial_that_fails_ends_all_that_came_aboard(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t asks[3];
    int done = 0;

    w->conf->servers.items[0].url.port = 1; /* nobody is there */
    worker_open(w);
    h2_ask_all(asks, 3, w, false, &done);
    worker_until_count(w, &done, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(asks[i].err, SHEAF_ERR_REFUSED);
    h2_worker_end(w, &a, NULL);
}

static void a_dial_that_fails_takes_all_to_the_next_server(void **state)
{
    h2_backend_t a, b;
    worker_t *w = h2_worker_with(&a, &b);
    ask_t asks[4];
    int done = 0;

    w->conf->servers.items[0].url.port = 1;
    b.on_request = h2_answer;
    worker_open(w);
    h2_ask_all(asks, 4, w, true, &done);
    worker_until_count(w, &done, 4);
    for (int i = 0; i < 4; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_in_range(b.conns, 1, 2);
    h2_worker_end(w, &a, &b);
}

/* Only REFUSED_STREAM says that nothing was done (RFC 9113 8.7). */
static void a_reset_for_any_other_reason_ends_that_one_alone(void **state)
{
    static const uint32_t codes[] = {NGHTTP2_NO_ERROR,          NGHTTP2_INTERNAL_ERROR,    NGHTTP2_CANCEL,
                                     NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_HTTP_1_1_REQUIRED, 0xbeef};
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    int done = 0, wanted = 0, requests = 0;

    worker_open(w);
    for (size_t i = 0; i < SHEAF_COUNT(codes); i++) {
        ask_t asks[2];

        h2_ask_all(asks, 2, w, i % 2 == 0, &done);
        worker_until_count(w, &a.requests, requests += 2);
        peer_u32(&a.conn[0]->peer, NGHTTP2_RST_STREAM, (int32_t)(4 * i + 1), codes[i]);
        h2_flush(a.conn[0]);
        worker_until_count(w, &done, ++wanted);
        assert_int_equal(asks[0].err, SHEAF_ERR_RESET);
        assert_non_null(strstr(asks[0].detail, nghttp2_http2_strerror(codes[i])));
        h2_answer(a.conn[0], (int32_t)(4 * i + 3));
        h2_flush(a.conn[0]);
        worker_until_count(w, &done, ++wanted);
        assert_answer(&asks[1], 200, "hi");
    }
    assert_int_equal(a.conns, 1);
    h2_worker_end(w, &a, NULL);
}

static void say_large(h2_conn_t *conn, int32_t id)
{
    if (id == 1)
        peer_head(&conn->peer, id, false, ":status: 200\ncontent-length: 5000");
    else if (id == 3) {
        peer_head(&conn->peer, id, false, ":status: 200");
        peer_data(&conn->peer, id, false, "much too long");
    } else
        h2_answer(conn, id);
}

static void an_answer_that_is_too_large_costs_its_own_stream(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t asks[3];
    int done = 0;

    a.on_request = say_large;
    worker_open(w);
    h2_ask_all(asks, 3, w, false, &done);
    for (int i = 0; i < 3; i++)
        asks[i].most = 4;
    worker_until_count(w, &done, 3);
    worker_until_count(w, &a.resets, 2);
    assert_int_equal(asks[0].err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_int_equal(asks[1].err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_answer(&asks[2], 200, "hi");
    ask_whole(&asks[2]);
    assert_int_equal(a.conns, 1);
    h2_worker_end(w, &a, NULL);
}

static void say_a_length(h2_conn_t *conn, int32_t id)
{
    peer_head(&conn->peer, id, true,
              id == 1 ? ":status: 200\ncontent-length: 5000" : ":status: 304\ncontent-length: 5000");
}

/* Nor is it one whose length says what it would have been. */
static void what_has_no_body_is_not_too_large(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t ask;

    a.on_request = say_a_length;
    worker_open(w);
    for (int i = 0; i < 2; i++) {
        ask_get(&ask, w, "/");
        ask.exchange.method = i == 0 ? SHEAF_STR("HEAD") : SHEAF_STR("GET");
        ask.most = 4;
        ask_whole(&ask);
        assert_answer(&ask, i == 0 ? 200 : 304, "");
        assert_int_equal(ask.announced, 0);
    }
    h2_worker_end(w, &a, NULL);
}

static ask_t instead;

static void ask_another(ask_t *ask)
{
    ask_cancel(ask);
    ask_send(&instead);
}

static void say_sized(h2_conn_t *conn, int32_t id)
{
    peer_head(&conn->peer, id, false, ":status: 200\ncontent-length: 2");
    peer_data(&conn->peer, id, true, "hi");
}

/* What is sent from inside a sink may sit where the one was that it refuses. */
static void a_sink_that_refuses_what_it_has_cancelled_harms_no_other(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t ask;

    a.on_request = say_sized;
    worker_open(w);
    ask_get(&instead, w, "/");
    ask_get(&ask, w, "/");
    ask.most = 1;
    ask.on_head = ask_another;
    ask_send(&ask);
    worker_until(w, &instead.is_done);
    assert_answer(&instead, 200, "hi");
    assert_false(ask.is_done);
    assert_int_equal(a.conns, 1);
    h2_worker_end(w, &a, NULL);
}

static void no_more_fly_on_a_conn_than_the_configuration_says(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t asks[6];
    int done = 0;

    w->conf->max_streams = 2;
    worker_open(w);
    h2_ask_all(asks, 6, w, true, &done);
    worker_until_count(w, &a.requests, 6);
    assert_int_equal(a.conns, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(a.conn[i]->requests, 2);
        h2_answer(a.conn[i], 1);
        h2_answer(a.conn[i], 3);
        h2_flush(a.conn[i]);
    }
    worker_until_count(w, &done, 6);
    h2_worker_end(w, &a, NULL);
}

static int gone;

/* Each has a conn that goes away under the second request. */
static void go_away_once(h2_conn_t *conn, int32_t id)
{
    if (id != 3 || conn->index != 0) {
        h2_answer(conn, id);
        return;
    }
    gone++;
    peer_goaway(&conn->peer, 1, NGHTTP2_NO_ERROR);
}

static void go_away_always(h2_conn_t *conn, int32_t id)
{
    peer_goaway(&conn->peer, 0, NGHTTP2_NO_ERROR);
}

static worker_t *hashing(h2_backend_t *a, h2_backend_t *b)
{
    worker_t *w = h2_worker_with(a, b);

    w->conf->balance = SHEAF_TURN_HASH;
    w->conf->hash.what = SHEAF_HASH_BY_PATH;
    w->conf->hash_bound = 100000;
    worker_open(w);
    return w;
}

/* A conn that ends says nothing of its server: keepalive_requests, a reload. */
static void a_key_stays_at_its_server_when_a_conn_goes_away(void **state)
{
    static const char *const keys[] = {"/1", "/2", "/3", "/4", "/5", "/6"};
    h2_backend_t a, b;
    worker_t *w = hashing(&a, &b);
    ask_t ask;

    gone = 0;
    a.on_request = b.on_request = go_away_once;
    for (size_t i = 0; i < SHEAF_COUNT(keys); i++) {
        int of_a = 0;

        for (int time = 0; time < 3; time++) {
            int before = a.requests;

            ask_post(&ask, w, keys[i], SHEAF_STR("x"));
            ask_whole(&ask);
            assert_answer(&ask, 200, "hi");
            of_a += a.requests != before;
        }
        assert_true(of_a == 0 || of_a == 3);
    }
    assert_int_equal(gone, (a.requests != 0) + (b.requests != 0));
    assert_int_equal(a.requests + b.requests, 3 * SHEAF_COUNT(keys) + gone);
    h2_worker_end(w, &a, &b);
}

static void a_key_leaves_a_server_that_goes_away_again_and_again(void **state)
{
    for (int of_a = 0; of_a < 2; of_a++) {
        h2_backend_t a, b;
        worker_t *w = hashing(&a, &b);
        ask_t ask;

        a.on_request = of_a ? go_away_always : h2_answer;
        b.on_request = of_a ? h2_answer : go_away_always;
        ask_post(&ask, w, "/1", SHEAF_STR("x"));
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
        assert_true((of_a ? a.requests : b.requests) % 2 == 0); /* none, or two */
        assert_true((of_a ? a.requests : b.requests) <= 2);
        h2_worker_end(w, &a, &b);
    }
}

static void let_it_send(h2_conn_t *conn, int32_t id)
{
    uv_read_stop((uv_stream_t *)&conn->tcp);
    peer_u32(&conn->peer, NGHTTP2_WINDOW_UPDATE, 0, 1 << 30);
    peer_u32(&conn->peer, NGHTTP2_WINDOW_UPDATE, id, 1 << 30);
}

typedef struct deaf {
    worker_t *w;
    h2_backend_t *a;
    uint64_t sent;
    bool has_spoken;
} deaf_t;

/* Once the socket takes no more: says what cannot be answered now, and then hears. */
static void on_moment(uv_timer_t *timer)
{
    static char large[20000];
    deaf_t *deaf = timer->data;
    uint64_t sent = metric(deaf->w, SHEAF_METRIC_BACKEND_BYTES_OUT);
    h2_conn_t *conn = deaf->a->conn[0];

    if (sent != deaf->sent || conn == NULL) {
        deaf->sent = sent;
    } else if (!deaf->has_spoken) {
        deaf->has_spoken = true;
        peer_goaway(&conn->peer, 1, NGHTTP2_NO_ERROR);
        peer_says(&conn->peer, NGHTTP2_DATA, 0, 1, large, sizeof(large));
        h2_flush(conn);
    } else {
        uv_read_start((uv_stream_t *)&conn->tcp, h2_on_buffer, h2_on_read);
    }
}

/* After a GOAWAY the session says so only by the one it sends itself. */
static void a_broken_rule_is_seen_when_the_socket_takes_bytes_again(void **state)
{
    static char body[24 << 20];
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    deaf_t deaf = {w, &a, 0, false};
    uv_timer_t timer;
    ask_t ask;

    w->conf->timeout_ms = 60000;
    a.on_request = let_it_send;
    uv_timer_init(&w->loop, &timer);
    timer.data = &deaf;
    uv_timer_start(&timer, on_moment, 20, 20);
    worker_open(w);
    ask_post(&ask, w, "/", sheaf_str(body, sizeof(body)));
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_non_null(strstr(ask.detail, "FRAME_SIZE_ERROR"));
    uv_close((uv_handle_t *)&timer, NULL);
    h2_worker_end(w, &a, NULL);
}

/* Like a server that closes what has been idle for too long, just then. */
static void drop_the_second(h2_conn_t *conn, int32_t id)
{
    if (id == 1 || conn->index == 2)
        h2_answer(conn, id);
    else
        h2_drop(conn);
}

/* As over HTTP/1.1: nothing was heard of it since it rested, so nothing has to have been done. */
static void what_crosses_the_close_of_an_idle_conn_goes_again_where_that_is_safe(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t asks[3];
    int done = 0;

    a.on_request = drop_the_second;
    worker_open(w);
    ask_get(&asks[0], w, "/");
    ask_whole(&asks[0]);
    ask_get(&asks[0], w, "/");
    ask_whole(&asks[0]);
    assert_answer(&asks[0], 200, "hi");
    assert_int_equal(a.conns, 2);
    assert_int_equal(a.requests, 3);

    h2_ask_all(asks, 3, w, false, &done);
    worker_until_count(w, &done, 3);
    for (int i = 0; i < 3; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_int_equal(a.conns, 3);
    h2_worker_end(w, &a, NULL);
}

static void drop_all_but_the_first(h2_conn_t *conn, int32_t id)
{
    if (conn->index != 0)
        h2_answer(conn, id);
    else if (id != 1)
        h2_drop(conn);
}

/* It rested before, all the same. */
static void so_it_does_where_what_came_before_was_cancelled(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t ask;

    a.on_request = drop_all_but_the_first;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until_count(w, &a.requests, 1);
    ask_cancel(&ask);
    worker_until_count(w, &a.resets, 1);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(a.conns, 2);
    assert_true(metric(w, SHEAF_METRIC_CONNS_REUSED) == 1);
    h2_worker_end(w, &a, NULL);
}

static void what_may_have_been_done_does_not(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t ask;

    a.on_request = drop_the_second;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    ask_post(&ask, w, "/", SHEAF_STR("x"));
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(a.requests, 2);
    h2_worker_end(w, &a, NULL);
}

static void drop(h2_conn_t *conn, int32_t id)
{
    h2_drop(conn);
}

static void drop_the_first_conn(h2_conn_t *conn, int32_t id)
{
    if (conn->index != 0)
        h2_answer(conn, id);
    else if (conn->requests == 4)
        h2_drop(conn);
}

static void a_retry_takes_those_that_may_be_repeated_from_a_conn_that_is_lost(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t gets[2], posts[2];
    int got = 0, posted = 0;

    w->conf->retry = (sheaf_retry_conf_t){
        .mark = {1, 1}, .attempts = 2, .backoff_ms = 1, .budget_percent = 100, .on = 1u << SHEAF_RETRY_ON_RESET};
    a.on_request = drop_the_first_conn;
    worker_open(w);
    h2_ask_all(gets, 1, w, false, &got);
    h2_ask_all(posts, 2, w, true, &posted);
    h2_ask_all(gets + 1, 1, w, false, &got);
    gets[0].exchange.is_repeatable = gets[1].exchange.is_repeatable = true;
    worker_until_count(w, &got, 2);
    worker_until_count(w, &posted, 2);
    for (int i = 0; i < 2; i++) {
        assert_answer(&gets[i], 200, "hi");
        assert_int_equal(posts[i].err, SHEAF_ERR_RESET);
    }
    assert_int_equal(a.requests, 4 + 2);
    h2_worker_end(w, &a, NULL);
}

/* A request that kills its backend is not for another one. */
static void what_kills_a_new_conn_goes_nowhere(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t ask;

    a.on_request = h2_answer;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    a.on_request = drop;
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(a.requests, 3);
    h2_worker_end(w, &a, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dial_that_fails_ends_all_that_came_aboard),
        cmocka_unit_test(a_dial_that_fails_takes_all_to_the_next_server),
        cmocka_unit_test(a_reset_for_any_other_reason_ends_that_one_alone),
        cmocka_unit_test(an_answer_that_is_too_large_costs_its_own_stream),
        cmocka_unit_test(a_sink_that_refuses_what_it_has_cancelled_harms_no_other),
        cmocka_unit_test(a_key_stays_at_its_server_when_a_conn_goes_away),
        cmocka_unit_test(a_key_leaves_a_server_that_goes_away_again_and_again),
        cmocka_unit_test(what_crosses_the_close_of_an_idle_conn_goes_again_where_that_is_safe),
        cmocka_unit_test(so_it_does_where_what_came_before_was_cancelled),
        cmocka_unit_test(what_may_have_been_done_does_not),
        cmocka_unit_test(what_kills_a_new_conn_goes_nowhere),
        cmocka_unit_test(what_has_no_body_is_not_too_large),
        cmocka_unit_test(a_retry_takes_those_that_may_be_repeated_from_a_conn_that_is_lost),
        cmocka_unit_test(a_broken_rule_is_seen_when_the_socket_takes_bytes_again),
        cmocka_unit_test(no_more_fly_on_a_conn_than_the_configuration_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
