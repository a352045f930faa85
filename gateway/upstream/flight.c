/* upstream/flight.c - see flight.h. */
#include "gateway/upstream/flight.h"

#include <stdlib.h>

#include "gateway/upstream/streams.h"
#include "gateway/upstream/writing.h"

static sheaf_flight_t *seat(sheaf_conn_t *conn)
{
    sheaf_link_t *spare = conn->env->spare;

    if (!conn->own.is_aboard)
        return &conn->own;
    if (spare == NULL)
        return sheaf_alloc(sizeof(sheaf_flight_t));
    conn->env->spare = spare->next;
    return SHEAF_OWNER(spare, sheaf_flight_t, link);
}

sheaf_flight_t *sheaf_flight_board(sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    sheaf_flight_t *flight = seat(conn);

    *flight = (sheaf_flight_t){.conn = conn, .exchange = exchange, .is_aboard = true};
    sheaf_list_push_back(&conn->flights, &flight->link);
    conn->flight_count++;
    conn->server->flying++;
    exchange->flight = flight;
    return flight;
}

void sheaf_flight_alight(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;

    SHEAF_ASSERT(flight->is_aboard);
    if (conn->h2 != NULL)
        sheaf_streams_forget(flight);
    else if (flight->link.next == &conn->flights)
        sheaf_writing_forget(conn);
    sheaf_list_remove(&flight->link);
    flight->is_aboard = false;
    flight->exchange->flight = NULL;
    conn->flight_count--;
    conn->server->flying--;
    if (flight == &conn->own)
        return;
    flight->link.next = conn->env->spare;
    conn->env->spare = &flight->link;
}

void sheaf_flight_pass_all(sheaf_conn_t *from, sheaf_conn_t *to)
{
    sheaf_flight_t *flight;

    while ((flight = sheaf_conn_first(from)) != NULL) {
        sheaf_flight_alight(flight);
        sheaf_flight_board(to, flight->exchange);
    }
    to->dial_err = from->dial_err;
    free(to->dial_detail);
    to->dial_detail = from->dial_detail;
    from->dial_detail = NULL;
}

void sheaf_flight_aim_all(sheaf_conn_t *conn, sheaf_server_t *server)
{
    conn->server->flying -= conn->flight_count;
    conn->server->conn_count--;
    conn->server = server;
    server->conn_count++;
    server->flying += conn->flight_count;
}

void sheaf_flight_trade(sheaf_flight_t *flight, sheaf_exchange_t *exchange)
{
    sheaf_exchange_t *other = flight->exchange;
    sheaf_flight_t *from = exchange->flight;
    uint64_t since_us = exchange->since_us;
    bool is_in_flight = exchange->is_in_flight;

    flight->exchange = exchange;
    exchange->flight = flight;
    exchange->since_us = other->since_us;
    exchange->is_in_flight = other->is_in_flight;
    other->flight = from;
    other->since_us = since_us;
    other->is_in_flight = is_in_flight;
    if (from != NULL)
        from->exchange = other;
}

static bool is_of_interest(const sheaf_exchange_t *exchange, uint16_t status)
{
    return status >= 400 || exchange->is_timed || exchange->twin != NULL || exchange->is_streamed;
}

bool sheaf_flight_head(sheaf_flight_t *flight, const sheaf_answer_head_t *head)
{
    flight->status = head->status;
    flight->is_discarded =
        is_of_interest(flight->exchange, head->status) && !flight->conn->events->on_head(flight, head);
    return flight->is_discarded || flight->exchange->sink->on_head(flight->exchange, head);
}

bool sheaf_flight_body(sheaf_flight_t *flight, const char *bytes, size_t len)
{
    sheaf_exchange_t *exchange = flight->exchange;

    if (flight->is_discarded)
        return true;
    if (exchange->is_streamed)
        exchange->unused += (uint32_t)len; /* before its owner has it: that may give it back from inside */
    return exchange->sink->on_body(exchange, bytes, len);
}

bool sheaf_flight_may_repeat(const sheaf_flight_t *flight, sheaf_err_t err)
{
    return err == SHEAF_ERR_RESET && !flight->has_bytes && flight->conn->is_reused &&
           (flight->exchange->is_idempotent || !flight->has_written) && flight->conn->h2 == NULL;
}

const char *sheaf_flight_late(const sheaf_flight_t *flight)
{
    switch (flight->conn->state) {
    case SHEAF_CONN_LOOKUP:
        return "its name was not found in time";
    case SHEAF_CONN_DIALING:
        return "it was not connected to in time";
    default:
        return flight->status != 0 ? "the answer was not complete in time" : "no answer came in time";
    }
}

void sheaf_flight_free_spare(sheaf_conn_env_t *env)
{
    while (env->spare != NULL) {
        sheaf_flight_t *flight = SHEAF_OWNER(env->spare, sheaf_flight_t, link);

        env->spare = flight->link.next;
        free(flight);
    }
}
