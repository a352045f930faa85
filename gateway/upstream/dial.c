/* upstream/dial.c - see dial.h. */
#include "gateway/upstream/dial.h"

#include <stdlib.h>

#include "gateway/upstream/blame.h"
#include "gateway/upstream/ending.h"
#include "gateway/upstream/handshake.h"
#include "gateway/upstream/place.h"
#include "gateway/upstream/race.h"
#include "gateway/upstream/twin.h"

static bool dial_next(sheaf_conn_t *conn);
static void on_resolved(sheaf_name_waiter_t *waiter);

sheaf_conn_t *sheaf_dial_conn(sheaf_group_t *group, sheaf_server_t *server)
{
    sheaf_conn_t *conn = sheaf_conn_new(group->env, group->events, group, server);

    conn->waiter.on_resolved = on_resolved;
    conn->protocol = group->conf->protocol;
    conn->max_streams = (uint32_t)group->conf->max_streams;
    conn->pipeline = (uint32_t)group->conf->pipeline;
    conn->ping_ms = group->conf->ping_ms;
    conn->first_byte_ms = group->conf->first_byte_timeout_ms;
    conn->idle_ms = group->conf->idle_timeout_ms;
    group->stock.conn_count++;
    sheaf_upstats_gauge(group->upstats, SHEAF_UPSTAT_CONNS, 1);
    return conn;
}

/* A socket that failed is of no more use (it has a family and an error): the next address gets a new conn. */
static sheaf_conn_t *replace(sheaf_conn_t *old)
{
    sheaf_conn_t *conn = sheaf_dial_conn(old->group, old->server);

    sheaf_flight_pass_all(old, conn);
    sheaf_stock_file(&((sheaf_group_t *)conn->group)->stock, conn);
    conn->tried = old->tried;
    sheaf_group_let_go(old);
    return conn;
}

static void end_flight(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;
    sheaf_group_t *group = conn->group;
    sheaf_exchange_t *exchange = flight->exchange;

    sheaf_flight_alight(flight);
    if (sheaf_twin_lost(flight, conn->dial_err))
        return;
    sheaf_twin_ended(exchange);
    sheaf_throttle_leave(&group->throttle, exchange, conn->dial_err, 0);
    if (!sheaf_ending_rest(group, exchange, sheaf_triage_unreached(&group->triage, exchange, conn->dial_err)))
        sheaf_ending_report(group, exchange, conn->dial_err,
                            conn->dial_detail != NULL ? conn->dial_detail : group->balance.detail);
}

/* What became of the address that was dialed last. */
static void note_failure(sheaf_conn_t *conn, sheaf_err_t err, const char *detail)
{
    sheaf_group_t *group = conn->group;
    char words[SHEAF_BLAME_SIZE];

    conn->dial_err = err;
    free(conn->dial_detail);
    conn->dial_detail = sheaf_blame_copy(sheaf_blame_say(words, conn->server, err, detail));
    if (err != SHEAF_ERR_OVERLOADED)
        sheaf_blame_log(group->conf->map_key, conn->server, &conn->address, err, detail, group->env->clock->now_ms);
}

/* Nothing is left to try, for now. */
static void give_up(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;

    if (conn->dial_err == SHEAF_ERR_RESOLVE)
        sheaf_blame_log(group->conf->map_key, conn->server, NULL, SHEAF_ERR_RESOLVE, group->balance.detail,
                        group->env->clock->now_ms);
    while (conn->flight_count != 0)
        end_flight(sheaf_conn_first(conn));
    sheaf_group_let_go(conn);
    sheaf_group_serve_soon(group);
}

/* It goes on at another server; the other one of two may be there. */
static void end_pairs(sheaf_conn_t *conn)
{
    sheaf_link_t *link = conn->flights.next, *after;

    for (; link != &conn->flights; link = after) {
        sheaf_flight_t *flight = SHEAF_OWNER(link, sheaf_flight_t, link);

        after = link->next;
        if (flight->exchange->twin != NULL)
            end_flight(flight);
    }
    sheaf_group_serve_soon(conn->group);
}

