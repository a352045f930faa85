/* tests/unit/upstream/spring.h - a backend whose answers flow: each request gets a body of `length` bytes as fast as they are
 * taken, in one of the ways that a conn may speak. Byte n of a body is spring_byte(n), so that none can be lost or come twice
 * unseen; `check` sees to it, and to the window.
 *
 * With `stop` a flow falls silent at that byte. Loopback takes megabytes before a writer has to wait: how much was poured says
 * little, how much has come at the other side all. */
#ifndef TESTS_UNIT_UPSTREAM_SPRING_H
#define TESTS_UNIT_UPSTREAM_SPRING_H

#include "tests/unit/upstream/h2_backend.h"

#define MAX_FLOWS 128
#define MEGA      ((size_t)1 << 20)
#define HALF      (SHEAF_STREAM_WINDOW / 2)

typedef enum way { WAY_CLEAR, WAY_CHUNKED, WAY_SECURE, WAY_H2, WAY_H2_SECURE, WAY_COUNT } way_t;

typedef struct spring spring_t;

typedef struct flow { /* one answer */
    spring_t *spring;
    uv_stream_t *tcp;
    tls_server_t *tls;
    int32_t id;
    int64_t window;
    size_t at, most; /* of its body: what is poured, and how far that goes */
    bool is_writing, is_over;
} flow_t;

struct spring {
    way_t way;
    worker_t *w;
    pki_t pki;
    h2_backend_t h2;
    size_t length, stop;               /* stop 0: it does not */
    int64_t conn_window, first_window; /* of its one conn; of a flow, as that has said */
    int flow_count;
    flow_t flows[MAX_FLOWS];
};

static spring_t *the_spring; /* backends know nothing of it */

static inline char spring_byte(size_t at)
{
    return (char)(at % 251);
}

static inline bool spring_is_h2(const spring_t *spring)
{
    return spring->way >= WAY_H2;
}

static void flow_go_on(flow_t *flow);

static void flow_on_written(uv_write_t *req, int status)
{
    flow_t *flow = req->data;

    free(req);
    flow->is_writing = false;
    flow->is_over |= status != 0;
    flow_go_on(flow);
}

/* Sealed, where that is its way, and copied. */
static void flow_write(flow_t *flow, const char *bytes, size_t len)
{
    sheaf_str_t out = sheaf_str(bytes, len);
    uv_write_t *req;
    uv_buf_t buf;

    if (flow->tls->ssl != NULL) {
        assert_int_equal(SSL_write(flow->tls->ssl, bytes, (int)len), (int)len);
        out = tls_server_output(flow->tls);
    }
    req = malloc(sizeof(*req) + out.len);
    buf = uv_buf_init((char *)(req + 1), (unsigned)out.len);
    memcpy(buf.base, out.base, out.len);
    if (flow->tls->ssl != NULL)
        tls_server_drained(flow->tls);
    req->data = flow;
    flow->is_writing = true;
    assert_int_equal(uv_write(req, flow->tcp, &buf, 1, flow_on_written), 0);
}

/* A piece in the form of its way; returns how long that is. */
static size_t flow_piece(flow_t *flow, char *dst, size_t len)
{
    spring_t *spring = flow->spring;
    bool is_last = flow->at + len == spring->length;
    char *at = dst;

    if (spring_is_h2(spring)) {
        const char head[] = {(char)(len >> 16), (char)(len >> 8), (char)len, NGHTTP2_DATA, is_last, 0, 0, 0, 0};

        memcpy(at, head, sizeof(head));
        put_u32((uint8_t *)at + 5, (uint32_t)flow->id);
        at += sizeof(head);
    } else if (spring->way == WAY_CHUNKED) {
        at += sprintf(at, "%zx\r\n", len);
    }
    for (size_t i = 0; i < len; i++)
        *at++ = spring_byte(flow->at + i);
    if (spring->way == WAY_CHUNKED)
        at += sprintf(at, is_last ? "\r\n0\r\n\r\n" : "\r\n");
    return (size_t)(at - dst);
}

