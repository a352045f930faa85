/* tests/unit/upstream/harness.h - a worker in small, a backend that follows a script, and a client that remembers.
 *
 * All three live on one loop. Nothing sleeps: a test runs the loop until what it waits for has happened, and ends by
 * proving that nothing is left in it. */
#ifndef TESTS_UNIT_UPSTREAM_HARNESS_H
#define TESTS_UNIT_UPSTREAM_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "gateway/base/pool.h"
#include "gateway/upstream/upstream.h"

/* --- the backend --- */

#define MAX_STEPS 64
#define MAX_CONNS 64

typedef struct step { /* what the n-th request is answered with */
    const char *bytes;
    size_t len;
    bool then_close; /* and the conn is closed behind it */
    bool then_reset;
} step_t;

typedef struct backend backend_t;

typedef struct backend_conn {
    uv_tcp_t tcp;
    backend_t *backend;
    int index;
    bool is_open;
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
    char log[4096];  /* "CONN:METHOD target " per request, in order */
    char last[4096]; /* the last head, as it came */
    bool is_deaf;    /* accepts and reads nothing */
};

static void backend_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void backend_drop(backend_conn_t *conn)
{
    if (!conn->is_open)
        return;
    conn->is_open = false;
    conn->backend->conn[conn->index] = NULL;
    uv_close((uv_handle_t *)&conn->tcp, backend_on_closed);
}

static void backend_say(backend_conn_t *conn, const char *bytes, size_t len)
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

static void backend_answer(backend_conn_t *conn)
{
    backend_t *backend = conn->backend;
    const step_t *step;

    if (backend->requests > backend->step_count)
        return; /* silence */
    step = &backend->steps[backend->requests - 1];
    backend_say(conn, step->bytes, step->len);
    if (step->then_reset) {
        conn->is_open = false;
        backend->conn[conn->index] = NULL;
        uv_tcp_close_reset(&conn->tcp, backend_on_closed);
    } else if (step->then_close) {
        backend_drop(conn);
    }
}

static void backend_on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    backend_conn_t *conn = handle->data;

    *buf = uv_buf_init(conn->got + conn->len, (unsigned)(sizeof(conn->got) - 1 - conn->len));
}

static void backend_on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    backend_conn_t *conn = stream->data;
    backend_t *backend = conn->backend;
    char *end, *length;
    size_t need, used;

    if (nread < 0) {
        backend_drop(conn);
        return;
    }
    conn->len += (size_t)nread;
    conn->got[conn->len] = '\0';
    while (conn->is_open && (end = strstr(conn->got, "\r\n\r\n")) != NULL) {
        need = (size_t)(end + 4 - conn->got);
        length = strstr(conn->got, "content-length: ");
        if (length != NULL && length < end)
            need += strtoul(length + 16, NULL, 10);
        if (conn->len < need)
            return;
        used = (size_t)(strstr(conn->got, " HTTP/1.1\r\n") - conn->got);
        snprintf(backend->log + strlen(backend->log), sizeof(backend->log) - strlen(backend->log), "%d:%.*s ",
                 conn->index, (int)used, conn->got);
        snprintf(backend->last, sizeof(backend->last), "%.*s", (int)(need < 4000 ? need : 4000), conn->got);
        memmove(conn->got, conn->got + need, conn->len - need + 1);
        conn->len -= need;
        backend->requests++;
        backend_answer(conn);
    }
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
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&conn->tcp), 0);
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

/* --- the worker --- */

#define MAX_SERVERS 4

typedef struct worker {
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer, guard;
    bool is_late, is_closed;
    sheaf_clock_t clock;
    sheaf_deadlines_t deadlines;
    sheaf_soon_t soon;
    sheaf_metrics_t metrics;
    sheaf_upstreams_t *upstreams;
    sheaf_snapshot_t *snapshot;
    sheaf_dispatch_t *view;
    sheaf_upstream_conf_t *conf; /* change it before the first worker_open() */
    backend_t a, b;
} worker_t;

static void worker_turn(worker_t *w)
{
    uint64_t next;

    sheaf_soon_drain(&w->soon, 10000);
    next = sheaf_deadlines_next(&w->deadlines);
    if (next == SHEAF_NEVER)
        uv_timer_stop(&w->timer);
}

static void worker_on_timer(uv_timer_t *timer)
{
    worker_t *w = timer->data;

    w->clock.now_ms = uv_now(&w->loop);
    sheaf_deadlines_run(&w->deadlines);
}

