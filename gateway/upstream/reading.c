/* upstream/reading.c - see reading.h. */
#include "gateway/upstream/reading.h"

#include <errno.h>
#include <sys/socket.h>

#include "gateway/upstream/handshake.h"
#include "gateway/upstream/secure.h"
#include "gateway/upstream/streams.h"
#include "gateway/upstream/writing.h"

static void on_read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf);
static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);
static void take(sheaf_conn_t *conn, char *bytes, size_t len);
static void take_bytes(sheaf_conn_t *conn, char *at, char *end_at);
static void take_sealed(sheaf_conn_t *conn, const char *bytes, size_t len);
static void take_end(sheaf_conn_t *conn, int status);

int sheaf_reading_start(sheaf_conn_t *conn)
{
    return uv_read_start((uv_stream_t *)&conn->tcp, on_read_buffer, on_read);
}

static bool is_held(const sheaf_conn_t *conn)
{
    return conn->h2 == NULL && conn->flight_count != 0 && sheaf_flight_is_held(sheaf_conn_first(conn));
}

/* One more read, with what TLS keeps of a record, does not go beyond the window. */
_Static_assert(SHEAF_STREAM_WINDOW / 2 + SHEAF_CONN_PLAIN_SIZE <= SHEAF_STREAM_WINDOW, "the window holds a read");

void sheaf_reading_settle(sheaf_conn_t *conn)
{
    bool should_pause = is_held(conn);

    if (conn->is_paused == should_pause || conn->state == SHEAF_CONN_CLOSING)
        return;
    conn->is_paused = should_pause;
    if (should_pause)
        uv_read_stop((uv_stream_t *)&conn->tcp);
    else
        SHEAF_ASSERT(sheaf_reading_start(conn) == 0);
}

/* Bytes are used up before the callback returns, so one buffer serves every conn of the worker. */
static void on_read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    sheaf_conn_t *conn = handle->data;

    (void)suggested;
    *ret_buf = uv_buf_init(conn->env->read, sizeof(conn->env->read));
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    sheaf_conn_t *conn = stream->data;

    sheaf_clock_refresh(conn->env->clock);
    if (nread == 0 || conn->state == SHEAF_CONN_CLOSING)
        return;
    if (nread < 0) {
        take_end(conn, (int)nread);
        return;
    }
    sheaf_count(conn->env->metrics, SHEAF_METRIC_BACKEND_BYTES_IN, (uint64_t)nread);
    take(conn, buf->base, (size_t)nread);
    sheaf_reading_settle(conn);
}

static void take(sheaf_conn_t *conn, char *bytes, size_t len)
{
    if (conn->h2 == NULL && conn->flight_count != 0 && sheaf_conn_first(conn)->has_bytes)
        sheaf_conn_first(conn)->awake_ms = conn->env->clock->now_ms;
    if (conn->tls != NULL)
        take_sealed(conn, bytes, len);
    else if (conn->h2 != NULL)
        sheaf_streams_take(conn, bytes, len);
    else if (conn->flight_count == 0)
        conn->events->on_idle_end(conn);
    else
        take_bytes(conn, bytes, bytes + len);
}

/* --- an answer --- */

/* False: the sink refuses it. */
static bool give_head(sheaf_flight_t *flight)
{
    const sheaf_wire_head_t *head = &flight->conn->env->head;
    sheaf_answer_head_t answer = {
        .status = head->status,
        .headers = head->headers,
        .header_count = head->header_count,
        .content_length = head->body == SHEAF_WIRE_LENGTH    ? head->content_length
                          : head->body == SHEAF_WIRE_NO_BODY ? 0 /* a HEAD's length is not to come */
                                                             : UINT64_MAX,
    };

    return sheaf_flight_head(flight, &answer);
}

/* After a whole answer the conn may stay only if both sides are done: nothing behind the answer (unless another one was
 * asked for before it came), nothing left to write. Bytes behind it could be a forged answer to the next exchange. */
static void finish(sheaf_flight_t *flight, bool has_more)
{
    const sheaf_conn_t *conn = flight->conn;
    uint32_t asked_count = conn->flight_count - conn->outbox_count;

    sheaf_conn_end(flight, SHEAF_OK, "",
                   conn->h1.is_persistent && (!has_more || asked_count > 1) && !conn->is_ended && !conn->is_writing &&
                       !conn->is_half_broken);
}

