/* upstream/conn.c - see conn.h. */
#include "gateway/upstream/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/upstream/secure.h"

#define SMALL_BODY ((size_t)16 << 10) /* copied behind its head: one piece is cheaper to send than two */

/* A rest that the socket did not take at once. */
typedef struct conn_rest {
    uv_write_t req;
    size_t len;
    char bytes[];
} conn_rest_t;

/* In the order of a conn's life. */
static void on_connected(uv_connect_t *req, int status);
static void on_dial_timeout(sheaf_deadline_t *node);
static void open_up(sheaf_conn_t *conn);
static void on_rest_written(uv_write_t *req, int status);
static void on_read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf);
static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);
static void on_closed(uv_handle_t *handle);

sheaf_conn_t *sheaf_conn_new(sheaf_conn_env_t *env, const sheaf_conn_events_t *events, void *group,
                             sheaf_exchange_t *exchange, sheaf_server_t *server)
{
    sheaf_conn_t *conn = sheaf_zalloc(sizeof(*conn));

    uv_tcp_init(env->loop, &conn->tcp); /* opens no socket yet */
    uv_tcp_nodelay(&conn->tcp, 1);
    conn->tcp.data = conn;
    conn->env = env;
    conn->events = events;
    conn->group = group;
    conn->exchange = exchange;
    exchange->conn = conn;
    conn->server = server;
    conn->deadline.on_expired = on_dial_timeout;
    conn->state = SHEAF_CONN_LOOKUP;
    env->open_count++;
    sheaf_gauge(env->metrics, SHEAF_METRIC_CONNS_CONNECTING, 1);
    return conn;
}

static void gauge(const sheaf_conn_t *conn, int64_t by)
{
    static const sheaf_metric_t metrics[] = {
        [SHEAF_CONN_LOOKUP] = SHEAF_METRIC_CONNS_CONNECTING,
        [SHEAF_CONN_DIALING] = SHEAF_METRIC_CONNS_CONNECTING,
        [SHEAF_CONN_ACTIVE] = SHEAF_METRIC_CONNS_ACTIVE,
        [SHEAF_CONN_IDLE] = SHEAF_METRIC_CONNS_IDLE,
    };

    if (conn->state != SHEAF_CONN_CLOSING)
        sheaf_gauge(conn->env->metrics, metrics[conn->state], by);
}

void sheaf_conn_move(sheaf_conn_t *conn, sheaf_conn_state_t state)
{
    SHEAF_ASSERT(conn->state != SHEAF_CONN_CLOSING);
    gauge(conn, -1);
    conn->state = state;
    gauge(conn, 1);
}

/* --- dialing --- */

sheaf_err_t sheaf_conn_dial_err(int status)
{
    switch (status) {
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOBUFS:
    case UV_ENOMEM:
        return SHEAF_ERR_OVERLOADED;
    case UV_ETIMEDOUT:
        return SHEAF_ERR_CONNECT_TIMEOUT;
    default:
        return SHEAF_ERR_REFUSED;
    }
}

int sheaf_conn_dial(sheaf_conn_t *conn, uint64_t timeout_ms)
{
    int status = uv_tcp_connect(&conn->connect_req, &conn->tcp, &conn->address.any, on_connected);

    if (status != 0)
        return status;
    sheaf_conn_move(conn, SHEAF_CONN_DIALING);
    sheaf_deadline_set(conn->env->deadlines, &conn->deadline, conn->env->clock->now_ms + timeout_ms);
    return 0;
}

static void on_connected(uv_connect_t *req, int status)
{
    sheaf_conn_t *conn = SHEAF_OWNER(req, sheaf_conn_t, connect_req);

    if (conn->state != SHEAF_CONN_DIALING)
        return; /* closed meanwhile */
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&conn->tcp, on_read_buffer, on_read);
    if (status != 0) {
        sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
        conn->events->on_dial_failed(conn, sheaf_conn_dial_err(status), uv_strerror(status));
        return;
    }
    if (conn->server->tls == NULL) {
        open_up(conn);
        return;
    }
    conn->tls = sheaf_tls_new(conn->server->tls, conn->env->clock->now_ms);
    sheaf_secure_flush(conn); /* when it fails, so does reading */
}

static void open_up(sheaf_conn_t *conn)
{
    sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    sheaf_count(conn->env->metrics, SHEAF_METRIC_CONNS_OPENED, 1);
    conn->events->on_open(conn);
}

/* The handshake came to nothing. */
static void secure_fail(sheaf_conn_t *conn, sheaf_err_t err, const char *detail)
{
    sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    sheaf_count(conn->env->metrics, SHEAF_METRIC_BACKEND_TLS_FAILED, 1);
    conn->events->on_dial_failed(conn, err, detail);
}

