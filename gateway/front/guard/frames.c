#include "gateway/front/guard/frames.h"

#include "gateway/front/client.h"
#include "gateway/front/guard/internal.h"
#include "gateway/front/guard/streams.h"

#define CONTROL_PER_SECOND 200
#define TINY_CONTINUATION  1024 /* bytes; a head in such pieces is not made by any client */
#define TINY_UPDATE        256
#define LATE_UPDATE        0.2 /* for a stream that is gone: some of them are honest */
#define SUM_EVERY          16  /* DATA frames: how often the buffered bodies are added up */
#define NO_WINDOW          (INT32_MAX / 2)

void sheaf_frames_init(sheaf_frames_t *frames, uint64_t burst, uint64_t now_ms)
{
    sheaf_bucket_init(&frames->control, burst, now_ms);
    frames->last_stream = UINT32_MAX;
}

void sheaf_frames_refuse(sheaf_frames_t *frames, uint32_t stream_id, bool has_body)
{
    frames->refused = stream_id;
    if (has_body)
        sheaf_cuts_remember(&frames->cuts, stream_id, true);
}

bool sheaf_frames_pay(sheaf_client_t *client, double cost)
{
    if (cost == 0 || sheaf_bucket_take(&client->frames.control, sheaf_front_limits(client->front)->control_frames,
                                       CONTROL_PER_SECOND, client->front->env.clock->now_ms, cost))
        return true;
    sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_CONTROL, 1);
    return false;
}

#if SHEAF_GUARD_IS_ON

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
    if (sheaf_cuts_are_of(&client->frames.cuts, stream, frame->stream_id)) {
        sheaf_cuts_swallow(conn, &client->frames.cuts, frame, ours);
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
        sheaf_cuts_add(&client->frames.cuts, &stream->req, frame->stream_id, why);
    else
        sheaf_cuts_mark(&stream->req, why);
    frame->flags |= H2O_HTTP2_FRAME_FLAG_END_STREAM;
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
               !sheaf_cuts_has(&client->frames.cuts, frame->stream_id);
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
    sheaf_guard_blank(frame);
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
    if (client->frames.cuts.trailers_of != 0) {
        status = sheaf_cuts_take_more(conn, client, frame, err_desc);
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
        status = sheaf_cuts_take_trailers(conn, client, frame, err_desc);
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
            sheaf_guard_blank(frame);
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
