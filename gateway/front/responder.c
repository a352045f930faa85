#include "gateway/front/responder.h"

#include <stdlib.h>
#include <sys/random.h>

#include "gateway/batch/each.h"
#include "gateway/front/admission.h"
#include "gateway/front/asking.h"
#include "gateway/front/squeeze.h"
#include "gateway/front/watchdog.h"
#include "gateway/http/problem.h"

#define STREAM_FROM         (64u << 10)  /* bytes that end the linger */
#define AHEAD_MOST          (256u << 10) /* bytes encoded before the client took them */
#define SEND_MOST           (64u << 10)  /* per h2o_send: results are given back after each */
#define LINGER_UNWATCHED_MS 500          /* a hang-up is noticed within a second, however long the linger */
#define GATHER_MS           5 /* a result that streams waits so long for company: a write is dear, a result small */
#define IOVECS              64
#define SQUEEZE_FROM        1024 /* a shorter answer fits a packet as it is */

static void on_item(sheaf_batch_t *batch, uint32_t index);
static void on_order(sheaf_batch_t *batch);
static void on_done(sheaf_batch_t *batch);
static void on_linger_over(sheaf_deadline_t *node);
static void on_gathered(sheaf_deadline_t *node);
static void respond(sheaf_task_t *task);
static void on_proceed(h2o_generator_t *self, h2o_req_t *req);

static const sheaf_watch_t watch = {.on_item = on_item, .on_order = on_order, .on_done = on_done};

void sheaf_responder_start(sheaf_visit_t *visit, const sheaf_encoder_t *encoder)
{
    sheaf_batch_t *batch = visit->batch;
    sheaf_front_t *front = visit->front;

    if (batch->order == SHEAF_ORDER_DEFAULT)
        batch->order = encoder->order;
    visit->encode = (sheaf_encode_t){.encoder = encoder, .batch = batch, .out = &visit->out};
    if (encoder->wants_nonce && getrandom(visit->encode.nonce, sizeof(visit->encode.nonce), 0) < 0)
        abort(); /* 16 bytes never fail once the kernel has booted: a guessable boundary would be worse */
    visit->marks = sheaf_pool_alloc(batch->pool, (batch->size + 1) * sizeof(*visit->marks));
    if (batch->order == SHEAF_ORDER_COMPLETION)
        visit->settled = sheaf_pool_alloc(batch->pool, (batch->size + 1) * sizeof(*visit->settled));
    visit->respond.run = respond;
    visit->generator.proceed = on_proceed;
    visit->linger.on_expired = on_linger_over;
    visit->gather.on_expired = on_gathered;
    visit->is_done = false;
    sheaf_deadline_set(front->env.deadlines, &visit->linger, front->env.clock->now_ms + batch->endpoint->linger_ms);
    sheaf_batch_start(batch, &watch, visit);
    if (batch->endpoint->linger_ms > LINGER_UNWATCHED_MS)
        sheaf_watchdog_arm(visit);
}

/* --- what the batch tells --- */

/* The first to fail is named. */
static void note_refusal(sheaf_visit_t *visit, const sheaf_item_t *item)
{
    sheaf_fail_t fail;

    if (visit->objection != NULL || !visit->encode.encoder->refuses(item, &fail))
        return;
    visit->objection = sheaf_pool_alloc(visit->batch->pool, sizeof(fail));
    *visit->objection = fail;
}

static void on_item(sheaf_batch_t *batch, uint32_t index)
{
    sheaf_visit_t *visit = batch->watch_data;
    uint16_t status = sheaf_item_shown_status(sheaf_batch_item(batch, index));

    visit->classes[status / 100 < 6 ? status / 100 : 5]++;
    sheaf_verdict_add(&visit->verdict, status);
    if (visit->settled != NULL)
        visit->settled[visit->settled_count++ & batch->mask] = index;
    if (visit->encode.encoder->refuses != NULL)
        note_refusal(visit, sheaf_batch_item(batch, index));
    if (visit->req != NULL)
        sheaf_soon(visit->front->env.soon, &visit->respond);
}

