#include "gateway/upstream/writing.h"

#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "gateway/upstream/secure.h"
#include "gateway/upstream/streams.h"

#define SMALL_BODY ((size_t)16 << 10) /* copied behind its head: one piece is cheaper to send than two */
#define PIECE_SIZE ((size_t)16 << 10) /* its end tells that the socket takes more, and that goes out uncopied */

/* What the socket did not take at once. */
typedef struct conn_rest {
    uv_write_t req;
    size_t len;
    char bytes[];
} conn_rest_t;

static void on_rest_written(uv_write_t *req, int status);

/* How many bytes the socket took, or a uv error. */
static int write_now(sheaf_conn_t *conn, const uv_buf_t *bufs, unsigned count)
{
    int status = uv_try_write((uv_stream_t *)&conn->tcp, bufs, count);

    sheaf_clock_pass(conn->env->clock);
    if (status > 0) {
        conn->has_written = true;
        conn->written_bytes += (uint64_t)status;
        sheaf_count(conn->env->metrics, SHEAF_METRIC_BACKEND_BYTES_OUT, (uint64_t)status);
    }
    conn->is_reset |= status == UV_ECONNRESET;
    return status == UV_EAGAIN ? 0 : status;
}

/* A copy of it waits in libuv: cancel is synchronous and owes nobody. */
static int write_later(sheaf_conn_t *conn, const char *bytes, size_t len)
{
    conn_rest_t *rest = sheaf_alloc(sizeof(*rest) + len);
    uv_buf_t buf = uv_buf_init(rest->bytes, (unsigned)len);
    int status;

    rest->len = len;
    memcpy(rest->bytes, bytes, len);
    status = uv_write(&rest->req, (uv_stream_t *)&conn->tcp, &buf, 1, on_rest_written);
    if (status != 0) {
        free(rest);
        return status;
    }
    conn->is_writing = true;
    conn->has_written = true; /* libuv may have sent some of it already */
    return 0;
}

int sheaf_writing_put(sheaf_conn_t *conn, const char *bytes, size_t len)
{
    uv_buf_t buf = {.base = (char *)bytes, .len = len};
    int sent = write_now(conn, &buf, 1);

    if (sent < 0 || (size_t)sent == len)
        return sent < 0 ? sent : 0;
    return write_later(conn, bytes + sent, len - (size_t)sent);
}

/* --- a body that the socket does not take at once --- */

static void skip_unsent(sheaf_conn_t *conn, size_t len)
{
    conn->unsent = sheaf_str(conn->unsent.base + len, conn->unsent.len - len);
}

static int write_piece(sheaf_conn_t *conn)
{
    sheaf_str_t piece = sheaf_str(conn->unsent.base, conn->unsent.len < PIECE_SIZE ? conn->unsent.len : PIECE_SIZE);

    if (piece.len == 0)
        return 0;
    skip_unsent(conn, piece.len);
    return write_later(conn, piece.base, piece.len);
}

static int write_unsent(sheaf_conn_t *conn)
{
    uv_buf_t buf = {.base = (char *)conn->unsent.base, .len = conn->unsent.len};
    int sent;

    if (buf.len == 0)
        return 0;
    sent = write_now(conn, &buf, 1);
    if (sent < 0)
        return sent;
    skip_unsent(conn, (size_t)sent);
    return write_piece(conn);
}

/* The head, and behind it conn->unsent. */
static int write_clear(sheaf_conn_t *conn, const char *head, size_t len)
{
    uv_buf_t bufs[] = {{.base = (char *)head, .len = len},
                       {.base = (char *)conn->unsent.base, .len = conn->unsent.len}};
    int sent = write_now(conn, bufs, conn->unsent.len != 0 ? 2 : 1);

    if (sent < 0)
        return sent;
    if ((size_t)sent < len)
        return write_later(conn, head + sent, len - (size_t)sent);
    if (conn->unsent.len == 0)
        return 0;
    skip_unsent(conn, (size_t)sent - len);
    return write_piece(conn);
}

static void go_on(sheaf_conn_t *conn)
{
    int status = conn->tls != NULL ? sheaf_secure_flush(conn) : write_unsent(conn);

    conn->is_half_broken |= status != 0;
}

