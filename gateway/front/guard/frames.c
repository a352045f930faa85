#include "gateway/front/guard/frames.h"

#include <stdlib.h>

#include "gateway/front/client.h"
#include "gateway/front/guard/internal.h"
#include "gateway/front/guard/streams.h"

#define CONTROL_PER_SECOND 200
#define TINY_CONTINUATION  1024 /* bytes; a head in such pieces is not made by any client */
#define TINY_UPDATE        256
#define LATE_UPDATE        0.2 /* for a stream that is gone: some of them are honest */
#define SUM_EVERY          16  /* DATA frames: how often the buffered bodies are added up */
#define NO_WINDOW          (INT32_MAX / 2)

/* req->env is where libh2o keeps what is known of a request beside its headers. */
static char too_large[] = "too-large", overloaded[] = "overloaded", malformed[] = "malformed";

sheaf_err_t sheaf_frames_why_cut(const h2o_req_t *req)
{
    const char *mark = req->env.size > 0 ? req->env.entries[0].base : NULL;

    if (mark == too_large)
        return SHEAF_ERR_TOO_LARGE;
    if (mark == overloaded)
        return SHEAF_ERR_OVERLOADED;
    return mark == malformed ? SHEAF_ERR_BAD_REQUEST : SHEAF_OK;
}

void sheaf_frames_init(sheaf_frames_t *frames, uint64_t burst, uint64_t now_ms)
{
    sheaf_bucket_init(&frames->control, burst, now_ms);
    frames->last_stream = UINT32_MAX;
}

static void mark(h2o_req_t *req, sheaf_err_t why)
{
    char *base = why == SHEAF_ERR_TOO_LARGE ? too_large : why == SHEAF_ERR_OVERLOADED ? overloaded : malformed;

    h2o_vector_reserve(&req->pool, &req->env, 1);
    req->env.entries[0] = h2o_iovec_init(base, strlen(base));
    req->env.size = 1;
}

static void remember(sheaf_frames_t *frames, uint32_t stream_id, bool is_reset)
{
    uint32_t slot = frames->next_cut++ % SHEAF_FRAMES_CUT_MOST;

    frames->cut[slot].stream_id = stream_id;
    frames->cut[slot].is_reset = is_reset;
}

void sheaf_frames_cut(sheaf_frames_t *frames, h2o_req_t *req, uint32_t stream_id, sheaf_err_t why)
{
    mark(req, why);
    remember(frames, stream_id, false);
}

void sheaf_frames_refuse(sheaf_frames_t *frames, uint32_t stream_id, bool has_body)
{
    frames->refused = stream_id;
    if (has_body)
        remember(frames, stream_id, true);
}

bool sheaf_frames_pay(sheaf_client_t *client, double cost)
{
    if (cost == 0 || sheaf_bucket_take(&client->frames.control, sheaf_front_limits(client->front)->control_frames,
                                       CONTROL_PER_SECOND, client->front->env.clock->now_ms, cost))
        return true;
    sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_CONTROL, 1);
    return false;
}

static int slot_of(const sheaf_frames_t *frames, uint32_t stream_id)
{
    for (int i = 0; i < SHEAF_FRAMES_CUT_MOST; i++) {
        if (frames->cut[i].stream_id == stream_id)
            return i;
    }
    return -1;
}

void sheaf_frames_forget(sheaf_frames_t *frames, uint32_t stream_id)
{
    int slot = slot_of(frames, stream_id);

    if (slot >= 0)
        frames->cut[slot].is_reset = true;
}

void sheaf_frames_fini(sheaf_frames_t *frames)
{
    free(frames->trailers);
    frames->trailers = NULL;
}

#if SHEAF_GUARD_IS_ON

/* A frame that libh2o reads without doing anything. */
static void blank(h2o_http2_frame_t *frame)
{
    static const uint8_t nothing[8];

    frame->type = H2O_HTTP2_FRAME_TYPE_PING;
    frame->flags = H2O_HTTP2_FRAME_FLAG_ACK;
    frame->stream_id = 0;
    frame->payload = nothing;
    frame->length = sizeof(nothing);
}

/* What libh2o does with the windows of DATA that it takes. */
static void refill(h2o_http2_conn_t *conn, uint32_t stream_id, h2o_http2_window_t *window, uint32_t used,
                   const h2o_http2_settings_t *ours)
{
    ssize_t missing;

    h2o_http2_window_consume_window(window, used);
    missing = (ssize_t)ours->initial_window_size - h2o_http2_window_get_window(window);
    if (missing * 2 <= (ssize_t)ours->initial_window_size)
        return;
    h2o_http2_encode_window_update_frame(&conn->_write.buf, stream_id, (int32_t)missing);
    h2o_http2_window_update(window, missing);
    h2o_http2_conn_request_write(conn);
}

