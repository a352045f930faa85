#include "gateway/upstream/writing.h"

#include <stdlib.h>

#include "gateway/upstream/secure.h"
#include "gateway/upstream/streams.h"

#define SMALL_BODY ((size_t)16 << 10) /* copied behind its head: one piece is cheaper to send than two */

/* A rest that the socket did not take at once. */
typedef struct conn_rest {
    uv_write_t req;
    size_t len;
    char bytes[];
} conn_rest_t;

static void on_rest_written(uv_write_t *req, int status);

static int write_rest(sheaf_conn_t *conn, const uv_buf_t *bufs, unsigned count, size_t skip)
{
    size_t len = 0, at = 0;
    conn_rest_t *rest;
    uv_buf_t buf;
    int status;

    for (unsigned i = 0; i < count; i++)
        len += bufs[i].len;
    len -= skip;
    rest = sheaf_alloc(sizeof(*rest) + len);
    rest->len = len;
    for (unsigned i = 0; i < count; i++) {
        size_t from = skip < bufs[i].len ? skip : bufs[i].len;

        memcpy(rest->bytes + at, bufs[i].base + from, bufs[i].len - from);
        at += bufs[i].len - from;
        skip -= from;
    }
    buf = uv_buf_init(rest->bytes, (unsigned)len);
    status = uv_write(&rest->req, (uv_stream_t *)&conn->tcp, &buf, 1, on_rest_written);
    if (status != 0) {
        free(rest);
        return status;
    }
    conn->is_writing = true;
    conn->has_written = true; /* libuv may have sent some of it already */
    return 0;
}

/* What became of the request is told by reading: an answer that came early, or the end of the conn. */
static void on_rest_written(uv_write_t *req, int status)
{
    sheaf_conn_t *conn = req->handle->data;
    conn_rest_t *rest = SHEAF_OWNER(req, conn_rest_t, req);

    if (status == 0) {
        sheaf_count(conn->env->metrics, SHEAF_METRIC_BACKEND_BYTES_OUT, rest->len);
    } else {
        conn->is_half_broken = true;
        conn->unsealed = SHEAF_STR_NONE;
    }
    conn->is_writing = false;
    conn->wrote_ms = conn->env->clock->now_ms;
    free(rest);
    if (conn->tls != NULL && status == 0 && conn->state != SHEAF_CONN_CLOSING)
        conn->is_half_broken |= sheaf_secure_flush(conn) != 0;
    if (conn->h2 != NULL)
        sheaf_streams_flush(conn);
}

int sheaf_writing_put(sheaf_conn_t *conn, const uv_buf_t *bufs, unsigned count, size_t total)
{
    int status = uv_try_write((uv_stream_t *)&conn->tcp, bufs, count);

    if (status > 0) {
        conn->has_written = true;
        sheaf_count(conn->env->metrics, SHEAF_METRIC_BACKEND_BYTES_OUT, (uint64_t)status);
    }
    if (status == UV_EAGAIN)
        status = 0;
    if (status >= 0 && (size_t)status < total)
        status = write_rest(conn, bufs, count, (size_t)status);
    return status < 0 ? status : 0;
}

/* One write for head and body when they are small, which is nearly always. */
int sheaf_writing_request(sheaf_conn_t *conn, const sheaf_exchange_t *exchange)
{
    sheaf_conn_env_t *env = conn->env;
    size_t room = sheaf_h1_head_room(exchange, conn->server->host_line), len, total;
    size_t body_len = exchange->has_body ? exchange->body.len : 0;
    bool is_small = body_len <= SMALL_BODY && room + body_len <= sizeof(env->write);
    char *head = room <= sizeof(env->write) ? env->write : sheaf_alloc(room);
    uv_buf_t bufs[2];
    unsigned count = 1;
    int status;

    len = sheaf_h1_write_head(exchange, conn->server->host_line, head);
    total = len + body_len;
    if (is_small && body_len != 0) {
        memcpy(head + len, exchange->body.base, body_len);
        len += body_len;
    } else if (body_len != 0) {
        bufs[1] = (uv_buf_t){.base = (char *)exchange->body.base, .len = body_len};
        count = 2;
    }
    bufs[0] = (uv_buf_t){.base = head, .len = len};

    status = conn->tls != NULL ? sheaf_secure_write(conn, bufs, count) : sheaf_writing_put(conn, bufs, count, total);
    if (head != env->write)
        free(head);
    return status;
}