static void on_order(sheaf_batch_t *batch)
{
    sheaf_visit_t *visit = batch->watch_data;

    sheaf_admission_grow(visit);
    if (visit->req != NULL)
        sheaf_soon(visit->front->env.soon, &visit->respond);
}

static void on_done(sheaf_batch_t *batch)
{
    sheaf_visit_t *visit = batch->watch_data;

    if (visit->req != NULL && !batch->is_abandoned)
        sheaf_soon(visit->front->env.soon, &visit->respond);
    sheaf_visit_batch_over(visit); /* may free it */
}

static void on_linger_over(sheaf_deadline_t *node)
{
    sheaf_visit_t *visit = SHEAF_OWNER(node, sheaf_visit_t, linger);

    visit->has_lingered = true;
    sheaf_watchdog_arm(visit);
    sheaf_soon(visit->front->env.soon, &visit->respond);
}

static void on_gathered(sheaf_deadline_t *node)
{
    sheaf_visit_t *visit = SHEAF_OWNER(node, sheaf_visit_t, gather);

    visit->has_gathered = true;
    sheaf_soon(visit->front->env.soon, &visit->respond);
}

/* --- encoding --- */

static const sheaf_item_t *next_item(sheaf_visit_t *visit)
{
    const sheaf_batch_t *batch = visit->batch;

    if (visit->settled != NULL)
        return visit->taken < visit->settled_count ? sheaf_batch_item(batch, visit->settled[visit->taken & batch->mask])
                                                   : NULL;
    visit->turn = sheaf_each_skip_silent(batch, visit->turn);
    if (visit->turn >= batch->count || sheaf_batch_item(batch, visit->turn)->state != SHEAF_ITEM_SETTLED)
        return NULL;
    return sheaf_batch_item(batch, visit->turn);
}

static void encode_item(sheaf_visit_t *visit, const sheaf_item_t *item)
{
    size_t before = visit->out.len;

    visit->encode.encoder->item(&visit->encode, item);
    visit->encoded_bytes += visit->out.len - before;
    visit->marks[visit->marks_head++ & visit->batch->mask] = (sheaf_mark_sent_t){visit->encoded_bytes, item->index};
    visit->taken++;
    visit->turn = item->after;
    sheaf_batch_encoded(visit->batch, item->index);
}

static void encode_ready(sheaf_visit_t *visit)
{
    const sheaf_item_t *item;
    size_t before = visit->out.len;

    if (!visit->has_begun)
        visit->encode.encoder->begin(&visit->encode);
    visit->has_begun = true;
    visit->encoded_bytes += visit->out.len - before;
    while (visit->out.len < AHEAD_MOST && (item = next_item(visit)) != NULL)
        encode_item(visit, item);
    if (!visit->is_done || visit->taken < sheaf_batch_results(visit->batch) || visit->has_ended)
        return;
    before = visit->out.len;
    visit->encode.encoder->end(&visit->encode);
    visit->encoded_bytes += visit->out.len - before;
    visit->has_ended = true;
}

/* --- when and how the answer begins --- */

/* An item that does not fit beside what is held is not launched, nor is one fed to a full window: who holds results back
 * then waits for ever. */
static bool holds_up(const sheaf_batch_t *batch)
{
    return sheaf_batch_is_full(batch) ||
           batch->held_bytes + batch->endpoint->max_item_body_bytes > batch->endpoint->budget_bytes;
}

static bool is_head(const sheaf_visit_t *visit)
{
    return h2o_memis(visit->req->method.base, visit->req->method.len, H2O_STRLIT("HEAD"));
}

/* A whole document fits the budget (the configuration was checked), and the answer to a HEAD is not kept: neither holds
 * anything up. */
