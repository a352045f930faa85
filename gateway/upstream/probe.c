/* upstream/probe.c - see probe.h. */
#include "gateway/upstream/probe.h"

#include <stdlib.h>

#include "gateway/upstream/handshake.h"

/* In the order of a probe's life. */
static void dial(sheaf_probe_t *probe);
static void on_resolved(sheaf_name_waiter_t *waiter);
static void on_open(sheaf_conn_t *conn);
static bool on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head);
static bool on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len);
static void on_end(sheaf_flight_t *flight, sheaf_err_t err, const char *detail, bool can_stay);
static bool on_bad_head(sheaf_flight_t *flight, const sheaf_answer_head_t *head);
static void on_dial_failed(sheaf_conn_t *conn, sheaf_err_t err, const char *detail);
static void on_idle_end(sheaf_conn_t *conn);
static void on_deadline(sheaf_deadline_t *node);

static const sheaf_conn_events_t events = {
    .on_open = on_open,
    .on_end = on_end,
    .on_head = on_bad_head,
    .on_dial_failed = on_dial_failed,
    .on_idle_end = on_idle_end,
};

static const sheaf_sink_t sink = {.on_head = on_head, .on_body = on_body};

void sheaf_probe_init(sheaf_probe_t *probe, sheaf_conn_env_t *env, uint8_t protocol,
                      void (*on_done)(sheaf_probe_t *probe, const sheaf_probe_result_t *result))
{
    *probe = (sheaf_probe_t){
        .env = env,
        .protocol = protocol,
        .header = {SHEAF_STR("user-agent"), SHEAF_STR("sheaf-health")},
        .exchange = {.sink = &sink, .method = SHEAF_STR("GET"), .is_idempotent = true},
        .deadline = {.on_expired = on_deadline},
        .on_done = on_done,
    };
    probe->exchange.headers = (sheaf_headers_t){&probe->header, 1, 1};
}

void sheaf_probe_cancel(sheaf_probe_t *probe)
{
    sheaf_deadline_clear(probe->env->deadlines, &probe->deadline);
    if (probe->conn == NULL)
        return;
    sheaf_conn_close(probe->conn);
    probe->lender->conn_count--;
    probe->conn = NULL;
}

void sheaf_probe_fini(sheaf_probe_t *probe)
{
    sheaf_probe_cancel(probe);
    free(probe->server.peers);
}

/* The one way out. What `detail` points to is there until the conn is freed, which its close callback does. */
static void finish(sheaf_probe_t *probe, sheaf_err_t err, const char *detail)
{
    sheaf_probe_result_t result = {.err = err, .status = probe->result.status, .detail = detail};

    sheaf_probe_cancel(probe);
    probe->on_done(probe, &result);
}

/* The same, from inside start: the deadline tells it. */
static void finish_soon(sheaf_probe_t *probe, sheaf_err_t err, const char *detail)
{
    probe->result.err = err;
    probe->result.detail = detail;
    sheaf_deadline_set(probe->env->deadlines, &probe->deadline, probe->env->clock->now_ms);
}

static void on_deadline(sheaf_deadline_t *node)
{
    sheaf_probe_t *probe = SHEAF_OWNER(node, sheaf_probe_t, deadline);

    finish(probe, probe->result.err, probe->result.detail);
}

/* --- dialing --- */

void sheaf_probe_start(sheaf_probe_t *probe, sheaf_server_t *server, sheaf_str_t path, uint64_t timeout_ms)
{
    uint64_t until_ms = probe->env->clock->now_ms + timeout_ms;

    SHEAF_ASSERT(probe->conn == NULL);
    sheaf_server_borrow(&probe->server, server);
    probe->lender = server;
    server->conn_count++;
    probe->exchange.target = path;
    probe->exchange.deadline_ms = until_ms;
    probe->result = (sheaf_probe_result_t){SHEAF_ERR_TIMEOUT, 0, ""}; /* what it is if nothing else happens */
    probe->body_len = 0;
    probe->conn = sheaf_conn_new(probe->env, &events, probe, &probe->server);
    probe->conn->protocol = probe->protocol;
    sheaf_flight_board(probe->conn, &probe->exchange);
    probe->conn->waiter.on_resolved = on_resolved;
    sheaf_deadline_set(probe->env->deadlines, &probe->deadline, until_ms);
    dial(probe);
}

static void dial(sheaf_probe_t *probe)
{
    sheaf_conn_t *conn = probe->conn;
    sheaf_server_t *server = &probe->server;
    sheaf_name_t *unknown = sheaf_server_unknown(server);
    int status;

    if (unknown != NULL) {
        sheaf_name_ask(unknown, &conn->waiter);
        return;
    }
    sheaf_server_refresh(server);
    if (server->peer_count == 0) {
        finish_soon(probe, SHEAF_ERR_RESOLVE, server->name->detail);
        return;
    }
    conn->address = server->peers[server->next++ % server->peer_count].address;
    conn->version = server->version;
    status = sheaf_handshake_begin(conn, probe->deadline.at_ms - probe->env->clock->now_ms);
    if (status != 0)
        finish_soon(probe, sheaf_handshake_err(status), uv_strerror(status));
}

static void on_resolved(sheaf_name_waiter_t *waiter)
{
    dial(SHEAF_OWNER(waiter, sheaf_conn_t, waiter)->group);
}

static void on_dial_failed(sheaf_conn_t *conn, sheaf_err_t err, const char *detail)
{
    finish(conn->group, err, detail);
}

/* --- the answer --- */

static void on_open(sheaf_conn_t *conn)
{
    sheaf_probe_t *probe = conn->group;
    int status = sheaf_conn_start(sheaf_conn_first(conn));

    if (status != 0)
        finish(probe, SHEAF_ERR_RESET, uv_strerror(status));
}

static bool on_bad_head(sheaf_flight_t *flight, const sheaf_answer_head_t *head)
{
    (void)flight;
    (void)head;
    return true; /* for the sink to see */
}

static bool on_head(sheaf_exchange_t *exchange, const sheaf_answer_head_t *head)
{
    SHEAF_OWNER(exchange, sheaf_probe_t, exchange)->result.status = head->status;
    return true;
}

static bool on_body(sheaf_exchange_t *exchange, const char *bytes, size_t len)
{
    sheaf_probe_t *probe = SHEAF_OWNER(exchange, sheaf_probe_t, exchange);

    (void)bytes;
    probe->body_len += len;
    return probe->body_len <= SHEAF_PROBE_BODY_MOST;
}

static void on_end(sheaf_flight_t *flight, sheaf_err_t err, const char *detail, bool can_stay)
{
    (void)can_stay;
    /* too large: it was read far enough */
    finish(flight->conn->group, err == SHEAF_ERR_ANSWER_TOO_LARGE ? SHEAF_OK : err, detail);
}

static void on_idle_end(sheaf_conn_t *conn)
{
    sheaf_probe_t *probe = conn->group; /* open, and its exchange not begun: cannot be, for on_open begins it */

    finish(probe, SHEAF_ERR_RESET, "");
}
