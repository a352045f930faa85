/* Active health checks on real sockets: one worker asks, every worker leaves out who is unhealthy. */
#include "tests/unit/upstream/harness.h"
#include "tests/unit/upstream/probes.h"

/* A worker whose upstream has both backends of `of`, who are fine. */
static worker_t *watching(sheaf_slate_t *slate, bool is_prober, worker_t *of)
{
    worker_t *w = worker_new_on(slate, is_prober);
    uint16_t ports[2];

    of = of != NULL ? of : w;
    ports[0] = of->a.port;
    ports[1] = of->b.port;
    of->a.health = of->b.health = FINE;
    worker_use(w, "127.0.0.1", ports, 2);
    w->conf->health = quick(200);
    return w;
}

static void until_unhealthy(worker_t *w, uint64_t count)
{
    worker_until_metric(w, SHEAF_METRIC_SERVERS_UNHEALTHY, count);
}

/* So many exchanges, one after the other, each answered. */
static void ask_times(worker_t *w, int times)
{
    ask_t ask;

    for (int i = 0; i < times; i++) {
        step_text(&w->a, OK_HI);
        step_text(&w->b, OK_HI);
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    w->a.step_count = w->a.requests;
    w->b.step_count = w->b.requests;
}

static void assert_asked(worker_t *w, int a, int b)
{
    assert_int_equal(w->a.requests, a);
    assert_int_equal(w->b.requests, b);
    w->a.requests = w->b.requests = w->a.step_count = w->b.step_count = 0;
}

static void a_server_whose_probes_fail_is_left_out_until_they_succeed(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);

    worker_open(w);
    ask_times(w, 4);
    assert_asked(w, 2, 2);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 2);
    w->a.health = SICK;
    until_unhealthy(w, 1);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    ask_times(w, 6);
    assert_asked(w, 0, 6);
    assert_in_range(metric(w, SHEAF_METRIC_PROBES_FAILED), 2, 3);
    w->a.health = FINE;
    until_unhealthy(w, 0);
    ask_times(w, 6);
    assert_asked(w, 3, 3);
    assert_true(metric(w, SHEAF_METRIC_PROBES_OK) >= 2);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_REUSED), 2 + 6 + 5); /* probes leave the conns of exchanges alone */
    worker_end(w);
    sheaf_slate_free(slate);
}

static void a_server_that_is_silent_or_refuses_is_unhealthy(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);
    uint64_t begun_ms = w->clock.now_ms;

    w->a.is_deaf = true;
    backend_stop(&w->b);
    worker_open(w);
    until_unhealthy(w, 2);
    assert_in_range(w->clock.now_ms - begun_ms, 400, 1800); /* twice the timeout of a probe, and little more */
    worker_end(w);
    sheaf_slate_free(slate);
}

static void every_worker_leaves_out_what_one_found_out(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *other = watching(slate, false, NULL), *prober = watching(slate, true, other);
    bool is_told = false;

    worker_open(prober);
    worker_open(other);
    other->a.health = SICK;
    while (!is_told) { /* two loops, one after the other */
        uv_run(&prober->loop, UV_RUN_NOWAIT);
        uv_run(&other->loop, UV_RUN_NOWAIT);
        is_told = metric(prober, SHEAF_METRIC_SERVERS_UNHEALTHY) == 1;
    }
    ask_times(other, 4);
    assert_asked(other, 0, 4);
    assert_int_equal(metric(other, SHEAF_METRIC_SERVERS_UNHEALTHY), 0); /* counted once, whoever looks */
    assert_int_equal(metric(other, SHEAF_METRIC_PROBES_OK) + metric(other, SHEAF_METRIC_PROBES_FAILED), 0);
    worker_end(prober);
    ask_times(other, 2); /* who asked is gone, what it found out stays */
    assert_asked(other, 0, 2);
    worker_end(other);
    sheaf_slate_free(slate);
}

static void a_successor_begins_with_what_is_known(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *backends = watching(NULL, false, NULL), *first = watching(slate, true, backends), *second;

    backend_stop(&backends->a);
    backend_stop(&backends->b);
    worker_open(first);
    until_unhealthy(first, 2);
    worker_end(first);
    second = watching(slate, true, backends);
    worker_open(second);
    assert_int_equal(metric(second, SHEAF_METRIC_SERVERS_UNHEALTHY), 2); /* before it asked anybody */
    worker_end(second);
    worker_end(backends);
    sheaf_slate_free(slate);
}

/* Opens a changed copy of the configuration and closes the first one, as a reload does. */
static void reload(worker_t *w, sheaf_snapshot_t *next)
{
    sheaf_dispatch_t *old = w->view;

    w->view = sheaf_upstreams_open(w->upstreams, next);
    sheaf_upstreams_close(old);
    sheaf_snapshot_drop(w->snapshot);
    w->snapshot = next;
    w->conf = next->conf.upstreams.items;
}