static size_t flow_room(const flow_t *flow)
{
    spring_t *spring = flow->spring;
    size_t left = flow->most - flow->at;
    int64_t room = flow->window < spring->conn_window ? flow->window : spring->conn_window;

    if (spring_is_h2(spring))
        left = room <= 0 ? 0 : left < (size_t)room ? left : (size_t)room;
    return left < 16384 ? left : 16384;
}

static void flow_go_on(flow_t *flow)
{
    char piece[16384 + 64];
    size_t len = flow_room(flow), whole;

    if (flow->is_writing || flow->is_over || len == 0)
        return;
    whole = flow_piece(flow, piece, len);
    flow->at += len;
    flow->window -= (int64_t)len;
    flow->spring->conn_window -= (int64_t)len;
    flow_write(flow, piece, whole);
}

static flow_t *flow_new(uv_tcp_t *tcp, tls_server_t *tls, int32_t id)
{
    spring_t *spring = the_spring;
    flow_t *flow = &spring->flows[spring->flow_count++];

    assert_true(spring->flow_count <= MAX_FLOWS);
    uv_tcp_nodelay(tcp, 1);
    *flow = (flow_t){.spring = spring, .tcp = (uv_stream_t *)tcp, .tls = tls, .id = id, .window = spring->first_window};
    flow->most = spring->stop != 0 ? spring->stop : spring->length;
    return flow;
}

static void spring_on_h1_request(backend_conn_t *conn)
{
    spring_t *spring = the_spring;
    char head[128];

    if (spring->way == WAY_CHUNKED)
        snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    else
        snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", spring->length);
    backend_say(conn, head, strlen(head));
    flow_go_on(flow_new(&conn->tcp, &conn->tls, 0));
}

static void spring_on_h2_request(h2_conn_t *conn, int32_t id)
{
    flow_t *flow = flow_new(&conn->tcp, &conn->tls, id);

    peer_head(&conn->peer, id, false, ":status: 200");
    flow_write(flow, conn->peer.said.bytes, conn->peer.said.len); /* and it goes on when that is written */
    conn->peer.said.len = 0;
}

static void spring_take_settings(spring_t *spring, const peer_frame_t *frame)
{
    for (size_t at = 0; at + 6 <= frame->len; at += 6)
        if (frame->payload[at] == 0 && frame->payload[at + 1] == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE)
            spring->first_window = get_u32(frame->payload + at + 2);
}

static void spring_on_h2_frame(h2_conn_t *conn, const peer_frame_t *frame)
{
    spring_t *spring = the_spring;

    if (frame->type == NGHTTP2_SETTINGS)
        spring_take_settings(spring, frame);
    if (frame->type == NGHTTP2_WINDOW_UPDATE && frame->id == 0)
        spring->conn_window += get_u32(frame->payload);
    for (int i = 0; i < spring->flow_count; i++) {
        flow_t *flow = &spring->flows[i];

        if (flow->tcp != (uv_stream_t *)&conn->tcp)
            continue;
        flow->is_over |= frame->type == NGHTTP2_RST_STREAM && frame->id == flow->id;
        if (frame->type == NGHTTP2_WINDOW_UPDATE && frame->id == flow->id)
            flow->window += get_u32(frame->payload);
        if (frame->type == NGHTTP2_WINDOW_UPDATE)
            flow_go_on(flow);
    }
}