static bool must_begin(const sheaf_visit_t *visit)
{
    const sheaf_batch_t *batch = visit->batch;

    if (visit->encode.encoder->is_whole || is_head(visit))
        return visit->has_ended;
    if (visit->has_ended || (!visit->is_done && holds_up(batch)))
        return true;
    if (!visit->is_done && sheaf_verdict_is_open(&visit->verdict, (sheaf_status_t)batch->endpoint->status))
        return false;
    return visit->out.len > STREAM_FROM || visit->has_lingered || !visit->encode.encoder->lingers;
}

static void add_header(h2o_req_t *req, const char *name, const char *value, size_t len)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, value, len);
}

void sheaf_responder_add_id(sheaf_visit_t *visit)
{
    sheaf_str_t id = sheaf_visit_id(visit);

    add_header(visit->req, "x-request-id", h2o_strdup(&visit->req->pool, id.base, id.len).base, id.len);
}

/* RFC 7240 section 3 */
static void add_preferences(sheaf_visit_t *visit)
{
    sheaf_prefer_t applied = sheaf_batch_preferred(visit->batch);
    char text[SHEAF_PREFER_MAX];
    size_t len = sheaf_prefer_write(&applied, text);

    if (len > 0)
        add_header(visit->req, "preference-applied", h2o_strdup(&visit->req->pool, text, len).base, len);
}

static void add_head(sheaf_visit_t *visit)
{
    sheaf_headers_t headers = {0};

    if (visit->encode.encoder->head == NULL) {
        add_header(visit->req, "cache-control", H2O_STRLIT("no-store"));
        add_header(visit->req, "vary", H2O_STRLIT("accept"));
        return;
    }
    visit->encode.encoder->head(&visit->encode, visit->batch->pool, &headers);
    for (uint32_t i = 0; i < headers.count; i++) {
        sheaf_str_t name = headers.entries[i].name, value = headers.entries[i].value;
        h2o_iovec_t copy = h2o_strdup(&visit->req->pool, value.base, value.len);

        h2o_add_header_by_str(&visit->req->pool, &visit->req->res.headers, name.base, name.len, 1, NULL, copy.base,
                              copy.len);
    }
}

/* A HEAD is told of the answer as it is, which is one that any client may have. */
static bool is_to_be_squeezed(const sheaf_visit_t *visit)
{
    return visit->may_squeeze && !is_head(visit) && !(visit->has_ended && visit->out.len < SQUEEZE_FROM);
}

/* What is whole and short is compressed before it begins: so it has a Content-Length. */
static size_t squeeze_ahead(sheaf_visit_t *visit)
{
    sheaf_iovec_t iovecs[IOVECS];
    size_t count = sheaf_out_peek(&visit->out, iovecs, IOVECS, SEND_MOST), len = 0;

    for (size_t i = 0; i < count; i++)
        len += iovecs[i].len;
    if (!visit->has_ended || len < visit->out.len)
        return SIZE_MAX;
    visit->squeezed = sheaf_squeeze_piece(visit->squeeze, iovecs, count, true);
    return visit->squeezed.len;
}

static void add_coding(sheaf_visit_t *visit)
{
    if (visit->endpoint->compress)
        add_header(visit->req, "vary", H2O_STRLIT("accept-encoding"));
    if (!is_to_be_squeezed(visit))
        return;
    visit->squeeze = sheaf_squeeze_new();
    visit->req->res.content_length = squeeze_ahead(visit);
    add_header(visit->req, "content-encoding", H2O_STRLIT("gzip"));
}