/* Of one answer. The sink may cancel this exchange from inside; its conn is closed then. */
static void take_answer(sheaf_conn_t *conn, char **at, char *end_at)
{
    sheaf_flight_t *flight = sheaf_conn_first(conn);
    bool is_welcome = true;
    sheaf_str_t body = SHEAF_STR_NONE;
    const char *why = "";

    if (!flight->has_bytes) /* what TLS says of itself (tickets) begins no answer */
        sheaf_conn_stay_awake(flight, conn->idle_ms);
    flight->has_bytes = true;
    while (flight == sheaf_conn_first(conn)) {
        switch (sheaf_h1_next(&conn->h1, at, end_at, &conn->env->head, &body, &why)) {
        case SHEAF_H1_MORE:
            if (flight->is_discarded) /* its body is not worth waiting for: rather a new conn than a slow retry */
                sheaf_conn_end(flight, SHEAF_OK, "", false);
            return;
        case SHEAF_H1_HEAD:
            is_welcome = give_head(flight);
            break;
        case SHEAF_H1_BODY:
            is_welcome = sheaf_flight_body(flight, body.base, body.len);
            break;
        case SHEAF_H1_DONE:
            finish(flight, *at < end_at);
            return;
        case SHEAF_H1_BAD:
            sheaf_conn_end(flight, SHEAF_ERR_MALFORMED, why, false);
            return;
        }
        if (!is_welcome && flight == sheaf_conn_first(conn)) {
            sheaf_conn_end(flight, SHEAF_ERR_ANSWER_TOO_LARGE, "", false);
            return;
        }
    }
}

/* All the answers that are in it. What is sent from inside stands behind none of them: it was not asked yet. */
static void take_bytes(sheaf_conn_t *conn, char *at, char *end_at)
{
    conn->is_taking = true;
    do {
        take_answer(conn, &at, end_at);
    } while (at < end_at && conn->state == SHEAF_CONN_ACTIVE);
    conn->is_taking = false;
    if (conn->pipeline < 2 || conn->state != SHEAF_CONN_ACTIVE)
        return;
    sheaf_writing_flush(conn); /* what comes next may be the answer to it */
    conn->events->on_room(conn);
}

/* A reset that comes right behind bytes is an end like any other to libuv, and whoever was writing may have been told of it
 * instead: what ends by a close would pass for whole. */
static bool was_reset(const sheaf_conn_t *conn)
{
    socklen_t len = sizeof(int);
    int err = 0;
    uv_os_fd_t fd;

    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return conn->is_reset || err == ECONNRESET;
}

/* A close that TLS did not announce may have been made by anybody on the way: it ends no answer (RFC 8446 6.1). */
static void take_end(sheaf_conn_t *conn, int status)
{
    sheaf_flight_t *flight = sheaf_conn_first(conn);
    bool is_cut = conn->tls != NULL && !conn->is_ended;

    if (status == UV_EOF && conn->tls == NULL && conn->h2 == NULL && was_reset(conn))
        status = UV_ECONNRESET;
    if (conn->state == SHEAF_CONN_DIALING)
        sheaf_handshake_fail(conn, SHEAF_ERR_TLS, "it closed during the TLS handshake");
    else if (conn->h2 != NULL)
        sheaf_streams_fail(conn, status == UV_EOF ? sheaf_h2_detail(conn->h2) : uv_strerror(status));
    else if (flight == NULL)
        conn->events->on_idle_end(conn);
    else if (status == UV_EOF && sheaf_h1_ends_at_eof(&conn->h1))
        sheaf_conn_end(flight, is_cut ? SHEAF_ERR_RESET : SHEAF_OK,
                       is_cut ? "closed without a word of TLS: it may be cut" : "", false);
    else
        sheaf_conn_end(flight, SHEAF_ERR_RESET, status == UV_EOF ? "" : uv_strerror(status), false);
}

/* --- reading through TLS --- */

/* Within an answer it is no failed handshake. */
static void take_failure(sheaf_conn_t *conn)
{
    sheaf_flight_t *flight = sheaf_conn_first(conn);

    if (conn->h2 != NULL)
        sheaf_streams_fail(conn, sheaf_tls_peer_detail(conn->server->tls));
    else if (flight == NULL)
        conn->events->on_idle_end(conn);
    else
        sheaf_conn_end(flight, flight->has_bytes ? SHEAF_ERR_RESET : SHEAF_ERR_TLS,
                       sheaf_tls_peer_detail(conn->server->tls), false);
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
        sheaf_handshake_go_on(conn);
    if (conn->state == SHEAF_CONN_CLOSING || conn->state == SHEAF_CONN_DIALING)
        return;
    if (plain_len != 0 && conn->h2 != NULL)
        sheaf_streams_take(conn, plain, plain_len);
    else if (plain_len != 0 && conn->flight_count == 0)
        conn->events->on_idle_end(conn);
    else if (plain_len != 0)
        take_bytes(conn, plain, plain + plain_len);
    if (conn->state == SHEAF_CONN_CLOSING)
        return;
    if (state == SHEAF_TLS_ENDED)
        take_end(conn, UV_EOF);
    else if (state == SHEAF_TLS_FAILED)
        take_failure(conn);
}
