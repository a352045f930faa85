/* Which conn an exchange gets, and when. */
#include "tests/unit/upstream/harness.h"

static void steps_ok(backend_t *backend, int count)
{
    for (int i = 0; i < count; i++)
        step_text(backend, OK_HI);
}

static void a_conn_is_kept_and_used_again(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    steps_ok(&w->a, 3);
    for (int i = 0; i < 3; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_string_equal(w->a.log, "0:GET / 0:GET / 0:GET / ");
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_OPENED), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_REUSED), 2);
    worker_end(w);
}

static void the_most_recently_used_conn_is_taken_first(void **state)
{
    worker_t *w = worker_new();
    ask_t a, b, c;

    worker_open(w);
    ask_get(&a, w, "/a");
    ask_get(&b, w, "/b");
    ask_get(&c, w, "/c");
    ask_send(&a);
    ask_send(&b);
    worker_until_count(w, &w->a.requests, 2);
    backend_say(w->a.conn[1], OK_HI, strlen(OK_HI));
    worker_until_metric(w, SHEAF_METRIC_CONNS_IDLE, 1);
    backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
    worker_until_metric(w, SHEAF_METRIC_CONNS_IDLE, 2);
    w->a.log[0] = '\0';
    ask_send(&c);
    worker_until_count(w, &w->a.requests, 3);
    assert_string_equal(w->a.log, "0:GET /c ");
    ask_cancel(&c);
    worker_end(w);
}

static void flows_take_turns_at_the_last_conn(void **state)
{
    worker_t *w = worker_new();
    ask_t asks[6];
    const char *targets[] = {"/a1", "/a2", "/a3", "/a4", "/b1", "/b2"};
    char order[64] = "";
    int done = 0;

    worker_open(w);
    w->conf->max_connections = 1;
    steps_ok(&w->a, 6);
    for (int i = 0; i < 6; i++) {
        ask_get(&asks[i], w, targets[i]);
        asks[i].exchange.flow = targets[i][1] == 'a' ? &order[0] : &order[1];
        asks[i].counter = &done;
        asks[i].order = order;
        ask_send(&asks[i]);
    }
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 5);
    worker_until_count(w, &done, 6);
    assert_string_equal(order, "a1 a2 b1 a3 b2 a4 ");
    assert_int_equal(w->a.conns, 1);
    worker_end(w);
}

static void only_direct_requests_are_refused_at_a_full_line(void **state)
{
    worker_t *w = worker_new();
    ask_t busy, direct[3], batch[5];

    worker_open(w);
    w->conf->max_connections = 1;
    ask_get(&busy, w, "/busy");
    ask_send(&busy);
    for (int i = 0; i < 5; i++) {
        ask_get(&batch[i], w, "/batch");
        ask_send(&batch[i]);
    }
    for (int i = 0; i < 3; i++) {
        ask_get(&direct[i], w, "/direct");
        direct[i].exchange.is_direct = true;
        ask_send(&direct[i]);
    }
    worker_until(w, &direct[2].is_done);
    assert_int_equal(direct[2].err, SHEAF_ERR_QUEUE_FULL);
    assert_false(direct[0].is_done || direct[1].is_done || batch[4].is_done);
    ask_cancel(&busy);
    for (int i = 0; i < 5; i++)
        ask_cancel(&batch[i]);
    ask_cancel(&direct[0]);
    ask_cancel(&direct[1]);
    worker_end(w);
}

static void who_waits_too_long_is_told_so(void **state)
{
    worker_t *w = worker_new();
    ask_t busy, late;

    worker_open(w);
    w->conf->max_connections = 1;
    ask_get(&busy, w, "/busy");
    ask_get(&late, w, "/late");
    late.exchange.deadline_ms = w->clock.now_ms + 30;
    ask_send(&busy);
    ask_send(&late);
    worker_until(w, &late.is_done);
    assert_int_equal(late.err, SHEAF_ERR_QUEUE_FULL);
    assert_int_equal(late.exchange.retry_after_s, 1);
    assert_false(busy.is_done);
    ask_cancel(&busy);
    worker_end(w);
}

static void a_silent_backend_runs_into_the_deadline_and_the_conn_is_dropped(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    ask_get(&ask, w, "/");
    ask.exchange.deadline_ms = w->clock.now_ms + 30;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_ACTIVE), 0);
    worker_end(w);
}

static void the_upstreams_timeout_bounds_an_exchange_without_a_deadline(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    w->conf->timeout_ms = 30;
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    worker_end(w);
}

