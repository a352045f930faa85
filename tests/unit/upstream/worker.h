/* tests/unit/upstream/worker.h - a worker in small: a loop with its clock, deadlines, upstreams and two backends.
 *
 * Nothing sleeps: a test runs the loop until what it waits for has happened, and ends by proving that nothing is left
 * in it (worker_end). */
#ifndef TESTS_UNIT_UPSTREAM_WORKER_H
#define TESTS_UNIT_UPSTREAM_WORKER_H

#include <signal.h>

#include "gateway/base/pool.h"
#include "gateway/upstream/upstream.h"
#include "tests/unit/upstream/backend.h"

#define MAX_SERVERS 4

typedef struct worker {
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer, guard;
    bool is_late, is_closed;
    sheaf_clock_t clock;
    uint64_t ahead_ms; /* of the loop's time: so much is skipped */
    sheaf_deadlines_t deadlines;
    sheaf_soon_t soon;
    sheaf_metrics_t metrics;
    sheaf_upstats_book_t *upstats;
    sheaf_upstreams_t *upstreams;
    sheaf_snapshot_t *snapshot;
    sheaf_dispatch_t *view;
    sheaf_upstream_conf_t *conf; /* change it before the first worker_open() */
    backend_t a, b;
} worker_t;

static void worker_turn(worker_t *w)
{
    uint64_t next;

    sheaf_soon_drain(&w->soon, 10000);
    next = sheaf_deadlines_next(&w->deadlines);
    if (next == SHEAF_NEVER)
        uv_timer_stop(&w->timer);
}

static void worker_refresh(sheaf_clock_t *clock)
{
    worker_t *w = SHEAF_OWNER(clock, worker_t, clock);

    clock->now_ms = uv_now(&w->loop) + w->ahead_ms;
}

/* As if the loop had slept until what is about to wake it: the clock still says when it lay down. */
static void worker_has_slept(worker_t *w)
{
    w->clock.now_ms -= 10000;
}

static void worker_on_timer(uv_timer_t *timer)
{
    worker_t *w = timer->data;

    sheaf_clock_refresh(&w->clock);
    sheaf_deadlines_run(&w->deadlines);
}

static void worker_on_prepare(uv_prepare_t *prepare)
{
    worker_t *w = prepare->data;
    uint64_t next, now = uv_now(&w->loop) + w->ahead_ms;

    worker_turn(w);
    next = sheaf_deadlines_next(&w->deadlines);
    if (next != SHEAF_NEVER)
        uv_timer_start(&w->timer, worker_on_timer, next > now ? next - now : 0, 0);
}

static void worker_on_check(uv_check_t *check)
{
    worker_t *w = check->data;

    sheaf_clock_refresh(&w->clock);
    worker_turn(w);
}

static void worker_on_guard(uv_timer_t *guard)
{
    ((worker_t *)guard->data)->is_late = true;
}

/* A snapshot with one upstream "u" on the given ports of `host`. */
static sheaf_snapshot_t *snapshot_of(const char *host, const uint16_t *ports, uint32_t count)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_snapshot_t *snapshot = sheaf_pool_zalloc(pool, sizeof(*snapshot));
    sheaf_upstream_conf_t *conf = sheaf_pool_zalloc(pool, sizeof(*conf));

    snapshot->pool = pool;
    snapshot->holds = 1;
    snapshot->conf.upstreams.items = conf;
    snapshot->conf.upstreams.count = 1;
    snapshot->conf.resolve.min_ms = 1000;
    snapshot->conf.resolve.max_ms = 60000;
    conf->map_key = SHEAF_STR("u");
    conf->connect_timeout_ms = 2000;
    conf->timeout_ms = 5000;
    conf->max_connections = 8;
    conf->max_waiting = 2;
    conf->keepalive_ms = 60000;
    conf->hash_bound = 125;
    conf->servers.items = sheaf_pool_zalloc(pool, count * sizeof(*conf->servers.items));
    conf->servers.count = count;
    for (uint32_t i = 0; i < count; i++) {
        conf->servers.items[i].url.host = sheaf_str_of(host);
        conf->servers.items[i].url.port = ports[i];
        conf->servers.items[i].weight = 1;
        conf->servers.items[i].url.authority = SHEAF_STR("backend.test");
    }
    return snapshot;
}

/* One of those that share `slate` (may be NULL). */
static worker_t *worker_new_on(sheaf_slate_t *slate, bool is_prober)
{
    worker_t *w = calloc(1, sizeof(*w));

    signal(SIGPIPE, SIG_IGN); /* as the supervisor has it */
    uv_loop_init(&w->loop);
    uv_prepare_init(&w->loop, &w->prepare);
    uv_check_init(&w->loop, &w->check);
    uv_timer_init(&w->loop, &w->timer);
    uv_timer_init(&w->loop, &w->guard);
    w->prepare.data = w->check.data = w->timer.data = w->guard.data = w;
    uv_prepare_start(&w->prepare, worker_on_prepare);
    uv_check_start(&w->check, worker_on_check);
    w->clock.now_ms = uv_now(&w->loop);
    w->clock.refresh = worker_refresh;
    w->clock.read_us = sheaf_clock_monotonic_us;
    sheaf_deadlines_init(&w->deadlines, &w->clock);
    sheaf_soon_init(&w->soon);
    w->upstats = sheaf_upstats_book_new(1);
    w->upstreams = sheaf_upstreams_new(&(sheaf_upstreams_env_t){.loop = &w->loop,
                                                                .clock = &w->clock,
                                                                .deadlines = &w->deadlines,
                                                                .soon = &w->soon,
                                                                .metrics = &w->metrics,
                                                                .upstats = w->upstats,
                                                                .slate = slate,
                                                                .is_prober = is_prober});
    backend_start(&w->a, &w->loop);
    backend_start(&w->b, &w->loop);
    return w;
}

