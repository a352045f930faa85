/* upstream/conn.c - see conn.h. */
#include "gateway/upstream/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/upstream/handshake.h"
#include "gateway/upstream/pipeline.h"
#include "gateway/upstream/reading.h"
#include "gateway/upstream/secure.h"
#include "gateway/upstream/streams.h"
#include "gateway/upstream/writing.h"

static void on_deadline(sheaf_deadline_t *node);
static void on_closed(uv_handle_t *handle);

sheaf_conn_t *sheaf_conn_new(sheaf_conn_env_t *env, const sheaf_conn_events_t *events, void *group,
                             sheaf_server_t *server)
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
    sheaf_list_init(&conn->flights);
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

/* --- silence --- */

static uint64_t silent_until_ms(const sheaf_conn_t *conn, const sheaf_flight_t *flight)
{
    uint64_t limit_ms = flight->has_bytes ? conn->idle_ms : conn->first_byte_ms;
    uint64_t since_ms = flight->awake_ms > conn->wrote_ms ? flight->awake_ms : conn->wrote_ms;

    return limit_ms == 0 ? SHEAF_NEVER : since_ms + limit_ms;
}

/* Bytes that come do not move the deadline: it looks when it strikes. A request that is still on its way is no silence of the
 * backend's; behind the head of a streamed answer, which nothing else bounds, that is to make progress. */
static void watch_silence(sheaf_conn_t *conn)
{
    sheaf_flight_t *flight = sheaf_conn_first(conn);
    uint64_t now_ms = conn->env->clock->now_ms, at_ms, look_ms;

    if (sheaf_flight_is_held(flight)) /* whoever gives back what it has sets the deadline */
        return;
    if (conn->is_writing && !flight->exchange->is_answered)
        conn->wrote_ms = now_ms;
    at_ms = silent_until_ms(conn, flight);
    if (at_ms <= now_ms && !flight->has_bytes && sheaf_writing_drains(flight)) {
        conn->wrote_ms = now_ms;
        at_ms = silent_until_ms(conn, flight);
    }
    if (at_ms <= now_ms) {
        sheaf_conn_end(flight, SHEAF_ERR_TIMEOUT,
                       flight->has_bytes ? "the answer made no progress" : "no answer began in time", false);
        return;
    }
    look_ms = sheaf_pipeline_watch(conn);
    sheaf_deadline_set(conn->env->deadlines, &conn->deadline, at_ms < look_ms ? at_ms : look_ms);
}

static void on_deadline(sheaf_deadline_t *node)
{
    sheaf_conn_t *conn = SHEAF_OWNER(node, sheaf_conn_t, deadline);

    if (conn->state == SHEAF_CONN_DIALING)
        sheaf_handshake_late(conn);
    else if (conn->h2 != NULL)
        sheaf_streams_watch(conn);
    else
        watch_silence(conn);
}

void sheaf_conn_stay_awake(sheaf_flight_t *flight, uint64_t limit_ms)
{
    sheaf_conn_t *conn = flight->conn;
    bool has_others = conn->h2 != NULL || conn->flight_count > 1;

    flight->awake_ms = conn->env->clock->now_ms;
    if (limit_ms == 0 ||
        (has_others && sheaf_deadline_is_set(&conn->deadline) && conn->deadline.at_ms <= flight->awake_ms + limit_ms))
        return;
    sheaf_deadline_set(conn->env->deadlines, &conn->deadline, flight->awake_ms + limit_ms);
}

/* --- an exchange --- */

static int start_stream(sheaf_flight_t *flight)
{
    if (!sheaf_streams_start(flight))
        return UV_EAGAIN;
    sheaf_conn_stay_awake(flight, flight->conn->first_byte_ms);
    return 0;
}

static int start_request(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;
    int status;

    if (flight != sheaf_conn_first(conn)) {
        sheaf_writing_request_soon(conn, flight->exchange);
        flight->has_written = true; /* or will have: it is safe */
        sheaf_pipeline_joined(flight);
        return 0;
    }
    conn->has_written = false;
    status = sheaf_writing_request(conn, flight->exchange);
    flight->has_written = conn->has_written;
    conn->is_half_broken |= status < 0;
    if (status < 0 && !flight->has_written)
        return status;
    conn->first_ms = conn->env->clock->now_ms;
    sheaf_h1_begin(&conn->h1, flight->exchange->method);
    sheaf_conn_stay_awake(flight, conn->first_byte_ms);
    return 0;
}

static int refuse(sheaf_flight_t *flight, int status)
{
    sheaf_flight_alight(flight);
    return status;
}

int sheaf_conn_start(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;
    int status;

    status = conn->h2 != NULL ? start_stream(flight) : start_request(flight);
    if (status < 0)
        return refuse(flight, status);
    if (conn->is_reused)
        sheaf_count(conn->env->metrics, SHEAF_METRIC_CONNS_REUSED, 1);
    if (conn->server->rank != 0)
        sheaf_count(conn->env->metrics, SHEAF_METRIC_EXCHANGES_BACKUP, 1);
    sheaf_conn_move(conn, SHEAF_CONN_ACTIVE);
    return 0;
}

