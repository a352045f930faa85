#include "gateway/front/direct.h"

#include <sys/socket.h>

#include "gateway/batch/direct.h"
#include "gateway/batch/hooks.h"
#include "gateway/front/admission.h"
#include "gateway/front/asking.h"
#include "gateway/front/guard/flow.h"
#include "gateway/front/responder.h"
#include "gateway/front/watchdog.h"
#include "gateway/http/message.h"

#define SEND_MOST    (64u << 10) /* per h2o_send: a backend that waits may go on after each */
#define IOVECS       64
#define UNWATCHED_MS 250 /* a hang-up is noticed within a second; an answer that is quick never pays for the watch */

static void on_head(sheaf_batch_t *batch, uint64_t content_length);
static void on_body(sheaf_batch_t *batch, const char *bytes, size_t len);
static void on_item(sheaf_batch_t *batch, uint32_t index);
static void on_done(sheaf_batch_t *batch);
static void on_unwatched(sheaf_deadline_t *node);
static void respond(sheaf_task_t *task);
static void on_proceed(h2o_generator_t *self, h2o_req_t *req);

static const sheaf_watch_t watch = {.on_item = on_item, .on_done = on_done, .on_head = on_head, .on_body = on_body};

static bool is_head(const sheaf_visit_t *visit)
{
    return h2o_memis(visit->req->method.base, visit->req->method.len, H2O_STRLIT("HEAD"));
}

/* --- the request --- */

static void start(sheaf_visit_t *visit)
{
    sheaf_front_t *front = visit->front;

    visit->respond.run = respond;
    visit->generator.proceed = on_proceed;
    visit->linger.on_expired = on_unwatched;
    visit->is_done = false;
    sheaf_deadline_set(front->env.deadlines, &visit->linger, front->env.clock->now_ms + UNWATCHED_MS);
    sheaf_batch_start(visit->batch, &watch, visit);
}

/* Its body stays where libh2o has it: nobody reads it once the request is gone. */
static sheaf_err_t plan(sheaf_visit_t *visit, sheaf_fail_t *fail)
{
    h2o_req_t *req = visit->req;
    sheaf_pool_t *pool = visit->batch->pool;
    sheaf_str_t body = req->entity.len > 0 ? sheaf_str(req->entity.base, req->entity.len) : SHEAF_STR_NONE;

    sheaf_visit_take_outer(visit, pool);
    sheaf_count(visit->front->env.metrics, SHEAF_METRIC_BYTES_IN, body.len);
    visit->batch->started_us = visit->begun_us;
    return sheaf_direct_plan(visit->batch, sheaf_pool_dup(pool, sheaf_str(req->path.base, req->path.len)), body, fail);
}

static sheaf_err_t take_on(sheaf_visit_t *visit, sheaf_fail_t *fail)
{
    sheaf_err_t err;

    if (sheaf_cuts_why(visit->req) == SHEAF_ERR_TOO_LARGE) {
        sheaf_front_say_too_large(visit->front, fail);
        return SHEAF_ERR_TOO_LARGE;
    }
    err = sheaf_admission_enter(visit, fail);
    if (err != SHEAF_OK)
        return err;
    visit->batch = sheaf_direct_new(&visit->epoch->env, &visit->outer);
    err = plan(visit, fail);
    if (err == SHEAF_ERR_METHOD)
        visit->allow = sheaf_direct_allow(visit->batch);
    if (err == SHEAF_OK && visit->req->version < 0x200 && visit->client->http1.asks_for_upgrade)
        return sheaf_fail(fail, SHEAF_ERR_UPGRADE, "only HTTP/1.1 and HTTP/2 are spoken here");
    return err;
}

/* As the last one that it may reach. */
static void answer_options(sheaf_visit_t *visit)
{
    h2o_req_t *req = visit->req;
    sheaf_str_t methods = sheaf_direct_methods(visit->batch);

    visit->status = 200;
    req->res.status = 200;
    req->res.reason = sheaf_status_reason(200);
    req->res.content_length = 0;
    if (methods.base != NULL)
        h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("allow"), 1, NULL,
                              h2o_strdup(&req->pool, methods.base, methods.len).base, methods.len);
    sheaf_responder_add_id(visit);
    sheaf_asking_edit(visit);
    if (visit->front->is_draining)
        req->http1_is_persistent = 0;
    visit->is_started = visit->is_final = visit->is_sending = true;
    sheaf_watchdog_progress(visit, true);
    h2o_send_inline(req, H2O_STRLIT(""));
}

static void on_asked(sheaf_visit_t *visit)
{
    sheaf_asking_batch(visit, sheaf_direct_ends_here(visit->batch) ? answer_options : start);
}

/* What browsers ask before they ask: the plugins of the route may know the answer, whatever methods it has. */
static bool is_preflight(const sheaf_visit_t *visit)
{
    return h2o_memis(visit->req->method.base, visit->req->method.len, H2O_STRLIT("OPTIONS"));
}

