/* Which conn an exchange gets when no other one may be opened: conns that speak HTTP/2 are shared, but not all of them. */
#include "gateway/upstream/group.h"
#include "tests/unit/upstream/h2_backend.h"

typedef struct place {
    worker_t *w;
    h2_backend_t a, b;
    sheaf_conn_env_t *env;
    sheaf_resolver_t *resolver;
    sheaf_group_t *group;
    sheaf_dispatch_t dispatch;
    ask_t first, second;
} place_t;

static void place_send(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    sheaf_group_send(SHEAF_OWNER(self, place_t, dispatch)->group, exchange);
}

static void place_cancel(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    (void)self;
    sheaf_group_cancel(exchange);
}

/* One conn may be open. */
static void prepare(place_t *p)
{
    worker_t *w = p->w = h2_worker_with(&p->a, &p->b);

    p->dispatch = (sheaf_dispatch_t){.send = place_send, .cancel = place_cancel};
    p->env = calloc(1, sizeof(*p->env));
    p->env->loop = &w->loop;
    p->env->clock = &w->clock;
    p->env->deadlines = &w->deadlines;
    p->env->metrics = &w->metrics;
    p->env->soon = &w->soon;
    p->resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    w->conf->max_connections = 1;
}

static void start(place_t *p)
{
    worker_t *w = p->w;

    p->group = sheaf_group_new(p->env, &w->soon, p->resolver, w->snapshot, w->conf);
    w->view = &p->dispatch;
}

/* It is open, to the server `a`, and its first stream flies. */
static sheaf_conn_t *fly(place_t *p)
{
    worker_t *w = p->w;

    start(p);
    p->b.on_request = h2_answer;
    ask_get(&p->first, w, "/");
    ask_send(&p->first);
    worker_until_count(w, &p->a.requests, 1);
    ask_get(&p->second, w, "/");
    return SHEAF_OWNER(p->group->balance.servers[0].roomy.next, sheaf_conn_t, link);
}

static sheaf_conn_t *begin(place_t *p)
{
    prepare(p);
    return fly(p);
}

static void answer_first(place_t *p)
{
    h2_answer(p->a.conn[0], 1);
    h2_flush(p->a.conn[0]);
    worker_until(p->w, &p->first.is_done);
    assert_answer(&p->first, 200, "hi");
}

static void end(place_t *p)
{
    p->w->view = NULL;
    sheaf_group_free(p->group);
    while (p->env->open_count != 0)
        uv_run(&p->w->loop, UV_RUN_ONCE);
    sheaf_resolver_free(p->resolver, worker_on_upstreams_closed, p->w);
    worker_until(p->w, &p->w->is_closed);
    p->w->is_closed = false;
    sheaf_flight_free_spare(p->env);
    h2_worker_end(p->w, &p->a, &p->b);
    sheaf_slate_free(p->env->slate);
    free(p->env);
}

static void a_conn_is_shared_where_no_other_may_be_opened(void **state)
{
    place_t p = {0};

    begin(&p);
    p.a.on_request = h2_answer;
    ask_whole(&p.second); /* its turn is at the other server */
    assert_int_equal(p.a.requests, 2);
    answer_first(&p);
    end(&p);
}