static bool may_be_h2(const sheaf_conn_t *conn)
{
    return conn->protocol == SHEAF_PROTOCOL_HTTP2 || (conn->protocol == SHEAF_PROTOCOL_AUTO && conn->server->may_be_h2);
}

/* What came aboard beyond what the server takes would only be refused. */
static bool may_come_aboard(const sheaf_conn_t *conn)
{
    const sheaf_server_t *server = conn->server;

    return conn->flight_count != 0 && may_be_h2(conn) &&
           (server->takes_streams == 0 || conn->flight_count < server->takes_streams);
}

bool sheaf_conn_has_room(const sheaf_conn_t *conn)
{
    if (conn->flight_count >= sheaf_conn_max_streams(conn) || conn->is_half_broken)
        return false;
    if (conn->state < SHEAF_CONN_ACTIVE)
        return may_come_aboard(conn);
    return conn->state == SHEAF_CONN_ACTIVE && conn->h2 != NULL && sheaf_h2_free_streams(conn->h2) != 0;
}

bool sheaf_conn_leave(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;

    if (conn->state == SHEAF_CONN_ACTIVE && conn->h2 == NULL)
        return sheaf_pipeline_leave(flight);
    if (conn->state != SHEAF_CONN_ACTIVE && conn->flight_count == 1)
        return false;
    sheaf_flight_alight(flight);
    return true;
}

/* An answer that had begun is not asked for again: whoever reads of its end shall see why. */
static const char *tell_begun(char *text, size_t size, const char *detail)
{
    snprintf(text, size, "within its answer: %s", *detail != '\0' ? detail : "the backend closed the connection");
    return text;
}

void sheaf_conn_end(sheaf_flight_t *flight, sheaf_err_t err, const char *detail, bool can_stay)
{
    sheaf_conn_t *conn = flight->conn;
    char text[256];

    if (err == SHEAF_ERR_RESET && flight->status != 0)
        detail = tell_begun(text, sizeof(text), detail);
    sheaf_flight_alight(flight);
    if (conn->h2 == NULL && can_stay)
        sheaf_pipeline_advance(conn);
    else if (conn->h2 == NULL)
        sheaf_pipeline_cut(conn, NULL);
    if (conn->flight_count == 0)
        sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    conn->events->on_end(flight, err, detail, can_stay);
}

/* From here on its silence is the backend's. */
void sheaf_conn_credit(sheaf_flight_t *flight, size_t len)
{
    sheaf_conn_t *conn = flight->conn;
    sheaf_exchange_t *exchange = flight->exchange;
    bool was_held = sheaf_flight_is_held(flight);

    len = len < exchange->unused ? len : exchange->unused;
    exchange->unused -= (uint32_t)len;
    if (was_held && !sheaf_flight_is_held(flight))
        sheaf_conn_stay_awake(flight, conn->idle_ms);
    if (conn->h2 != NULL)
        sheaf_streams_credit(flight, len);
    else
        sheaf_reading_settle(conn);
}

bool sheaf_conn_is_quiet(const sheaf_conn_t *conn)
{
    uv_os_fd_t fd;
    char byte;

    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) != 0)
        return false;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool sheaf_conn_is_fit(const sheaf_conn_t *conn, const sheaf_exchange_t *exchange)
{
    return (exchange->is_idempotent && !conn->h1.was_head) || sheaf_conn_is_quiet(conn);
}

/* --- closing --- */

void sheaf_conn_close(sheaf_conn_t *conn)
{
    if (conn->state == SHEAF_CONN_CLOSING)
        return;
    if (conn->h2 != NULL)
        sheaf_streams_end(conn);
    else
        sheaf_writing_discard(conn);
    if (conn->tls != NULL)
        sheaf_secure_end(conn);
    sheaf_conn_move(conn, SHEAF_CONN_CLOSING);
    sheaf_list_remove(&conn->link);
    sheaf_name_forget(&conn->waiter);
    sheaf_deadline_clear(conn->env->deadlines, &conn->race);
    sheaf_deadline_clear(conn->env->deadlines, &conn->deadline);
    while (conn->flight_count != 0)
        sheaf_flight_alight(sheaf_conn_first(conn));
    conn->server->conn_count--;
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    sheaf_conn_t *conn = handle->data;
    sheaf_conn_env_t *env = conn->env;

    sheaf_h1_fini(&conn->h1);
    sheaf_h2_free(conn->h2);
    sheaf_tls_free(conn->tls);
    free(conn->dial_detail);
    free(conn);
    if (--env->open_count == 0 && env->on_all_closed != NULL)
        env->on_all_closed(env);
}
