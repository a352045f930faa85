#include "gateway/upstream/ending.h"

#include <stdlib.h>

#include "gateway/upstream/blame.h"

static void on_report(sheaf_task_t *task);

/* A line moves on and sockets get free at any moment: a second is the least that can be said. */
static uint32_t retry_after_s(const sheaf_group_t *group, sheaf_err_t err)
{
    switch (err) {
    case SHEAF_ERR_BREAKER_OPEN:
        return sheaf_breaker_lets_after_s(&group->triage.breaker, group->env->clock->now_ms);
    case SHEAF_ERR_QUEUE_FULL:
    case SHEAF_ERR_OVERLOADED:
        return 1;
    default:
        return 0;
    }
}

void sheaf_ending_tell(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    exchange->retry_after_s = retry_after_s(exchange->keeper, err);
    exchange->state = SHEAF_EXCHANGE_IDLE;
    exchange->sink->on_done(exchange, err, detail);
}

bool sheaf_ending_rest(sheaf_group_t *group, sheaf_exchange_t *exchange, uint64_t until_ms)
{
    if (until_ms == SHEAF_NEVER)
        return false;
    exchange->has_full_time = false;
    exchange->state = SHEAF_EXCHANGE_RESTING;
    sheaf_gauge(group->env->metrics, SHEAF_METRIC_EXCHANGES_RESTING, 1);
    sheaf_deadline_set(group->env->deadlines, &exchange->deadline, until_ms);
    return true;
}

/* By way of rest, so that it is launched from outside, and cancelling it meanwhile costs nothing. */
void sheaf_ending_again(sheaf_group_t *group, sheaf_exchange_t *exchange)
{
    exchange->is_alone = true;
    sheaf_count(group->env->metrics, SHEAF_METRIC_PIPELINE_CUTS, 1);
    sheaf_throttle_undo(&group->throttle, exchange);
    sheaf_triage_forget(&group->triage, exchange);
    sheaf_ending_rest(group, exchange, group->env->clock->now_ms);
    sheaf_group_serve_soon(group); /* its place may be what others wait for, and it joins them */
}

void sheaf_ending_conclude(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    sheaf_group_t *other = exchange->other;

    if (other == NULL) {
        sheaf_ending_tell(exchange, err, detail);
        return;
    }
    exchange->other = NULL;
    exchange->state = SHEAF_EXCHANGE_IDLE;
    sheaf_count(group->env->metrics, SHEAF_METRIC_FALLBACKS, 1);
    sheaf_upstats_count(group->upstats, SHEAF_UPSTAT_FALLBACKS, 1);
    sheaf_group_send(other, exchange);
}

void sheaf_ending_report(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    sheaf_deadline_clear(group->env->deadlines, &exchange->deadline);
    exchange->state = SHEAF_EXCHANGE_REPORTING;
    exchange->pending_err = err;
    exchange->pending_detail = sheaf_blame_copy(detail);
    exchange->task.run = on_report;
    sheaf_soon(group->soon, &exchange->task);
}

void sheaf_ending_refuse(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    sheaf_upstats_failed(group->upstats, err);
    sheaf_ending_report(group, exchange, err, detail);
}

void sheaf_ending_unsay(sheaf_exchange_t *exchange)
{
    sheaf_soon_cancel(&exchange->task);
    free(exchange->pending_detail);
    exchange->pending_detail = NULL;
}

static void on_report(sheaf_task_t *task)
{
    sheaf_exchange_t *exchange = SHEAF_OWNER(task, sheaf_exchange_t, task);
    char *detail = exchange->pending_detail;

    exchange->pending_detail = NULL;
    sheaf_ending_conclude(exchange->keeper, exchange, exchange->pending_err, detail);
    free(detail);
}
