/* upstream/twin.c - see twin.h. */
#include "gateway/upstream/twin.h"

#include <stdlib.h>

#include "gateway/upstream/leaving.h"
#include "gateway/upstream/place.h"

static uint64_t now_ms(const sheaf_group_t *group)
{
    return group->env->clock->now_ms;
}

void sheaf_twin_watch(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    uint64_t late_ms;

    if (!group->hedge.is_on || exchange->is_streamed || exchange->is_once)
        return;
    late_ms = sheaf_hedge_begin(&group->hedge, exchange, now_ms(group));
    if (late_ms < exchange->end_ms)
        sheaf_deadline_set(group->env->deadlines, &exchange->deadline, late_ms);
}

/* --- sending --- */

static sheaf_exchange_t *twin_new(sheaf_exchange_t *exchange)
{
    sheaf_exchange_t *twin = sheaf_zalloc(sizeof(*twin));

    twin->method = exchange->method;
    twin->target = exchange->target;
    twin->host = exchange->host;
    twin->request_id = exchange->request_id;
    twin->request_item = exchange->request_item;
    twin->id = exchange->id;
    twin->shared = exchange->shared;
    twin->headers = exchange->headers;
    twin->body = exchange->body;
    twin->has_body = exchange->has_body;
    twin->is_idempotent = exchange->is_idempotent;
    twin->keeper = exchange->keeper;
    twin->flow = exchange->flow;
    twin->deadline_ms = exchange->deadline_ms;
    twin->end_ms = exchange->end_ms;
    twin->is_twin = true;
    twin->sends = 1;
    twin->twin = exchange;
    exchange->twin = twin;
    exchange->was_hedged = true;
    return twin;
}

/* Returns the owner's exchange, which is alone now. */
static sheaf_exchange_t *part(sheaf_exchange_t *twin)
{
    sheaf_exchange_t *exchange = twin->twin;

    exchange->twin = twin->twin = NULL;
    return exchange;
}

/* Its twin goes to the next server that neither has it nor failed it and has something to spare; not to a backup, for slow
 * is not unreachable. */
static bool place_twin(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    const sheaf_flight_t *flight = exchange->flight;
    uint64_t tried = exchange->tried | sheaf_balance_bit(&group->balance, flight->conn->server);
    sheaf_exchange_t *twin = twin_new(exchange);
    sheaf_server_t *server;

    while ((server = sheaf_balance_other(&group->balance, tried, now_ms(group))) != NULL &&
           server->rank <= flight->conn->server->rank) {
        if (!server->is_gate && sheaf_place_spare(group, twin, server))
            return true;
        tried |= sheaf_balance_bit(&group->balance, server);
    }
    part(twin)->was_hedged = false;
    free(twin);
    return false;
}

/* Not when its answer has begun, or when it is still to be known which server it is for. */
static bool may_fly_twice(const sheaf_group_t *group, const sheaf_flight_t *flight)
{
    return flight->status == 0 && !flight->conn->server->is_gate && sheaf_triage_is_calm(&group->triage);
}

/* What has come and was not read yet: this worker is late, not the answer, and a second flight would make it later.
 * Over HTTP/2 it may be another one's. */
static bool has_unread(const sheaf_flight_t *flight)
{
    const sheaf_conn_t *conn = flight->conn;

    return conn->state == SHEAF_CONN_ACTIVE && conn->h2 == NULL && !sheaf_conn_is_quiet(conn);
}

/* True: it is looked at once more when that was read, which need not have been an answer. */
static bool put_off(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    uint64_t soon_ms = now_ms(group) + 1;

    if (soon_ms >= exchange->end_ms || !has_unread(exchange->flight))
        return false;
    sheaf_deadline_set(group->env->deadlines, &exchange->deadline, soon_ms);
    return true;
}

void sheaf_twin_send(sheaf_exchange_t *exchange)
{
    sheaf_group_t *group = exchange->keeper;
    const sheaf_flight_t *flight = exchange->flight;

    sheaf_deadline_set(group->env->deadlines, &exchange->deadline, exchange->end_ms);
    if (flight == NULL || !may_fly_twice(group, flight) || put_off(group, exchange))
        return;
    if (!sheaf_hedge_affords(&group->hedge, now_ms(group))) {
        sheaf_count(group->env->metrics, SHEAF_METRIC_HEDGES_REFUSED, 1);
        return;
    }
    if (!place_twin(group, exchange))
        return;
    sheaf_hedge_spend(&group->hedge, now_ms(group));
    sheaf_count(group->env->metrics, SHEAF_METRIC_HEDGES, 1);
    sheaf_upstats_count(group->upstats, SHEAF_UPSTAT_HEDGES, 1);
}

/* --- one of the two is left --- */

void sheaf_twin_ended(sheaf_exchange_t *exchange)
{
    sheaf_group_t *group = exchange->keeper;

    if (exchange->is_timed)
        sheaf_hedge_note(&group->hedge, exchange, false, now_ms(group));
}

void sheaf_twin_let_go(sheaf_exchange_t *exchange)
{
    sheaf_exchange_t *twin = exchange->twin;

    sheaf_twin_ended(exchange);
    if (twin == NULL)
        return;
    part(twin);
    sheaf_leaving_detach(twin);
    free(twin);
}

/* What is left of the timeout when it changes conns says little about the other server. */
static void take_over(sheaf_flight_t *flight, sheaf_exchange_t *exchange)
{
    sheaf_flight_trade(flight, exchange);
    exchange->has_full_time = false;
}

bool sheaf_twin_takes(sheaf_flight_t *flight, uint16_t status)
{
    sheaf_group_t *group = flight->conn->group;
    sheaf_exchange_t *exchange = flight->exchange, *twin = exchange->is_twin ? exchange : exchange->twin;
    bool is_good = sheaf_triage_is_good(&group->triage, status);

    if (exchange->is_timed && is_good)
        sheaf_hedge_note(&group->hedge, exchange, true, now_ms(group));
    if (twin == NULL)
        return true;
    if (is_good != !exchange->is_twin) /* the owner's is to be where the good answer may come from */
        take_over(exchange->is_twin ? flight : twin->flight, twin->twin);
    if (!is_good) {
        flight->again_ms = SHEAF_NEVER;
        return false;
    }
    sheaf_count(group->env->metrics, SHEAF_METRIC_HEDGES_WON, exchange->is_twin);
    sheaf_upstats_count(group->upstats, SHEAF_UPSTAT_HEDGES_WON, exchange->is_twin);
    sheaf_twin_let_go(flight->exchange);
    return true;
}

/* What was not sent, or not acted on, says nothing more of its server here. */
bool sheaf_twin_lost(sheaf_flight_t *flight, sheaf_err_t err)
{
    sheaf_exchange_t *exchange = flight->exchange, *twin = exchange->is_twin ? exchange : exchange->twin, *owner;
    sheaf_group_t *group = exchange->keeper;

    if (twin == NULL)
        return false;
    if (err == SHEAF_ERR_CANCELLED)
        sheaf_throttle_undo(&group->throttle, exchange);
    else
        sheaf_throttle_leave(&group->throttle, exchange, err, flight->status);
    if (flight->has_written && !flight->is_unprocessed)
        sheaf_triage_lost(&group->triage, flight, err);
    if (!exchange->is_twin)
        take_over(twin->flight, exchange);
    owner = part(twin);
    owner->tried |= sheaf_balance_bit(&group->balance, flight->conn->server);
    free(twin);
    return true;
}
