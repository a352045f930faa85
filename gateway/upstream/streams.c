/* upstream/streams.c - see streams.h. */
#include "gateway/upstream/streams.h"

#include "gateway/upstream/secure.h"
#include "gateway/upstream/writing.h"

#define STREAM_WINDOW ((uint32_t)1 << 20)
#define CONN_WINDOW   ((uint32_t)16 << 20) /* many answers at once: none waits for the credit of another */

static void flush(sheaf_conn_t *conn);
static void on_flush(sheaf_task_t *task);

static void flush_soon(sheaf_conn_t *conn)
{
    if (conn->env->soon != NULL)
        sheaf_soon(conn->env->soon, &conn->flush);
    else
        flush(conn);
}

static void on_flush(sheaf_task_t *task)
{
    sheaf_streams_go_on(SHEAF_OWNER(task, sheaf_conn_t, flush));
}

static int put(sheaf_conn_t *conn, size_t len)
{
    return conn->tls != NULL ? sheaf_secure_write(conn, conn->env->write, len)
                             : sheaf_writing_put(conn, conn->env->write, len);
}

/* Writes what there is to say, as far as the socket takes it. */
static void flush(sheaf_conn_t *conn)
{
    while (!conn->is_writing && !conn->is_half_broken && conn->state != SHEAF_CONN_CLOSING) {
        size_t len = sheaf_h2_output(conn->h2, conn->env->write, sizeof(conn->env->write));

        if (len == 0)
            return;
        conn->is_half_broken = put(conn, len) < 0;
    }
}

/* After a GOAWAY h2 finds its own failure only by saying so. */
void sheaf_streams_go_on(sheaf_conn_t *conn)
{
    flush(conn);
    if (conn->state != SHEAF_CONN_CLOSING && sheaf_h2_state(conn->h2) == SHEAF_H2_FAILED)
        sheaf_streams_fail(conn, sheaf_h2_detail(conn->h2));
}

/* --- events --- */

bool sheaf_streams_can_stay(const sheaf_conn_t *conn)
{
    return !sheaf_h2_is_closing(conn->h2) && !conn->is_half_broken && !conn->is_ended;
}

static void stop(sheaf_flight_t *flight, sheaf_err_t err, const char *detail)
{
    sheaf_conn_end(flight, err, detail, sheaf_streams_can_stay(flight->conn));
}

static void note_bytes(sheaf_flight_t *flight)
{
    flight->awake_ms = flight->conn->env->clock->now_ms;
    if (!flight->has_bytes)
        sheaf_conn_stay_awake(flight, flight->conn->idle_ms);
    flight->has_bytes = true;
}

/* The same one as before a sink was called: that may have cancelled it and sent another, which sits in its place now. */
static bool is_still(const sheaf_flight_t *flight, const sheaf_conn_t *conn, int32_t id)
{
    return flight->is_aboard && flight->conn == conn && flight->stream == id;
}

/* An answer that is thrown away is not worth its bytes. */
static void on_head(void *owner, void *stream, const sheaf_answer_head_t *head)
{
    sheaf_flight_t *flight = stream;
    int32_t id = flight->stream;
    bool is_welcome;

    note_bytes(flight);
    is_welcome = sheaf_flight_head(flight, head);
    if (!is_still(flight, owner, id))
        return;
    if (flight->is_discarded)
        stop(flight, SHEAF_OK, "");
    else if (!is_welcome)
        stop(flight, SHEAF_ERR_ANSWER_TOO_LARGE, "");
}

static void on_body(void *owner, void *stream, const char *bytes, size_t len)
{
    sheaf_conn_t *conn = owner;
    sheaf_flight_t *flight = stream;
    int32_t id = flight->stream;

    note_bytes(flight);
    if (flight->exchange->is_streamed)
        sheaf_h2_withhold(conn->h2, id, len);
    else
        sheaf_h2_consumed(conn->h2, id, len);
    if (!sheaf_flight_body(flight, bytes, len) && is_still(flight, conn, id))
        stop(flight, SHEAF_ERR_ANSWER_TOO_LARGE, "");
}

static void on_end(void *owner, void *stream, sheaf_h2_end_t end, const char *detail)
{
    static const sheaf_err_t errs[] = {
        [SHEAF_H2_COMPLETE] = SHEAF_OK,
        [SHEAF_H2_REFUSED] = SHEAF_ERR_RESET,
        [SHEAF_H2_RESET] = SHEAF_ERR_RESET,
        [SHEAF_H2_MALFORMED] = SHEAF_ERR_MALFORMED,
    };
    sheaf_flight_t *flight = stream;

    (void)owner;
    flight->stream = 0;
    flight->is_unprocessed = end == SHEAF_H2_REFUSED;
    flight->has_written &= !flight->is_unprocessed;
    stop(flight, errs[end], detail);
}

/* What stands in line here while the backend takes fewer than were sent to it may get on faster elsewhere. The last come
 * are the last in line. One that takes none at all, for now, is waited for. */
