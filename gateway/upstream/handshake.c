/* upstream/handshake.c - see handshake.h. */
#include "gateway/upstream/handshake.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/upstream/reading.h"
#include "gateway/upstream/secure.h"
#include "gateway/upstream/streams.h"

#define AGAIN_MS 5 /* until a unix socket whose backlog is full is tried again */

static void on_connected(uv_connect_t *req, int status);
static void take_connected(sheaf_conn_t *conn, int status);
static void open_up(sheaf_conn_t *conn);

sheaf_err_t sheaf_handshake_err(int status)
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

int sheaf_handshake_begin(sheaf_conn_t *conn, uint64_t timeout_ms)
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

    sheaf_clock_refresh(conn->env->clock);
    if (conn->state == SHEAF_CONN_DIALING) /* else it was closed meanwhile */
        take_connected(conn, status);
}

static void take_connected(sheaf_conn_t *conn, int status)
{
    if (status == 0)
        status = sheaf_reading_start(conn);
    if (status != 0) {
        sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
        conn->events->on_dial_failed(conn, sheaf_handshake_err(status), uv_strerror(status));
        return;
    }
    if (conn->server->tls == NULL) {
        open_up(conn);
        return;
    }
    sheaf_deadline_clear(conn->env->deadlines, &conn->race); /* the address answers: the rest is the server's time */
    sheaf_tls_peer_offer(conn->server->tls, conn->protocol != SHEAF_PROTOCOL_HTTP1,
                         conn->protocol != SHEAF_PROTOCOL_HTTP2);
    conn->tls = sheaf_tls_new(conn->server->tls, conn->env->clock->now_ms);
    sheaf_secure_flush(conn); /* when it fails, so does reading */
}

static void open_up(sheaf_conn_t *conn)
{
    bool is_h2 = conn->tls != NULL ? sheaf_tls_is_h2(conn->tls) : conn->protocol == SHEAF_PROTOCOL_HTTP2;

    if (conn->protocol == SHEAF_PROTOCOL_HTTP2 && !is_h2) {
        sheaf_handshake_fail(conn, SHEAF_ERR_TLS, "it does not agree to HTTP/2 (ALPN)");
        return;
    }
    conn->server->may_be_h2 = is_h2;
    sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    if (is_h2)
        sheaf_streams_open(conn);
    sheaf_count(conn->env->metrics, SHEAF_METRIC_CONNS_OPENED, 1);
    conn->events->on_open(conn);
}

void sheaf_handshake_fail(sheaf_conn_t *conn, sheaf_err_t err, const char *detail)
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

void sheaf_handshake_late(sheaf_conn_t *conn)
{
    uint64_t now_ms = conn->env->clock->now_ms;
    int status = UV_EAGAIN;

    if (conn->address.any.sa_family == AF_UNIX)
        status = connect_unix(conn);
    if (status != UV_EAGAIN)
        take_connected(conn, status);
    else if (conn->tls != NULL)
        sheaf_handshake_fail(conn, SHEAF_ERR_CONNECT_TIMEOUT, "the TLS handshake was not done in time");
    else if (now_ms < conn->dial_until_ms)
        sheaf_deadline_set(conn->env->deadlines, &conn->deadline, now_ms + AGAIN_MS);
    else
        conn->events->on_dial_failed(conn, SHEAF_ERR_CONNECT_TIMEOUT, "");
}

void sheaf_handshake_go_on(sheaf_conn_t *conn)
{
    bool is_resumed;

    switch (sheaf_tls_state(conn->tls)) {
    case SHEAF_TLS_HANDSHAKE:
        return;
    case SHEAF_TLS_FAILED:
        sheaf_handshake_fail(conn, SHEAF_ERR_TLS, sheaf_tls_peer_detail(conn->server->tls));
        return;
    default:
        is_resumed = sheaf_tls_is_resumed(conn->tls);
        sheaf_count(conn->env->metrics, is_resumed ? SHEAF_METRIC_BACKEND_TLS_RESUMED : SHEAF_METRIC_BACKEND_TLS_FULL,
                    1);
        open_up(conn);
    }
}
