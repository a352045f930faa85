#include "gateway/batch/fanout.h"

#include "gateway/batch/budget.h"
#include "gateway/batch/each.h"
#include "gateway/batch/coalesce.h"
#include "gateway/batch/direct.h"
#include "gateway/batch/expand.h"
#include "gateway/batch/hooks.h"
#include "gateway/batch/inherit.h"
#include "gateway/batch/stretch.h"
#include "gateway/batch/mirror.h"
#include "gateway/batch/urgent.h"

static void pump(sheaf_task_t *task);   /* moves what can move; the last turn ends the batch   */
static void feed(sheaf_batch_t *batch); /* more items, where a window has room                 */
static void give_back_all(sheaf_batch_t *batch);
static bool settle_doomed(sheaf_batch_t *batch); /* items whose dependency failed                       */
static void settle_rest(sheaf_batch_t *batch);   /* onError: stop                                       */
static bool launch_next(sheaf_batch_t *batch);   /* one item, if parallel and budget allow              */
static void launch(sheaf_item_t *item);          /* down: dispatch->send                                */
static bool on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head);     /* up            */
static bool on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len);       /* up            */
static void on_done(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail); /* up: settles   */
static void cut_all(sheaf_batch_t *batch);                                            /* the client is gone */
static void on_deadline(sheaf_deadline_t *node); /* the whole batch is out of time                      */
static void finish(sheaf_batch_t *batch);        /* the one way out                                     */

static const sheaf_sink_t sink = {on_head, on_body, on_done};

void sheaf_fanout_init(sheaf_batch_t *batch)
{
    batch->pump.run = pump;
    batch->deadline.on_expired = on_deadline;
}

void sheaf_fanout_fini(sheaf_batch_t *batch)
{
    sheaf_soon_cancel(&batch->pump);
    sheaf_deadline_clear(batch->env.deadlines, &batch->deadline);
    sheaf_stretch_fini(batch);
}

static void count_flying(const sheaf_batch_t *batch, int64_t by)
{
    sheaf_gauge(batch->env.metrics, batch->is_direct ? SHEAF_METRIC_REQUESTS_IN_FLIGHT : SHEAF_METRIC_BATCHES_IN_FLIGHT,
                by);
}

/* What is said when the time of the whole is over. */
static sheaf_err_t lateness_of(const sheaf_batch_t *batch)
{
    return batch->is_direct ? SHEAF_ERR_TIMEOUT : SHEAF_ERR_BATCH_TIMEOUT;
}

static bool is_hungry(const sheaf_batch_t *batch)
{
    return batch->count < batch->total && batch->count - batch->oldest < batch->size;
}

void sheaf_fanout_wake(sheaf_batch_t *batch)
{
    if (batch->is_started && !batch->is_done &&
        (sheaf_ready_first(&batch->ready) != SHEAF_READY_NONE ||
         sheaf_ready_first(&batch->urgent) != SHEAF_READY_NONE || is_hungry(batch)))
        sheaf_soon(batch->env.soon, &batch->pump);
}

void sheaf_batch_start(sheaf_batch_t *batch, const sheaf_watch_t *watch, void *watch_data)
{
    if (batch->order == SHEAF_ORDER_DEFAULT)
        batch->order = SHEAF_ORDER_REQUEST;
    uint32_t slots = batch->size; /* of the window, or with room for what forEach items become */

    batch->watch = watch;
    batch->watch_data = watch_data;
    batch->is_started = true;
    batch->open = batch->count;
    sheaf_ready_init(&batch->ready, batch->pool, slots);
    sheaf_ready_init(&batch->urgent, batch->pool, slots);
    sheaf_ready_init(&batch->doomed, batch->pool, slots);
    for (uint32_t i = 0; i < batch->count; i++) {
        sheaf_item_t *item = sheaf_batch_item(batch, i);

        /* one that cannot run waits for nobody, but still settles in its turn: with onError: stop, what stands before
         * it goes first */
        if ((item->blockers > 0 || item->leader != NULL) && item->err == SHEAF_OK)
            continue;
        item->state = SHEAF_ITEM_READY;
        sheaf_ready_put(&batch->ready, i);
    }
    count_flying(batch, 1);
    batch->deadline_at_ms = UINT64_MAX;
    if (!batch->is_direct) { /* its exchange has one: that ends it and tells its upstream so */
        batch->deadline_at_ms = batch->env.clock->now_ms + batch->timeout_ms;
        sheaf_deadline_set(batch->env.deadlines, &batch->deadline, batch->deadline_at_ms);
    }
    if (batch->is_abandoned)
        cut_all(batch); /* the client left while its batch was read */
    sheaf_soon(batch->env.soon, &batch->pump);
}

/* --- the clock of the batch --- */

