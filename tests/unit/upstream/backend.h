/* tests/unit/upstream/backend.h - a backend that follows a script: the n-th request it reads gets the n-th step.
 *
 * It lives on the loop of the test. What it was asked stands in `log`; past the last step it is silent. With a context it
 * speaks TLS. With `health` it answers GET /health by itself, off the script. */
#ifndef TESTS_UNIT_UPSTREAM_BACKEND_H
#define TESTS_UNIT_UPSTREAM_BACKEND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <uv.h>

#include "tests/unit/upstream/tls_server.h"

#define MAX_STEPS 64
#define MAX_CONNS 64

typedef struct step { /* what the n-th request is answered with */
    const char *bytes;
    size_t len;
    bool then_close; /* and the conn is closed behind it */
    bool then_reset;
    bool then_cut; /* closed, and TLS says nothing of it */
} step_t;

typedef struct backend backend_t;

typedef struct backend_conn {
    uv_tcp_t tcp;
    backend_t *backend;
    int index;
    bool is_open, has_begun; /* something of a request has come */
    tls_server_t tls;        /* with backend->context */
    size_t len;
    char got[1 << 21];
} backend_conn_t;

struct backend {
    uv_tcp_t listener;
    uv_loop_t *loop;
    uint16_t port;
    bool is_listening;
    step_t steps[MAX_STEPS];
    int step_count, requests, conns;
    backend_conn_t *conn[MAX_CONNS];
    char log[4096];       /* "CONN:METHOD target " per request, in order */
    char last[4096];      /* the last head, as it came */
    uint64_t body_sum;    /* of the last body, see sum_of() */
    const char *health;   /* what it says to GET /health; may be NULL */
    int probes;           /* how often it was asked for that */
    bool is_deaf;         /* accepts and reads nothing */
    bool is_slow;         /* reads no more of a conn once a request has begun, until backend_hear() */
    bool is_rude;         /* hangs up on whatever comes */
    bool is_echo;         /* answers "/N" with "#N", off the script */
    const char *greeting; /* said to each conn at once; may be NULL */
    void (*on_request)(backend_conn_t *conn); /* in the place of the script; `last` is what was asked. May be NULL */
    SSL_CTX *context;                         /* may be NULL */
};

static void backend_on_closed(uv_handle_t *handle)
{
    tls_server_free(&((backend_conn_t *)handle->data)->tls);
    free(handle->data);
}

static void backend_send(backend_conn_t *conn, const char *bytes, size_t len)
{
    while (len != 0) { /* loopback takes what tests say, or says EAGAIN for large answers: they stay small */
        uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);
        int n = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);

        if (n <= 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

static void backend_flush(backend_conn_t *conn)
{
    sheaf_str_t out = tls_server_output(&conn->tls);

    backend_send(conn, out.base, out.len);
    tls_server_drained(&conn->tls);
}

static void backend_drop(backend_conn_t *conn)
{
    if (!conn->is_open)
        return;
    conn->is_open = false;
    conn->backend->conn[conn->index] = NULL;
    uv_close((uv_handle_t *)&conn->tcp, backend_on_closed);
}

static void backend_reset(backend_conn_t *conn)
{
    conn->is_open = false;
    conn->backend->conn[conn->index] = NULL;
    uv_tcp_close_reset(&conn->tcp, backend_on_closed);
}

static void backend_say(backend_conn_t *conn, const char *bytes, size_t len)
{
    if (conn->tls.ssl == NULL) {
        backend_send(conn, bytes, len);
    } else if (len != 0) {
        SSL_write(conn->tls.ssl, bytes, (int)len);
        backend_flush(conn);
    }
}

/* TLS: says that nothing follows. */
static void backend_bow(backend_conn_t *conn)
{
    if (conn->tls.ssl == NULL)
        return;
    SSL_shutdown(conn->tls.ssl);
    backend_flush(conn);
}

static void backend_echo(backend_conn_t *conn)
{
    char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#0";

    answer[sizeof(answer) - 2] = strchr(conn->backend->last, '/')[1];
    backend_say(conn, answer, sizeof(answer) - 1);
}

static void backend_answer(backend_conn_t *conn)
{
    backend_t *backend = conn->backend;
    const step_t *step;

    if (backend->on_request != NULL) {
        backend->on_request(conn);
        return;
    }
    if (backend->is_echo) {
        backend_echo(conn);
        return;
    }
    if (backend->requests > backend->step_count)
        return; /* silence */
    step = &backend->steps[backend->requests - 1];
    backend_say(conn, step->bytes, step->len);
    if (step->then_reset) {
        backend_reset(conn);
    } else if (step->then_close) {
        if (!step->then_cut)
            backend_bow(conn);
        backend_drop(conn);
    }
}

static bool backend_is_probed(backend_conn_t *conn)
{
    if (conn->backend->health == NULL || strncmp(conn->got, "GET /health ", 12) != 0)
        return false;
    conn->backend->probes++;
    backend_say(conn, conn->backend->health, strlen(conn->backend->health));
    return true;
}

/* FNV-1a */
static uint64_t sum_of(const char *bytes, size_t len)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static void backend_on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    backend_conn_t *conn = handle->data;

    *buf = uv_buf_init(conn->got + conn->len, (unsigned)(sizeof(conn->got) - 1 - conn->len));
}

