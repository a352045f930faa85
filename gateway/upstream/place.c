/* upstream/place.c - see place.h. */
#include "gateway/upstream/place.h"

#include "gateway/upstream/dial.h"
#include "gateway/upstream/ending.h"
#include "gateway/upstream/twin.h"

/* A conn that was closed while it was idle took nothing of the request: once more, on a fresh one. */
void sheaf_place_on(sheaf_group_t *group, sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    sheaf_server_t *server = conn->server;
    sheaf_flight_t *flight = sheaf_flight_board(conn, exchange);

    exchange->state = SHEAF_EXCHANGE_FLYING;
    if (conn->state < SHEAF_CONN_ACTIVE || sheaf_conn_start(flight) == 0) {
        sheaf_stock_file(&group->stock, conn);
        return;
    }
    SHEAF_ASSERT(conn->flight_count == 0); /* with others aboard it has been asked whether it takes one more */
    sheaf_stock_let_go(&group->stock, conn);
    sheaf_count(group->env->metrics, SHEAF_METRIC_EXCHANGES_RETRIED, 1);
    sheaf_dial(group, exchange, server);
}

static bool has_room(const sheaf_group_t *group)
{
    return group->stock.conn_count < group->conf->max_connections;
}

void sheaf_place(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    sheaf_server_t *server;
    sheaf_conn_t *conn;

    sheaf_throttle_enter(&group->throttle, exchange);
    sheaf_monitor_look(&group->monitor);
    server = sheaf_balance_for(&group->balance, exchange, group->env->clock->now_ms);
    conn = sheaf_stock_take(&group->stock, server, exchange);
    if (conn == NULL && !has_room(group))
        conn = sheaf_stock_take_any(&group->stock, exchange);
    if (conn == NULL && !has_room(group) && group->stock.idle_count == 0)
        conn = sheaf_stock_take_shared(&group->stock);
    if (conn == NULL && !has_room(group) && group->stock.idle_count == 0)
        conn = sheaf_stock_find_piped(&group->stock, server, exchange, false); /* see may_stand_behind() */
    if (conn != NULL) {
        sheaf_place_on(group, conn, exchange);
        return;
    }
    if (!has_room(group))
        sheaf_stock_make_room(&group->stock);
    sheaf_dial(group, exchange, server);
}

/* At the limit of conns it is looked closely, with what is known of the servers now: who came with nothing to take would
 * dial one too many. */
static bool has_conn(sheaf_group_t *group)
{
    if (has_room(group) || group->stock.idle_count != 0)
        return true;
    sheaf_monitor_look(&group->monitor);
    return sheaf_stock_take_shared(&group->stock) != NULL;
}

bool sheaf_place_has_own(sheaf_group_t *group)
{
    return sheaf_throttle_has_room(&group->throttle) && has_conn(group);
}

/* Without the one it wants it rather waits, as it would without pipelining. Should that be gone when it is placed at once
 * (another worker has just found its server unhealthy), any one is better than a conn too many. */
static bool may_stand_behind(sheaf_group_t *group, const sheaf_exchange_t *exchange)
{
    const sheaf_server_t *server = NULL;

    if (group->stock.piped_count == 0 || !sheaf_pipeline_suits(exchange))
        return false;
    if (group->conf->balance == SHEAF_TURN_HASH) /* no other one may stand in */
        server = sheaf_balance_for(&group->balance, exchange, group->env->clock->now_ms);
    return sheaf_stock_find_piped(&group->stock, server, exchange, true) != NULL;
}

bool sheaf_place_is_free(sheaf_group_t *group, const sheaf_exchange_t *exchange)
{
    return sheaf_place_has_own(group) ||
           (sheaf_throttle_has_room(&group->throttle) && may_stand_behind(group, exchange));
}

bool sheaf_place_spare(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_server_t *server)
{
    sheaf_conn_t *conn;

    if (group->line.count != 0 || !sheaf_throttle_has_room(&group->throttle))
        return false;
    conn = sheaf_stock_take(&group->stock, server, exchange);
    if (conn == NULL && !has_room(group))
        return false;
    sheaf_throttle_enter(&group->throttle, exchange);
    if (conn != NULL)
        sheaf_place_on(group, conn, exchange);
    else
        sheaf_dial(group, exchange, server);
    return true;
}

/* Who has been cut off from others (pipelining) was in flight: it is not refused because more came meanwhile. */
static bool is_too_many(const sheaf_group_t *group, const sheaf_exchange_t *exchange)
{
    return exchange->is_direct && !exchange->is_alone && group->line.direct_count >= group->conf->max_waiting;
}

/* Its time in the line is what it has less of when it flies: how long that takes then says little about a server. */
void sheaf_place_wait(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    bool is_let = sheaf_triage_lets(&group->triage);

    if (!is_let || is_too_many(group, exchange)) {
        sheaf_ending_refuse(group, exchange, is_let ? SHEAF_ERR_QUEUE_FULL : SHEAF_ERR_BREAKER_OPEN, "");
        return;
    }
    exchange->has_full_time = false;
    exchange->state = SHEAF_EXCHANGE_WAITING;
    sheaf_line_push(&group->line, exchange);
    sheaf_throttle_joined(&group->throttle, exchange);
}

/* One of two stays at its server, or leaves it all to the other one. The place that it has is its own to ask for. */
static void put_off_pair(sheaf_group_t *group, sheaf_flight_t *flight)
{
    sheaf_throttle_undo(&group->throttle, flight->exchange);
    if (!sheaf_place_spare(group, flight->exchange, flight->conn->server))
        sheaf_twin_lost(flight, SHEAF_ERR_CANCELLED);
}

static bool is_before_line(const sheaf_group_t *group, const sheaf_exchange_t *exchange)
{
    const sheaf_exchange_t *next = sheaf_line_peek(&group->line);

    return next == NULL || exchange->number < next->number;
}

void sheaf_place_anew(sheaf_group_t *group, sheaf_flight_t *flight)
{
    sheaf_exchange_t *exchange = flight->exchange;

    if (flight->is_aboard)
        sheaf_flight_alight(flight);
    if (exchange->twin != NULL) {
        put_off_pair(group, flight);
    } else if (is_before_line(group, exchange) && has_conn(group)) {
        sheaf_place(group, exchange);
    } else {
        sheaf_throttle_undo(&group->throttle, exchange);
        sheaf_triage_forget(&group->triage, exchange);
        sheaf_place_wait(group, exchange);
    }
}