static void a_server_that_is_left_out_gets_nothing_more_on_its_conns(void **state)
{
    for (int is_probed = 0; is_probed < 2; is_probed++) {
        place_t p = {0};

        begin(&p);
        if (is_probed)
            p.group->balance.servers[0].is_unhealthy = true;
        else
            p.group->balance.servers[0].outlier.is_ejected = true;
        ask_send(&p.second);
        assert_int_equal(metric(p.w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
        answer_first(&p);
        worker_until(p.w, &p.second.is_done);
        assert_answer(&p.second, 200, "hi");
        assert_int_equal(p.a.requests, 1);
        assert_int_equal(p.b.requests, 1);
        end(&p);
    }
}

static void when_all_are_left_out_none_is(void **state)
{
    place_t p = {0};

    begin(&p);
    p.a.on_request = h2_answer;
    p.group->balance.servers[0].outlier.is_ejected = p.group->balance.servers[1].outlier.is_ejected = true;
    ask_whole(&p.second);
    assert_int_equal(p.a.requests, 2);
    answer_first(&p);
    p.group->balance.servers[0].outlier.is_ejected = p.group->balance.servers[1].outlier.is_ejected = false;
    end(&p);
}

/* It looked as if there were room on it when that was last asked. */
static void who_finds_only_a_broken_conn_dials_none_beyond_the_limit(void **state)
{
    place_t p = {0};
    sheaf_conn_t *conn = begin(&p);

    conn->is_half_broken = true;
    ask_send(&p.second);
    assert_int_equal(metric(p.w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
    assert_int_equal(p.group->stock.conn_count, 1);
    answer_first(&p);
    worker_until(p.w, &p.second.is_done);
    assert_answer(&p.second, 200, "hi");
    assert_int_equal(p.b.requests, 1);
    end(&p);
}

static sheaf_slate_line_t *write_unhealthy(sheaf_slate_t *slate, uint64_t key)
{
    sheaf_health_t health = {.is_unhealthy = true};
    sheaf_slate_line_t *line;

    sheaf_slate_begin_round(slate);
    line = sheaf_slate_hold(slate, key);
    sheaf_slate_end_round(slate);
    sheaf_slate_write(slate, line, sheaf_health_pack(&health), true);
    return line;
}

/* The worker that asks has found it out just now. */
static void what_the_slate_says_is_read_before_a_conn_is_shared(void **state)
{
    place_t p = {0};

    prepare(&p);
    p.env->slate = sheaf_slate_new(64);
    p.w->conf->health = (sheaf_health_conf_t){.mark = {1, 1}, .path = SHEAF_STR("/health")};
    fly(&p);
    write_unhealthy(p.env->slate, p.group->monitor.keys[0]);
    ask_send(&p.second);
    assert_int_equal(p.group->stock.conn_count, 1);
    assert_int_equal(metric(p.w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
    answer_first(&p);
    worker_until(p.w, &p.second.is_done);
    assert_int_equal(p.b.requests, 1);
    end(&p);
}

static void leave_out_and_let_in(place_t *p, bool is_probed)
{
    sheaf_slate_line_t *line;

    if (!is_probed) {
        sheaf_triage_blame(&p->group->triage, &p->group->balance.servers[0]);
        assert_true(p->group->balance.servers[0].outlier.is_ejected);
        ask_send(&p->second);
        return;
    }
    line = write_unhealthy(p->env->slate, p->group->monitor.keys[0]);
    ask_send(&p->second);
    sheaf_slate_write(p->env->slate, line, 0, true);
    assert_int_equal(metric(p->w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
    sheaf_monitor_look(&p->group->monitor); /* as the worker that asks does when it finds it out */
}

static void who_waits_is_sent_there_as_soon_as_it_is_let_in_again(void **state)
{
    for (int is_probed = 0; is_probed < 2; is_probed++) {
        place_t p = {0};

        prepare(&p);
        p.env->slate = sheaf_slate_new(64);
        p.w->conf->health = (sheaf_health_conf_t){.mark = {1, 1}, .path = SHEAF_STR("/health")};
        p.w->conf->outlier = (sheaf_outlier_conf_t){.mark = {1, 1},
                                                    .errors = 1,
                                                    .interval_ms = 1000,
                                                    .eject_ms = 20,
                                                    .max_eject_ms = 20,
                                                    .max_ejected_percent = 50};
        fly(&p);
        p.a.on_request = h2_answer;
        leave_out_and_let_in(&p, is_probed);
        assert_int_equal(metric(p.w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
        worker_until(p.w, &p.second.is_done); /* nothing else moves */
        assert_answer(&p.second, 200, "hi");
        assert_int_equal(p.a.requests, 2);
        answer_first(&p);
        end(&p);
    }
}

static void nor_does_it_get_anything_behind_others(void **state)
{
    place_t p = {0};
    worker_t *w;

    prepare(&p);
    w = p.w;
    w->conf->protocol = SHEAF_PROTOCOL_HTTP1;
    w->conf->pipeline = 4;
    w->conf->servers.items[0].url.port = w->a.port;
    w->conf->servers.items[1].url.port = w->b.port;
    start(&p);
    step_text(&w->a, OK_HI);
    step_text(&w->a, ""); /* silence */
    step_text(&w->b, OK_HI);
    ask_get(&p.first, w, "/");
    ask_whole(&p.first);
    ask_send(&p.first);
    worker_until_count(w, &w->a.requests, 2);
    p.group->balance.servers[0].outlier.is_ejected = true;
    ask_get(&p.second, w, "/");
    ask_send(&p.second);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
    backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
    worker_until(w, &p.second.is_done);
    assert_answer(&p.second, 200, "hi");
    assert_int_equal(w->a.requests, 2);
    assert_int_equal(w->b.requests, 1);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conn_is_shared_where_no_other_may_be_opened),
        cmocka_unit_test(a_server_that_is_left_out_gets_nothing_more_on_its_conns),
        cmocka_unit_test(nor_does_it_get_anything_behind_others),
        cmocka_unit_test(what_the_slate_says_is_read_before_a_conn_is_shared),
        cmocka_unit_test(when_all_are_left_out_none_is),
        cmocka_unit_test(who_finds_only_a_broken_conn_dials_none_beyond_the_limit),
        cmocka_unit_test(who_waits_is_sent_there_as_soon_as_it_is_let_in_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