/* Makes plain text of what was read behind it. */
static void backend_unseal(backend_conn_t *conn, const char *bytes, size_t len)
{
    char *copy = malloc(len);

    memcpy(copy, bytes, len);
    conn->len +=
        (size_t)tls_server_read(&conn->tls, copy, len, conn->got + conn->len, sizeof(conn->got) - 1 - conn->len);
    free(copy);
    backend_flush(conn);
}

static void backend_on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    backend_conn_t *conn = stream->data;
    backend_t *backend = conn->backend;
    char *end, *length;
    size_t need, used;

    if (nread < 0 || backend->is_rude) {
        backend_drop(conn);
        return;
    }
    if (conn->tls.ssl != NULL)
        backend_unseal(conn, conn->got + conn->len, (size_t)nread);
    else
        conn->len += (size_t)nread;
    conn->got[conn->len] = '\0';
    conn->has_begun = conn->len != 0;
    if (backend->is_slow && conn->has_begun)
        uv_read_stop(stream);
    while (conn->is_open && (end = strstr(conn->got, "\r\n\r\n")) != NULL) {
        need = (size_t)(end + 4 - conn->got);
        length = strstr(conn->got, "content-length: ");
        if (length != NULL && length < end)
            need += strtoul(length + 16, NULL, 10);
        if (conn->len < need)
            return;
        if (backend_is_probed(conn)) {
            memmove(conn->got, conn->got + need, conn->len - need + 1);
            conn->len -= need;
            continue;
        }
        used = (size_t)(strstr(conn->got, " HTTP/1.1\r\n") - conn->got);
        snprintf(backend->log + strlen(backend->log), sizeof(backend->log) - strlen(backend->log), "%d:%.*s ",
                 conn->index, (int)used, conn->got);
        snprintf(backend->last, sizeof(backend->last), "%.*s", (int)(need < 4000 ? need : 4000), conn->got);
        backend->body_sum = sum_of(end + 4, need - (size_t)(end + 4 - conn->got));
        memmove(conn->got, conn->got + need, conn->len - need + 1);
        conn->len -= need;
        backend->requests++;
        backend_answer(conn);
    }
}

/* Reads on, to the end. */
static void backend_hear(backend_t *backend)
{
    backend->is_deaf = backend->is_slow = false;
    for (int i = 0; i < backend->conns; i++)
        if (backend->conn[i] != NULL)
            uv_read_start((uv_stream_t *)&backend->conn[i]->tcp, backend_on_buffer, backend_on_read);
}

static void backend_on_conn(uv_stream_t *listener, int status)
{
    backend_t *backend = listener->data;
    backend_conn_t *conn = calloc(1, sizeof(*conn));

    uv_tcp_init(backend->loop, &conn->tcp);
    conn->tcp.data = conn;
    conn->backend = backend;
    conn->index = backend->conns++;
    conn->is_open = true;
    backend->conn[conn->index] = conn;
    if (backend->context != NULL)
        conn->tls = tls_server_new(backend->context);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&conn->tcp), 0);
    if (backend->greeting != NULL)
        backend_say(conn, backend->greeting, strlen(backend->greeting));
    if (!backend->is_deaf)
        uv_read_start((uv_stream_t *)&conn->tcp, backend_on_buffer, backend_on_read);
}

static void backend_start(backend_t *backend, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    memset(backend, 0, sizeof(*backend));
    backend->loop = loop;
    uv_tcp_init(loop, &backend->listener);
    backend->listener.data = backend;
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&backend->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&backend->listener, 128, backend_on_conn), 0);
    uv_tcp_getsockname(&backend->listener, (struct sockaddr *)&address, &len);
    backend->port = ntohs(address.sin_port);
    backend->is_listening = true;
}

static void backend_stop(backend_t *backend)
{
    for (int i = 0; i < backend->conns; i++)
        if (backend->conn[i] != NULL)
            backend_drop(backend->conn[i]);
    if (backend->is_listening)
        uv_close((uv_handle_t *)&backend->listener, NULL);
    backend->is_listening = false;
    SSL_CTX_free(backend->context);
    backend->context = NULL;
}

static void step_bytes(backend_t *backend, const char *bytes, size_t len)
{
    backend->steps[backend->step_count++] = (step_t){.bytes = bytes, .len = len};
}

static void step_text(backend_t *backend, const char *text)
{
    step_bytes(backend, text, strlen(text));
}

static void step_close(backend_t *backend, const char *text)
{
    step_text(backend, text);
    backend->steps[backend->step_count - 1].then_close = true;
}

#define OK_HI "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

#endif