void sheaf_direct_serve(sheaf_visit_t *visit)
{
    sheaf_fail_t fail;
    sheaf_err_t err;

    visit->is_direct = true;
    err = take_on(visit, &fail);
    visit->caller.is_direct = true;
    visit->caller.body = sheaf_str(visit->req->entity.base, visit->req->entity.len);
    visit->caller.body_bytes = visit->caller.body.len;
    if (err == SHEAF_OK) {
        sheaf_asking_request(visit, on_asked);
        return;
    }
    if (err == SHEAF_ERR_METHOD && is_preflight(visit))
        sheaf_direct_take_other(visit->batch);
    sheaf_asking_refused(visit, &fail);
}

/* --- what its upstream answers --- */

static void wake(sheaf_visit_t *visit)
{
    if (visit->req != NULL)
        sheaf_soon(visit->front->env.soon, &visit->respond);
}

static void on_head(sheaf_batch_t *batch, uint64_t content_length)
{
    sheaf_visit_t *visit = batch->watch_data;

    visit->has_begun = true;
    visit->length = visit->caller.length = content_length;
    wake(visit);
}

static bool is_short_of_memory(const sheaf_visit_t *visit)
{
    return sheaf_front_memory(visit->front) != SHEAF_MEMORY_FINE;
}

/* Copies grow as fast as backends send, so each looks for itself. What is lost is told at once: somebody may wait for it. */
static void keep_more(sheaf_visit_t *visit, const char *bytes, size_t len)
{
    sheaf_kept_t *kept = &visit->caller.kept;

    if (kept->state == SHEAF_KEPT_KEEPING && is_short_of_memory(visit))
        sheaf_kept_lose(kept);
    sheaf_kept_put(kept, bytes, len);
    if (kept->state == SHEAF_KEPT_LOST)
        sheaf_hooks_tell_body(sheaf_batch_item(visit->batch, 0));
}

static void on_body(sheaf_batch_t *batch, const char *bytes, size_t len)
{
    sheaf_visit_t *visit = batch->watch_data;

    sheaf_out_put(&visit->out, bytes, len);
    if (visit->caller.kept.is_filled)
        keep_more(visit, bytes, len);
    wake(visit);
}

/* RFC 9110 8.6: a 204 has no length, a 304 that of another answer; to a HEAD hooks give no body that could be measured. */
static uint64_t length_of(const sheaf_item_t *item)
{
    bool is_head_given = item->body == NULL && sheaf_str_eq(item->exchange.method, SHEAF_STR("HEAD"));

    if (item->status == 204 || item->status == 304 || is_head_given)
        return UINT64_MAX;
    return item->body == NULL ? 0 : item->body->len;
}

/* An answer of ours, or of a plugin. */
static void take_whole(sheaf_visit_t *visit, const sheaf_item_t *item)
{
    visit->length = length_of(item);
    if (visit->req != NULL && visit->length != UINT64_MAX && !is_head(visit))
        sheaf_out_buf(&visit->out, item->body);
}

/* It did not come from its backend, or not as far as its head was sent. */
static bool is_ours(const sheaf_visit_t *visit, const sheaf_item_t *item)
{
    return !visit->is_started && (!visit->has_begun || item->err != SHEAF_OK || item->is_given);
}

static void end_kept(sheaf_visit_t *visit, sheaf_item_t *item)
{
    sheaf_kept_t *kept = &visit->caller.kept;

    if (kept->state == SHEAF_KEPT_NONE)
        return;
    if (is_ours(visit, item))
        sheaf_kept_take(kept, item->body);
    sheaf_kept_fill(kept, &visit->out);
    sheaf_kept_end(kept, item->err == SHEAF_OK);
    sheaf_hooks_tell_body(item);
}

/* Of what was not begun nothing is kept but that it failed. */
static void on_item(sheaf_batch_t *batch, uint32_t index)
{
    sheaf_visit_t *visit = batch->watch_data;
    sheaf_item_t *item = sheaf_batch_item(batch, index);

    visit->has_ended = true;
    visit->is_broken = visit->is_started && item->err != SHEAF_OK;
    if (is_ours(visit, item)) {
        sheaf_out_consume(&visit->out, visit->out.len);
        take_whole(visit, item);
    }
    end_kept(visit, item);
    wake(visit);
}

static void on_done(sheaf_batch_t *batch)
{
    sheaf_visit_batch_over(batch->watch_data); /* may free it */
}

static void on_unwatched(sheaf_deadline_t *node)
{
    sheaf_watchdog_arm(SHEAF_OWNER(node, sheaf_visit_t, linger));
}

/* --- to the client --- */

/* libh2o writes Date and Server, and Content-Length from what it is told; the id is ours. */
static bool is_not_theirs(sheaf_str_t name)
{
    return (sheaf_header_classify(name) & SHEAF_HEADER_NOT_IN_RESULT) != 0 ||
           sheaf_str_eq(name, SHEAF_STR("x-request-id"));
}