static void pause_clock(sheaf_batch_t *batch)
{
    batch->is_paused = true;
    batch->paused_at_ms = batch->env.clock->now_ms;
    sheaf_deadline_clear(batch->env.deadlines, &batch->deadline);
}

static void resume_clock(sheaf_batch_t *batch)
{
    if (!batch->is_paused)
        return;
    batch->is_paused = false;
    batch->deadline_at_ms += batch->env.clock->now_ms - batch->paused_at_ms;
    sheaf_deadline_set(batch->env.deadlines, &batch->deadline, batch->deadline_at_ms);
}

/* --- the pump --- */

static void pump(sheaf_task_t *task)
{
    sheaf_batch_t *batch = SHEAF_OWNER(task, sheaf_batch_t, pump);

    if (batch->is_done)
        return;
    if (batch->is_abandoned)
        give_back_all(batch);
    resume_clock(batch);
    while (!batch->is_abandoned) {
        if (batch->count < batch->total)
            feed(batch);
        if (settle_doomed(batch))
            continue;
        if (batch->is_stopped)
            settle_rest(batch);
        if (sheaf_stretch_is_over(batch) || !launch_next(batch))
            break;
    }
    if (batch->open == 0 && batch->count == batch->total)
        finish(batch);
    else if (batch->flying == 0 && !sheaf_deadline_is_set(&batch->next_turn))
        pause_clock(batch); /* something is ready and only the budget holds it: the client has to read first */
}

/* Nobody reads the results of an abandoned batch any more, but some of it may fly on for a while. */
static void give_back_all(sheaf_batch_t *batch)
{
    for (uint32_t i = batch->oldest; i < batch->count && batch->held_bytes > 0; i++)
        if (sheaf_batch_item(batch, i)->state == SHEAF_ITEM_SETTLED)
            sheaf_item_give_back(sheaf_batch_item(batch, i));
}

static void finish(sheaf_batch_t *batch)
{
    batch->is_done = true;
    sheaf_stretch_fini(batch);
    sheaf_soon_cancel(&batch->pump);
    sheaf_deadline_clear(batch->env.deadlines, &batch->deadline);
    count_flying(batch, -1);
    batch->watch->on_done(batch); /* may free the batch: nothing may follow */
}

static void take_off(sheaf_item_t *item)
{
    sheaf_ready_drop(item->is_urgent ? &item->batch->urgent : &item->batch->ready, sheaf_batch_slot(item));
    sheaf_ready_drop(&item->batch->doomed, sheaf_batch_slot(item));
}

/* Whoever shares the answer has it before the watch hears of the leader, which may give it back at once. */
static void settle(sheaf_item_t *item)
{
    sheaf_coalesce_hand_on(item);
    sheaf_item_settle(item);
    sheaf_coalesce_settle(item);
}

/* Settles an item that does not fly, with an error. */
static void settle_grounded(sheaf_item_t *item, sheaf_err_t err, sheaf_str_t detail)
{
    take_off(item);
    sheaf_item_fail(item, err, detail);
    settle(item);
}

static void settle_stopped(sheaf_item_t *item)
{
    if (item->err != SHEAF_OK) /* what it cannot run for says more than that it was not tried */
        settle_grounded(item, item->err, item->detail);
    else
        settle_grounded(item, SHEAF_ERR_STOPPED, SHEAF_STR("an earlier item failed and the batch was to stop"));
}

static bool settle_doomed(sheaf_batch_t *batch)
{
    uint32_t index = sheaf_ready_first(&batch->doomed);

    if (index == SHEAF_READY_NONE)
        return false;
    settle_grounded(sheaf_batch_item(batch, index), sheaf_batch_item(batch, index)->err,
                    sheaf_batch_item(batch, index)->detail);
    return true;
}

static void settle_rest(sheaf_batch_t *batch)
{
    if (batch->rest_is_stopped)
        return;
    batch->rest_is_stopped = true; /* once: from here on nothing waits and nothing is ready */
    for (uint32_t i = batch->oldest; i < batch->count && !batch->is_abandoned; i++) {
        sheaf_item_t *item = sheaf_batch_item(batch, i);
        bool is_asked = item->leader != NULL && item->leader->state == SHEAF_ITEM_FLYING;

        if (item->state < SHEAF_ITEM_FLYING && !is_asked)
            settle_stopped(item);
    }
}

/* What comes too late, or after a stop, settles in its slot: every item has its result. */
static void feed(sheaf_batch_t *batch)
{
    sheaf_item_t *item;

    while ((item = sheaf_batch_feed_next(batch)) != NULL) {
        item->state = SHEAF_ITEM_READY;
        if (batch->is_stopped)
            settle_stopped(item);
        else if (batch->is_late && item->err == SHEAF_OK)
            settle_grounded(item, SHEAF_ERR_BATCH_TIMEOUT, SHEAF_STR_NONE);
        else
            sheaf_ready_put(&batch->ready, sheaf_batch_slot(item));
    }
}