/* A live stream carries the mark, one that is gone may still be remembered. */
static bool is_cut(const sheaf_frames_t *frames, const h2o_http2_stream_t *stream, uint32_t stream_id)
{
    if (stream != NULL)
        return stream->state != H2O_HTTP2_STREAM_STATE_RECV_BODY && sheaf_frames_why_cut(&stream->req) != SHEAF_OK;
    return slot_of(frames, stream_id) >= 0;
}

static void swallow(h2o_http2_conn_t *conn, sheaf_frames_t *frames, h2o_http2_stream_t *stream,
                    h2o_http2_frame_t *frame, const h2o_http2_settings_t *ours)
{
    int slot = slot_of(frames, frame->stream_id);

    refill(conn, 0, &conn->_input_window, frame->length, ours);
    if ((frame->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) != 0) {
        if (slot >= 0)
            frames->cut[slot].stream_id = 0;
    } else if (stream != NULL) {
        refill(conn, frame->stream_id, &stream->input_window, frame->length, ours);
    } else if (!frames->cut[slot].is_reset) {
        frames->cut[slot].is_reset = true;
        h2o_http2__encode_rst_stream_frame(&conn->_write.buf, frame->stream_id, 0);
        h2o_http2_conn_request_write(conn);
    }
    blank(frame);
}

static bool is_over(const h2o_http2_stream_t *stream, const h2o_http2_frame_t *frame, uint64_t most)
{
    h2o_http2_data_payload_t payload;
    const char *ignored;

    if (h2o_http2_decode_data_payload(&payload, frame, &ignored) != 0)
        return false; /* libh2o refuses it */
    if (stream->_expected_content_length != SIZE_MAX && stream->_expected_content_length > most)
        return true;
    return stream->_req_body->size + payload.length > most;
}

static sheaf_err_t why_cut(sheaf_client_t *client, const h2o_http2_stream_t *stream, const h2o_http2_frame_t *frame)
{
    if (is_over(stream, frame, client->front->max_body_bytes))
        return SHEAF_ERR_TOO_LARGE;
    return sheaf_front_memory(client->front) == SHEAF_MEMORY_FULL ? SHEAF_ERR_OVERLOADED : SHEAF_OK;
}

static void on_data(h2o_http2_conn_t *conn, sheaf_client_t *client, h2o_http2_frame_t *frame,
                    const h2o_http2_settings_t *ours)
{
    h2o_http2_stream_t *stream = h2o_http2_conn_get_stream(conn, frame->stream_id);
    sheaf_err_t why;

    if (frame->stream_id == 0 || conn->state >= H2O_HTTP2_CONN_STATE_HALF_CLOSED)
        return;
    if (is_cut(&client->frames, stream, frame->stream_id)) {
        swallow(conn, &client->frames, stream, frame, ours);
        return;
    }
    if (stream == NULL || stream->state != H2O_HTTP2_STREAM_STATE_RECV_BODY)
        return;
    why = why_cut(client, stream, frame);
    if (why == SHEAF_OK)
        return;
    sheaf_count(client->front->env.metrics,
                why == SHEAF_ERR_TOO_LARGE ? SHEAF_METRIC_REFUSED_OVERSIZE : SHEAF_METRIC_REFUSED_MEMORY, 1);
    h2o_buffer_consume(&stream->_req_body, stream->_req_body->size); /* a reload may have made it too much already */
    stream->_expected_content_length = SIZE_MAX;
    if ((frame->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) == 0)
        sheaf_frames_cut(&client->frames, &stream->req, frame->stream_id, why);
    else
        mark(&stream->req, why);
    frame->flags |= H2O_HTTP2_FRAME_FLAG_END_STREAM;
}

/* --- trailers of a request that was cut short: decoded for the sake of the table only --- */

/* 0, or what ends the connection. */
static int decode_trailers(h2o_http2_conn_t *conn, sheaf_frames_t *frames, uint32_t stream_id, const uint8_t *block,
                           size_t len, const char **err_desc)
{
    size_t content_length;
    h2o_req_t scratch;
    int status;

    h2o_init_request(&scratch, &conn->super, NULL);
    status = h2o_hpack_parse_headers(&scratch, &conn->_input_header_table, block, len, NULL, &content_length, NULL,
                                     err_desc);
    h2o_mem_clear_pool(&scratch.pool); /* it has no answer to dispose of */
    if (slot_of(frames, stream_id) >= 0)
        frames->cut[slot_of(frames, stream_id)].stream_id = 0;
    return status == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR ? H2O_HTTP2_ERROR_PROTOCOL : status;
}

