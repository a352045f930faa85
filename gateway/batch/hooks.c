#include "gateway/batch/hooks.h"

#include "gateway/batch/fanout.h"
#include "gateway/batch/stretch.h"

static void ask(sheaf_item_t *item);               /* sends it, settles it, or holds it    */
static void on_again(sheaf_task_t *task);          /* whoever held it knows more           */
static void on_held_too_long(sheaf_deadline_t *d); /* nobody ever said: its time is over   */

/* While an item is held its exchange has not been sent: the deadline and the task in there are ours. */
static void hold(sheaf_item_t *item)
{
    sheaf_exchange_t *exchange = &item->exchange;

    item->is_held = true;
    exchange->deadline.on_expired = on_held_too_long;
    exchange->task.run = on_again;
    sheaf_deadline_set(item->batch->env.deadlines, &exchange->deadline, exchange->deadline_ms);
}

void sheaf_hooks_release(sheaf_item_t *item)
{
    if (!item->is_held)
        return;
    item->is_held = false;
    sheaf_soon_cancel(&item->exchange.task);
    sheaf_deadline_clear(item->batch->env.deadlines, &item->exchange.deadline);
}

static void ask(sheaf_item_t *item)
{
    sheaf_hooks_t *hooks = item->batch->env.hooks;

    switch (hooks->on_item(hooks, item)) {
    case SHEAF_SAY_PASS:
        sheaf_fanout_send(item);
        break;
    case SHEAF_SAY_ANSWER:
        sheaf_stretch_count(item->batch);
        sheaf_fanout_settle(item);
        break;
    case SHEAF_SAY_LATER:
        hold(item);
        break;
    }
}

void sheaf_hooks_launch(sheaf_item_t *item)
{
    ask(item);
}

void sheaf_hooks_go_on(sheaf_item_t *item)
{
    if (item->is_held)
        sheaf_soon(item->batch->env.soon, &item->exchange.task);
}

static void on_again(sheaf_task_t *task)
{
    sheaf_item_t *item = SHEAF_OWNER(SHEAF_OWNER(task, sheaf_exchange_t, task), sheaf_item_t, exchange);

    sheaf_hooks_release(item);
    ask(item);
}

static void on_held_too_long(sheaf_deadline_t *node)
{
    sheaf_item_t *item = SHEAF_OWNER(SHEAF_OWNER(node, sheaf_exchange_t, deadline), sheaf_item_t, exchange);

    sheaf_hooks_release(item);
    sheaf_item_fail(item, SHEAF_ERR_TIMEOUT, SHEAF_STR("it was not decided in time whether it may be sent"));
    sheaf_fanout_settle(item);
}

/* What a direct request is answered is bounded by nobody's max_item_body. */
static bool take_body(sheaf_item_t *item, sheaf_str_t body)
{
    if (!item->batch->is_direct)
        return sheaf_item_take_body(item, body.base, body.len);
    item->body = sheaf_buf_new(body.len, body.len);
    return sheaf_buf_append(item->body, body.base, body.len);
}

void sheaf_item_give(sheaf_item_t *item, const sheaf_given_t *given, const sheaf_headers_t *fields)
{
    sheaf_headers_t all = {0};
    sheaf_answer_head_t head = {.status = given->status, .content_length = given->body.len};

    item->is_given = true;
    if (given->content_type.base != NULL && sheaf_headers_find(fields, SHEAF_STR("content-type")) == NULL)
        sheaf_headers_add(&all, item->pool, SHEAF_STR("content-type"), given->content_type);
    for (uint32_t i = 0; i < fields->count; i++)
        sheaf_headers_add(&all, item->pool, fields->entries[i].name, fields->entries[i].value);
    head.headers = all.entries;
    head.header_count = all.count;
    if (sheaf_item_take_head(item, &head) > 0 && !sheaf_status_has_no_body(given->status) &&
        !take_body(item, given->body))
        sheaf_item_fail(item, SHEAF_ERR_ANSWER_TOO_LARGE, SHEAF_STR_NONE);
    else
        sheaf_item_complete(item);
}

void sheaf_item_replace(sheaf_item_t *item, const sheaf_given_t *given, const sheaf_headers_t *fields)
{
    sheaf_item_forget_answer(item);
    sheaf_item_give(item, given, fields);
}

void sheaf_hooks_tell(sheaf_item_t *item)
{
    sheaf_hooks_t *hooks = item->batch->env.hooks;

    if (hooks == NULL || item->is_told)
        return;
    item->is_told = true;
    hooks->on_result(hooks, item);
}

void sheaf_hooks_tell_body(sheaf_item_t *item)
{
    sheaf_hooks_t *hooks = item->batch->env.hooks;
    sheaf_caller_t *caller = item->batch->caller;

    if (hooks == NULL || caller == NULL || caller->kept.state == SHEAF_KEPT_NONE || caller->kept.is_told)
        return;
    caller->kept.is_told = true;
    sheaf_kept_end(&caller->kept, false); /* who has it whole has said so */
    hooks->on_body(hooks, item);
    sheaf_kept_lose(&caller->kept);
}

void sheaf_edits_add(sheaf_edits_t *edits, sheaf_pool_t *pool, sheaf_edit_kind_t kind, sheaf_str_t name,
                     sheaf_str_t value)
{
    if (edits->count == edits->size) {
        sheaf_edit_t *items;

        edits->size = edits->size == 0 ? 8 : edits->size * 2;
        items = sheaf_pool_alloc(pool, edits->size * sizeof(*items));
        if (edits->count > 0)
            memcpy(items, edits->items, edits->count * sizeof(*items));
        edits->items = items;
    }
    edits->items[edits->count++] = (sheaf_edit_t){kind, name, value};
}
