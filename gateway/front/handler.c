/* front/handler.c - from libh2o's request to a running batch, or to a route (direct.h), or to a refusal. */
#include "gateway/codec/describe.h"
#include "gateway/front/admission.h"
#include "gateway/front/asking.h"
#include "gateway/front/direct.h"
#include "gateway/front/guard/frames.h"
#include "gateway/front/lingering.h"
#include "gateway/front/place.h"
#include "gateway/front/responder.h"
#include "gateway/front/watchdog.h"
#include "gateway/http/problem.h"

static sheaf_str_t str_of(h2o_iovec_t v)
{
    return sheaf_str(v.base, v.len);
}

static sheaf_str_t find(h2o_req_t *req, const h2o_token_t *token)
{
    ssize_t at = h2o_find_header(&req->headers, token, -1);

    return at < 0 ? SHEAF_STR_NONE : str_of(req->headers.entries[at].value);
}

static void take_preferences(sheaf_visit_t *visit)
{
    sheaf_prefer_t prefer = {0};

    for (uint32_t i = 0; i < visit->headers.count; i++)
        if (sheaf_str_eq(visit->headers.entries[i].name, SHEAF_STR("prefer")))
            sheaf_prefer_add(&prefer, visit->headers.entries[i].value);
    sheaf_batch_prefer(visit->batch, &prefer);
}

static int refuse(sheaf_visit_t *visit, const sheaf_fail_t *fail)
{
    sheaf_responder_refuse(visit, fail);
    return 0;
}

static void add_header(h2o_req_t *req, const char *name, const char *value)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, value, strlen(value));
}

/* The document that describes the endpoints of the path, in the request's pool. */
static h2o_iovec_t description_of(const sheaf_visit_t *visit)
{
    h2o_iovec_t text;
    sheaf_iovec_t piece;
    sheaf_out_t out;

    sheaf_out_init(&out);
    sheaf_describe_path(visit->epoch->env.snapshot, visit->outer.path, &out);
    text = h2o_iovec_init(sheaf_h2o_alloc(&visit->req->pool, out.len), 0);
    while (sheaf_out_peek(&out, &piece, 1, SIZE_MAX) == 1) {
        memcpy(text.base + text.len, piece.base, piece.len);
        text.len += piece.len;
        sheaf_out_consume(&out, piece.len);
    }
    sheaf_out_fini(&out);
    return text;
}

static int answer_options(sheaf_visit_t *visit)
{
    h2o_iovec_t text = description_of(visit);
    h2o_req_t *req = visit->req;
    sheaf_match_t match;
    const sheaf_endpoint_conf_t *posted =
        sheaf_snapshot_endpoint(visit->epoch->env.snapshot, visit->outer.path, SHEAF_STR("POST"), &match);

    req->res.status = 200;
    req->res.reason = sheaf_status_reason(200);
    req->res.content_length = text.len;
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("allow"), 1, NULL, visit->allow.base,
                          visit->allow.len);
    if (posted != NULL)
        add_header(req, "accept-post", sheaf_codec_decodable(posted));
    add_header(req, "content-type", "application/json");
    sheaf_asking_edit(visit);
    visit->flying_bytes = text.len;
    visit->is_started = visit->is_final = visit->is_sending = true;
    sheaf_watchdog_progress(visit, true);
    h2o_send_inline(req, text.base, text.len);
    return 0;
}

static bool is_plain(sheaf_str_t coding)
{
    return coding.len == 0 || sheaf_str_ieq(sheaf_str_trim(coding), SHEAF_STR("identity"));
}

static sheaf_err_t check_size(const sheaf_front_t *front, h2o_req_t *req, const sheaf_endpoint_conf_t *endpoint,
                              sheaf_fail_t *fail)
{
    if (sheaf_cuts_why(req) == SHEAF_ERR_TOO_LARGE) {
        sheaf_front_say_too_large(front, fail);
        return SHEAF_ERR_TOO_LARGE;
    }
    if (req->entity.len > endpoint->max_body_bytes)
        return sheaf_fail(fail, SHEAF_ERR_TOO_LARGE, "the request has %zu bytes, %llu are allowed", req->entity.len,
                          (unsigned long long)endpoint->max_body_bytes);
    if (!is_plain(find(req, H2O_TOKEN_CONTENT_ENCODING)))
        return sheaf_fail(fail, SHEAF_ERR_MEDIA_TYPE, "content codings are not supported");
    return SHEAF_OK;
}

/* What can be refused before the body is looked at. */
static sheaf_err_t check_request(const sheaf_front_t *front, h2o_req_t *req, const sheaf_endpoint_conf_t *endpoint,
                                 const sheaf_decoder_t **ret_decoder, const sheaf_encoder_t **ret_encoder,
                                 sheaf_fail_t *fail)
{
    sheaf_err_t err = check_size(front, req, endpoint, fail);

    if (err != SHEAF_OK)
        return err;
    *ret_decoder = sheaf_codec_decoder(endpoint, find(req, H2O_TOKEN_CONTENT_TYPE));
    if (*ret_decoder == NULL)
        return sheaf_fail(fail, SHEAF_ERR_MEDIA_TYPE, "supported: %s", sheaf_codec_decodable(endpoint));
    *ret_encoder = (*ret_decoder)->answers_with;
    if (*ret_encoder == NULL)
        *ret_encoder = sheaf_codec_encoder(endpoint, str_of(sheaf_h2o_join(req, H2O_TOKEN_ACCEPT, ", ")));
    if (*ret_encoder == NULL)
        return sheaf_fail(fail, SHEAF_ERR_NOT_ACCEPTABLE, "offered: %s", sheaf_codec_encodable(endpoint));
    return SHEAF_OK;
}