static int too_many_trailers(sheaf_client_t *client, const char **err_desc)
{
    sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_CONTINUATION, 1);
    *err_desc = "too many bytes of trailers";
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

/* One piece of them; libh2o sees no frame of it. */
static int keep_trailers(h2o_http2_conn_t *conn, sheaf_client_t *client, const uint8_t *piece, size_t len, bool is_last,
                         const char **err_desc)
{
    sheaf_frames_t *frames = &client->frames;
    int status;

    if (frames->trailers_len + len > sheaf_front_limits(client->front)->headers_size_bytes)
        return too_many_trailers(client, err_desc);
    frames->trailers = sheaf_realloc(frames->trailers, frames->trailers_len + len + 1);
    memcpy(frames->trailers + frames->trailers_len, piece, len);
    frames->trailers_len += len;
    frames->is_in_head = !is_last;
    if (!is_last)
        return 0;
    status = decode_trailers(conn, frames, frames->trailers_of, frames->trailers, frames->trailers_len, err_desc);
    frames->trailers_of = 0;
    frames->trailers_len = 0;
    sheaf_frames_fini(frames);
    return status;
}

static int on_trailers(h2o_http2_conn_t *conn, sheaf_client_t *client, h2o_http2_frame_t *frame, const char **err_desc)
{
    h2o_http2_stream_t *stream = h2o_http2_conn_get_stream(conn, frame->stream_id);
    bool is_last = (frame->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS) != 0;
    h2o_http2_headers_payload_t payload;

    if (frame->stream_id == 0 || !is_cut(&client->frames, stream, frame->stream_id) ||
        h2o_http2_decode_headers_payload(&payload, frame, err_desc) != 0)
        return 0;
    client->frames.trailers_of = frame->stream_id;
    blank(frame);
    return keep_trailers(conn, client, payload.headers, payload.headers_len, is_last, err_desc);
}

/* Between the pieces nothing else may come (RFC 9113 6.10). */
static int on_more_trailers(h2o_http2_conn_t *conn, sheaf_client_t *client, h2o_http2_frame_t *frame,
                            const char **err_desc)
{
    const uint8_t *piece = frame->payload;
    size_t len = frame->length;
    bool is_last = (frame->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS) != 0;

    if (frame->type != H2O_HTTP2_FRAME_TYPE_CONTINUATION || frame->stream_id != client->frames.trailers_of) {
        *err_desc = "expected CONTINUATION frame";
        return H2O_HTTP2_ERROR_PROTOCOL;
    }
    blank(frame);
    return keep_trailers(conn, client, piece, len, is_last, err_desc);
}

/* --- what costs a connection its patience (facts 14, 15) --- */

/* Without its padding. */
static size_t payload_len(const h2o_http2_frame_t *frame)
{
    h2o_http2_data_payload_t payload;
    const char *ignored;

    return h2o_http2_decode_data_payload(&payload, frame, &ignored) == 0 ? payload.length : 0;
}

static double cost_of(h2o_http2_conn_t *conn, const sheaf_client_t *client, const h2o_http2_frame_t *frame)
{
    switch (frame->type) {
    case H2O_HTTP2_FRAME_TYPE_DATA:
        if (payload_len(frame) == 0 && (frame->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) == 0)
            return 1;
        /* libh2o answers each with a reset */
        return h2o_http2_conn_get_stream(conn, frame->stream_id) == NULL &&
               slot_of(&client->frames, frame->stream_id) < 0;
    case H2O_HTTP2_FRAME_TYPE_HEADERS:
        return 0;
    case H2O_HTTP2_FRAME_TYPE_CONTINUATION:
        return frame->length < TINY_CONTINUATION ? 20 : 1;
    case H2O_HTTP2_FRAME_TYPE_WINDOW_UPDATE:
        if (frame->length != 4)
            return 0; /* libh2o ends the connection */
        if (h2o_http2_decode32u(frame->payload) < TINY_UPDATE)
            return 1;
        return frame->stream_id != 0 && h2o_http2_conn_get_stream(conn, frame->stream_id) == NULL ? LATE_UPDATE : 0;
    default:
        return 1;
    }
}

/* --- windows of streams that are at their end (fact 1) --- */

