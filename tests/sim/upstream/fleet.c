#include "tests/sim/upstream/fleet_conn.h"

#include <sys/random.h>

#include "gateway/base/log.h"
#include "gateway/upstream/place.h"

fleet_t *the_fleet;

/* Seeds of the rooms under test: the same in every run. */
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    char *bytes = buf;

    (void)flags;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)sheaf_chance_next(&the_fleet->chance);
    return (ssize_t)len;
}

/* --- the owner of an exchange --- */

static bool on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_true(ask->is_sent && !ask->has_head);
    ask->has_head = true;
    ask->status = head->status;
    return true;
}

static bool on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_true(ask->is_sent && ask->has_head);
    assert_memory_equal(bytes, "ok", len);
    return true;
}

static void on_done(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_true(ask->is_sent);
    assert_non_null(detail);
    assert_true(err != SHEAF_OK || ask->has_head);
    assert_int_equal(exchange->retry_after_s != 0, sheaf_err_status(err) == 503);
    assert_true(ask->fleet->clock.now_ms <= ask->exchange.deadline_ms);
    ask->is_sent = false;
    ask->done_count++;
    ask->err = err;
    ask->done_ms = ask->fleet->clock.now_ms;
    ask->fleet->done_count++;
    if (ask->then != NULL)
        ask->then(ask);
}

static const sheaf_sink_t sink = {on_head, on_body, on_done};

ask_t *fleet_ask_of(const sheaf_exchange_t *exchange)
{
    return exchange->sink == &sink ? SHEAF_OWNER(exchange, ask_t, exchange) : NULL;
}

ask_t *fleet_ask(fleet_t *fleet)
{
    ask_t *ask = &fleet->asks[fleet->ask_count++];

    assert_true(fleet->ask_count <= FLEET_MAX_ASKS);
    ask->fleet = fleet;
    ask->exchange.sink = &sink;
    ask->exchange.method = SHEAF_STR("GET");
    ask->exchange.target = SHEAF_STR("/");
    ask->exchange.is_idempotent = ask->exchange.is_repeatable = true;
    ask->exchange.flow = fleet;
    ask->exchange.deadline_ms = SHEAF_NEVER;
    return ask;
}

void fleet_send(ask_t *ask)
{
    ask->is_sent = true;
    ask->has_head = false;
    ask->sent_ms = ask->fleet->clock.now_ms;
    ask->fleet->view->send(ask->fleet->view, &ask->exchange);
    assert_true(ask->is_sent); /* never from inside */
}

void fleet_cancel(ask_t *ask)
{
    ask->fleet->view->cancel(ask->fleet->view, &ask->exchange);
    ask->is_sent = false;
}

/* --- the world --- */

static uint64_t read_us(sheaf_clock_t *clock)
{
    return clock->now_ms * 1000;
}

static sheaf_snapshot_t *load(const char *yaml)
{
    char text[4096], *report = NULL;
    sheaf_snapshot_t *snapshot;

    snprintf(text, sizeof(text), "listen:\n  - address: 127.0.0.1:0\nupstreams:\n%s", yaml);
    snapshot = sheaf_snapshot_load("fleet.yaml", sheaf_str_of(text), &report);
    if (snapshot == NULL)
        print_error("%s\n", report);
    free(report);
    assert_non_null(snapshot);
    return snapshot;
}

fleet_t *fleet_new(const char *yaml, uint64_t seed)
{
    fleet_t *fleet = calloc(1, sizeof(*fleet));

    the_fleet = fleet;
    sheaf_log_setup(false, SHEAF_LOG_ERROR, NULL);
    fleet->chance.state = seed;
    fleet->clock.now_ms = 1000000;
    fleet->clock.read_us = read_us;
    sheaf_list_init(&fleet->conns);
    uv_loop_init(&fleet->loop);
    sheaf_deadlines_init(&fleet->deadlines, &fleet->clock);
    sheaf_soon_init(&fleet->soon);
    fleet->upstats = sheaf_upstats_book_new(1);
    fleet->upstreams = sheaf_upstreams_new(&(sheaf_upstreams_env_t){.loop = &fleet->loop,
                                                                    .clock = &fleet->clock,
                                                                    .deadlines = &fleet->deadlines,
                                                                    .soon = &fleet->soon,
                                                                    .metrics = &fleet->metrics,
                                                                    .upstats = fleet->upstats});
    fleet->snapshot = load(yaml);
    fleet->view = sheaf_upstreams_open(fleet->upstreams, fleet->snapshot);
    return fleet;
}