static sheaf_err_t open_batch(sheaf_visit_t *visit, sheaf_fail_t *fail)
{
    if (sheaf_admission_enter(visit, fail) != SHEAF_OK)
        return fail->err;
    visit->batch = sheaf_batch_new(&visit->epoch->env, visit->endpoint, &visit->outer);
    sheaf_visit_take_outer(visit, visit->batch->pool);
    return SHEAF_OK;
}

static void start_answer(sheaf_visit_t *visit)
{
    sheaf_responder_start(visit, visit->encode.encoder);
}

static int start_batch(sheaf_visit_t *visit, const sheaf_endpoint_conf_t *endpoint)
{
    h2o_req_t *req = visit->req;
    const sheaf_decoder_t *decoder = NULL;
    const sheaf_encoder_t *encoder = NULL;
    sheaf_fail_t fail;
    sheaf_str_t body;

    if (check_request(visit->front, req, endpoint, &decoder, &encoder, &fail) != SHEAF_OK)
        return refuse(visit, &fail);
    if (visit->batch == NULL && open_batch(visit, &fail) != SHEAF_OK)
        return refuse(visit, &fail);
    take_preferences(visit);
    body = sheaf_pool_dup(visit->batch->pool, str_of(req->entity));
    visit->caller.body = body;
    visit->caller.body_bytes = body.len;
    sheaf_count(visit->front->env.metrics, SHEAF_METRIC_BYTES_IN, body.len);
    visit->batch->started_us = visit->begun_us;
    if (decoder->decode(visit->batch, body, &fail) != SHEAF_OK)
        return refuse(visit, &fail);
    if (sheaf_admission_load(visit, &fail) != SHEAF_OK)
        return refuse(visit, &fail);
    if (endpoint->compress)
        visit->may_squeeze = sheaf_coding_accepts_gzip(str_of(sheaf_h2o_join(req, H2O_TOKEN_ACCEPT_ENCODING, ", ")));
    visit->encode.encoder = encoder;
    sheaf_asking_batch(visit, start_answer);
    return 0;
}

static void serve(sheaf_visit_t *visit)
{
    if (h2o_memis(visit->req->method.base, visit->req->method.len, H2O_STRLIT("OPTIONS")))
        answer_options(visit);
    else
        start_batch(visit, visit->endpoint);
}

/* Plugins want to know the request before its body is looked at: so its batch is there earlier. `regret`: why it is refused
 * unless they answer; NULL: it is not. */
static int ask(sheaf_visit_t *visit, const sheaf_fail_t *regret)
{
    sheaf_fail_t fail;

    if (open_batch(visit, &fail) != SHEAF_OK)
        return refuse(visit, &fail);
    visit->caller.body = str_of(visit->req->entity);
    visit->caller.body_bytes = visit->caller.body.len;
    if (regret != NULL)
        sheaf_asking_refused(visit, regret);
    else
        sheaf_asking_request(visit, serve);
    return 0;
}

int sheaf_handler_on_request(h2o_handler_t *self, h2o_req_t *req)
{
    sheaf_front_t *front = ((sheaf_front_handler_t *)(void *)self)->front;
    sheaf_visit_t *visit = sheaf_visit_new(front, req);
    sheaf_fail_t fail;
    sheaf_err_t err;
    bool is_options;

    if (sheaf_objection_take(&visit->client->objection, &fail)) {
        sheaf_lingering_keep(visit->client);
        return refuse(visit, &fail);
    }
    if (sheaf_front_memory(front) == SHEAF_MEMORY_FULL || sheaf_cuts_why(req) == SHEAF_ERR_OVERLOADED) {
        if (sheaf_cuts_why(req) == SHEAF_OK)
            sheaf_count(front->env.metrics, SHEAF_METRIC_REFUSED_MEMORY, 1);
        sheaf_fail(&fail, SHEAF_ERR_OVERLOADED, SHEAF_FRONT_NO_MEMORY);
        return refuse(visit, &fail);
    }
    if (visit->client->is_cut) { /* the abort budget is used up: nothing is started any more (fact 8) */
        sheaf_fail(&fail, SHEAF_ERR_OVERLOADED, "too many requests were abandoned on this connection");
        return refuse(visit, &fail);
    }
    if (sheaf_place_check_host(visit, &fail) != SHEAF_OK) {
        refuse(visit, &fail);
        return 0;
    }
    err = sheaf_place_find(visit, &fail);
    is_options = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("OPTIONS"));
    if (err == SHEAF_ERR_NOT_FOUND)
        sheaf_direct_serve(visit);
    else if (visit->epoch->env.hooks != NULL)
        ask(visit, err != SHEAF_OK && !is_options ? &fail : NULL);
    else if (err != SHEAF_OK && !is_options)
        refuse(visit, &fail);
    else
        serve(visit);
    return 0;
}