/* What became of the request is told by reading: an answer that came early, or the end of the conn. */
static void on_rest_written(uv_write_t *req, int status)
{
    sheaf_conn_t *conn = req->handle->data;
    conn_rest_t *rest = SHEAF_OWNER(req, conn_rest_t, req);

    sheaf_clock_refresh(conn->env->clock);
    if (status == 0) {
        conn->written_bytes += rest->len;
        sheaf_count(conn->env->metrics, SHEAF_METRIC_BACKEND_BYTES_OUT, rest->len);
    } else {
        conn->is_half_broken = true;
    }
    conn->is_reset |= status == UV_ECONNRESET;
    conn->is_writing = false;
    conn->wrote_ms = conn->env->clock->now_ms;
    free(rest);
    if (conn->state != SHEAF_CONN_CLOSING && !conn->is_half_broken)
        go_on(conn);
    if (conn->h2 != NULL)
        sheaf_streams_go_on(conn);
}

/* What the backend's side has acknowledged, of all that the conn ever wrote. */
static uint64_t acked_bytes(const sheaf_conn_t *conn)
{
    uv_os_fd_t fd;
    int left = 0;

    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0)
        ioctl(fd, SIOCOUTQ, &left); /* of a unix socket it counts more than the bytes */
    if (left <= 0)
        return conn->written_bytes;
    return (uint64_t)left < conn->written_bytes ? conn->written_bytes - (uint64_t)left : 0;
}

bool sheaf_writing_drains(sheaf_flight_t *flight)
{
    const sheaf_conn_t *conn = flight->conn;
    uint64_t before = flight->acked_bytes;

    if (flight->exchange->body.len <= SMALL_BODY)
        return false;
    flight->acked_bytes = acked_bytes(conn);
    if (flight->end_bytes != 0)
        return before < flight->end_bytes && flight->acked_bytes > before;
    flight->end_bytes = conn->written_bytes + uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
    return flight->acked_bytes < flight->end_bytes;
}

void sheaf_writing_forget(sheaf_conn_t *conn)
{
    conn->is_half_broken |= conn->unsent.len != 0;
    conn->unsent = SHEAF_STR_NONE;
}

/* One write for head and body when they are small, which is nearly always. */
int sheaf_writing_request(sheaf_conn_t *conn, const sheaf_exchange_t *exchange)
{
    sheaf_conn_env_t *env = conn->env;
    size_t room = sheaf_h1_head_room(exchange, conn->server->host_line), len;
    sheaf_str_t body = exchange->has_body ? exchange->body : SHEAF_STR_NONE;
    char *head = room <= sizeof(env->write) ? env->write : sheaf_alloc(room);
    int status;

    len = sheaf_h1_write_head(exchange, conn->server->host_line, head);
    if (body.len != 0 && body.len <= SMALL_BODY && room + body.len <= sizeof(env->write)) {
        memcpy(head + len, body.base, body.len);
        len += body.len;
        body = SHEAF_STR_NONE;
    }
    conn->unsent = body;
    status = conn->tls != NULL ? sheaf_secure_write(conn, head, len) : write_clear(conn, head, len);
    if (head != env->write)
        free(head);
    return status;
}

/* --- behind others --- */

static void on_flush(sheaf_task_t *task)
{
    sheaf_writing_flush(SHEAF_OWNER(task, sheaf_conn_t, flush));
}

void sheaf_writing_request_soon(sheaf_conn_t *conn, const sheaf_exchange_t *exchange)
{
    sheaf_str_t host_line = conn->server->host_line;

    conn->outbox = sheaf_realloc(conn->outbox, conn->outbox_len + sheaf_h1_head_room(exchange, host_line));
    conn->outbox_len += sheaf_h1_write_head(exchange, host_line, conn->outbox + conn->outbox_len);
    conn->outbox_count++;
    conn->flush.run = on_flush;
    if (conn->env->soon != NULL)
        sheaf_soon(conn->env->soon, &conn->flush);
    else
        sheaf_writing_flush(conn);
}

void sheaf_writing_flush(sheaf_conn_t *conn)
{
    int status = 0;

    if (conn->outbox_count != 0)
        status = conn->tls != NULL ? sheaf_secure_write(conn, conn->outbox, conn->outbox_len)
                                   : sheaf_writing_put(conn, conn->outbox, conn->outbox_len);
    conn->is_half_broken |= status < 0;
    sheaf_writing_discard(conn);
}

void sheaf_writing_discard(sheaf_conn_t *conn)
{
    sheaf_soon_cancel(&conn->flush);
    free(conn->outbox);
    conn->outbox = NULL;
    conn->outbox_len = conn->outbox_count = 0;
}
