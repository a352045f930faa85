/* A backend that speaks HTTP/2 and is silent: to one of several, or to all. */
#include "gateway/upstream/h2_inside.h"
#include "tests/unit/upstream/h2_backend.h"

static worker_t *watching(h2_backend_t *a, uint64_t first_byte_ms, uint64_t idle_ms, uint64_t ping_ms)
{
    worker_t *w = h2_worker_with(a, NULL);

    w->conf->first_byte_timeout_ms = first_byte_ms;
    w->conf->idle_timeout_ms = idle_ms;
    w->conf->ping_ms = ping_ms;
    worker_open(w);
    return w;
}

static void answer_but_the_first(h2_conn_t *conn, int32_t id)
{
    if (id != 1)
        h2_answer(conn, id);
}

static void silence_to_one_of_several_ends_that_one(void **state)
{
    h2_backend_t a;
    worker_t *w = watching(&a, 200, 0, 0);
    ask_t asks[3];
    int done = 0;

    a.on_request = answer_but_the_first;
    h2_ask_all(asks, 3, w, true, &done);
    worker_until_count(w, &done, 3);
    assert_int_equal(asks[0].err, SHEAF_ERR_TIMEOUT);
    assert_blamed(&asks[0], "no answer began in time");
    assert_answer(&asks[1], 200, "hi");
    assert_answer(&asks[2], 200, "hi");
    worker_until_count(w, &a.resets, 1);
    ask_whole(&asks[1]);
    assert_int_equal(a.conns, 1);
    h2_worker_end(w, &a, NULL);
}

static void begin_all(h2_conn_t *conn, int32_t id)
{
    peer_head(&conn->peer, id, false, ":status: 200");
    peer_data(&conn->peer, id, false, "hi");
}

static h2_conn_t *dripping;

static void on_drip(uv_timer_t *timer)
{
    peer_data(&dripping->peer, 3, (bool)(uintptr_t)timer->data, "x");
    h2_flush(dripping);
}

/* The one beside it gets on, but slower than its own limit. */
static void an_answer_that_stands_still_ends_alone(void **state)
{
    h2_backend_t a;
    worker_t *w = watching(&a, 0, 500, 0);
    uv_timer_t drip;
    ask_t asks[2];
    int done = 0;

    a.on_request = begin_all;
    uv_timer_init(&w->loop, &drip);
    drip.data = NULL;
    h2_ask_all(asks, 2, w, true, &done);
    worker_until_count(w, &a.requests, 2);
    dripping = a.conn[0];
    uv_timer_start(&drip, on_drip, 0, 20);
    worker_until_count(w, &done, 1);
    assert_int_equal(asks[0].err, SHEAF_ERR_TIMEOUT);
    assert_blamed(&asks[0], "the answer made no progress");
    drip.data = (void *)1;
    worker_until_count(w, &done, 2);
    assert_int_equal(asks[1].err, SHEAF_OK);
    assert_int_equal(a.conns, 1);
    uv_close((uv_handle_t *)&drip, NULL);
    h2_worker_end(w, &a, NULL);
}

static void on_piece(uv_timer_t *timer)
{
    ask_t *ask = timer->data;

    if (!ask->has_head)
        peer_head(&dripping->peer, 1, false, ":status: 200");
    else
        peer_data(&dripping->peer, 1, true, "hi");
    h2_flush(dripping);
    worker_has_slept(ask->worker);
}

/* And not when the loop lay down that its bytes have woken. */
static void silence_within_an_answer_begins_with_its_last_bytes(void **state)
{
    h2_backend_t a;
    worker_t *w = watching(&a, 2000, 2000, 0);
    uv_timer_t piece;
    ask_t ask;
    int done = 0;

    uv_timer_init(&w->loop, &piece);
    piece.data = &ask;
    h2_ask_all(&ask, 1, w, true, &done);
    worker_until_count(w, &a.requests, 1);
    dripping = a.conn[0];
    uv_timer_start(&piece, on_piece, 0, 0);
    worker_until(w, &ask.has_head);
    uv_timer_start(&piece, on_piece, 20, 0);
    worker_until_count(w, &done, 1);
    assert_answer(&ask, 200, "hi");
    uv_close((uv_handle_t *)&piece, NULL);
    h2_worker_end(w, &a, NULL);
}