static sheaf_snapshot_t *next_of(worker_t *w)
{
    uint16_t ports[] = {w->a.port, w->b.port};
    sheaf_snapshot_t *next = snapshot_of("127.0.0.1", ports, 2);

    next->conf.upstreams.items->health = quick(200);
    return next;
}

static void a_reload_keeps_what_is_known_of_unchanged_servers(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);
    sheaf_snapshot_t *next;

    w->a.health = SICK;
    worker_open(w);
    until_unhealthy(w, 1);
    reload(w, next_of(w)); /* equal: the same group goes on */
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_UNHEALTHY), 1);
    ask_times(w, 2);
    assert_asked(w, 0, 2);
    next = next_of(w);
    next->conf.upstreams.items->timeout_ms++; /* another group for the same servers */
    reload(w, next);
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_UNHEALTHY), 1);
    ask_times(w, 2);
    assert_asked(w, 0, 2);
    w->a.health = FINE;
    until_unhealthy(w, 0);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void a_reload_forgets_what_is_asked_no_more_or_otherwise(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);
    sheaf_snapshot_t *next;
    uint64_t asked;

    w->a.health = SICK;
    worker_open(w);
    until_unhealthy(w, 1);
    next = next_of(w);
    next->conf.upstreams.items->health.unhealthy++;
    reload(w, next);
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_UNHEALTHY), 0);
    until_unhealthy(w, 1);
    next = next_of(w);
    next->conf.upstreams.items->health = (sheaf_health_conf_t){.interval_ms = 100};
    reload(w, next);
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_UNHEALTHY), 0);
    assert_int_equal(sheaf_deadlines_next(&w->deadlines), SHEAF_NEVER);
    asked = metric(w, SHEAF_METRIC_PROBES_FAILED);
    ask_times(w, 4);
    assert_asked(w, 2, 2);
    assert_int_equal(metric(w, SHEAF_METRIC_PROBES_FAILED), asked);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void an_older_view_is_not_asked_about(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);
    sheaf_dispatch_t *older;
    sheaf_snapshot_t *next;

    worker_open(w);
    older = w->view;
    next = next_of(w);
    next->conf.upstreams.items->map_key = SHEAF_STR("v");
    w->view = sheaf_upstreams_open(w->upstreams, next);
    w->a.health = SICK;
    until_unhealthy(w, 1); /* of v; if u were asked too, it would be two */
    worker_until_metric(w, SHEAF_METRIC_PROBES_FAILED, metric(w, SHEAF_METRIC_PROBES_FAILED) + 2);
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_UNHEALTHY), 1);
    sheaf_upstreams_close(older);
    sheaf_snapshot_drop(next);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void when_all_are_unhealthy_all_are_used_and_their_conns_are_kept(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);

    w->a.health = w->b.health = SICK;
    worker_open(w);
    until_unhealthy(w, 2);
    ask_times(w, 6);
    assert_asked(w, 3, 3);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_REUSED), 4);
    w->b.health = FINE;
    until_unhealthy(w, 1);
    ask_times(w, 3);
    assert_asked(w, 0, 3);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void a_backup_takes_over_from_an_unhealthy_server(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);

    w->conf->servers.items[1].backup = true;
    worker_open(w);
    ask_times(w, 2);
    assert_asked(w, 2, 0);
    w->a.health = SICK;
    until_unhealthy(w, 1);
    ask_times(w, 3);
    assert_asked(w, 0, 3);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_BACKUP), 3); /* its probes are no exchanges */
    worker_end(w);
    sheaf_slate_free(slate);
}