void fleet_reload(fleet_t *fleet, const char *yaml)
{
    sheaf_snapshot_t *snapshot = load(yaml);
    sheaf_dispatch_t *view = sheaf_upstreams_open(fleet->upstreams, snapshot);

    sheaf_upstreams_close(fleet->view);
    sheaf_snapshot_drop(fleet->snapshot);
    fleet->view = view;
    fleet->snapshot = snapshot;
}

static void on_closed(void *data)
{
    ((fleet_t *)data)->is_closed = true;
}

/* Of those that the last snapshot has, and so of all that have those names. */
static void assert_upstreams_are_done(const fleet_t *fleet)
{
    static const sheaf_upstat_t gauges[] = {SHEAF_UPSTAT_CONNS,           SHEAF_UPSTAT_IN_FLIGHT,
                                            SHEAF_UPSTAT_WAITING,         SHEAF_UPSTAT_ADAPTIVE_LIMIT,
                                            SHEAF_UPSTAT_SERVERS_EJECTED, SHEAF_UPSTAT_BREAKERS_OPEN};

    for (uint32_t i = 0; i < fleet->snapshot->conf.upstreams.count; i++)
        for (size_t j = 0; j < sizeof(gauges) / sizeof(*gauges); j++)
            assert_int_equal(fleet_upstat(fleet, i, gauges[j]), 0);
}

/* What all did is what each of them did. */
static void assert_books_agree(const fleet_t *fleet)
{
    static const struct {
        sheaf_metric_t of_all;
        sheaf_upstat_t of_each;
    } pairs[] = {
        {SHEAF_METRIC_RETRIES, SHEAF_UPSTAT_RETRIES},
        {SHEAF_METRIC_RETRIES_REFUSED, SHEAF_UPSTAT_RETRIES_REFUSED},
        {SHEAF_METRIC_HEDGES, SHEAF_UPSTAT_HEDGES},
        {SHEAF_METRIC_HEDGES_WON, SHEAF_UPSTAT_HEDGES_WON},
        {SHEAF_METRIC_FALLBACKS, SHEAF_UPSTAT_FALLBACKS},
        {SHEAF_METRIC_EJECTIONS, SHEAF_UPSTAT_EJECTIONS},
        {SHEAF_METRIC_BREAKER_OPENED, SHEAF_UPSTAT_BREAKER_OPENED},
        {SHEAF_METRIC_BREAKER_REFUSED, SHEAF_UPSTAT_FAILED_BREAKER},
        {SHEAF_METRIC_SHED, SHEAF_UPSTAT_FAILED_SHED},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        uint64_t sum = 0;

        for (uint32_t j = 0; j < fleet->snapshot->conf.upstreams.count; j++)
            sum += fleet_upstat(fleet, j, pairs[i].of_each);
        assert_int_equal(sum, fleet_metric(fleet, pairs[i].of_all));
    }
}

static void assert_nothing_left(const fleet_t *fleet)
{
    static const sheaf_metric_t gauges[] = {SHEAF_METRIC_EXCHANGES_WAITING, SHEAF_METRIC_EXCHANGES_RESTING,
                                            SHEAF_METRIC_EXCHANGES_FLYING,  SHEAF_METRIC_ADAPTIVE_LIMIT,
                                            SHEAF_METRIC_SERVERS_EJECTED,   SHEAF_METRIC_BREAKERS_OPEN};

    for (size_t i = 0; i < sizeof(gauges) / sizeof(*gauges); i++)
        assert_int_equal(fleet_metric(fleet, gauges[i]), 0);
    assert_upstreams_are_done(fleet);
    assert_books_agree(fleet);
    assert_int_equal(sheaf_deadlines_next(&fleet->deadlines), SHEAF_NEVER);
    assert_true(sheaf_soon_is_empty(&fleet->soon));
    assert_int_equal(fleet->conn_count, 0);
}