static void turn_away(sheaf_conn_t *conn)
{
    uint32_t most = sheaf_h2_max_streams(conn->h2);

    while (most != 0 && sheaf_h2_open_streams(conn->h2) > most) {
        sheaf_flight_t *flight = SHEAF_OWNER(conn->flights.prev, sheaf_flight_t, link);

        if (!sheaf_h2_is_unsent(conn->h2, flight->stream))
            return;
        flight->is_unprocessed = true;
        flight->has_written = false;
        stop(flight, SHEAF_ERR_RESET, "the server takes fewer streams at once");
    }
}

static void on_change(void *owner)
{
    sheaf_conn_t *conn = owner;
    uint32_t most;

    if (conn->state == SHEAF_CONN_CLOSING)
        return;
    most = sheaf_h2_max_streams(conn->h2);
    conn->server->takes_streams = most > 1 ? most : 1;
    turn_away(conn);
    if (conn->events->on_room != NULL)
        conn->events->on_room(conn);
}

static const sheaf_h2_events_t events = {on_head, on_body, on_end, on_change};

/* --- the conn --- */

/* " HTTP/1.1\r\nhost: AUTHORITY\r\n" */
static sheaf_str_t authority_of(const sheaf_server_t *server)
{
    size_t before = sizeof(" HTTP/1.1\r\nhost: ") - 1;

    return sheaf_str(server->host_line.base + before, server->host_line.len - before - 2);
}

void sheaf_streams_open(sheaf_conn_t *conn)
{
    conn->h2 = sheaf_h2_new(&(sheaf_h2_setup_t){
        .events = &events,
        .owner = conn,
        .scheme = conn->tls != NULL ? SHEAF_STR("https") : SHEAF_STR("http"),
        .authority = authority_of(conn->server),
        .max_streams = sheaf_conn_max_streams(conn),
        .first_streams = conn->server->takes_streams,
        .stream_window = STREAM_WINDOW,
        .held_window = SHEAF_STREAM_WINDOW,
        .conn_window = CONN_WINDOW,
    });
    conn->flush.run = on_flush;
    conn->heard_ms = conn->env->clock->now_ms;
    conn->h1.keepalive_timeout_s = UINT32_MAX;
    flush_soon(conn);
}

/* A conn that had nobody aboard was not listened to. Who boarded while it was dialed makes the second one of several. */
static void listen_for_silence(sheaf_conn_t *conn)
{
    uint64_t now_ms = conn->env->clock->now_ms;

    if (conn->ping_ms == 0)
        return;
    if (conn->flight_count == 1)
        conn->heard_ms = now_ms;
    if (!sheaf_deadline_is_set(&conn->deadline) || conn->deadline.at_ms > now_ms + conn->ping_ms)
        sheaf_deadline_set(conn->env->deadlines, &conn->deadline, now_ms + conn->ping_ms);
}

bool sheaf_streams_start(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;

    flight->stream = sheaf_h2_submit(conn->h2, flight->exchange, flight);
    if (flight->stream == 0)
        return false;
    if (conn->flight_count == 1)
        conn->was_at_rest = conn->is_reused;
    flight->has_written = true; /* on its way out: is_unprocessed tells where the backend cannot have acted */
    listen_for_silence(conn);
    sheaf_count(conn->env->metrics, SHEAF_METRIC_EXCHANGES_HTTP2, 1);
    flush_soon(conn);
    return true;
}

void sheaf_streams_credit(sheaf_flight_t *flight, size_t len)
{
    sheaf_conn_t *conn = flight->conn;

    sheaf_h2_release(conn->h2, flight->stream, len);
    if (sheaf_h2_has_output(conn->h2))
        flush_soon(conn);
}

void sheaf_streams_forget(sheaf_flight_t *flight)
{
    sheaf_conn_t *conn = flight->conn;

    if (flight->stream == 0)
        return;
    sheaf_h2_cancel(conn->h2, flight->stream);
    flight->stream = 0;
    if (conn->state != SHEAF_CONN_CLOSING)
        flush_soon(conn);
}

/* It did not go out; or it crossed the close of an idle conn and may go once more because doing it twice does no harm, as
 * over HTTP/1.1 (sheaf_flight_may_repeat). Once, for what kills one server is not for the next. */
static bool may_go_again(const sheaf_flight_t *flight)
{
    const sheaf_conn_t *conn = flight->conn;
    const sheaf_exchange_t *exchange = flight->exchange;

    return sheaf_h2_is_unsent(conn->h2, flight->stream) ||
           (conn->was_at_rest && exchange->is_idempotent && exchange->stranded == 0);
}

void sheaf_streams_fail(sheaf_conn_t *conn, const char *detail)
{
    sheaf_flight_t *flight = sheaf_conn_first(conn);

    conn->is_half_broken = true; /* takes nothing more */
    if (flight == NULL) {
        conn->events->on_idle_end(conn);
        return;
    }
    while ((flight = sheaf_conn_first(conn)) != NULL) {
        flight->is_unprocessed = may_go_again(flight);
        flight->has_written = !flight->is_unprocessed;
        sheaf_conn_end(flight, SHEAF_ERR_RESET, detail, false);
    }
}