static void begin_answer(sheaf_visit_t *visit)
{
    h2o_req_t *req = visit->req;
    const sheaf_encoder_t *encoder = visit->encode.encoder;
    const char *type =
        encoder->content_type_of == NULL ? encoder->content_type : encoder->content_type_of(&visit->encode);

    visit->status =
        sheaf_verdict_status(&visit->verdict, (sheaf_status_t)visit->batch->endpoint->status, visit->is_done);
    if (visit->status == 207 && encoder->status != 0)
        visit->status = encoder->status;
    req->res.status = visit->status;
    req->res.reason = sheaf_status_reason(visit->status);
    req->res.content_length = visit->has_ended ? visit->unsent_bytes + visit->out.len : SIZE_MAX;
    add_header(req, "content-type", type, strlen(type));
    add_head(visit);
    sheaf_responder_add_id(visit);
    add_preferences(visit);
    add_coding(visit);
    sheaf_asking_edit(visit);
    if (visit->front->is_draining || visit->front->memory.level != SHEAF_MEMORY_FINE)
        req->http1_is_persistent = 0;
    visit->is_started = true;
    visit->has_gathered = true; /* the linger was long enough */
    h2o_start_response(req, &visit->generator);
}

/* --- sending --- */

/* Small writes wait for more, unless nothing more can come before they are gone. */
static bool gathers(sheaf_visit_t *visit)
{
    sheaf_front_t *front = visit->front;

    if (visit->has_gathered || visit->has_ended || visit->out.len >= STREAM_FROM || !visit->encode.encoder->lingers)
        return false;
    if (visit->is_done || holds_up(visit->batch))
        return false;
    if (visit->out.len > 0 && !sheaf_deadline_is_set(&visit->gather))
        sheaf_deadline_set(front->env.deadlines, &visit->gather, front->env.clock->now_ms + GATHER_MS);
    return true;
}

/* What stands for the next bytes of the answer, unless it was made ahead. */
static h2o_iovec_t squeeze(sheaf_visit_t *visit, const sheaf_iovec_t *iovecs, size_t count)
{
    sheaf_iovec_t piece = visit->squeezed;

    if (piece.len == 0)
        piece = sheaf_squeeze_piece(visit->squeeze, iovecs, count, visit->is_final);
    visit->squeezed.len = 0;
    return h2o_iovec_init(piece.base, piece.len);
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
    visit->is_final = visit->has_ended && len == visit->out.len;
    if (len == 0 && !visit->is_final)
        return;
    visit->has_gathered = false;
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->gather);
    visit->flying_plain = len;
    if (visit->squeeze != NULL) {
        bufs[0] = squeeze(visit, iovecs, count);
        count = 1;
        len = bufs[0].len;
    }
    visit->flying_bytes = len;
    visit->is_sending = true;
    sheaf_watchdog_progress(visit, true);
    h2o_send(visit->req, bufs, count, visit->is_final ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void give_back(sheaf_visit_t *visit, uint64_t sent_bytes)
{
    uint32_t mask = visit->batch->mask;

    while (visit->marks_tail < visit->marks_head && visit->marks[visit->marks_tail & mask].at_bytes <= sent_bytes)
        sheaf_batch_sent(visit->batch, visit->marks[visit->marks_tail++ & mask].index);
}

/* A HEAD is told how long the answer would be; of a whole document nothing is written before its end. */
static void drop_bytes(sheaf_visit_t *visit)
{
    visit->unsent_bytes += visit->out.len;
    sheaf_out_consume(&visit->out, visit->out.len);
    if (visit->has_ended || !visit->encode.encoder->is_whole)
        give_back(visit, visit->encoded_bytes);
}

static void respond_to_head(sheaf_visit_t *visit)
{
    if (!visit->has_ended) {
        if (visit->out.len >= AHEAD_MOST) /* there may be more to encode */
            sheaf_soon(visit->front->env.soon, &visit->respond);
        drop_bytes(visit);
        return;
    }
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->linger);
    begin_answer(visit);
    drop_bytes(visit);
    send_more(visit);
}

/* Nothing of the batch is answered: what has not flown stays, what flies is cancelled. */
static void object(sheaf_visit_t *visit)
{
    sheaf_deadline_clear(visit->front->env.deadlines, &visit->linger);
    if (!visit->is_done)
        sheaf_batch_abandon(visit->batch);
    sheaf_responder_refuse(visit, visit->objection);
}