/* It reads, and says nothing, not even to a PING: those are not answered here. */
static void who_does_not_answer_a_ping_is_given_up(void **state)
{
    for (int count = 1; count <= 3; count += 2) {
        h2_backend_t a;
        worker_t *w = watching(&a, 0, 0, 60);
        uint64_t began_ms = w->clock.now_ms;
        ask_t asks[3];
        int done = 0;

        h2_ask_all(asks, count, w, true, &done);
        worker_until_count(w, &done, count);
        for (int i = 0; i < count; i++) {
            assert_int_equal(asks[i].err, SHEAF_ERR_RESET);
            assert_blamed(&asks[i], "it does not answer a PING");
        }
        assert_true(w->clock.now_ms - began_ms >= 120);
        worker_until_count(w, &a.pings, 1);
        assert_int_equal(a.pings, 1);
        h2_worker_end(w, &a, NULL);
    }
}

static void who_answers_a_ping_has_its_time(void **state)
{
    h2_backend_t a;
    worker_t *w = watching(&a, 0, 0, 150);
    ask_t asks[2];
    int done = 0;

    a.answers_pings = true;
    h2_ask_all(asks, 2, w, true, &done);
    worker_until_count(w, &a.pings, 3);
    assert_int_equal(done, 0);
    h2_answer(a.conn[0], 1);
    h2_answer(a.conn[0], 3);
    h2_flush(a.conn[0]);
    worker_until_count(w, &done, 2);
    assert_answer(&asks[1], 200, "hi");
    h2_worker_end(w, &a, NULL);
}

static void say_little(h2_conn_t *conn, int count)
{
    while (count-- > 0)
        peer_u32(&conn->peer, NGHTTP2_WINDOW_UPDATE, 0, 1);
    h2_flush(conn);
}

/* What belongs to no answer is a flood only when it comes all at once: in hours there is room for a lot of it, answers to
 * PINGs among it. */
static void who_is_silent_for_long_may_say_little_now_and_then(void **state)
{
    h2_backend_t a;
    worker_t *w = watching(&a, 0, 0, 100);
    ask_t ask;

    a.answers_pings = true;
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until_count(w, &a.requests, 1);
    say_little(a.conn[0], SHEAF_H2_FRAMES_MOST - 10);
    worker_until_count(w, &a.pings, 4);
    say_little(a.conn[0], 20);
    worker_until_count(w, &a.pings, 5);
    h2_answer(a.conn[0], 1);
    h2_flush(a.conn[0]);
    worker_until(w, &ask.is_done);
    assert_answer(&ask, 200, "hi");
    h2_worker_end(w, &a, NULL);
}

/* Nothing was read meanwhile: who is asked only now has its time from now on. */
static void a_worker_that_stood_still_gives_a_ping_its_time(void **state)
{
    h2_backend_t a;
    worker_t *w = watching(&a, 0, 0, 200);
    ask_t ask;

    a.answers_pings = true;
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until_count(w, &a.requests, 1);
    uv_sleep(420);
    worker_until_count(w, &a.pings, 1);
    h2_answer(a.conn[0], 1);
    h2_flush(a.conn[0]);
    worker_until(w, &ask.is_done);
    assert_answer(&ask, 200, "hi");
    h2_worker_end(w, &a, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_to_one_of_several_ends_that_one),
        cmocka_unit_test(an_answer_that_stands_still_ends_alone),
        cmocka_unit_test(silence_within_an_answer_begins_with_its_last_bytes),
        cmocka_unit_test(who_does_not_answer_a_ping_is_given_up),
        cmocka_unit_test(a_worker_that_stood_still_gives_a_ping_its_time),
        cmocka_unit_test(who_answers_a_ping_has_its_time),
        cmocka_unit_test(who_is_silent_for_long_may_say_little_now_and_then),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