void sheaf_streams_take(sheaf_conn_t *conn, const char *bytes, size_t len)
{
    sheaf_h2_state_t state;

    conn->heard_ms = conn->env->clock->now_ms;
    conn->was_at_rest = false;
    state = sheaf_h2_read(conn->h2, bytes, len);
    if (conn->state == SHEAF_CONN_CLOSING)
        return;
    flush(conn);
    if (state == SHEAF_H2_FAILED || sheaf_h2_state(conn->h2) == SHEAF_H2_FAILED)
        sheaf_streams_fail(conn, sheaf_h2_detail(conn->h2));
    else if (sheaf_h2_is_closing(conn->h2) && conn->flight_count == 0)
        conn->events->on_idle_end(conn);
}

/* --- silence --- */

/* A request that is on its way is no silence of the backend's; behind the head of a streamed answer, which nothing else
 * bounds, only one of which more has left since the last look. */
static void note_sending(sheaf_flight_t *flight)
{
    const sheaf_h2_t *h2 = flight->conn->h2;
    size_t before = flight->unsent;

    flight->unsent = sheaf_h2_unsent_body(h2, flight->stream);
    if (flight->exchange->is_answered ? flight->unsent != before : sheaf_h2_is_sending(h2, flight->stream))
        flight->awake_ms = flight->conn->env->clock->now_ms;
}

static bool is_silent(sheaf_flight_t *flight, uint64_t *ret_until_ms)
{
    const sheaf_conn_t *conn = flight->conn;
    uint64_t limit_ms = flight->has_bytes ? conn->idle_ms : conn->first_byte_ms, now_ms = conn->env->clock->now_ms;
    uint64_t since_ms;

    note_sending(flight);
    since_ms = flight->awake_ms > conn->wrote_ms ? flight->awake_ms : conn->wrote_ms;
    if (sheaf_flight_is_held(flight))
        limit_ms = 0;
    *ret_until_ms = limit_ms == 0 ? SHEAF_NEVER : since_ms + limit_ms;
    if (*ret_until_ms <= now_ms && !flight->has_bytes && sheaf_writing_drains(flight)) {
        flight->awake_ms = now_ms;
        *ret_until_ms = now_ms + limit_ms;
    }
    return *ret_until_ms <= now_ms;
}

/* A silent flight, or NULL and when to look again. */
static sheaf_flight_t *find_silent(const sheaf_conn_t *conn, uint64_t *ret_at_ms)
{
    *ret_at_ms = SHEAF_NEVER;
    for (sheaf_link_t *link = conn->flights.next; link != &conn->flights; link = link->next) {
        sheaf_flight_t *flight = SHEAF_OWNER(link, sheaf_flight_t, link);
        uint64_t until_ms;

        if (is_silent(flight, &until_ms))
            return flight;
        *ret_at_ms = until_ms < *ret_at_ms ? until_ms : *ret_at_ms;
    }
    return NULL;
}

/* False: a PING went unanswered. It has as long as the silence before it, from when it was sent: the loop may have been
 * late. */
static bool ask(sheaf_conn_t *conn, uint64_t *ret_at_ms)
{
    uint64_t now_ms = conn->env->clock->now_ms, at_ms = conn->heard_ms + conn->ping_ms;

    if (conn->ping_ms == 0)
        return true;
    sheaf_h2_wait(conn->h2);
    if (sheaf_h2_is_pinged(conn->h2)) {
        at_ms = (conn->pinged_ms > at_ms ? conn->pinged_ms : at_ms) + conn->ping_ms;
        if (now_ms >= at_ms)
            return false;
    } else if (now_ms >= at_ms) {
        sheaf_h2_ping(conn->h2);
        flush(conn);
        conn->pinged_ms = now_ms;
        at_ms = now_ms + conn->ping_ms;
    }
    *ret_at_ms = at_ms < *ret_at_ms ? at_ms : *ret_at_ms;
    return true;
}

void sheaf_streams_watch(sheaf_conn_t *conn)
{
    sheaf_flight_t *flight;
    uint64_t at_ms;

    while ((flight = find_silent(conn, &at_ms)) != NULL)
        stop(flight, SHEAF_ERR_TIMEOUT, flight->has_bytes ? "the answer made no progress" : "no answer began in time");
    if (conn->flight_count == 0)
        return;
    if (!ask(conn, &at_ms)) {
        conn->was_at_rest = false; /* it was not closed: the next conn may be as deaf */
        sheaf_streams_fail(conn, "it does not answer a PING");
    } else if (at_ms != SHEAF_NEVER)
        sheaf_deadline_set(conn->env->deadlines, &conn->deadline, at_ms);
}

void sheaf_streams_end(sheaf_conn_t *conn)
{
    sheaf_soon_cancel(&conn->flush);
    sheaf_h2_goodbye(conn->h2);
    flush(conn);
}