static void hold_windows(h2o_http2_conn_t *conn, sheaf_client_t *client)
{
    for (khint_t i = 0; i < kh_end(conn->streams); i++) {
        h2o_http2_stream_t *stream = KH_IS_TAKEN(conn->streams, i) ? kh_val(conn->streams, i) : NULL;

        if (stream == NULL || stream->state != H2O_HTTP2_STREAM_STATE_END_STREAM)
            continue;
        if (stream->output_window._avail <= 0)
            sheaf_count(client->front->env.metrics, SHEAF_METRIC_GUARD_LIFTED, 1);
        stream->output_window._avail = NO_WINDOW;
    }
}

static uint32_t increment_of(const h2o_http2_frame_t *frame)
{
    h2o_http2_window_update_payload_t payload;
    const char *why;
    int is_of_stream;

    if (h2o_http2_decode_window_update_payload(&payload, frame, &why, &is_of_stream) != 0)
        return 0;
    return payload.window_size_increment;
}

static void on_window_update(h2o_http2_conn_t *conn, sheaf_client_t *client, h2o_http2_frame_t *frame)
{
    h2o_http2_stream_t *stream = frame->stream_id == 0 ? NULL : h2o_http2_conn_get_stream(conn, frame->stream_id);

    if (frame->stream_id == 0)
        client->frames.window_bytes += increment_of(frame);
    if (stream == NULL || stream->state != H2O_HTTP2_STREAM_STATE_END_STREAM || frame->length != 4)
        return;
    if (stream->output_window._avail <= 0)
        sheaf_count(client->front->env.metrics, SHEAF_METRIC_GUARD_LIFTED, 1);
    blank(frame);
}

/* --- bodies that wait (fact 11) --- */

static bool is_buffer_full(h2o_http2_conn_t *conn, sheaf_client_t *client)
{
    uint64_t most = sheaf_front_limits(client->front)->buffered_body_bytes, sum = 0;

    if (client->frames.data_frames++ % SUM_EVERY != 0)
        return false;
    if (most < client->front->max_body_bytes)
        most = client->front->max_body_bytes;
    for (khint_t i = 0; i < kh_end(conn->streams); i++) {
        h2o_http2_stream_t *stream = KH_IS_TAKEN(conn->streams, i) ? kh_val(conn->streams, i) : NULL;

        if (stream != NULL && stream->state == H2O_HTTP2_STREAM_STATE_RECV_BODY && stream->_req_body != NULL)
            sum += stream->_req_body->size;
    }
    return sum > most;
}

/* --- time --- */

/* What handling this frame does to the number of requests that are still being sent: one more, one less, nothing. */
static int uploads_change(h2o_http2_conn_t *conn, const h2o_http2_frame_t *frame)
{
    const h2o_http2_stream_t *stream = frame->stream_id == 0 ? NULL : h2o_http2_conn_get_stream(conn, frame->stream_id);
    bool is_upload = stream != NULL && stream->state == H2O_HTTP2_STREAM_STATE_RECV_BODY;
    bool is_last = (frame->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) != 0;

    switch (frame->type) {
    case H2O_HTTP2_FRAME_TYPE_HEADERS: /* a request, or trailers */
        return is_upload ? -is_last : !is_last;
    case H2O_HTTP2_FRAME_TYPE_CONTINUATION: /* the end of the head of a request without a body */
        return -(stream != NULL && !is_upload && stream->_req_body == NULL);
    case H2O_HTTP2_FRAME_TYPE_DATA:
        return -(is_upload && is_last);
    case H2O_HTTP2_FRAME_TYPE_RST_STREAM:
        return -is_upload;
    default:
        return 0;
    }
}

static bool is_uploading(h2o_http2_conn_t *conn, const h2o_http2_frame_t *frame)
{
    int count = (int)(conn->num_streams.pull.open - conn->num_streams.pull.half_closed);

    return count + uploads_change(conn, frame) > 0;
}

/* Looks at the frame as libh2o is about to see it. */
static void keep_pace(h2o_http2_conn_t *conn, sheaf_client_t *client, const h2o_http2_frame_t *frame)
{
    bool is_head = frame->type == H2O_HTTP2_FRAME_TYPE_HEADERS || frame->type == H2O_HTTP2_FRAME_TYPE_CONTINUATION;

    if (is_head)
        client->frames.is_in_head = (frame->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS) == 0;
    if (frame->type == H2O_HTTP2_FRAME_TYPE_DATA)
        sheaf_pace_body(client, frame->length);
    if (client->frames.is_in_head)
        sheaf_pace_enter(client, SHEAF_PHASE_HEAD);
    else if (is_uploading(conn, frame))
        sheaf_pace_enter(client, SHEAF_PHASE_BODY);
    else
        sheaf_pace_enter(client, client->requests > 0 ? SHEAF_PHASE_BUSY : SHEAF_PHASE_IDLE);
}