/* --- what goes next --- */

/* Fills in what the item takes from others; it settles when that is not to be had. */
static bool makes_question(sheaf_item_t *item)
{
    sheaf_fail_t fail;
    sheaf_err_t err;

    if (item->recipe == NULL)
        return true;
    err = sheaf_expand_item(item, &fail);
    if (err != SHEAF_OK)
        settle_grounded(item, err, sheaf_str_of(fail.detail));
    else
        sheaf_expand_leave(item);
    return err == SHEAF_OK;
}

/* The first in request order: in a window that need not be the smallest slot. */
static uint32_t first_of(const sheaf_batch_t *batch, const sheaf_ready_t *set)
{
    uint32_t slot, start = batch->oldest & batch->mask;

    if (start == 0)
        slot = sheaf_ready_first(set);
    else if ((slot = sheaf_ready_next(set, start)) == SHEAF_READY_NONE)
        slot = sheaf_ready_first(set);
    return slot == SHEAF_READY_NONE ? slot : batch->oldest + ((slot - start) & batch->mask);
}

/* Puts the elements of a forEach item in its place. */
static void spread(sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;
    sheaf_fail_t fail;
    uint32_t first;
    sheaf_err_t err = sheaf_each_spread(item, &first, &fail);

    if (err != SHEAF_OK) {
        settle_grounded(item, err, sheaf_str_of(fail.detail));
        return;
    }
    take_off(item);
    for (uint32_t i = first; i < batch->count; i++)
        sheaf_ready_put(item->is_urgent ? &batch->urgent : &batch->ready, sheaf_batch_slot(sheaf_batch_item(batch, i)));
    if (item->elements_count == 0)
        sheaf_item_settle(item);
    if (!batch->is_abandoned && batch->watch->on_order != NULL)
        batch->watch->on_order(batch);
}

static bool launch_next(sheaf_batch_t *batch)
{
    uint32_t index;
    sheaf_item_t *item;

    sheaf_urgent_mark(batch);
    index = first_of(batch, &batch->urgent);
    if (index == SHEAF_READY_NONE)
        index = first_of(batch, &batch->ready);
    if (index == SHEAF_READY_NONE)
        return false;
    item = sheaf_batch_item(batch, index);
    if (item->err != SHEAF_OK) {
        settle_grounded(item, item->err, item->detail);
        return true;
    }
    if (sheaf_each_is_whole(item)) {
        spread(item);
        return true;
    }
    if (batch->flying >= batch->parallel)
        return false;
    if (!sheaf_budget_lets(batch, item))
        return false;
    if (makes_question(item))
        launch(item);
    return true;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return b != 0 && b < a ? b : a;
}

/* The smallest of all timeouts that apply; 0 means none. */
static uint64_t deadline_of(const sheaf_item_t *item)
{
    const sheaf_batch_t *batch = item->batch;
    uint64_t timeout = batch->env.snapshot->conf.upstreams.items[item->exchange.upstream].timeout_ms;
    uint64_t at;

    timeout = least(least(timeout == 0 ? batch->timeout_ms : timeout, item->route->timeout_ms), item->timeout_ms);
    at = batch->env.clock->now_ms + timeout;
    return at < batch->deadline_at_ms ? at : batch->deadline_at_ms;
}

static void launch(sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;

    take_off(item);
    item->state = SHEAF_ITEM_FLYING;
    item->reserved_bytes = sheaf_budget_need(item);
    batch->reserved_bytes += item->reserved_bytes;
    batch->flying++;
    batch->urgent_flying += item->is_urgent;
    if (batch->env.metrics != NULL || batch->endpoint->timing)
        item->sent_us = sheaf_clock_us(batch->env.clock);
    sheaf_gauge(batch->env.metrics, SHEAF_METRIC_ITEMS_IN_FLIGHT, 1);
    item->exchange.deadline_ms = deadline_of(item);
    if (batch->env.hooks != NULL)
        sheaf_hooks_launch(item);
    else
        sheaf_fanout_send(item);
}

void sheaf_fanout_send(sheaf_item_t *item)
{
    sheaf_batch_t *batch = item->batch;

    sheaf_inherit_attach(item);
    item->exchange.sink = &sink;
    item->exchange.is_repeatable = sheaf_item_is_repeatable(item);
    item->exchange.flow = batch;
    item->exchange.id = item->id;
    item->exchange.route_timeout_ms = item->route->timeout_ms;
    batch->env.dispatch->send(batch->env.dispatch, &item->exchange);
    if (batch->env.mirrors != NULL)
        sheaf_mirrors_send(batch->env.mirrors, item);
}

void sheaf_fanout_settle(sheaf_item_t *item)
{
    settle(item);
}

