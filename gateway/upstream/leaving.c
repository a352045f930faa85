/* upstream/leaving.c - see leaving.h. */
#include "gateway/upstream/leaving.h"

#include "gateway/upstream/ending.h"
#include "gateway/upstream/streams.h"
#include "gateway/upstream/twin.h"

/* Its last stream was reset: nothing is taken out of the line here, see sheaf_leaving_detach(). */
static void rest_conn(sheaf_group_t *group, sheaf_conn_t *conn)
{
    uint64_t kept_ms = sheaf_stock_keep_ms(conn, group->conf->keepalive_ms);

    if (kept_ms == 0 || sheaf_server_is_out(conn->server) || !sheaf_streams_can_stay(conn)) {
        sheaf_group_let_go(conn);
        return;
    }
    conn->is_reused = true;
    sheaf_stock_put(&group->stock, conn, kept_ms);
}

static void leave(sheaf_flight_t *flight)
{
    sheaf_group_t *group = flight->exchange->keeper;

    if (!sheaf_conn_leave(flight))
        sheaf_group_let_go(flight->conn);
    else if (flight->conn->flight_count == 0)
        rest_conn(group, flight->conn);
    else
        sheaf_stock_file(&group->stock, flight->conn);
    sheaf_group_serve_soon(group);
}

void sheaf_leaving_detach(sheaf_exchange_t *exchange)
{
    sheaf_group_t *group = exchange->keeper;

    if (exchange->state == SHEAF_EXCHANGE_WAITING) {
        sheaf_line_remove(exchange);
        sheaf_throttle_waited(&group->throttle, exchange);
        sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
    } else if (exchange->state == SHEAF_EXCHANGE_FLYING) {
        sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
        sheaf_twin_let_go(exchange);
        sheaf_triage_forget(&group->triage, exchange);
        sheaf_throttle_leave(&group->throttle, exchange, SHEAF_ERR_CANCELLED, 0);
        leave(exchange->flight);
    } else if (exchange->state == SHEAF_EXCHANGE_RESTING) {
        sheaf_gauge(group->env->metrics, SHEAF_METRIC_EXCHANGES_RESTING, -1);
        sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
    } else if (exchange->state == SHEAF_EXCHANGE_REPORTING) {
        sheaf_ending_unsay(exchange);
    }
    exchange->state = SHEAF_EXCHANGE_IDLE;
}

/* Not of one whose answer is on its way to its owner: that has no time limit any more. */
static void count_late(const sheaf_exchange_t *exchange)
{
    const sheaf_group_t *group = exchange->keeper;

    if (exchange->state == SHEAF_EXCHANGE_FLYING && !exchange->is_answered)
        sheaf_upstats_failed(group->upstats, SHEAF_ERR_TIMEOUT);
    else if (exchange->state == SHEAF_EXCHANGE_WAITING)
        sheaf_upstats_failed(group->upstats, SHEAF_ERR_QUEUE_FULL);
}

void sheaf_leaving_cancel(sheaf_exchange_t *exchange)
{
    const sheaf_group_t *group = exchange->keeper;

    if (exchange->state != SHEAF_EXCHANGE_IDLE && group->env->clock->now_ms >= exchange->end_ms)
        count_late(exchange);
    sheaf_leaving_detach(exchange);
}

void sheaf_leaving_late(sheaf_exchange_t *exchange)
{
    sheaf_group_t *group = exchange->keeper;

    if (exchange->state == SHEAF_EXCHANGE_FLYING && exchange->has_full_time) {
        sheaf_triage_late(&group->triage, exchange->flight);
        sheaf_throttle_leave(&group->throttle, exchange, SHEAF_ERR_TIMEOUT, 0);
    } else {
        count_late(exchange);
    }
    sheaf_leaving_detach(exchange);
}
