/* upstream/pipeline.c - see pipeline.h. */
#include "gateway/upstream/pipeline.h"

#include "gateway/http/message.h"
#include "gateway/upstream/writing.h"

#define PATIENCE_MS 20 /* with an answer that holds up others, or as much as */
#define USUAL       4  /* times of the one before it, when that is more */

/* Sent twice it does no harm, nobody else is after the same answer, and its owner takes it as it comes. */
static bool is_plain(const sheaf_exchange_t *exchange)
{
    return !exchange->has_body && exchange->is_idempotent && !exchange->is_streamed && !exchange->is_twin &&
           exchange->twin == NULL && sheaf_method_is_safe(exchange->method);
}

static uint64_t patience_ms(const sheaf_conn_t *conn)
{
    return USUAL * conn->took_ms > PATIENCE_MS ? USUAL * conn->took_ms : PATIENCE_MS;
}

bool sheaf_pipeline_suits(const sheaf_exchange_t *exchange)
{
    return !exchange->is_alone && is_plain(exchange);
}

/* From when on its first answer holds up others. */
static uint64_t late_ms(const sheaf_conn_t *conn)
{
    return conn->first_ms + patience_ms(conn);
}

/* Not behind an answer that is late: that conn would have the shortest queue of all. */
bool sheaf_pipeline_takes(const sheaf_conn_t *conn)
{
    return conn->flight_count < conn->pipeline && conn->flight_count != 0 && conn->state == SHEAF_CONN_ACTIVE &&
           conn->h2 == NULL && conn->is_reused && !conn->is_writing && !conn->is_half_broken && !conn->is_ended &&
           !conn->is_taking && is_plain(sheaf_conn_first(conn)->exchange) && conn->env->clock->now_ms < late_ms(conn);
}

static void look_at(sheaf_conn_t *conn, uint64_t at_ms)
{
    if (!sheaf_deadline_is_set(&conn->deadline) || conn->deadline.at_ms > at_ms)
        sheaf_deadline_set(conn->env->deadlines, &conn->deadline, at_ms);
}

void sheaf_pipeline_joined(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;

    flight->exchange->has_full_time = false; /* what is left when it is the first says little about the server */
    sheaf_count(conn->env->metrics, SHEAF_METRIC_EXCHANGES_PIPELINED, 1);
    look_at(conn, late_ms(conn));
}

void sheaf_pipeline_advance(sheaf_conn_t *conn)
{
    sheaf_flight_t *next = sheaf_conn_first(conn);
    uint64_t now_ms = conn->env->clock->now_ms;

    conn->took_ms = now_ms - conn->first_ms;
    if (next == NULL)
        return;
    conn->first_ms = now_ms;
    sheaf_h1_begin(&conn->h1, next->exchange->method);
    sheaf_conn_stay_awake(next, conn->first_byte_ms);
    if (conn->flight_count > 1)
        look_at(conn, late_ms(conn));
}

/* What the first one asks may not have left yet; what others ask need not. */
static void settle_outbox(sheaf_conn_t *conn)
{
    if (conn->outbox_count == conn->flight_count)
        sheaf_writing_flush(conn);
    else
        sheaf_writing_discard(conn);
}

void sheaf_pipeline_cut(sheaf_conn_t *conn, const sheaf_flight_t *first)
{
    sheaf_link_t *link = first != NULL ? first->link.next : conn->flights.next, *after;

    if (first != NULL)
        settle_outbox(conn);
    for (; link != &conn->flights; link = after) {
        sheaf_flight_t *flight = SHEAF_OWNER(link, sheaf_flight_t, link);

        after = link->next;
        conn->is_half_broken = true; /* what it asked may still be answered */
        flight->is_unprocessed = true;
        sheaf_flight_alight(flight);
        conn->events->on_cut(flight);
    }
}

bool sheaf_pipeline_leave(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;
    bool is_first = flight == sheaf_conn_first(conn);

    if (!is_first) {
        settle_outbox(conn);
        conn->is_half_broken = true;
        sheaf_flight_alight(flight);
    }
    sheaf_pipeline_cut(conn, sheaf_conn_first(conn));
    return !is_first;
}

uint64_t sheaf_pipeline_watch(sheaf_conn_t *conn)
{
    uint64_t now_ms = conn->env->clock->now_ms, at_ms = late_ms(conn);

    if (conn->flight_count < 2)
        return SHEAF_NEVER;
    if (now_ms < at_ms)
        return at_ms;
    conn->events->on_stuck(conn);
    return conn->flight_count < 2 ? SHEAF_NEVER : now_ms + patience_ms(conn);
}