void fleet_free(fleet_t *fleet)
{
    for (uint32_t i = 0; i < fleet->ask_count; i++)
        assert_false(fleet->asks[i].is_sent);
    sheaf_upstreams_close(fleet->view);
    fleet_drain(fleet); /* the burials */
    sheaf_upstreams_free(fleet->upstreams, on_closed, fleet);
    while (!fleet->is_closed)
        uv_run(&fleet->loop, UV_RUN_ONCE);
    assert_nothing_left(fleet);
    assert_int_equal(uv_loop_close(&fleet->loop), 0);
    sheaf_deadlines_fini(&fleet->deadlines);
    sheaf_snapshot_drop(fleet->snapshot);
    sheaf_upstats_book_free(fleet->upstats);
    free(fleet);
}

/* Whoever waits does so because there is no place; one behind others may come with time (a server that is let in again). */
static void assert_no_place_is_left(const fleet_t *fleet)
{
    for (uint32_t i = 0; i < fleet->ask_count; i++) {
        const sheaf_exchange_t *exchange = &fleet->asks[i].exchange;

        if (exchange->line != NULL)
            assert_false(sheaf_place_has_own(exchange->keeper));
    }
}

void fleet_drain(fleet_t *fleet)
{
    sheaf_soon_drain(&fleet->soon, UINT32_MAX);
    assert_no_place_is_left(fleet);
}

void fleet_wind(fleet_t *fleet, uint64_t ms)
{
    uint64_t until_ms = fleet->clock.now_ms + ms, next_ms;

    fleet_drain(fleet);
    while ((next_ms = sheaf_deadlines_next(&fleet->deadlines)) <= until_ms) {
        if (next_ms > fleet->clock.now_ms)
            fleet->clock.now_ms = next_ms;
        sheaf_deadlines_run(&fleet->deadlines);
        fleet_drain(fleet);
    }
    fleet->clock.now_ms = until_ms;
}

static bool is_busy(const fleet_t *fleet)
{
    for (uint32_t i = 0; i < fleet->ask_count; i++)
        if (fleet->asks[i].is_sent)
            return true;
    return false;
}

void fleet_finish(fleet_t *fleet, uint64_t ms)
{
    uint64_t until_ms = fleet->clock.now_ms + ms;

    fleet_drain(fleet);
    while (is_busy(fleet)) {
        uint64_t next_ms = sheaf_deadlines_next(&fleet->deadlines);

        assert_true(next_ms <= until_ms);
        fleet_wind(fleet, next_ms > fleet->clock.now_ms ? next_ms - fleet->clock.now_ms : 0);
    }
}

uint64_t fleet_metric(const fleet_t *fleet, sheaf_metric_t which)
{
    return atomic_load(&fleet->metrics.values[which]);
}

uint64_t fleet_upstat(const fleet_t *fleet, uint32_t upstream, sheaf_upstat_t which)
{
    sheaf_str_t name = fleet->snapshot->conf.upstreams.items[upstream].map_key;

    return atomic_load(&sheaf_upstats_page(fleet->upstats, 0, name)->values[which]);
}

uint32_t fleet_server(const sheaf_conn_t *conn)
{
    return ntohs(conn->address.v4.sin_port);
}

static uint32_t count_flying(const fleet_t *fleet, bool is_any, uint32_t server)
{
    uint32_t count = 0;

    for (const sheaf_link_t *link = fleet->conns.next; link != &fleet->conns; link = link->next) {
        const sheaf_conn_t *conn = &SHEAF_OWNER(link, ship_t, link)->conn;

        count += is_any || conn->server->port == server ? conn->flight_count : 0;
    }
    return count;
}

uint32_t fleet_flying(const fleet_t *fleet)
{
    return count_flying(fleet, true, 0);
}

uint32_t fleet_flying_at(const fleet_t *fleet, uint32_t server)
{
    return count_flying(fleet, false, server);
}