static void dial_on(sheaf_conn_t *conn)
{
    while (!dial_next(conn))
        conn = replace(conn);
}

void sheaf_dial(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_server_t *server)
{
    sheaf_conn_t *conn = sheaf_dial_conn(group, server);

    exchange->state = SHEAF_EXCHANGE_FLYING;
    sheaf_flight_board(conn, exchange);
    sheaf_stock_file(&group->stock, conn);
    conn->dial_err = SHEAF_ERR_RESOLVE; /* what it is when no address is found at all */
    dial_on(conn);
}

/* False when the system refused this address at once: the next one is due, on a new conn. */
static bool dial_next(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;
    uint64_t now_ms = group->env->clock->now_ms;
    sheaf_server_t *before = conn->server, *server = before;
    /* an address of `before` was dialed, or it has none */
    bool has_failed = conn->dial_err != SHEAF_ERR_RESOLVE || sheaf_name_has_failed(before->name);
    sheaf_pick_t pick = sheaf_balance_pick(&group->balance, before, now_ms, &conn->tried, &server, &conn->address);
    int status;

    if (has_failed && (pick == SHEAF_PICK_NONE || server != before))
        sheaf_triage_blame(&group->triage, before);
    if (server != before)
        end_pairs(conn);
    if (conn->flight_count == 0)
        pick = SHEAF_PICK_NONE;
    if (pick != SHEAF_PICK_NONE)
        sheaf_flight_aim_all(conn, server);
    sheaf_stock_file(&group->stock, conn);
    switch (pick) {
    case SHEAF_PICK_LOOKUP:
        sheaf_name_ask(sheaf_server_unknown(server), &conn->waiter);
        return true;
    case SHEAF_PICK_NONE:
        give_up(conn);
        return true;
    case SHEAF_PICK_PEER:
        break;
    }
    conn->version = server->version;
    status = sheaf_handshake_begin(conn, group->conf->connect_timeout_ms);
    if (status == 0) {
        sheaf_race_begin(conn);
        return true;
    }
    note_failure(conn, sheaf_handshake_err(status), uv_strerror(status));
    if (conn->dial_err == SHEAF_ERR_OVERLOADED) { /* our own want of sockets: no other address helps */
        give_up(conn);
        return true;
    }
    sheaf_balance_note(conn->server, &conn->address, false, now_ms);
    return false;
}

/* Who waited for a service learns only now which servers there are: each goes to the one whose turn it is. */
static void leave_gate(sheaf_conn_t *conn)
{
    sheaf_group_t *group = conn->group;
    sheaf_flight_t *first = sheaf_conn_first(conn);
    sheaf_link_t *link = first->link.next, *after;

    sheaf_flight_aim_all(conn, sheaf_balance_for(&group->balance, first->exchange, group->env->clock->now_ms));
    sheaf_stock_file(&group->stock, conn);
    for (uint32_t count = conn->flight_count - 1; count != 0; count--, link = after) {
        after = link->next;
        sheaf_place_anew(group, SHEAF_OWNER(link, sheaf_flight_t, link));
    }
}

static void on_resolved(sheaf_name_waiter_t *waiter)
{
    sheaf_conn_t *conn = SHEAF_OWNER(waiter, sheaf_conn_t, waiter);

    if (conn->server->is_gate)
        leave_gate(conn);
    dial_on(conn);
}

void sheaf_dial_failed(sheaf_conn_t *conn, sheaf_err_t err, const char *detail)
{
    sheaf_group_t *group = conn->group;

    if (err != SHEAF_ERR_OVERLOADED)
        sheaf_balance_note(conn->server, &conn->address, false, group->env->clock->now_ms);
    note_failure(conn, err, detail);
    if (sheaf_race_lost(conn))
        return;
    if (err == SHEAF_ERR_OVERLOADED) {
        give_up(conn);
        return;
    }
    dial_on(replace(conn));
}
