#include "gateway/front/asking.h"

#include "gateway/front/responder.h"
#include "gateway/front/watchdog.h"

static void ask(sheaf_visit_t *visit);
static void on_go(sheaf_caller_t *caller);            /* it may be asked again */
static void on_held_too_long(sheaf_deadline_t *node); /* nobody ever said      */

static sheaf_hooks_t *hooks_of(const sheaf_visit_t *visit)
{
    return visit->epoch->env.hooks;
}

/* --- the head --- */

static void drop_field(h2o_req_t *req, sheaf_str_t name)
{
    h2o_headers_t *headers = &req->res.headers;
    ssize_t at;

    while ((at = h2o_find_header_by_str(headers, name.base, name.len, -1)) >= 0)
        h2o_delete_header(headers, at);
}

void sheaf_asking_edit(sheaf_visit_t *visit)
{
    const sheaf_edits_t *reply = &visit->caller.reply;
    h2o_req_t *req = visit->req;

    visit->caller.has_head = true;
    for (uint32_t i = 0; i < reply->count; i++) {
        const sheaf_edit_t *edit = &reply->items[i];
        h2o_iovec_t name = h2o_strdup(&req->pool, edit->name.base, edit->name.len);
        h2o_iovec_t value = h2o_strdup(&req->pool, edit->value.base, edit->value.len);

        if (edit->kind != SHEAF_EDIT_ADD)
            drop_field(req, edit->name);
        if (edit->kind != SHEAF_EDIT_REMOVE)
            h2o_add_header_by_str(&req->pool, &req->res.headers, name.base, name.len, 1, NULL, value.base, value.len);
    }
}

/* --- the answer of a plugin --- */

static void answer(sheaf_visit_t *visit)
{
    const sheaf_given_t *given = &visit->caller.given;
    h2o_req_t *req = visit->req;
    h2o_iovec_t body = h2o_strdup(&req->pool, given->body.base, given->body.len);
    h2o_iovec_t type = h2o_strdup(&req->pool, given->content_type.base, given->content_type.len);
    bool has_no_body = sheaf_status_has_no_body(given->status);

    visit->is_given = true;
    visit->encode.encoder = NULL;
    visit->status = given->status;
    req->res.status = given->status;
    req->res.reason = sheaf_status_reason(given->status);
    req->res.content_length = has_no_body ? SIZE_MAX : body.len;
    if (given->content_type.base != NULL)
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type.base, type.len);
    sheaf_responder_add_id(visit);
    sheaf_asking_edit(visit);
    if (visit->front->is_draining)
        req->http1_is_persistent = 0;
    sheaf_count(visit->front->env.metrics,
                visit->is_direct ? SHEAF_METRIC_REQUESTS_REFUSED : SHEAF_METRIC_BATCHES_REFUSED, 1);
    if (!has_no_body && !h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD")))
        visit->flying_bytes = body.len;
    visit->is_started = visit->is_final = visit->is_sending = true;
    sheaf_watchdog_progress(visit, true);
    h2o_send_inline(req, body.base, has_no_body ? 0 : body.len);
}

/* --- asking --- */

static void hold(sheaf_visit_t *visit)
{
    sheaf_front_t *front = visit->front;

    visit->is_held = true;
    visit->hold.on_expired = on_held_too_long;
    if (!sheaf_deadline_is_set(&visit->hold))
        sheaf_deadline_set(front->env.deadlines, &visit->hold, front->env.clock->now_ms + visit->batch->timeout_ms);
    sheaf_watchdog_arm(visit);
}

static void ask(sheaf_visit_t *visit)
{
    sheaf_hooks_t *hooks = hooks_of(visit);
    sheaf_caller_t *caller = &visit->caller;
    sheaf_say_t say = caller->is_sealed ? hooks->on_batch(hooks, caller) : hooks->on_request(hooks, caller);

    visit->is_held = false;
    if (say == SHEAF_SAY_LATER) {
        hold(visit);
        return;
    }
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->hold);
    if (say == SHEAF_SAY_ANSWER)
        answer(visit);
    else
        visit->go_on(visit);
}

/* It may have been ended meanwhile, and libh2o not be done with it yet. */
static bool is_unanswered(const sheaf_visit_t *visit)
{
    return visit->req != NULL && !visit->is_started && !visit->is_final;
}

static void on_go(sheaf_caller_t *caller)
{
    sheaf_visit_t *visit = SHEAF_OWNER(caller, sheaf_visit_t, caller);

    if (visit->is_held && is_unanswered(visit))
        ask(visit);
}

static void on_held_too_long(sheaf_deadline_t *node)
{
    sheaf_visit_t *visit = SHEAF_OWNER(node, sheaf_visit_t, hold);
    sheaf_fail_t fail;

    visit->is_held = false;
    if (!is_unanswered(visit))
        return;
    visit->encode.encoder = NULL;
    sheaf_fail(&fail, SHEAF_ERR_TIMEOUT, "it was not decided in time whether the request may be answered");
    visit->caller.error = sheaf_err_slug(fail.err);
    sheaf_responder_refuse(visit, &fail);
}

void sheaf_asking_request(sheaf_visit_t *visit, void (*go_on)(sheaf_visit_t *visit))
{
    sheaf_caller_t *caller = &visit->caller;

    visit->go_on = go_on;
    if (hooks_of(visit) == NULL) {
        go_on(visit);
        return;
    }
    caller->batch = visit->batch;
    caller->id = visit->id;
    caller->begun_us = visit->begun_us;
    caller->on_go = on_go;
    visit->batch->caller = caller;
    ask(visit);
}

static void refuse(sheaf_visit_t *visit)
{
    sheaf_responder_refuse(visit, visit->regret);
}

void sheaf_asking_refused(sheaf_visit_t *visit, const sheaf_fail_t *fail)
{
    if (visit->batch == NULL || hooks_of(visit) == NULL || fail->err == SHEAF_ERR_OVERLOADED) {
        sheaf_responder_refuse(visit, fail);
        return;
    }
    visit->regret = sheaf_pool_alloc(visit->batch->pool, sizeof(*fail));
    *visit->regret = *fail;
    sheaf_asking_request(visit, refuse);
}

void sheaf_asking_batch(sheaf_visit_t *visit, void (*go_on)(sheaf_visit_t *visit))
{
    visit->go_on = go_on;
    visit->caller.is_sealed = true;
    if (hooks_of(visit) == NULL)
        go_on(visit);
    else
        ask(visit);
}

void sheaf_asking_end(sheaf_visit_t *visit)
{
    sheaf_hooks_t *hooks = hooks_of(visit);
    sheaf_caller_t *caller = &visit->caller;

    sheaf_deadline_clear(visit->front->env.deadlines, &visit->hold);
    if (hooks == NULL || caller->batch == NULL)
        return;
    caller->status = visit->status;
    caller->sent_bytes = visit->sent_bytes;
    if (visit->refused != SHEAF_OK)
        caller->error = sheaf_err_slug(visit->refused);
    if (visit->is_direct)
        sheaf_hooks_tell_body(sheaf_batch_item(caller->batch, 0));
    hooks->on_done(hooks, caller);
}
