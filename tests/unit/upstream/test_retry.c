/* What is sent twice and what never is; cancelling at every stage; what a sink may do from inside. */
#include "tests/unit/upstream/harness.h"

/* A first exchange leaves an idle conn; the backend then hangs up on the next request without a word. */
static void check_retry(bool is_idempotent, bool is_reset, sheaf_err_t err)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, OK_HI);
    step_close(&w->a, "");
    w->a.steps[1].then_reset = is_reset;
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/1");
    ask_whole(&ask);
    ask_post(&ask, w, "/2", SHEAF_STR("x"));
    ask.exchange.is_idempotent = is_idempotent;
    ask_whole(&ask);
    assert_int_equal(ask.err, err);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RETRIED), err == SHEAF_OK);
    assert_int_equal(w->a.requests, err == SHEAF_OK ? 3 : 2);
    worker_end(w);
}

static void a_reused_conn_that_died_is_retried_only_when_that_does_no_harm(void **state)
{
    check_retry(true, false, SHEAF_OK);
    check_retry(true, true, SHEAF_OK);
    check_retry(false, false, SHEAF_ERR_RESET);
    check_retry(false, true, SHEAF_ERR_RESET);
}

static void a_fresh_conn_is_never_retried(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_close(&w->a, "");
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(w->a.requests, 1);
    worker_end(w);
}

static void a_retry_happens_once(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, OK_HI);
    step_close(&w->a, "");
    step_close(&w->a, "");
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(w->a.requests, 3);
    worker_end(w);
}

static void one_byte_of_an_answer_forbids_a_retry(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, OK_HI);
    step_close(&w->a, "H");
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(w->a.requests, 2);
    worker_end(w);
}

static void a_post_does_not_step_on_a_conn_whose_close_was_not_read_yet(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, OK_HI);
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    shutdown(w->a.conn[0]->tcp.io_watcher.fd, SHUT_WR); /* the worker has not looked yet */
    ask_post(&ask, w, "/", SHEAF_STR("x"));
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->a.conns, 2);
    worker_end(w);
}

static void a_post_that_waited_does_not_step_on_a_conn_that_closed_behind_its_answer(void **state)
{
    worker_t *w = worker_new();
    ask_t first, second;

    worker_open(w);
    w->conf->max_connections = 1;
    step_close(&w->a, OK_HI);
    step_text(&w->a, OK_HI);
    ask_get(&first, w, "/1");
    ask_post(&second, w, "/2", SHEAF_STR("x"));
    ask_send(&first);
    ask_send(&second);
    worker_until(w, &second.is_done);
    assert_answer(&first, 200, "hi");
    assert_answer(&second, 200, "hi");
    assert_int_equal(w->a.conns, 2);
    worker_end(w);
}

static void nothing_steps_on_a_conn_where_a_body_came_behind_the_answer_to_head(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n");
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/1");
    ask.exchange.method = SHEAF_STR("HEAD");
    ask_whole(&ask);
    backend_send(w->a.conn[0], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38); /* the worker has not looked yet */
    ask_get(&ask, w, "/2");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->a.conns, 2);
    worker_end(w);
}

static void cancel_works_at_every_stage(void **state)
{
    worker_t *w = worker_new();
    ask_t never, dialing, flying, half, waiting, refused, last;

    worker_open(w);
    w->conf->max_connections = 1;
    ask_get(&never, w, "/");
    ask_cancel(&never);

    ask_get(&dialing, w, "/");
    ask_send(&dialing);
    ask_cancel(&dialing);

    ask_get(&flying, w, "/");
    ask_get(&waiting, w, "/");
    ask_send(&flying);
    ask_send(&waiting);
    worker_until_count(w, &w->a.requests, 1);
    ask_cancel(&waiting);
    ask_cancel(&flying);

    w->a.step_count = w->a.requests = 0;
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
    ask_get(&half, w, "/");
    ask_send(&half);
    worker_until(w, &half.has_head);
    ask_cancel(&half);

    w->conf->max_waiting = 0;
    ask_get(&flying, w, "/");
    ask_get(&refused, w, "/");
    refused.exchange.is_direct = true;
    ask_send(&flying);
    ask_send(&refused); /* its refusal is on its way */
    ask_cancel(&refused);
    ask_cancel(&flying);
    ask_cancel(&flying); /* not flying any more: fine */

    step_text(&w->a, OK_HI);
    w->a.requests = 1;
    ask_get(&last, w, "/");
    ask_whole(&last);
    assert_answer(&last, 200, "hi");
    assert_false(never.is_done || dialing.is_done || flying.is_done || half.is_done || waiting.is_done ||
                 refused.is_done);
    worker_end(w);
}

static ask_t *other; /* what the hooks below act on */

static void cancel_self(ask_t *ask)
{
    ask_cancel(ask);
}

static void cancel_other(ask_t *ask)
{
    ask_cancel(other);
}

static void send_again(ask_t *ask)
{
    if (*ask->counter < 4)
        ask_send(ask);
}

static void a_sink_may_cancel_its_own_exchange(void **state)
{
    for (int in_body = 0; in_body < 2; in_body++) {
        worker_t *w = worker_new();
        ask_t ask, next;

        worker_open(w);
        step_text(&w->a, OK_HI);
        step_text(&w->a, OK_HI);
        ask_get(&ask, w, "/");
        if (in_body)
            ask.on_body = cancel_self;
        else
            ask.on_head = cancel_self;
        ask_send(&ask);
        worker_until(w, &ask.has_head);
        ask_get(&next, w, "/");
        ask_whole(&next);
        assert_answer(&next, 200, "hi");
        assert_false(ask.is_done);
        assert_int_equal(w->a.conns, 2);
        worker_end(w);
    }
}

static void a_sink_may_cancel_another_exchange_that_just_got_its_conn(void **state)
{
    worker_t *w = worker_new();
    ask_t first, second;

    worker_open(w);
    w->conf->max_connections = 1;
    step_text(&w->a, OK_HI);
    ask_get(&first, w, "/1");
    ask_get(&second, w, "/2");
    other = &second;
    first.then = cancel_other;
    ask_send(&first);
    ask_send(&second);
    worker_until(w, &first.is_done);
    worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 0);
    assert_false(second.is_done);
    worker_end(w);
}

static void on_done_may_send_again_on_the_same_conn(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;
    int done = 0;

    worker_open(w);
    for (int i = 0; i < 4; i++)
        step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask.then = send_again;
    ask.counter = &done;
    ask_send(&ask);
    worker_until_count(w, &done, 4);
    assert_int_equal(w->a.conns, 1);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reused_conn_that_died_is_retried_only_when_that_does_no_harm),
        cmocka_unit_test(a_fresh_conn_is_never_retried),
        cmocka_unit_test(a_retry_happens_once),
        cmocka_unit_test(one_byte_of_an_answer_forbids_a_retry),
        cmocka_unit_test(a_post_does_not_step_on_a_conn_whose_close_was_not_read_yet),
        cmocka_unit_test(a_post_that_waited_does_not_step_on_a_conn_that_closed_behind_its_answer),
        cmocka_unit_test(nothing_steps_on_a_conn_where_a_body_came_behind_the_answer_to_head),
        cmocka_unit_test(cancel_works_at_every_stage),
        cmocka_unit_test(a_sink_may_cancel_its_own_exchange),
        cmocka_unit_test(a_sink_may_cancel_another_exchange_that_just_got_its_conn),
        cmocka_unit_test(on_done_may_send_again_on_the_same_conn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