static void on_dial_timeout(sheaf_deadline_t *node)
{
    sheaf_conn_t *conn = SHEAF_OWNER(node, sheaf_conn_t, deadline);

    if (conn->tls != NULL)
        secure_fail(conn, SHEAF_ERR_CONNECT_TIMEOUT,
                    sheaf_tls_peer_blame(conn->server->tls, "the TLS handshake was not done in time"));
    else
        conn->events->on_dial_failed(conn, SHEAF_ERR_CONNECT_TIMEOUT, "");
}

/* --- writing --- */

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
    free(rest);
    if (conn->tls != NULL && status == 0 && conn->state != SHEAF_CONN_CLOSING)
        conn->is_half_broken |= sheaf_secure_flush(conn) != 0;
}

int sheaf_conn_write(sheaf_conn_t *conn, const uv_buf_t *bufs, unsigned count, size_t total)
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
static int write_request(sheaf_conn_t *conn, const sheaf_exchange_t *exchange)
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

    status = conn->tls != NULL ? sheaf_secure_write(conn, bufs, count) : sheaf_conn_write(conn, bufs, count, total);
    if (head != env->write)
        free(head);
    return status;
}

int sheaf_conn_start(sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    int status;

    conn->has_written = false;
    status = write_request(conn, exchange);
    if (status < 0 && !conn->has_written) {
        conn->exchange = NULL;
        exchange->conn = NULL;
        return status;
    }
    conn->is_half_broken = status < 0;
    conn->exchange = exchange;
    exchange->conn = conn;
    sheaf_h1_begin(&conn->h1, exchange->method);
    if (conn->is_reused)
        sheaf_count(conn->env->metrics, SHEAF_METRIC_CONNS_REUSED, 1);
    sheaf_conn_move(conn, SHEAF_CONN_ACTIVE);
    return 0;
}

/* --- reading --- */

/* Bytes are used up before the callback returns, so one buffer serves every conn of the worker. */
static void on_read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    sheaf_conn_t *conn = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init(conn->env->read, sizeof(conn->env->read));
}

/* The one way out for an exchange. The keeper comes last: its callbacks may do anything to this conn. */
static void end(sheaf_conn_t *conn, sheaf_err_t err, const char *detail, bool can_stay)
{
    sheaf_exchange_t *exchange = conn->exchange;

    conn->exchange = NULL;
    conn->unsealed = SHEAF_STR_NONE;
    exchange->conn = NULL;
    conn->events->on_end(conn, exchange, err, detail, can_stay, !conn->h1.has_bytes);
}

static bool give_head(sheaf_conn_t *conn)
{
    const sheaf_wire_head_t *head = &conn->env->head;
    sheaf_answer_head_t answer = {
        .status = head->status,
        .headers = head->headers,
        .header_count = head->header_count,
        .content_length = head->body == SHEAF_WIRE_LENGTH    ? head->content_length
                          : head->body == SHEAF_WIRE_NO_BODY ? 0 /* a HEAD's length is not to come */
                                                             : UINT64_MAX,
    };

    return conn->exchange->sink->on_head(conn->exchange, &answer);
}

/* After a whole answer the conn may stay only if both sides are done: nothing behind the answer, nothing left to
 * write. Bytes behind it could be a forged answer to the next exchange. */
static void finish(sheaf_conn_t *conn, bool has_more)
{
    end(conn, SHEAF_OK, "",
        conn->h1.is_persistent && !has_more && !conn->is_ended && !conn->is_writing && !conn->is_half_broken);
}

/* The sink may cancel this exchange from inside; the conn is closed then and conn->exchange is NULL. */
static void take_bytes(sheaf_conn_t *conn, char *at, char *end_at)
{
    bool is_welcome = true;
    sheaf_str_t body = SHEAF_STR_NONE;
    const char *why = "";

    while (conn->exchange != NULL) {
        switch (sheaf_h1_next(&conn->h1, &at, end_at, &conn->env->head, &body, &why)) {
        case SHEAF_H1_MORE:
            return;
        case SHEAF_H1_HEAD:
            is_welcome = give_head(conn);
            break;
        case SHEAF_H1_BODY:
            is_welcome = conn->exchange->sink->on_body(conn->exchange, body.base, body.len);
            break;
        case SHEAF_H1_DONE:
            finish(conn, at < end_at);
            return;
        case SHEAF_H1_BAD:
            end(conn, SHEAF_ERR_MALFORMED, why, false);
            return;
        }
        if (!is_welcome && conn->exchange != NULL) {
            end(conn, SHEAF_ERR_ANSWER_TOO_LARGE, "", false);
            return;
        }
    }
}

