#include "tests/sim/upstream/fleet_conn.h"

#include "gateway/upstream/handshake.h"
#include "gateway/upstream/pipeline.h"

static void on_event(sheaf_deadline_t *node);
static void on_deadline(sheaf_deadline_t *node);

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

/* What comes is read at once. */
bool sheaf_conn_is_quiet(const sheaf_conn_t *conn)
{
    assert_true(conn->state == SHEAF_CONN_IDLE || conn->state == SHEAF_CONN_ACTIVE);
    return true;
}

bool sheaf_conn_is_fit(const sheaf_conn_t *conn, const sheaf_exchange_t *exchange)
{
    return exchange->is_idempotent || sheaf_conn_is_quiet(conn);
}

/* What comes is never so much that it is waited for. */
void sheaf_conn_credit(sheaf_flight_t *flight, size_t len)
{
    assert_true(len <= flight->exchange->unused);
    flight->exchange->unused -= (uint32_t)len;
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
    if (can_stay)
        sheaf_pipeline_advance(&ship->conn);
    else
        sheaf_pipeline_cut(&ship->conn, NULL);
    if (ship->conn.flight_count == 0)
        sheaf_deadline_clear(ship->conn.env->deadlines, &ship->conn.deadline);
    else if (!begin(ship))
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
    sheaf_flight_body(flight, "ok", 2);
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