static void an_idle_conn_expires(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    w->conf->keepalive_ms = 30;
    steps_ok(&w->a, 1);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    worker_until_metric(w, SHEAF_METRIC_CONNS_IDLE, 0);
    worker_end(w);
}

static void without_keepalive_no_conn_is_kept(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    w->conf->keepalive_ms = 0;
    steps_ok(&w->a, 2);
    for (int i = 0; i < 2; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    }
    assert_int_equal(w->a.conns, 2);
    worker_end(w);
}

static void the_backends_keep_alive_is_honoured_less_a_second(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;
    uint64_t from;

    worker_open(w);
    step_text(&w->a, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 0\r\n\r\n");
    step_text(&w->a, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n");
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    from = sheaf_deadlines_next(&w->deadlines);
    assert_in_range(from, w->clock.now_ms + 900, w->clock.now_ms + 1000);
    ask_whole(&ask);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    worker_end(w);
}

static void an_idle_conn_that_speaks_or_closes_is_dropped(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    steps_ok(&w->a, 2);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
    worker_until_metric(w, SHEAF_METRIC_CONNS_IDLE, 0);
    ask_whole(&ask);
    backend_drop(w->a.conn[1]);
    worker_until_metric(w, SHEAF_METRIC_CONNS_IDLE, 0);
    worker_end(w);
}

static void servers_take_turns(void **state)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};
    ask_t ask;

    worker_use(w, "127.0.0.1", ports, 2);
    worker_open(w);
    steps_ok(&w->a, 2);
    steps_ok(&w->b, 2);
    for (int i = 0; i < 4; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_string_equal(w->a.log, "0:GET / 0:GET / ");
    assert_string_equal(w->b.log, "0:GET / 0:GET / ");
    worker_end(w);
}

static void a_server_that_refuses_is_passed_over(void **state)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};
    ask_t ask;

    backend_stop(&w->a);
    worker_use(w, "127.0.0.1", ports, 2);
    worker_open(w);
    steps_ok(&w->b, 4);
    for (int i = 0; i < 4; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->b.conns, 1);
    worker_end(w);
}

static void when_all_refuse_the_exchange_is_refused(void **state)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};
    ask_t ask;

    backend_stop(&w->a);
    backend_stop(&w->b);
    worker_use(w, "127.0.0.1", ports, 2);
    worker_open(w);
    for (int i = 0; i < 2; i++) { /* the second time all are known to refuse, and are asked all the same */
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_int_equal(ask.err, SHEAF_ERR_REFUSED);
        assert_true(ask.detail[0] != '\0');
    }
    worker_end(w);
}

static void a_reload_shares_what_did_not_change(void **state)
{
    worker_t *w = worker_new();
    sheaf_dispatch_t *old;
    sheaf_snapshot_t *first;
    ask_t ask;

    worker_open(w);
    steps_ok(&w->a, 3);
    ask_get(&ask, w, "/");
    ask_whole(&ask);

    old = w->view;
    first = w->snapshot;
    worker_use(w, "127.0.0.1", &w->a.port, 1);
    worker_open(w);
    sheaf_upstreams_close(old);
    sheaf_snapshot_drop(first); /* the shared upstream lives on in the new one */
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->a.conns, 1);

    old = w->view;
    first = w->snapshot;
    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->max_connections = 3;
    worker_open(w);
    sheaf_upstreams_close(old);
    sheaf_snapshot_drop(first);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    ask_whole(&ask);
    assert_int_equal(w->a.conns, 2);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conn_is_kept_and_used_again),
        cmocka_unit_test(the_most_recently_used_conn_is_taken_first),
        cmocka_unit_test(flows_take_turns_at_the_last_conn),
        cmocka_unit_test(only_direct_requests_are_refused_at_a_full_line),
        cmocka_unit_test(who_waits_too_long_is_told_so),
        cmocka_unit_test(a_silent_backend_runs_into_the_deadline_and_the_conn_is_dropped),
        cmocka_unit_test(the_upstreams_timeout_bounds_an_exchange_without_a_deadline),
        cmocka_unit_test(an_idle_conn_expires),
        cmocka_unit_test(without_keepalive_no_conn_is_kept),
        cmocka_unit_test(the_backends_keep_alive_is_honoured_less_a_second),
        cmocka_unit_test(an_idle_conn_that_speaks_or_closes_is_dropped),
        cmocka_unit_test(servers_take_turns),
        cmocka_unit_test(a_server_that_refuses_is_passed_over),
        cmocka_unit_test(when_all_refuse_the_exchange_is_refused),
        cmocka_unit_test(a_reload_shares_what_did_not_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
