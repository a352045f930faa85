/* Ejection and breaker on real sockets: what the owner of an exchange, and the backends, see of them. */
#include "tests/unit/upstream/failing.h"

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
        get_whole(&ask, w);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(metric(w, SHEAF_METRIC_EJECTIONS), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_EJECTED), 1);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1); /* a's is closed */
    for (int i = 0; i < 6; i++) {
        get_whole(&ask, w);
    }
    assert_int_equal(w->a.requests, 2);
    worker_until_metric(w, SHEAF_METRIC_SERVERS_EJECTED, 0);
    step_text(&w->a, OK_HI);
    for (int i = 0; i < 2; i++) {
        get_whole(&ask, w);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->a.requests, 3);
    worker_end(w);
}

/* Nobody asked for less time than the configuration gives, be it the upstream's or the route's: that is the server's
 * failure. An item that asked for less may just be impatient. */
static void a_mute_server_is_ejected_by_the_timeout_of_the_route_and_not_by_that_of_an_item(void **state)
{
    for (int is_routes = 0; is_routes < 2; is_routes++) {
        worker_t *w = ejecting();
        ask_t ask;

        w->conf->outlier.eject_ms = w->conf->outlier.max_eject_ms = 60000;
        w->conf->outlier.errors = 1;
        worker_open(w);
        get_repeatable(&ask, w, "/");
        ask.exchange.route_timeout_ms = is_routes ? 50 : 100;
        ask.exchange.deadline_ms = w->clock.now_ms + 50;
        ask_whole(&ask);
        assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
        assert_int_equal(metric(w, SHEAF_METRIC_EJECTIONS), is_routes);
        worker_end(w);
    }
}

/* A plugin that asks somebody else first takes a little of the time, and is no excuse. */
static void a_mute_server_is_ejected_where_a_plugin_took_a_moment(void **state)
{
    worker_t *w = ejecting();
    ask_t ask;

    w->conf->outlier.errors = 1;
    w->conf->timeout_ms = 64;
    worker_open(w);
    get_repeatable(&ask, w, "/");
    ask.exchange.deadline_ms = w->clock.now_ms + w->conf->timeout_ms - 4;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(metric(w, SHEAF_METRIC_EJECTIONS), 1);
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
        cmocka_unit_test(an_ejected_server_is_not_asked_until_its_time_is_over),
        cmocka_unit_test(a_mute_server_is_ejected_by_the_timeout_of_the_route_and_not_by_that_of_an_item),
        cmocka_unit_test(a_mute_server_is_ejected_where_a_plugin_took_a_moment),
        cmocka_unit_test(a_server_that_refuses_connections_is_ejected),
        cmocka_unit_test(a_server_that_swallows_requests_is_ejected_by_the_timeout_of_the_upstream_alone),
        cmocka_unit_test(a_server_is_not_blamed_for_time_that_was_spent_in_the_line),
        cmocka_unit_test(an_open_breaker_refuses_at_once_and_a_probe_closes_it),
        cmocka_unit_test(one_probe_flies_at_a_time_and_one_that_is_cancelled_makes_room),
        cmocka_unit_test(what_waits_when_the_breaker_opens_is_refused_and_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