/* A close that TLS did not announce may have been made by anybody on the way: it ends no answer (RFC 8446 6.1). */
static void take_end(sheaf_conn_t *conn, int status)
{
    bool is_cut = conn->tls != NULL && !conn->is_ended;

    if (conn->state == SHEAF_CONN_DIALING)
        secure_fail(conn, SHEAF_ERR_TLS, sheaf_tls_peer_blame(conn->server->tls, "it closed during the TLS handshake"));
    else if (conn->exchange == NULL)
        conn->events->on_idle_end(conn);
    else if (status == UV_EOF && sheaf_h1_ends_at_eof(&conn->h1))
        end(conn, is_cut ? SHEAF_ERR_RESET : SHEAF_OK, is_cut ? "closed without a word of TLS: it may be cut" : "",
            false);
    else
        end(conn, SHEAF_ERR_RESET, status == UV_EOF ? "" : uv_strerror(status), false);
}

/* --- reading through TLS --- */

static void take_handshake(sheaf_conn_t *conn, sheaf_tls_state_t state)
{
    if (state == SHEAF_TLS_FAILED) {
        secure_fail(conn, SHEAF_ERR_TLS, sheaf_tls_peer_detail(conn->server->tls));
    } else if (state != SHEAF_TLS_HANDSHAKE) {
        sheaf_count(conn->env->metrics,
                    sheaf_tls_is_resumed(conn->tls) ? SHEAF_METRIC_BACKEND_TLS_RESUMED : SHEAF_METRIC_BACKEND_TLS_FULL,
                    1);
        open_up(conn);
    }
}

/* All that came is made plain text before any of it is looked at, so that an answer is known to be the last thing on
 * the conn before the next exchange gets it. */
static void take_sealed(sheaf_conn_t *conn, const char *bytes, size_t len)
{
    char *plain = conn->env->plain;
    size_t plain_len;
    sheaf_tls_state_t state = sheaf_tls_read(conn->tls, bytes, len, plain, &plain_len);

    conn->is_half_broken |= sheaf_secure_flush(conn) != 0 || state == SHEAF_TLS_FAILED;
    conn->is_ended = state == SHEAF_TLS_ENDED;
    if (conn->state == SHEAF_CONN_DIALING)
        take_handshake(conn, state);
    if (conn->state == SHEAF_CONN_CLOSING || conn->state == SHEAF_CONN_DIALING)
        return;
    if (plain_len != 0 && conn->exchange == NULL)
        conn->events->on_idle_end(conn);
    else if (plain_len != 0)
        take_bytes(conn, plain, plain + plain_len);
    if (conn->state == SHEAF_CONN_CLOSING)
        return;
    if (state == SHEAF_TLS_ENDED)
        take_end(conn, UV_EOF);
    else if (state == SHEAF_TLS_FAILED && conn->exchange != NULL) /* within an answer it is no failed handshake */
        end(conn, conn->h1.has_bytes ? SHEAF_ERR_RESET : SHEAF_ERR_TLS, sheaf_tls_peer_detail(conn->server->tls),
            false);
    else if (state == SHEAF_TLS_FAILED)
        conn->events->on_idle_end(conn);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    sheaf_conn_t *conn = stream->data;

    if (nread == 0 || conn->state == SHEAF_CONN_CLOSING)
        return;
    if (nread < 0) {
        take_end(conn, (int)nread);
        return;
    }
    sheaf_count(conn->env->metrics, SHEAF_METRIC_BACKEND_BYTES_IN, (uint64_t)nread);
    if (conn->tls != NULL)
        take_sealed(conn, buf->base, (size_t)nread);
    else if (conn->exchange == NULL)
        conn->events->on_idle_end(conn);
    else
        take_bytes(conn, buf->base, buf->base + nread);
}

bool sheaf_conn_is_quiet(const sheaf_conn_t *conn)
{
    uv_os_fd_t fd;
    char byte;

    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) != 0)
        return false;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* --- closing --- */

void sheaf_conn_close(sheaf_conn_t *conn)
{
    if (conn->state == SHEAF_CONN_CLOSING)
        return;
    if (conn->tls != NULL)
        sheaf_secure_end(conn);
    sheaf_conn_move(conn, SHEAF_CONN_CLOSING);
    sheaf_list_remove(&conn->link);
    sheaf_name_forget(&conn->waiter);
    sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    if (conn->exchange != NULL)
        conn->exchange->conn = NULL;
    conn->exchange = NULL;
    conn->unsealed = SHEAF_STR_NONE;
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    sheaf_conn_t *conn = handle->data;
    sheaf_conn_env_t *env = conn->env;

    sheaf_h1_fini(&conn->h1);
    sheaf_tls_free(conn->tls);
    free(conn);
    if (--env->open_count == 0 && env->on_all_closed != NULL)
        env->on_all_closed(env);
}
