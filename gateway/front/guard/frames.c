#include "gateway/front/guard/frames.h"

#include "gateway/front/client.h"
#include "gateway/front/guard/reads.h"

/* req->env is where libh2o keeps what is known of a request beside its headers. */
static char cut_short[] = "cut-short";

bool sheaf_frames_is_cut_short(const h2o_req_t *req)
{
    return req->env.size > 0 && req->env.entries[0].base == cut_short;
}

#if SHEAF_GUARD_IS_ON

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <h2o/http2_internal.h>
#pragma GCC diagnostic pop

_Static_assert(sizeof(void *) != 8 || (sizeof(h2o_http2_conn_t) == 472 && sizeof(h2o_http2_stream_t) == 880),
               "these are not the inner structures of libh2o 2.2.5");

static int slot_of(const sheaf_frames_t *frames, uint32_t stream_id)
{
    for (int i = 0; i < SHEAF_FRAMES_CUT_MOST; i++) {
        if (frames->cut[i].stream_id == stream_id)
            return i;
    }
    return -1;
}

static void remember(sheaf_frames_t *frames, uint32_t stream_id)
{
    uint32_t slot = frames->next++ % SHEAF_FRAMES_CUT_MOST;

    frames->cut[slot].stream_id = stream_id;
    frames->cut[slot].is_reset = false;
}

static void mark(h2o_req_t *req)
{
    h2o_vector_reserve(&req->pool, &req->env, 1);
    req->env.entries[0] = h2o_iovec_init(cut_short, sizeof(cut_short) - 1);
    req->env.size = 1;
}

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
        return stream->state != H2O_HTTP2_STREAM_STATE_RECV_BODY && sheaf_frames_is_cut_short(&stream->req);
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

static void on_data(h2o_http2_conn_t *conn, sheaf_client_t *client, h2o_http2_frame_t *frame,
                    const h2o_http2_settings_t *ours)
{
    h2o_http2_stream_t *stream = h2o_http2_conn_get_stream(conn, frame->stream_id);

    if (frame->stream_id == 0 || conn->state >= H2O_HTTP2_CONN_STATE_HALF_CLOSED)
        return;
    if (is_cut(&client->frames, stream, frame->stream_id)) {
        swallow(conn, &client->frames, stream, frame, ours);
        return;
    }
    if (stream == NULL || stream->state != H2O_HTTP2_STREAM_STATE_RECV_BODY ||
        !is_over(stream, frame, client->front->max_body_bytes))
        return;
    mark(&stream->req);
    h2o_buffer_consume(&stream->_req_body, stream->_req_body->size); /* a reload may have made it too much already */
    stream->_expected_content_length = SIZE_MAX;
    if ((frame->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) == 0)
        remember(&client->frames, frame->stream_id);
    frame->flags |= H2O_HTTP2_FRAME_FLAG_END_STREAM;
}

/* The trailers of a request that was cut short: decoded for the sake of the table only. 0, or what ends the
 * connection; trailers in several frames do, as libh2o has it. */
static int on_trailers(h2o_http2_conn_t *conn, sheaf_frames_t *frames, h2o_http2_frame_t *frame, const char **err_desc)
{
    h2o_http2_stream_t *stream = h2o_http2_conn_get_stream(conn, frame->stream_id);
    h2o_http2_headers_payload_t payload;
    size_t content_length;
    h2o_req_t scratch;
    int status;

    if ((frame->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS) == 0 || !is_cut(frames, stream, frame->stream_id) ||
        h2o_http2_decode_headers_payload(&payload, frame, err_desc) != 0)
        return 0;
    h2o_init_request(&scratch, &conn->super, NULL);
    status = h2o_hpack_parse_headers(&scratch, &conn->_input_header_table, payload.headers, payload.headers_len, NULL,
                                     &content_length, NULL, err_desc);
    h2o_mem_clear_pool(&scratch.pool); /* it has no answer to dispose of */
    if (slot_of(frames, frame->stream_id) >= 0)
        frames->cut[slot_of(frames, frame->stream_id)].stream_id = 0;
    blank(frame);
    return status == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR ? H2O_HTTP2_ERROR_PROTOCOL : status;
}

SHEAF_GUARD_REPLACES ssize_t h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                                                    const h2o_http2_settings_t *ours, const char **err_desc)
{
    static ssize_t (*real)(h2o_http2_frame_t *, const uint8_t *, size_t, const h2o_http2_settings_t *, const char **);
    h2o_socket_t *sock = sheaf_reads_current();
    int status = 0;
    ssize_t ret;

    if (real == NULL)
        *(void **)&real = sheaf_guard_real("h2o_http2_decode_frame");
    ret = real(frame, src, len, ours, err_desc);
    if (ret < 0 || sock == NULL)
        return ret;
    if (frame->type == H2O_HTTP2_FRAME_TYPE_DATA)
        on_data(sock->data, sock->on_close.data, frame, ours);
    else if (frame->type == H2O_HTTP2_FRAME_TYPE_HEADERS)
        status = on_trailers(sock->data, &((sheaf_client_t *)sock->on_close.data)->frames, frame, err_desc);
    return status != 0 ? status : ret;
}

#endif