/* A conn that gets free while others wait would take the next one without asking whose turn it is. */
static void a_conn_of_an_unhealthy_server_takes_no_more_of_the_line(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);
    ask_t asks[3];

    w->conf->max_connections = 1;
    worker_open(w);
    step_text(&w->b, OK_HI);
    step_text(&w->b, OK_HI);
    for (int i = 0; i < 3; i++) {
        ask_get(&asks[i], w, "/");
        ask_send(&asks[i]);
    }
    worker_until_count(w, &w->a.requests, 1); /* it flies at a, which does not answer yet */
    w->a.health = SICK;
    until_unhealthy(w, 1);
    backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
    for (int i = 0; i < 3; i++)
        worker_until(w, &asks[i].is_done);
    assert_asked(w, 1, 2);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void the_last_healthy_server_is_not_ejected(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);
    ask_t ask;

    w->conf->outlier = (sheaf_outlier_conf_t){.mark = {1, 1},
                                              .errors = 1,
                                              .interval_ms = 10000,
                                              .eject_ms = 10000,
                                              .max_eject_ms = 10000,
                                              .max_ejected_percent = 100};
    w->a.health = SICK;
    worker_open(w);
    until_unhealthy(w, 1);
    for (int i = 0; i < 3; i++) {
        step_text(&w->b, SICK);
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 500, "");
    }
    assert_asked(w, 0, 3);
    assert_int_equal(metric(w, SHEAF_METRIC_EJECTIONS), 0);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void a_worker_that_rests_asks_no_more_and_goes_on_with_what_it_knows(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);
    int asked;

    w->a.health = SICK;
    worker_open(w);
    until_unhealthy(w, 1);
    sheaf_upstreams_rest(w->upstreams);
    assert_int_equal(metric(w, SHEAF_METRIC_SERVERS_UNHEALTHY), 0); /* its gauge, which its successor raises again */
    assert_int_equal(sheaf_deadlines_next(&w->deadlines), SHEAF_NEVER);
    asked = w->a.probes;
    ask_times(w, 4);
    assert_asked(w, 0, 4);
    assert_int_equal(w->a.probes, asked);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void servers_without_a_line_on_the_slate_are_not_asked_and_healthy(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(1);
    worker_t *w = watching(slate, true, NULL);

    w->a.health = w->b.health = SICK;
    worker_open(w);
    until_unhealthy(w, 1);
    worker_until_metric(w, SHEAF_METRIC_PROBES_FAILED, 4);
    assert_int_equal(w->b.probes, 0);
    ask_times(w, 3);
    assert_asked(w, 0, 3);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void a_server_that_stands_twice_is_asked_for_each_place(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *w = watching(slate, true, NULL);
    uint16_t ports[] = {w->a.port, w->a.port, w->b.port};

    sheaf_snapshot_drop(w->snapshot);
    worker_use(w, "127.0.0.1", ports, 3);
    w->conf->health = quick(200);
    w->a.health = SICK;
    worker_open(w);
    until_unhealthy(w, 2);
    assert_in_range(metric(w, SHEAF_METRIC_PROBES_FAILED), 4, 6); /* two each, not one and one */
    ask_times(w, 3);
    assert_asked(w, 0, 3);
    worker_end(w);
    sheaf_slate_free(slate);
}

static void use_three(worker_t *w, uint16_t one, uint16_t two, uint16_t three)
{
    uint16_t ports[] = {one, two, three};

    sheaf_snapshot_drop(w->snapshot);
    worker_use(w, "127.0.0.1", ports, 3);
    w->conf->health = quick(200);
}

/* As with services, whose targets are where each worker found room for them. */
static void servers_alike_are_the_same_ones_wherever_a_worker_has_them(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    worker_t *other = watching(slate, false, NULL), *prober = watching(slate, true, other);

    use_three(prober, other->a.port, other->a.port, other->b.port);
    use_three(other, other->a.port, other->b.port, other->a.port);
    worker_open(prober);
    worker_open(other);
    other->a.health = SICK;
    while (metric(prober, SHEAF_METRIC_SERVERS_UNHEALTHY) != 2) {
        uv_run(&prober->loop, UV_RUN_NOWAIT);
        uv_run(&other->loop, UV_RUN_NOWAIT);
    }
    ask_times(other, 3);
    assert_asked(other, 0, 3);
    worker_end(prober);
    worker_end(other);
    sheaf_slate_free(slate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_whose_probes_fail_is_left_out_until_they_succeed),
        cmocka_unit_test(a_server_that_is_silent_or_refuses_is_unhealthy),
        cmocka_unit_test(every_worker_leaves_out_what_one_found_out),
        cmocka_unit_test(a_successor_begins_with_what_is_known),
        cmocka_unit_test(a_reload_keeps_what_is_known_of_unchanged_servers),
        cmocka_unit_test(a_reload_forgets_what_is_asked_no_more_or_otherwise),
        cmocka_unit_test(an_older_view_is_not_asked_about),
        cmocka_unit_test(when_all_are_unhealthy_all_are_used_and_their_conns_are_kept),
        cmocka_unit_test(a_backup_takes_over_from_an_unhealthy_server),
        cmocka_unit_test(a_conn_of_an_unhealthy_server_takes_no_more_of_the_line),
        cmocka_unit_test(the_last_healthy_server_is_not_ejected),
        cmocka_unit_test(a_worker_that_rests_asks_no_more_and_goes_on_with_what_it_knows),
        cmocka_unit_test(servers_without_a_line_on_the_slate_are_not_asked_and_healthy),
        cmocka_unit_test(a_server_that_stands_twice_is_asked_for_each_place),
        cmocka_unit_test(servers_alike_are_the_same_ones_wherever_a_worker_has_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