/* --- all of it --- */

static ssize_t refuse(sheaf_client_t *client, sheaf_metric_t metric, const char *why, const char **err_desc)
{
    if (metric != SHEAF_METRIC_REFUSED_CONTROL) /* counted by who was not paid */
        sheaf_count(client->front->env.metrics, metric, 1);
    *err_desc = why;
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

static bool is_head_too_large(const h2o_http2_conn_t *conn, const sheaf_client_t *client,
                              const h2o_http2_frame_t *frame)
{
    return conn->_headers_unparsed != NULL &&
           conn->_headers_unparsed->size + frame->length > sheaf_front_limits(client->front)->headers_size_bytes;
}

/* Returns `used`, or the error that ends the connection. */
static ssize_t judge(h2o_http2_conn_t *conn, sheaf_client_t *client, h2o_http2_frame_t *frame, ssize_t used,
                     const h2o_http2_settings_t *ours, const char **err_desc)
{
    int status = 0;

    client->objection.err = SHEAF_OK; /* of a request that libh2o reset before anyone asked */
    if (!sheaf_frames_pay(client, cost_of(conn, client, frame)))
        return refuse(client, SHEAF_METRIC_REFUSED_CONTROL, "too many control frames", err_desc);
    if (client->frames.trailers_of != 0) {
        status = on_more_trailers(conn, client, frame, err_desc);
        keep_pace(conn, client, frame);
        return status != 0 ? status : used;
    }
    switch (frame->type) {
    case H2O_HTTP2_FRAME_TYPE_DATA:
        if (is_buffer_full(conn, client))
            return refuse(client, SHEAF_METRIC_REFUSED_BUFFERED, "too many bytes in unfinished requests", err_desc);
        on_data(conn, client, frame, ours);
        break;
    case H2O_HTTP2_FRAME_TYPE_HEADERS:
        status = on_trailers(conn, client, frame, err_desc);
        break;
    case H2O_HTTP2_FRAME_TYPE_CONTINUATION:
        if (conn->state >= H2O_HTTP2_CONN_STATE_HALF_CLOSED || is_head_too_large(conn, client, frame))
            return refuse(client, SHEAF_METRIC_REFUSED_CONTINUATION, "too many CONTINUATION frames", err_desc);
        break;
    case H2O_HTTP2_FRAME_TYPE_SETTINGS:
        hold_windows(conn, client);
        break;
    case H2O_HTTP2_FRAME_TYPE_WINDOW_UPDATE:
        on_window_update(conn, client, frame);
        break;
    default:
        if (frame->type > H2O_HTTP2_FRAME_TYPE_CONTINUATION)
            blank(frame);
        break;
    }
    keep_pace(conn, client, frame);
    return status != 0 ? status : used;
}

SHEAF_GUARD_REPLACES ssize_t h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                                                    const h2o_http2_settings_t *ours, const char **err_desc)
{
    static ssize_t (*real)(h2o_http2_frame_t *, const uint8_t *, size_t, const h2o_http2_settings_t *, const char **);
    sheaf_client_t *client = sheaf_stream_client();
    ssize_t used;

    if (real == NULL)
        *(void **)&real = sheaf_guard_real("h2o_http2_decode_frame");
    used = real(frame, src, len, ours, err_desc);
    sheaf_guard_fired(SHEAF_GUARD_FRAMES);
    if (used < 0 || client == NULL)
        return used;
    client->frames.is_http2 = true;
    return judge(client->sock->data, client, frame, used, ours, err_desc);
}

SHEAF_GUARD_REPLACES void h2o_http2__encode_rst_stream_frame(h2o_buffer_t **buf, uint32_t stream_id, int errnum)
{
    static void (*real)(h2o_buffer_t **, uint32_t, int);
    sheaf_client_t *client = sheaf_stream_client();

    if (real == NULL)
        *(void **)&real = sheaf_guard_real("h2o_http2__encode_rst_stream_frame");
    sheaf_guard_fired(SHEAF_GUARD_RESETS);
    if (client != NULL && client->frames.refused == stream_id) {
        client->frames.refused = 0;
        errnum = -H2O_HTTP2_ERROR_REFUSED_STREAM;
    }
    real(buf, stream_id, errnum);
}

#endif
