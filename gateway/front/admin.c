/* front/admin.c - what operators and their tools ask: alive, ready, how much. Only on the admin listener. */
#include "gateway/front/client.h"
#include "gateway/http/message.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

static void answer(h2o_req_t *req, int status, const char *reason, const char *type, const char *body, size_t len)
{
    req->res.status = status;
    req->res.reason = reason;
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("content-type"), 0, NULL, type, strlen(type));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("cache-control"), 0, NULL, H2O_STRLIT("no-store"));
    req->res.content_length = len;
    h2o_send_inline(req, body, len);
}

static void answer_text(h2o_req_t *req, int status, const char *reason, const char *body)
{
    answer(req, status, reason, "text/plain; charset=utf-8", body, strlen(body));
}

/* All of it: there may be any number of upstreams. */
static void move_to(sheaf_out_t *out, char *dst)
{
    sheaf_iovec_t piece;

    while (sheaf_out_peek(out, &piece, 1, out->len) != 0) {
        memcpy(dst, piece.base, piece.len);
        dst += piece.len;
        sheaf_out_consume(out, piece.len);
    }
}

static void answer_metrics(sheaf_front_t *front, h2o_req_t *req)
{
    sheaf_out_t out;
    size_t len;
    char *body;

    sheaf_out_init(&out);
    sheaf_metrics_print(front->env.region, &out);
    len = out.len;
    body = sheaf_h2o_alloc(&req->pool, len);
    move_to(&out, body);
    sheaf_out_fini(&out);
    answer(req, 200, "OK", METRICS_TYPE, body, len);
}

static bool path_is(const h2o_req_t *req, const char *path)
{
    return h2o_memis(req->path_normalized.base, req->path_normalized.len, path, strlen(path));
}

int sheaf_admin_on_request(h2o_handler_t *self, h2o_req_t *req)
{
    sheaf_front_t *front = ((sheaf_front_handler_t *)(void *)self)->front;

    sheaf_fail_t fail;

    if (sheaf_objection_take(&sheaf_client_of(req)->objection, &fail)) {
        answer_text(req, sheaf_err_status(fail.err), sheaf_status_reason(sheaf_err_status(fail.err)), fail.detail);
        return 0;
    }
    if (!h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET")) &&
        !h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"))) {
        h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("allow"), 0, NULL, H2O_STRLIT("GET, HEAD"));
        answer_text(req, 405, "Method Not Allowed", "only GET and HEAD\n");
    } else if (path_is(req, "/healthz")) {
        answer_text(req, 200, "OK", "ok\n");
    } else if (path_is(req, "/readyz")) {
        if (front->env.is_draining(front->env.data))
            answer_text(req, 503, "Service Unavailable", "draining\n");
        else
            answer_text(req, 200, "OK", "ready\n");
    } else if (path_is(req, "/metrics")) {
        answer_metrics(front, req);
    } else {
        answer_text(req, 404, "Not Found", "only /healthz, /readyz and /metrics\n");
    }
    return 0;
}