static void respond(sheaf_task_t *task)
{
    sheaf_visit_t *visit = SHEAF_OWNER(task, sheaf_visit_t, respond);

    if (visit->req == NULL || visit->is_sending || visit->is_final || visit->batch->is_abandoned)
        return;
    if (visit->objection != NULL) {
        object(visit);
        return;
    }
    encode_ready(visit);
    if (is_head(visit)) {
        respond_to_head(visit);
        return;
    }
    if (!visit->is_started && must_begin(visit)) {
        sheaf_deadline_clear(visit->front->env.deadlines, &visit->linger);
        if (!visit->has_ended)
            sheaf_watchdog_arm(visit);
        begin_answer(visit);
    }
    if (visit->is_started && !gathers(visit))
        send_more(visit);
}

static void on_proceed(h2o_generator_t *self, h2o_req_t *req)
{
    sheaf_visit_t *visit = (sheaf_visit_t *)(void *)self;

    (void)req;
    sheaf_watchdog_progress(visit, false);
    sheaf_out_consume(&visit->out, visit->flying_plain);
    visit->plain_bytes += visit->flying_plain;
    visit->flying_plain = 0;
    visit->sent_bytes += visit->flying_bytes;
    visit->flying_bytes = 0;
    visit->is_sending = false;
    give_back(visit, visit->plain_bytes);
    if (visit->client->is_cut)
        sheaf_visit_end(visit);
    else
        sheaf_soon(visit->front->env.soon, &visit->respond);
}

/* --- instead of a batch --- */

h2o_iovec_t sheaf_responder_prepare_refusal(sheaf_visit_t *visit, const sheaf_fail_t *fail)
{
    h2o_req_t *req = visit->req;
    char *body = sheaf_h2o_alloc(&req->pool, SHEAF_PROBLEM_MAX);
    const sheaf_problem_form_t *form = sheaf_codec_refusal(visit->endpoint);
    size_t len = sheaf_problem_write_as(form, fail, body);

    visit->refused = fail->err;
    visit->status = sheaf_err_status(fail->err);
    req->res.status = visit->status;
    req->res.reason = sheaf_status_reason(visit->status);
    req->res.content_length = len;
    add_header(req, "content-type", form->media, strlen(form->media));
    add_header(req, "cache-control", H2O_STRLIT("no-store"));
    sheaf_responder_add_id(visit);
    if (fail->err == SHEAF_ERR_METHOD)
        add_header(req, "allow", visit->allow.base, visit->allow.len);
    if (fail->err == SHEAF_ERR_TOO_LARGE || visit->front->is_draining)
        req->http1_is_persistent = 0;
    if (fail->err == SHEAF_ERR_OVERLOADED)
        add_header(req, "retry-after", H2O_STRLIT("1"));
    if (fail->err == SHEAF_ERR_MEDIA_TYPE && sheaf_str_eq(visit->endpoint->method, SHEAF_STR("POST"))) {
        const char *types = sheaf_codec_decodable(visit->endpoint);

        add_header(req, "accept-post", types, strlen(types));
    }
    sheaf_asking_edit(visit);
    sheaf_count(visit->front->env.metrics,
                visit->is_direct ? SHEAF_METRIC_REQUESTS_REFUSED : SHEAF_METRIC_BATCHES_REFUSED, 1);
    if (!h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD")))
        visit->flying_bytes = len;
    visit->is_started = visit->is_final = visit->is_sending = true;
    sheaf_watchdog_progress(visit, true);
    return h2o_iovec_init(body, len);
}

void sheaf_responder_refuse(sheaf_visit_t *visit, const sheaf_fail_t *fail)
{
    h2o_iovec_t body = sheaf_responder_prepare_refusal(visit, fail);

    h2o_send_inline(visit->req, body.base, body.len);
}