static void worker_on_prepare(uv_prepare_t *prepare)
{
    worker_t *w = prepare->data;
    uint64_t next;

    worker_turn(w);
    next = sheaf_deadlines_next(&w->deadlines);
    if (next != SHEAF_NEVER)
        uv_timer_start(&w->timer, worker_on_timer, next > uv_now(&w->loop) ? next - uv_now(&w->loop) : 0, 0);
}

static void worker_on_check(uv_check_t *check)
{
    worker_t *w = check->data;

    w->clock.now_ms = uv_now(&w->loop);
    worker_turn(w);
}

static void worker_on_guard(uv_timer_t *guard)
{
    ((worker_t *)guard->data)->is_late = true;
}

/* A snapshot with one upstream "u" on the given ports of `host`. */
static sheaf_snapshot_t *snapshot_of(const char *host, const uint16_t *ports, uint32_t count)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_snapshot_t *snapshot = sheaf_pool_zalloc(pool, sizeof(*snapshot));
    sheaf_upstream_conf_t *conf = sheaf_pool_zalloc(pool, sizeof(*conf));

    snapshot->pool = pool;
    snapshot->holds = 1;
    snapshot->conf.upstreams.items = conf;
    snapshot->conf.upstreams.count = 1;
    conf->map_key = SHEAF_STR("u");
    conf->connect_timeout_ms = 2000;
    conf->timeout_ms = 5000;
    conf->max_connections = 8;
    conf->max_waiting = 2;
    conf->keepalive_ms = 60000;
    conf->servers.items = sheaf_pool_zalloc(pool, count * sizeof(*conf->servers.items));
    conf->servers.count = count;
    for (uint32_t i = 0; i < count; i++) {
        conf->servers.items[i].host = sheaf_str_of(host);
        conf->servers.items[i].port = ports[i];
        conf->servers.items[i].authority = SHEAF_STR("backend.test");
    }
    return snapshot;
}

static worker_t *worker_new(void)
{
    worker_t *w = calloc(1, sizeof(*w));

    uv_loop_init(&w->loop);
    uv_prepare_init(&w->loop, &w->prepare);
    uv_check_init(&w->loop, &w->check);
    uv_timer_init(&w->loop, &w->timer);
    uv_timer_init(&w->loop, &w->guard);
    w->prepare.data = w->check.data = w->timer.data = w->guard.data = w;
    uv_prepare_start(&w->prepare, worker_on_prepare);
    uv_check_start(&w->check, worker_on_check);
    w->clock.now_ms = uv_now(&w->loop);
    w->clock.read_us = sheaf_clock_monotonic_us;
    sheaf_deadlines_init(&w->deadlines, &w->clock);
    sheaf_soon_init(&w->soon);
    w->upstreams = sheaf_upstreams_new(&(sheaf_upstreams_env_t){
        .loop = &w->loop, .clock = &w->clock, .deadlines = &w->deadlines, .soon = &w->soon, .metrics = &w->metrics});
    backend_start(&w->a, &w->loop);
    backend_start(&w->b, &w->loop);
    return w;
}

static void worker_use(worker_t *w, const char *host, const uint16_t *ports, uint32_t count)
{
    w->snapshot = snapshot_of(host, ports, count);
    w->conf = w->snapshot->conf.upstreams.items;
}

static void worker_open(worker_t *w)
{
    if (w->snapshot == NULL)
        worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->view = sheaf_upstreams_open(w->upstreams, w->snapshot);
}

/* Runs the loop until `*flag`, or for five seconds: then the test has failed. */
static void worker_until(worker_t *w, const bool *flag)
{
    w->is_late = false;
    uv_timer_start(&w->guard, worker_on_guard, 5000, 0);
    while (!*flag && !w->is_late)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->guard);
    assert_true(*flag);
}

/* Runs the loop until the int is at least `least`. */
static void worker_until_count(worker_t *w, const int *count, int least)
{
    bool is_there = false;

    w->is_late = false;
    uv_timer_start(&w->guard, worker_on_guard, 5000, 0);
    while (!is_there && !w->is_late) {
        is_there = *count >= least;
        if (!is_there)
            uv_run(&w->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&w->guard);
    assert_true(is_there);
}

static uint64_t metric(worker_t *w, sheaf_metric_t which)
{
    return atomic_load(&w->metrics.values[which]);
}

/* Runs the loop until the metric has that value. */
static void worker_until_metric(worker_t *w, sheaf_metric_t which, uint64_t value)
{
    w->is_late = false;
    uv_timer_start(&w->guard, worker_on_guard, 5000, 0);
    while (metric(w, which) != value && !w->is_late)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->guard);
    assert_int_equal(metric(w, which), value);
}

static void worker_on_upstreams_closed(void *data)
{
    ((worker_t *)data)->is_closed = true;
}

