#include "tests/sim/upstream/fleet.h"

#include <sys/random.h>

#include "gateway/base/log.h"
#include "gateway/upstream/handshake.h"
#include "gateway/upstream/pipeline.h"

/* A conn without a socket: it has one thing at a time that is to happen. */
typedef struct ship {
    sheaf_conn_t conn; /* first: a ship is a conn */
    fleet_t *fleet;
    sheaf_link_t link; /* in fleet->conns */
    sheaf_deadline_t event;
    sheaf_task_t burial;
    fate_t fate;
} ship_t;

static fleet_t *the_fleet; /* conns are made by rooms that know nothing of it */

static void on_event(sheaf_deadline_t *node);
static void on_deadline(sheaf_deadline_t *node);

/* Seeds of the rooms under test: the same in every run. */
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    char *bytes = buf;

    (void)flags;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)sheaf_chance_next(&the_fleet->chance);
    return (ssize_t)len;
}

/* --- conns, in the place of gateway/upstream/conn.c --- */

static void bury(sheaf_task_t *task)
{
    ship_t *ship = SHEAF_OWNER(task, ship_t, burial);

    ship->conn.env->open_count--;
    free(ship);
}

sheaf_conn_t *sheaf_conn_new(sheaf_conn_env_t *env, const sheaf_conn_events_t *events, void *group,
                             sheaf_server_t *server)
{
    ship_t *ship = calloc(1, sizeof(*ship));

    ship->conn.env = env;
    ship->conn.events = events;
    ship->conn.group = group;
    ship->conn.server = server;
    ship->conn.h1.keepalive_timeout_s = UINT32_MAX;
    sheaf_list_init(&ship->conn.flights);
    ship->fleet = the_fleet;
    ship->event.on_expired = on_event;
    ship->conn.deadline.on_expired = on_deadline;
    ship->burial.run = bury;
    sheaf_list_push_back(&the_fleet->conns, &ship->link);
    if (++the_fleet->conn_count > the_fleet->most_conns)
        the_fleet->most_conns = the_fleet->conn_count;
    env->open_count++;
    server->conn_count++;
    return &ship->conn;
}

void sheaf_conn_move(sheaf_conn_t *conn, sheaf_conn_state_t state)
{
    assert_int_not_equal(conn->state, SHEAF_CONN_CLOSING);
    conn->state = state;
}

bool sheaf_conn_is_quiet(const sheaf_conn_t *conn)
{
    assert_int_equal(conn->state, SHEAF_CONN_IDLE);
    return true;
}

/* These servers speak HTTP/1.1: no streams that anything could happen to. */
bool sheaf_conn_has_room(const sheaf_conn_t *conn)
{
    (void)conn;
    return false;
}

void sheaf_conn_end(sheaf_flight_t *flight, sheaf_err_t err, const char *detail, bool can_stay)
{
    (void)flight, (void)err, (void)detail, (void)can_stay;
    abort();
}

/* Nothing is ever silent here but for its fate. */
void sheaf_conn_stay_awake(sheaf_flight_t *flight, uint64_t limit_ms)
{
    (void)flight, (void)limit_ms;
}

bool sheaf_conn_leave(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;

    if (conn->state == SHEAF_CONN_ACTIVE)
        return sheaf_pipeline_leave(flight);
    if (conn->flight_count == 1)
        return false;
    sheaf_flight_alight(flight);
    return true;
}

void sheaf_conn_close(sheaf_conn_t *conn)
{
    ship_t *ship = (ship_t *)conn;
    sheaf_flight_t *flight;

    assert_int_not_equal(conn->state, SHEAF_CONN_CLOSING);
    sheaf_conn_move(conn, SHEAF_CONN_CLOSING);
    sheaf_list_remove(&conn->link);
    sheaf_list_remove(&ship->link);
    ship->fleet->conn_count--;
    sheaf_name_forget(&conn->waiter);
    sheaf_deadline_clear(conn->env->deadlines, &conn->race);
    sheaf_deadline_clear(conn->env->deadlines, &ship->event);
    sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    while ((flight = sheaf_conn_first(conn)) != NULL)
        sheaf_flight_alight(flight);
    conn->server->conn_count--;
    free(conn->dial_detail);
    conn->dial_detail = NULL;
    sheaf_soon(&ship->fleet->soon, &ship->burial);
}

/* --- what happens to them --- */

static fate_t ask_fate(ship_t *ship, sheaf_exchange_t *exchange)
{
    ship->fleet->events++;
    return ship->fate = ship->fleet->fate(ship->fleet, &ship->conn, exchange);
}

static void let_happen(ship_t *ship)
{
    if (!ship->fate.is_silent)
        sheaf_deadline_set(ship->conn.env->deadlines, &ship->event,
                           ship->conn.env->clock->now_ms + ship->fate.after_ms);
}

sheaf_err_t sheaf_handshake_err(int status)
{
    return status == UV_EMFILE ? SHEAF_ERR_OVERLOADED : SHEAF_ERR_REFUSED;
}

int sheaf_handshake_begin(sheaf_conn_t *conn, uint64_t timeout_ms)
{
    ship_t *ship = (ship_t *)conn;
    fate_t fate = ask_fate(ship, NULL);

    if (fate.err != SHEAF_OK && fate.is_at_once)
        return fate.err == SHEAF_ERR_OVERLOADED ? UV_EMFILE : UV_ECONNREFUSED;
    if (fate.is_silent || fate.after_ms >= timeout_ms)
        ship->fate = (fate_t){.after_ms = (uint32_t)timeout_ms, .err = SHEAF_ERR_CONNECT_TIMEOUT};
    sheaf_conn_move(conn, SHEAF_CONN_DIALING);
    let_happen(ship);
    return 0;
}