static worker_t *worker_new(void)
{
    return worker_new_on(NULL, false);
}

static void worker_use(worker_t *w, const char *host, const uint16_t *ports, uint32_t count)
{
    w->snapshot = snapshot_of(host, ports, count);
    w->conf = w->snapshot->conf.upstreams.items;
}

static void worker_open(worker_t *w)
{
    if (w->snapshot == NULL)
        worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->view = sheaf_upstreams_open(w->upstreams, w->snapshot);
}

/* Runs the loop until `*flag`, or for five seconds: then the test has failed. */
static void worker_until(worker_t *w, const bool *flag)
{
    w->is_late = false;
    uv_timer_start(&w->guard, worker_on_guard, 5000, 0);
    while (!*flag && !w->is_late)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->guard);
    assert_true(*flag);
}

/* Runs the loop until the int is at least `least`. */
static void worker_until_count(worker_t *w, const int *count, int least)
{
    bool is_there = false;

    w->is_late = false;
    uv_timer_start(&w->guard, worker_on_guard, 5000, 0);
    while (!is_there && !w->is_late) {
        is_there = *count >= least;
        if (!is_there)
            uv_run(&w->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&w->guard);
    assert_true(is_there);
}

static uint64_t metric(worker_t *w, sheaf_metric_t which)
{
    return atomic_load(&w->metrics.values[which]);
}

/* Of the upstream that has this name. */
static uint64_t upstat_of(worker_t *w, const char *name, sheaf_upstat_t which)
{
    return atomic_load(&sheaf_upstats_page(w->upstats, 0, sheaf_str_of(name))->values[which]);
}

/* Of the one that there is (of the first). */
static uint64_t upstat(worker_t *w, sheaf_upstat_t which)
{
    return atomic_load(&sheaf_upstats_page(w->upstats, 0, w->snapshot->conf.upstreams.items->map_key)->values[which]);
}

/* Runs the loop until the metric has that value. */
static void worker_until_metric(worker_t *w, sheaf_metric_t which, uint64_t value)
{
    w->is_late = false;
    uv_timer_start(&w->guard, worker_on_guard, 5000, 0);
    while (metric(w, which) != value && !w->is_late)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->guard);
    assert_int_equal(metric(w, which), value);
}

static void worker_on_upstreams_closed(void *data)
{
    ((worker_t *)data)->is_closed = true;
}

static void assert_upstreams_are_done(worker_t *w)
{
    static const sheaf_upstat_t gauges[] = {SHEAF_UPSTAT_CONNS,           SHEAF_UPSTAT_IN_FLIGHT,
                                            SHEAF_UPSTAT_WAITING,         SHEAF_UPSTAT_ADAPTIVE_LIMIT,
                                            SHEAF_UPSTAT_SERVERS_EJECTED, SHEAF_UPSTAT_SERVERS_UNHEALTHY,
                                            SHEAF_UPSTAT_BREAKERS_OPEN};

    for (uint32_t i = 0; w->snapshot != NULL && i < w->snapshot->conf.upstreams.count; i++)
        for (size_t j = 0; j < SHEAF_COUNT(gauges); j++)
            assert_int_equal(
                atomic_load(&sheaf_upstats_page(w->upstats, 0, w->snapshot->conf.upstreams.items[i].map_key)
                                 ->values[gauges[j]]),
                0);
}

/* The end of every test: all is closed, and the loop is empty. */
static void worker_end(worker_t *w)
{
    if (w->view != NULL)
        sheaf_upstreams_close(w->view);
    sheaf_upstreams_free(w->upstreams, worker_on_upstreams_closed, w);
    assert_false(w->is_closed);
    worker_until(w, &w->is_closed);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_ACTIVE), 0);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_CONNECTING), 0);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 0);
    assert_upstreams_are_done(w);
    assert_int_equal(sheaf_deadlines_next(&w->deadlines), SHEAF_NEVER);
    assert_true(sheaf_soon_is_empty(&w->soon));
    backend_stop(&w->a);
    backend_stop(&w->b);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_close((uv_handle_t *)&w->check, NULL);
    uv_close((uv_handle_t *)&w->timer, NULL);
    uv_close((uv_handle_t *)&w->guard, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    sheaf_deadlines_fini(&w->deadlines);
    if (w->snapshot != NULL)
        sheaf_snapshot_drop(w->snapshot);
    sheaf_upstats_book_free(w->upstats);
    free(w);
}

#endif