static void add_headers(sheaf_visit_t *visit, const sheaf_headers_t *headers)
{
    h2o_req_t *req = visit->req;

    for (uint32_t i = 0; i < headers->count; i++) {
        sheaf_str_t name = headers->entries[i].name, value = headers->entries[i].value;

        if (!is_not_theirs(name))
            h2o_add_header_by_str(&req->pool, &req->res.headers, name.base, name.len, 1, NULL, value.base, value.len);
    }
}

/* A copy is a service to others: not while memory is short. */
static void keep_so_far(sheaf_visit_t *visit)
{
    sheaf_kept_t *kept = &visit->caller.kept;

    if (kept->state == SHEAF_KEPT_KEEPING && is_short_of_memory(visit))
        sheaf_kept_lose(kept);
    sheaf_kept_fill(kept, &visit->out);
    if (kept->state == SHEAF_KEPT_LOST)
        sheaf_hooks_tell_body(sheaf_batch_item(visit->batch, 0));
}

/* Plugins are told of a head that is sent, and not when it comes: a failure may take its place until then. */
static void begin(sheaf_visit_t *visit)
{
    sheaf_item_t *item = sheaf_batch_item(visit->batch, 0);
    h2o_req_t *req = visit->req;

    sheaf_direct_tell_head(visit->batch);
    keep_so_far(visit);
    visit->status = item->status;
    req->res.status = item->status;
    req->res.reason = sheaf_status_reason(item->status);
    req->res.content_length = visit->length; /* not known: SIZE_MAX, which is UINT64_MAX */
    add_headers(visit, &item->answer);
    sheaf_responder_add_id(visit);
    sheaf_asking_edit(visit);
    if (item->err != SHEAF_OK)
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL, H2O_STRLIT("no-store"));
    if (visit->front->is_draining || visit->front->memory.level != SHEAF_MEMORY_FINE)
        req->http1_is_persistent = 0;
    visit->is_started = true;
    h2o_start_response(req, &visit->generator);
}

static void send_more(sheaf_visit_t *visit)
{
    sheaf_iovec_t iovecs[IOVECS];
    h2o_iovec_t bufs[IOVECS];
    size_t count = sheaf_out_peek(&visit->out, iovecs, IOVECS, SEND_MOST), len = 0;

    for (size_t i = 0; i < count; i++) {
        bufs[i] = h2o_iovec_init(iovecs[i].base, iovecs[i].len);
        len += iovecs[i].len;
    }
    visit->is_final = visit->has_ended && !visit->is_broken && len == visit->out.len;
    if (count == 0 && visit->req->version < 0x200)
        bufs[count++] = h2o_iovec_init(NULL, 0); /* without a buffer libh2o would hold the head back */
    visit->flying_bytes = len;
    visit->is_sending = true;
    sheaf_watchdog_progress(visit, true);
    h2o_send(visit->req, bufs, count, visit->is_final ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

/* A client of HTTP/1.0 that was told no length takes the end of the connection for that of the answer: it gets a reset.
 * Over TLS close_notify would still say that all is there (RFC 9112 9.8), so nothing more is written. */
static void close_unended(sheaf_visit_t *visit)
{
    const struct linger at_once = {.l_onoff = 1};

    if (visit->client->tls != NULL)
        sheaf_client_cut(visit->client);
    else
        setsockopt(sheaf_client_fd(visit->client), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* HTTP/1 closes the connection before the end of the answer, HTTP/2 resets the stream. */
static void break_off(sheaf_visit_t *visit)
{
    if (visit->req->version < 0x101 && visit->length == UINT64_MAX)
        close_unended(visit);
    visit->is_sending = visit->is_cut_short = true;
    if (sheaf_flow_break(visit->req)) /* on_request_gone did the rest */
        return;
    h2o_send(visit->req, NULL, 0, H2O_SEND_STATE_ERROR);
}

static void respond(sheaf_task_t *task)
{
    sheaf_visit_t *visit = SHEAF_OWNER(task, sheaf_visit_t, respond);
    bool is_new = !visit->is_started;

    if (visit->req == NULL || visit->is_sending || visit->is_final || visit->batch->is_abandoned)
        return;
    if (is_new)
        begin(visit);
    if (is_new || visit->out.len > 0 || (visit->has_ended && !visit->is_broken))
        send_more(visit);
    else if (visit->is_broken)
        break_off(visit);
}

static void on_proceed(h2o_generator_t *self, h2o_req_t *req)
{
    sheaf_visit_t *visit = (sheaf_visit_t *)(void *)self;
    size_t len = visit->flying_bytes;

    (void)req;
    sheaf_watchdog_progress(visit, false);
    sheaf_out_consume(&visit->out, len);
    visit->sent_bytes += len;
    visit->flying_bytes = 0;
    visit->is_sending = false;
    if (!visit->is_done)
        sheaf_direct_credit(visit->batch, len);
    if (visit->client->is_cut)
        sheaf_visit_end(visit);
    else
        wake(visit);
}