/* What becomes of the request of the first flight; false: it cannot be sent. */
static bool begin(ship_t *ship)
{
    ship->conn.first_ms = ship->conn.env->clock->now_ms;
    if (ask_fate(ship, sheaf_conn_first(&ship->conn)->exchange).err != SHEAF_OK && ship->fate.is_at_once)
        return false;
    let_happen(ship);
    return true;
}

int sheaf_conn_start(sheaf_flight_t *flight)
{
    ship_t *ship = (ship_t *)flight->conn;
    ask_t *ask = fleet_ask_of(flight->exchange);
    uint32_t server = fleet_server(&ship->conn);

    assert_true(flight->is_aboard);
    if (flight == sheaf_conn_first(&ship->conn) && !begin(ship)) {
        sheaf_flight_alight(flight);
        return UV_EPIPE;
    }
    ship->fleet->requests++;
    ship->fleet->per_server[server]++;
    if (ask != NULL) {
        ask->sends++;
        ask->servers |= (uint64_t)1 << server;
    }
    flight->has_written = true;
    if (flight != sheaf_conn_first(&ship->conn))
        sheaf_pipeline_joined(flight);
    sheaf_conn_move(&ship->conn, SHEAF_CONN_ACTIVE);
    return 0;
}

/* Whose turn it is on the conn is answered behind the one before it. */
static void pass_on(ship_t *ship, bool can_stay)
{
    if (!can_stay || ship->conn.flight_count == 0) {
        sheaf_pipeline_cut(&ship->conn, NULL);
        sheaf_deadline_clear(ship->conn.env->deadlines, &ship->conn.deadline);
        return;
    }
    sheaf_pipeline_advance(&ship->conn);
    if (!begin(ship))
        let_happen(ship);
}

static void end(sheaf_flight_t *flight, sheaf_err_t err, bool can_stay)
{
    can_stay = can_stay && !flight->conn->is_half_broken;
    sheaf_flight_alight(flight);
    pass_on((ship_t *)flight->conn, can_stay);
    flight->conn->events->on_end(flight, err, err == SHEAF_OK ? "" : "fate", can_stay);
}

static bool is_aboard(const ship_t *ship, const sheaf_exchange_t *exchange)
{
    const sheaf_flight_t *flight = ship->conn.state == SHEAF_CONN_CLOSING ? NULL : sheaf_conn_first(&ship->conn);

    return flight != NULL && flight->exchange == exchange;
}

static void give_answer(ship_t *ship, sheaf_flight_t *flight)
{
    sheaf_header_t header = {.name = SHEAF_STR("retry-after")};
    sheaf_answer_head_t head = {.status = ship->fate.status, .headers = &header, .content_length = 2};
    sheaf_exchange_t *exchange;

    if (ship->fate.retry_after != NULL) {
        header.value = sheaf_str_of(ship->fate.retry_after);
        head.header_count = 1;
    }
    flight->has_bytes = true;
    assert_true(sheaf_flight_head(flight, &head));
    if (!flight->is_aboard)
        return;                  /* its owner cancelled it from inside */
    exchange = flight->exchange; /* hedge may have put the owner's there */
    if (!flight->is_discarded)
        exchange->sink->on_body(exchange, "ok", 2);
    if (!is_aboard(ship, exchange))
        return;
    ship->fleet->answered += ship->fate.err == SHEAF_OK;
    end(flight, ship->fate.err, ship->fate.err == SHEAF_OK && !ship->fate.has_closed);
}

static void on_event(sheaf_deadline_t *node)
{
    ship_t *ship = SHEAF_OWNER(node, ship_t, event);
    sheaf_conn_t *conn = &ship->conn;
    sheaf_flight_t *flight = sheaf_conn_first(conn);

    if (conn->state == SHEAF_CONN_DIALING && ship->fate.err == SHEAF_OK)
        conn->events->on_open(conn);
    else if (conn->state == SHEAF_CONN_DIALING)
        conn->events->on_dial_failed(conn, ship->fate.err, "fate");
    else if (ship->fate.status != 0)
        give_answer(ship, flight);
    else
        end(flight, ship->fate.err, false);
}

static void on_deadline(sheaf_deadline_t *node)
{
    sheaf_conn_t *conn = SHEAF_OWNER(node, sheaf_conn_t, deadline);
    uint64_t at_ms = sheaf_pipeline_watch(conn);

    sheaf_deadline_set(conn->env->deadlines, node, at_ms);
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
    fleet->upstreams = sheaf_upstreams_new(&(sheaf_upstreams_env_t){.loop = &fleet->loop,
                                                                    .clock = &fleet->clock,
                                                                    .deadlines = &fleet->deadlines,
                                                                    .soon = &fleet->soon,
                                                                    .metrics = &fleet->metrics});
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

static void assert_nothing_left(const fleet_t *fleet)
{
    static const sheaf_metric_t gauges[] = {SHEAF_METRIC_EXCHANGES_WAITING, SHEAF_METRIC_EXCHANGES_RESTING,
                                            SHEAF_METRIC_EXCHANGES_FLYING,  SHEAF_METRIC_ADAPTIVE_LIMIT,
                                            SHEAF_METRIC_SERVERS_EJECTED,   SHEAF_METRIC_BREAKERS_OPEN};

    for (size_t i = 0; i < sizeof(gauges) / sizeof(*gauges); i++)
        assert_int_equal(fleet_metric(fleet, gauges[i]), 0);
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
    free(fleet);
}

void fleet_drain(fleet_t *fleet)
{
    sheaf_soon_drain(&fleet->soon, UINT32_MAX);
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