void sheaf_fanout_land(sheaf_item_t *item)
{
    item->batch->env.dispatch->cancel(item->batch->env.dispatch, &item->exchange);
    sheaf_inherit_detach(item);
    settle(item);
}

/* --- what comes back --- */

static void reserve(sheaf_item_t *item, uint64_t bytes)
{
    if (bytes >= item->reserved_bytes)
        return;
    item->batch->reserved_bytes -= item->reserved_bytes - bytes;
    item->reserved_bytes = bytes;
    sheaf_fanout_wake(item->batch);
}

static bool on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head)
{
    sheaf_item_t *item = SHEAF_OWNER(exchange, sheaf_item_t, exchange);
    uint64_t len;

    if (item->batch->is_direct)
        return sheaf_direct_take_head(item, head);
    len = sheaf_item_take_head(item, head);
    if (len == UINT64_MAX)
        return true;
    if (len > item->batch->endpoint->max_item_body_bytes)
        return false;
    reserve(item, len);
    return true;
}

static bool on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len)
{
    sheaf_item_t *item = SHEAF_OWNER(exchange, sheaf_item_t, exchange);

    return item->batch->is_direct ? sheaf_direct_take_body(item, bytes, len) : sheaf_item_take_body(item, bytes, len);
}

static void fail(sheaf_item_t *item, sheaf_err_t err, sheaf_str_t why)
{
    sheaf_item_fail(item, err, why);
    sheaf_item_retry_after(item, item->exchange.retry_after_s);
}

static void on_done(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    sheaf_item_t *item = SHEAF_OWNER(exchange, sheaf_item_t, exchange);
    sheaf_batch_t *batch = item->batch;
    sheaf_str_t why = detail == NULL || batch->endpoint->hide_servers ? SHEAF_STR_NONE : sheaf_str_of(detail);

    sheaf_inherit_detach(item);
    if ((err == SHEAF_ERR_TIMEOUT || err == SHEAF_ERR_QUEUE_FULL) && batch->env.clock->now_ms >= batch->deadline_at_ms)
        sheaf_item_fail(item, lateness_of(batch), SHEAF_STR_NONE); /* the smaller timeout was the batch's */
    else if (err != SHEAF_OK)
        fail(item, err, why);
    else
        sheaf_item_complete(item);
    settle(item);
}

/* --- ends that nobody waited for --- */

/* Ends an open item whatever it is doing. */
static void cut_short(sheaf_item_t *item, sheaf_err_t err)
{
    if (item->state != SHEAF_ITEM_FLYING) {
        settle_grounded(item, err, SHEAF_STR_NONE);
        return;
    }
    if (item->is_held)
        sheaf_hooks_release(item);
    else
        item->batch->env.dispatch->cancel(item->batch->env.dispatch, &item->exchange);
    sheaf_inherit_detach(item);
    sheaf_item_fail(item, err, SHEAF_STR_NONE);
    settle(item);
}

static void on_deadline(sheaf_deadline_t *node)
{
    sheaf_batch_t *batch = SHEAF_OWNER(node, sheaf_batch_t, deadline);

    batch->is_late = true;
    for (uint32_t i = batch->oldest; i < batch->count; i++) {
        sheaf_item_t *item = sheaf_batch_item(batch, i);

        if (item->state == SHEAF_ITEM_SETTLED)
            continue;
        /* one that could not have run anyway keeps its own reason; one doomed just now is simply late as well */
        if (item->state == SHEAF_ITEM_READY && item->err != SHEAF_OK && item->err != SHEAF_ERR_DEPENDENCY_FAILED)
            settle_grounded(item, item->err, item->detail);
        else
            cut_short(item, lateness_of(batch));
    }
}

static bool flies_on(const sheaf_item_t *item)
{
    return item->state == SHEAF_ITEM_FLYING && !item->is_held && !item->exchange.is_idempotent &&
           item->batch->endpoint->on_client_abort == SHEAF_ON_CLIENT_ABORT_FINISH_UNSAFE;
}

static void cut_all(sheaf_batch_t *batch)
{
    batch->total = batch->count; /* nothing is fed any more */
    for (uint32_t i = batch->oldest; i < batch->count; i++)
        if (sheaf_batch_item(batch, i)->state != SHEAF_ITEM_SETTLED && !flies_on(sheaf_batch_item(batch, i)))
            cut_short(sheaf_batch_item(batch, i), SHEAF_ERR_CANCELLED);
}

void sheaf_batch_abandon(sheaf_batch_t *batch)
{
    if (batch->is_abandoned || batch->is_done)
        return;
    batch->is_abandoned = true;
    if (!batch->is_started)
        return;
    resume_clock(batch); /* what flies on is still bounded */
    cut_all(batch);
    sheaf_soon(batch->env.soon, &batch->pump);
}
