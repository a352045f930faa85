/* upstream/conn.c - see conn.h. */
#include "gateway/upstream/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/upstream/secure.h"
#include "gateway/upstream/writing.h"

#define AGAIN_MS 5 /* until a unix socket whose backlog is full is tried again */

/* In the order of a conn's life. */
static void on_connected(uv_connect_t *req, int status);
static void take_connected(sheaf_conn_t *conn, int status);
static void on_deadline(sheaf_deadline_t *node);
static void open_up(sheaf_conn_t *conn);
static void on_read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf);
static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);
static void end(sheaf_conn_t *conn, sheaf_err_t err, const char *detail, bool can_stay);
static void on_closed(uv_handle_t *handle);

/* The one door by which an exchange gets on a conn and off it: so the count of what flies at a server is right, whatever
 * the end. NULL: nothing any more. */
static void carry(sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    if (conn->exchange != NULL) {
        conn->exchange->conn = NULL;
        conn->server->flying--;
    }
    conn->exchange = exchange;
    if (exchange != NULL) {
        exchange->conn = conn;
        conn->server->flying++;
    }
}

void sheaf_conn_pass(sheaf_conn_t *from, sheaf_conn_t *to)
{
    sheaf_exchange_t *exchange = from->exchange;

    carry(from, NULL);
    carry(to, exchange);
    to->dial_err = from->dial_err;
    to->dial_detail = from->dial_detail;
}

void sheaf_conn_aim(sheaf_conn_t *conn, sheaf_server_t *server)
{
    conn->server->flying -= conn->exchange != NULL;
    conn->server->conn_count--;
    conn->server = server;
    server->conn_count++;
    server->flying += conn->exchange != NULL;
}

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
    conn->server = server;
    server->conn_count++;
    carry(conn, exchange);
    conn->deadline.on_expired = on_deadline;
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
    uint64_t now_ms = conn->env->clock->now_ms;
    int status = 0;

    conn->dial_until_ms = now_ms + timeout_ms;
    if (conn->address.any.sa_family == AF_UNIX)
        timeout_ms = 0; /* it is connected at once or not at all, but not from inside */
    else
        status = uv_tcp_connect(&conn->connect_req, &conn->tcp, &conn->address.any, on_connected);
    if (status != 0)
        return status;
    sheaf_conn_move(conn, SHEAF_CONN_DIALING);
    sheaf_deadline_set(conn->env->deadlines, &conn->deadline, now_ms + timeout_ms);
    return 0;
}

static void on_connected(uv_connect_t *req, int status)
{
    sheaf_conn_t *conn = SHEAF_OWNER(req, sheaf_conn_t, connect_req);

    if (conn->state == SHEAF_CONN_DIALING) /* else it was closed meanwhile */
        take_connected(conn, status);
}

static void take_connected(sheaf_conn_t *conn, int status)
{
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
    sheaf_deadline_clear(conn->env->deadlines, &conn->race); /* the address answers: the rest is the server's time */
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

/* A connected socket for libuv, or a uv error; UV_EAGAIN: the backlog of the server is full. The path is the server's name
 * and fits, the configuration has seen to that. The handle is one of TCP, whose streams are those of any socket. */
static int connect_unix(sheaf_conn_t *conn)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), status = 0;

    strncpy(address.sun_path, conn->server->name->text, sizeof(address.sun_path) - 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        status = uv_translate_sys_error(errno);
    if (status == 0) {
        uv_tcp_nodelay(&conn->tcp, 0); /* a unix socket knows no such thing, and has none of the delay */
        status = uv_tcp_open(&conn->tcp, fd);
    }
    if (status != 0 && fd >= 0)
        close(fd);
    return status;
}

static void dial_late(sheaf_conn_t *conn)
{
    uint64_t now_ms = conn->env->clock->now_ms;
    int status = UV_EAGAIN;

    if (conn->address.any.sa_family == AF_UNIX)
        status = connect_unix(conn);
    if (status != UV_EAGAIN)
        take_connected(conn, status);
    else if (conn->tls != NULL)
        secure_fail(conn, SHEAF_ERR_CONNECT_TIMEOUT,
                    sheaf_tls_peer_blame(conn->server->tls, "the TLS handshake was not done in time"));
    else if (now_ms < conn->dial_until_ms)
        sheaf_deadline_set(conn->env->deadlines, &conn->deadline, now_ms + AGAIN_MS);
    else
        conn->events->on_dial_failed(conn, SHEAF_ERR_CONNECT_TIMEOUT, "");
}

