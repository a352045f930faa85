/* upstream/h2_backend.h - a backend on the loop of the test that speaks HTTP/2, in clear text or with a context by TLS: what
 * a test wants said is said by h2_peer.h, on each request by `on_request`. */
#ifndef SHEAF_TESTS_H2_BACKEND_H
#define SHEAF_TESTS_H2_BACKEND_H

#include "tests/unit/upstream/h2_peer.h"
#include "tests/unit/upstream/harness.h"

#define H2_CONNS 2000

typedef struct h2_backend h2_backend_t;

typedef struct h2_conn {
    uv_tcp_t tcp;
    h2_backend_t *backend;
    peer_t peer;
    tls_server_t tls; /* with backend->context */
    int index, requests;
    bool is_open;
    char piece[4096], plain[8192];
} h2_conn_t;

struct h2_backend {
    uv_tcp_t listener;
    uint16_t port;
    int conns, requests, resets, pings;
    bool answers_pings;
    size_t body_len; /* of all DATA that came */
    h2_conn_t *conn[H2_CONNS];
    SSL_CTX *context;                                             /* may be NULL */
    uint32_t max_streams;                                         /* of its SETTINGS; 0: none are said */
    void (*on_request)(h2_conn_t *conn, int32_t id);              /* its HEADERS came; may be NULL */
    void (*on_frame)(h2_conn_t *conn, const peer_frame_t *frame); /* any that came; may be NULL */
};

static void h2_on_closed(uv_handle_t *handle)
{
    h2_conn_t *conn = handle->data;

    peer_fini(&conn->peer);
    tls_server_free(&conn->tls);
    free(conn);
}

static void h2_drop(h2_conn_t *conn)
{
    if (!conn->is_open)
        return;
    conn->is_open = false;
    conn->backend->conn[conn->index] = NULL;
    uv_close((uv_handle_t *)&conn->tcp, h2_on_closed);
}

static void h2_send(h2_conn_t *conn, const char *bytes, size_t len)
{
    uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);

    if (conn->is_open && len != 0)
        (void)!uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
}

/* What the peer has said goes out. */
static void h2_flush(h2_conn_t *conn)
{
    peer_bytes_t *said = &conn->peer.said;
    sheaf_str_t sealed;

    if (conn->tls.ssl == NULL) {
        h2_send(conn, said->bytes, said->len);
        said->len = 0;
        return;
    }
    if (said->len != 0 && SSL_is_init_finished(conn->tls.ssl)) {
        SSL_write(conn->tls.ssl, said->bytes, (int)said->len);
        said->len = 0;
    }
    sealed = tls_server_output(&conn->tls);
    h2_send(conn, sealed.base, sealed.len);
    tls_server_drained(&conn->tls);
}

static void h2_on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    h2_conn_t *conn = handle->data;

    *buf = uv_buf_init(conn->piece, sizeof(conn->piece));
}

static void h2_take_ping(h2_conn_t *conn, const peer_frame_t *frame)
{
    conn->backend->pings++;
    if (conn->backend->answers_pings)
        peer_says(&conn->peer, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, frame->payload, frame->len);
}

static void h2_on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    h2_conn_t *conn = stream->data;
    peer_frame_t frame;

    if (nread < 0) {
        h2_drop(conn);
        return;
    }
    if (conn->tls.ssl != NULL)
        peer_hears(&conn->peer, conn->plain,
                   (size_t)tls_server_read(&conn->tls, buf->base, (size_t)nread, conn->plain, sizeof(conn->plain)));
    else
        peer_hears(&conn->peer, buf->base, (size_t)nread);
    while (conn->is_open && peer_next(&conn->peer, &frame)) {
        if (conn->backend->on_frame != NULL)
            conn->backend->on_frame(conn, &frame);
        conn->backend->resets += frame.type == NGHTTP2_RST_STREAM;
        conn->backend->body_len += frame.type == NGHTTP2_DATA ? frame.len : 0;
        if (frame.type == NGHTTP2_PING)
            h2_take_ping(conn, &frame);
        if (frame.type != NGHTTP2_HEADERS)
            continue;
        conn->requests++;
        conn->backend->requests++;
        if (conn->backend->on_request != NULL)
            conn->backend->on_request(conn, frame.id);
    }
    h2_flush(conn);
}

static void h2_on_conn(uv_stream_t *listener, int status)
{
    h2_backend_t *backend = listener->data;
    h2_conn_t *conn = calloc(1, sizeof(*conn));

    assert_true(backend->conns < H2_CONNS);
    uv_tcp_init(listener->loop, &conn->tcp);
    conn->tcp.data = conn;
    conn->backend = backend;
    conn->index = backend->conns++;
    conn->is_open = true;
    backend->conn[conn->index] = conn;
    peer_init(&conn->peer);
    if (backend->context != NULL)
        conn->tls = tls_server_new(backend->context);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&conn->tcp), 0);
    if (backend->max_streams != 0)
        peer_setting(&conn->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, backend->max_streams);
    else
        peer_hello(&conn->peer);
    h2_flush(conn);
    uv_read_start((uv_stream_t *)&conn->tcp, h2_on_buffer, h2_on_read);
}

static void h2_start(h2_backend_t *backend, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    memset(backend, 0, sizeof(*backend));
    uv_tcp_init(loop, &backend->listener);
    backend->listener.data = backend;
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&backend->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&backend->listener, 128, h2_on_conn), 0);
    uv_tcp_getsockname(&backend->listener, (struct sockaddr *)&address, &len);
    backend->port = ntohs(address.sin_port);
}

/* A worker with one or two of them (`b` may be NULL) as servers of its upstream; not open yet. */
static worker_t *h2_worker_with(h2_backend_t *a, h2_backend_t *b)
{
    worker_t *w = worker_new();
    uint16_t ports[2];

    h2_start(a, &w->loop);
    ports[0] = a->port;
    if (b != NULL) {
        h2_start(b, &w->loop);
        ports[1] = b->port;
    }
    worker_use(w, "127.0.0.1", ports, b != NULL ? 2 : 1);
    w->conf->protocol = SHEAF_PROTOCOL_HTTP2;
    w->conf->max_streams = 100;
    return w;
}

static void h2_stop(h2_backend_t *backend)
{
    for (int i = 0; i < backend->conns; i++)
        if (backend->conn[i] != NULL)
            h2_drop(backend->conn[i]);
    uv_close((uv_handle_t *)&backend->listener, NULL);
    SSL_CTX_free(backend->context);
}

static void h2_worker_end(worker_t *w, h2_backend_t *a, h2_backend_t *b)
{
    h2_stop(a);
    if (b != NULL)
        h2_stop(b);
    worker_end(w);
}

static void h2_answer(h2_conn_t *conn, int32_t id)
{
    peer_answer(&conn->peer, id, "hi");
}

static void h2_refuse(h2_conn_t *conn, int32_t id)
{
    peer_u32(&conn->peer, NGHTTP2_RST_STREAM, id, NGHTTP2_REFUSED_STREAM);
}

/* Sends so many, GETs or POSTs with a body; `*done` counts those that are over. */
static void h2_ask_all(ask_t *asks, int count, worker_t *w, bool are_posts, int *done)
{
    for (int i = 0; i < count; i++) {
        if (are_posts)
            ask_post(&asks[i], w, "/", SHEAF_STR("x"));
        else
            ask_get(&asks[i], w, "/");
        asks[i].counter = done;
        ask_send(&asks[i]);
    }
}

#endif