/* The end of every test: all is closed, and the loop is empty. */
static void worker_end(worker_t *w)
{
    if (w->view != NULL)
        sheaf_upstreams_close(w->view);
    sheaf_upstreams_free(w->upstreams, worker_on_upstreams_closed, w);
    assert_false(w->is_closed);
    worker_until(w, &w->is_closed);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_ACTIVE), 0);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_CONNECTING), 0);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 0);
    assert_int_equal(sheaf_deadlines_next(&w->deadlines), SHEAF_NEVER);
    assert_true(sheaf_soon_is_empty(&w->soon));
    backend_stop(&w->a);
    backend_stop(&w->b);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_close((uv_handle_t *)&w->check, NULL);
    uv_close((uv_handle_t *)&w->timer, NULL);
    uv_close((uv_handle_t *)&w->guard, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    sheaf_deadlines_fini(&w->deadlines);
    if (w->snapshot != NULL)
        sheaf_snapshot_drop(w->snapshot);
    free(w);
}

/* --- the asker --- */

typedef struct ask ask_t;
struct ask {
    sheaf_exchange_t exchange;
    worker_t *worker;
    bool is_done, has_head;
    int *counter; /* may be NULL: counts what is done */
    uint16_t status;
    sheaf_err_t err;
    char detail[128];
    size_t len;
    char body[4096];
    uint64_t announced;
    size_t most;                 /* refuses more body than this */
    void (*then)(ask_t *ask);    /* runs in on_done */
    void (*on_head)(ask_t *ask); /* runs in on_head */
    void (*on_body)(ask_t *ask);
    char *order; /* where the names of those that are done are gathered */
};

static bool ask_on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_false(ask->is_done);
    assert_false(ask->has_head);
    ask->has_head = true;
    ask->status = head->status;
    ask->announced = head->content_length;
    if (ask->on_head != NULL)
        ask->on_head(ask);
    return head->content_length == UINT64_MAX || head->content_length <= ask->most;
}

static bool ask_on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_true(ask->has_head && !ask->is_done && len != 0);
    if (ask->len + len > ask->most)
        return false;
    if (ask->len + len < sizeof(ask->body))
        memcpy(ask->body + ask->len, bytes, len);
    ask->len += len;
    if (ask->on_body != NULL)
        ask->on_body(ask);
    return true;
}

static void ask_on_done(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail)
{
    ask_t *ask = SHEAF_OWNER(exchange, ask_t, exchange);

    assert_false(ask->is_done);
    ask->is_done = true;
    ask->err = err;
    snprintf(ask->detail, sizeof(ask->detail), "%s", detail);
    if (ask->counter != NULL)
        ++*ask->counter;
    if (ask->order != NULL)
        snprintf(ask->order + strlen(ask->order), 8, "%s ", (const char *)exchange->target.base + 1);
    if (ask->then != NULL)
        ask->then(ask);
}

static const sheaf_sink_t ask_sink = {ask_on_head, ask_on_body, ask_on_done};

static void ask_get(ask_t *ask, worker_t *w, const char *target)
{
    memset(ask, 0, sizeof(*ask));
    ask->worker = w;
    ask->most = SIZE_MAX;
    ask->exchange.sink = &ask_sink;
    ask->exchange.method = SHEAF_STR("GET");
    ask->exchange.target = sheaf_str_of(target);
    ask->exchange.is_idempotent = true;
    ask->exchange.flow = w;
    ask->exchange.deadline_ms = SHEAF_NEVER;
}

static void ask_post(ask_t *ask, worker_t *w, const char *target, sheaf_str_t body)
{
    ask_get(ask, w, target);
    ask->exchange.method = SHEAF_STR("POST");
    ask->exchange.body = body;
    ask->exchange.has_body = true;
    ask->exchange.is_idempotent = false;
}

static void ask_send(ask_t *ask)
{
    ask->is_done = ask->has_head = false;
    ask->len = 0;
    ask->worker->view->send(ask->worker->view, &ask->exchange);
    assert_false(ask->is_done); /* never from inside */
    assert_false(ask->has_head);
}

static void ask_cancel(ask_t *ask)
{
    ask->worker->view->cancel(ask->worker->view, &ask->exchange);
}

/* Sends and runs the loop until it is done. */
static void ask_whole(ask_t *ask)
{
    ask_send(ask);
    worker_until(ask->worker, &ask->is_done);
}

static void assert_answer(const ask_t *ask, uint16_t status, const char *body)
{
    assert_int_equal(ask->err, SHEAF_OK);
    assert_int_equal(ask->status, status);
    assert_int_equal(ask->len, strlen(body));
    assert_memory_equal(ask->body, body, ask->len);
}

#endif