/* Bytes that come do not move the deadline: it looks when it strikes. A request that is still being written is no
 * silence of the backend's. */
static void watch_silence(sheaf_conn_t *conn)
{
    uint64_t now_ms = conn->env->clock->now_ms;
    uint64_t limit_ms = conn->h1.has_bytes ? conn->idle_ms : conn->first_byte_ms;

    if (conn->is_writing)
        conn->awake_ms = now_ms;
    if (limit_ms == 0)
        return;
    if (conn->awake_ms + limit_ms > now_ms)
        sheaf_deadline_set(conn->env->deadlines, &conn->deadline, conn->awake_ms + limit_ms);
    else
        end(conn, SHEAF_ERR_TIMEOUT, conn->h1.has_bytes ? "the answer made no progress" : "no answer began in time",
            false);
}

static void on_deadline(sheaf_deadline_t *node)
{
    sheaf_conn_t *conn = SHEAF_OWNER(node, sheaf_conn_t, deadline);

    if (conn->state == SHEAF_CONN_DIALING)
        dial_late(conn);
    else
        watch_silence(conn);
}

/* It did something just now. Sets the deadline when another limit begins: with the request, and with the answer. */
static void stay_awake(sheaf_conn_t *conn, uint64_t limit_ms)
{
    conn->awake_ms = conn->env->clock->now_ms;
    if (limit_ms != 0)
        sheaf_deadline_set(conn->env->deadlines, &conn->deadline, conn->awake_ms + limit_ms);
}

/* --- an exchange --- */

int sheaf_conn_start(sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    int status;

    conn->has_written = conn->is_discarded = false;
    conn->status = 0;
    status = sheaf_writing_request(conn, exchange);
    if (status < 0 && !conn->has_written) {
        carry(conn, NULL);
        return status;
    }
    conn->is_half_broken = status < 0;
    carry(conn, exchange);
    sheaf_h1_begin(&conn->h1, exchange->method);
    if (conn->is_reused)
        sheaf_count(conn->env->metrics, SHEAF_METRIC_CONNS_REUSED, 1);
    if (conn->server->rank != 0)
        sheaf_count(conn->env->metrics, SHEAF_METRIC_EXCHANGES_BACKUP, 1);
    sheaf_conn_move(conn, SHEAF_CONN_ACTIVE);
    stay_awake(conn, conn->first_byte_ms);
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

    sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    carry(conn, NULL);
    conn->unsealed = SHEAF_STR_NONE;
    conn->events->on_end(conn, exchange, err, detail, can_stay, !conn->h1.has_bytes);
}

/* False: the sink refuses it. */
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

    conn->status = head->status;
    conn->is_discarded = head->status >= 400 && !conn->events->on_bad_head(conn, &answer);
    return conn->is_discarded || conn->exchange->sink->on_head(conn->exchange, &answer);
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

    if (conn->exchange != NULL && !conn->h1.has_bytes) /* what TLS says of itself (tickets) begins no answer */
        stay_awake(conn, conn->idle_ms);
    while (conn->exchange != NULL) {
        switch (sheaf_h1_next(&conn->h1, &at, end_at, &conn->env->head, &body, &why)) {
        case SHEAF_H1_MORE:
            if (conn->is_discarded) /* its body is not worth waiting for: rather a new conn than a slow retry */
                end(conn, SHEAF_OK, "", false);
            return;
        case SHEAF_H1_HEAD:
            is_welcome = give_head(conn);
            break;
        case SHEAF_H1_BODY:
            is_welcome = conn->is_discarded || conn->exchange->sink->on_body(conn->exchange, body.base, body.len);
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
    if (conn->h1.has_bytes)
        conn->awake_ms = conn->env->clock->now_ms;
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

bool sheaf_conn_may_repeat(const sheaf_conn_t *conn, const sheaf_exchange_t *exchange, sheaf_err_t err,
                           bool is_untouched)
{
    return err == SHEAF_ERR_RESET && is_untouched && conn->is_reused && (exchange->is_idempotent || !conn->has_written);
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
    sheaf_deadline_clear(conn->env->deadlines, &conn->race);
    sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    carry(conn, NULL);
    conn->server->conn_count--;
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
