/* How many streams a backend takes: what it says, and what is made of it. */
#include "tests/unit/upstream/h2_backend.h"

/* It has one at a time, refuses all that come beside it, and takes a moment for an answer. */
typedef struct slow {
    h2_backend_t backend;
    uv_timer_t timer;
    int32_t pending[H2_CONNS];
    int refused;
} slow_t;

static void have_one(h2_conn_t *conn, int32_t id)
{
    slow_t *slow = SHEAF_OWNER(conn->backend, slow_t, backend);

    if (slow->pending[conn->index] == 0) {
        slow->pending[conn->index] = id;
        return;
    }
    slow->refused++;
    h2_refuse(conn, id);
}

static void on_moment(uv_timer_t *timer)
{
    slow_t *slow = SHEAF_OWNER(timer, slow_t, timer);

    for (int i = 0; i < slow->backend.conns; i++) {
        h2_conn_t *conn = slow->backend.conn[i];

        if (conn == NULL || slow->pending[i] == 0)
            continue;
        h2_answer(conn, slow->pending[i]);
        slow->pending[i] = 0;
        h2_flush(conn);
    }
}

static void many_get_what_they_want_of_one_that_takes_few_at_once(void **state)
{
    enum { COUNT = 100 };
    static slow_t slow;
    worker_t *w = h2_worker_with(&slow.backend, NULL);
    ask_t asks[COUNT];
    int done = 0;

    w->conf->max_connections = 20;
    slow.backend.on_request = have_one;
    slow.backend.max_streams = 1;
    uv_timer_init(&w->loop, &slow.timer);
    uv_timer_start(&slow.timer, on_moment, 0, 20);
    worker_open(w);
    h2_ask_all(asks, COUNT, w, true, &done);
    worker_until_count(w, &done, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_int_equal(slow.backend.conns, 20);
    assert_in_range(slow.refused, 1, COUNT - 1); /* what went out before it could say what it takes */
    uv_close((uv_handle_t *)&slow.timer, NULL);
    h2_worker_end(w, &slow.backend, NULL);
}

enum { MORE = 5 };
static ask_t more[MORE];
static int more_done;

static void send_more(ask_t *ask)
{
    h2_ask_all(more, MORE, ask->worker, true, &more_done);
}

static void answer_and_take_fewer(h2_conn_t *conn, int32_t id)
{
    h2_answer(conn, id);
    if (conn->index == 0 && id == 1)
        peer_setting(&conn->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
}

/* They are sent when the answer is read, and the SETTINGS stand behind it: nothing of them has gone out. */
static void what_is_in_line_goes_elsewhere_when_the_backend_takes_fewer(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t first;

    more_done = 0;
    a.on_request = answer_and_take_fewer;
    worker_open(w);
    ask_get(&first, w, "/");
    first.then = send_more;
    ask_whole(&first);
    worker_until_count(w, &more_done, MORE);
    for (int i = 0; i < MORE; i++)
        assert_answer(&more[i], 200, "hi");
    assert_int_equal(a.requests, 1 + MORE);
    assert_true(a.conns > 1);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RETRIED), MORE - 1);
    h2_worker_end(w, &a, NULL);
}

static void say_all_is_well(h2_conn_t *conn)
{
    peer_setting(&conn->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 10);
    h2_flush(conn);
}

static void answer_and_take_none(h2_conn_t *conn, int32_t id)
{
    h2_answer(conn, id);
    if (conn->index == 0 && id == 1)
        peer_setting(&conn->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
}

static void who_takes_none_for_a_while_is_waited_for(void **state)
{
    h2_backend_t a;
    worker_t *w = h2_worker_with(&a, NULL);
    ask_t first;

    more_done = 0;
    a.on_request = answer_and_take_none;
    w->conf->max_connections = 1;
    worker_open(w);
    ask_get(&first, w, "/");
    first.then = send_more;
    ask_whole(&first);
    ask_get(&first, w, "/");
    ask_send(&first);
    worker_until_metric(w, SHEAF_METRIC_EXCHANGES_WAITING, 1);
    assert_int_equal(a.requests, 1);
    say_all_is_well(a.conn[0]);
    worker_until_count(w, &more_done, MORE);
    worker_until(w, &first.is_done);
    assert_answer(&first, 200, "hi");
    assert_int_equal(a.conns, 1);
    h2_worker_end(w, &a, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_get_what_they_want_of_one_that_takes_few_at_once),
        cmocka_unit_test(what_is_in_line_goes_elsewhere_when_the_backend_takes_fewer),
        cmocka_unit_test(who_takes_none_for_a_while_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