/* Its worker is not open yet: change what `w->conf` says first. */
static spring_t *spring_new(way_t way, size_t length)
{
    spring_t *spring = calloc(1, sizeof(*spring));
    worker_t *w = spring->w = worker_new();
    bool is_secure = way == WAY_SECURE || way == WAY_H2_SECURE;
    uint16_t port = w->a.port;

    the_spring = spring;
    spring->way = way;
    spring->length = length;
    spring->first_window = spring->conn_window = 65535;
    w->a.on_request = spring_on_h1_request;
    if (spring_is_h2(spring)) {
        h2_start(&spring->h2, &w->loop);
        spring->h2.on_request = spring_on_h2_request;
        spring->h2.on_frame = spring_on_h2_frame;
        port = spring->h2.port;
    }
    if (is_secure) {
        SSL_CTX **context = spring_is_h2(spring) ? &spring->h2.context : &w->a.context;

        spring->pki = pki_new((wish_t){.names = "IP:127.0.0.1"});
        *context = server_context(&spring->pki, 0, false);
        if (spring_is_h2(spring))
            SSL_CTX_set_alpn_select_cb(*context, pick_http2, NULL);
        w->snapshot = secure_snapshot(&spring->pki, &port, 1, "{ca: ca}");
        w->conf = w->snapshot->conf.upstreams.items;
    } else {
        worker_use(w, "127.0.0.1", &port, 1);
    }
    w->conf->protocol = spring_is_h2(spring) ? SHEAF_PROTOCOL_HTTP2 : SHEAF_PROTOCOL_HTTP1;
    w->conf->max_streams = 100;
    w->conf->ping_ms = 0;
    return spring;
}

/* Its one conn ends. */
static void spring_drop(spring_t *spring, bool is_reset)
{
    for (int i = 0; i < spring->flow_count; i++) {
        spring->flows[i].is_over = true;
        spring->flows[i].tcp = NULL;
    }
    spring->conn_window = 65535;
    if (spring_is_h2(spring))
        h2_drop(spring->h2.conn[0]);
    else if (is_reset)
        backend_reset(spring->w->a.conn[0]);
    else
        backend_drop(spring->w->a.conn[0]);
}

static void spring_end(spring_t *spring)
{
    for (int i = 0; i < spring->flow_count; i++)
        spring->flows[i].is_over = true;
    if (spring_is_h2(spring))
        h2_stop(&spring->h2);
    worker_end(spring->w);
    if (spring->way == WAY_SECURE || spring->way == WAY_H2_SECURE)
        pki_free(&spring->pki);
    free(spring);
}

/* --- an owner, who looks at every byte --- */

static size_t given; /* of the newest ask, to the upstream */

static void check(ask_t *ask)
{
    for (size_t i = 0; i < ask->run_len; i++)
        if (ask->run[i] != spring_byte(ask->len - ask->run_len + i))
            fail_msg("byte %zu is wrong", ask->len - ask->run_len + i);
    if (ask->exchange.is_streamed)
        assert_true(ask->len - given <= SHEAF_STREAM_WINDOW);
}

static void give(ask_t *ask, size_t len)
{
    given += len;
    ask_credit(ask, len);
}

static void check_and_give(ask_t *ask)
{
    check(ask);
    give(ask, ask->len - given);
}

static void begin(ask_t *ask, spring_t *spring, bool is_streamed, void (*on_body)(ask_t *ask))
{
    ask_get(ask, spring->w, "/");
    ask->exchange.is_streamed = is_streamed;
    ask->on_body = on_body;
    given = 0;
    ask_send(ask);
}

/* Until nothing has moved for a while: loopback is as quick as the loop. */
static void until_quiet(spring_t *spring)
{
    uint64_t moved = 0, before = 1;

    for (int still = 0; still < 30; still = moved == before ? still + 1 : 0) {
        before = moved;
        uv_run(&spring->w->loop, UV_RUN_NOWAIT);
        moved = metric(spring->w, SHEAF_METRIC_BACKEND_BYTES_IN);
        for (int i = 0; i < spring->flow_count; i++)
            moved += spring->flows[i].at;
    }
}

static void until_paused(spring_t *spring, const ask_t *ask)
{
    bool is_there = ask->len >= HALF;

    while (!is_there && !ask->is_done) {
        uv_run(&spring->w->loop, UV_RUN_ONCE);
        is_there = ask->len >= HALF;
    }
    until_quiet(spring);
    assert_false(ask->is_done);
}

/* So much later. */
static void pass(spring_t *spring, uint64_t ms)
{
    spring->w->ahead_ms += ms;
    until_quiet(spring);
}

#endif
