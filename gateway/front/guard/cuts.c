#include "gateway/front/guard/cuts.h"

#include <stdlib.h>

#include "gateway/front/client.h"
#include "gateway/front/guard/internal.h"

/* req->env is where libh2o keeps what is known of a request beside its headers. */
static char too_large[] = "too-large", overloaded[] = "overloaded", malformed[] = "malformed";

sheaf_err_t sheaf_cuts_why(const h2o_req_t *req)
{
    const char *mark = req->env.size > 0 ? req->env.entries[0].base : NULL;

    if (mark == too_large)
        return SHEAF_ERR_TOO_LARGE;
    if (mark == overloaded)
        return SHEAF_ERR_OVERLOADED;
    return mark == malformed ? SHEAF_ERR_BAD_REQUEST : SHEAF_OK;
}

void sheaf_cuts_mark(h2o_req_t *req, sheaf_err_t why)
{
    char *base = why == SHEAF_ERR_TOO_LARGE ? too_large : why == SHEAF_ERR_OVERLOADED ? overloaded : malformed;

    h2o_vector_reserve(&req->pool, &req->env, 1);
    req->env.entries[0] = h2o_iovec_init(base, strlen(base));
    req->env.size = 1;
}

void sheaf_cuts_remember(sheaf_cuts_t *cuts, uint32_t stream_id, bool is_reset)
{
    uint32_t slot = cuts->next++ % SHEAF_CUTS_MOST;

    cuts->slots[slot].stream_id = stream_id;
    cuts->slots[slot].is_reset = is_reset;
}

void sheaf_cuts_add(sheaf_cuts_t *cuts, h2o_req_t *req, uint32_t stream_id, sheaf_err_t why)
{
    sheaf_cuts_mark(req, why);
    sheaf_cuts_remember(cuts, stream_id, false);
}

static int slot_of(const sheaf_cuts_t *cuts, uint32_t stream_id)
{
    for (int i = 0; i < SHEAF_CUTS_MOST; i++) {
        if (cuts->slots[i].stream_id == stream_id)
            return i;
    }
    return -1;
}

bool sheaf_cuts_has(const sheaf_cuts_t *cuts, uint32_t stream_id)
{
    return slot_of(cuts, stream_id) >= 0;
}

void sheaf_cuts_tell(sheaf_cuts_t *cuts, uint32_t stream_id)
{
    int slot = slot_of(cuts, stream_id);

    if (slot >= 0)
        cuts->slots[slot].is_reset = true;
}

void sheaf_cuts_fini(sheaf_cuts_t *cuts)
{
    free(cuts->trailers);
    cuts->trailers = NULL;
}

#if SHEAF_GUARD_IS_ON

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
bool sheaf_cuts_are_of(const sheaf_cuts_t *cuts, const h2o_http2_stream_t *stream, uint32_t stream_id)
{
    if (stream != NULL)
        return stream->state != H2O_HTTP2_STREAM_STATE_RECV_BODY && sheaf_cuts_why(&stream->req) != SHEAF_OK;
    return slot_of(cuts, stream_id) >= 0;
}

void sheaf_cuts_swallow(h2o_http2_conn_t *conn, sheaf_cuts_t *cuts, h2o_http2_frame_t *frame,
                        const h2o_http2_settings_t *ours)
{
    h2o_http2_stream_t *stream = h2o_http2_conn_get_stream(conn, frame->stream_id);
    int slot = slot_of(cuts, frame->stream_id);

    refill(conn, 0, &conn->_input_window, frame->length, ours);
    if ((frame->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) != 0) {
        if (slot >= 0)
            cuts->slots[slot].stream_id = 0;
    } else if (stream != NULL) {
        refill(conn, frame->stream_id, &stream->input_window, frame->length, ours);
    } else if (!cuts->slots[slot].is_reset) {
        cuts->slots[slot].is_reset = true;
        h2o_http2__encode_rst_stream_frame(&conn->_write.buf, frame->stream_id, 0);
        h2o_http2_conn_request_write(conn);
    }
    sheaf_guard_blank(frame);
}

/* --- trailers --- */

/* 0, or what ends the connection. */
static int decode_trailers(h2o_http2_conn_t *conn, sheaf_cuts_t *cuts, const char **err_desc)
{
    int status, slot = slot_of(cuts, cuts->trailers_of);
    size_t content_length;
    h2o_req_t scratch;

    h2o_init_request(&scratch, &conn->super, NULL);
    status = h2o_hpack_parse_headers(&scratch, &conn->_input_header_table, cuts->trailers, cuts->trailers_len, NULL,
                                     &content_length, NULL, err_desc);
    h2o_mem_clear_pool(&scratch.pool); /* it has no answer to dispose of */
    if (slot >= 0)
        cuts->slots[slot].stream_id = 0;
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
    sheaf_cuts_t *cuts = &client->frames.cuts;
    int status;

    if (cuts->trailers_len + len > sheaf_front_limits(client->front)->headers_size_bytes)
        return too_many_trailers(client, err_desc);
    cuts->trailers = sheaf_realloc(cuts->trailers, cuts->trailers_len + len + 1);
    memcpy(cuts->trailers + cuts->trailers_len, piece, len);
    cuts->trailers_len += len;
    client->frames.is_in_head = !is_last;
    if (!is_last)
        return 0;
    status = decode_trailers(conn, cuts, err_desc);
    cuts->trailers_of = 0;
    cuts->trailers_len = 0;
    sheaf_cuts_fini(cuts);
    return status;
}

int sheaf_cuts_take_trailers(h2o_http2_conn_t *conn, sheaf_client_t *client, h2o_http2_frame_t *frame,
                             const char **err_desc)
{
    h2o_http2_stream_t *stream = h2o_http2_conn_get_stream(conn, frame->stream_id);
    bool is_last = (frame->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS) != 0;
    h2o_http2_headers_payload_t payload;

    if (frame->stream_id == 0 || !sheaf_cuts_are_of(&client->frames.cuts, stream, frame->stream_id) ||
        h2o_http2_decode_headers_payload(&payload, frame, err_desc) != 0)
        return 0;
    client->frames.cuts.trailers_of = frame->stream_id;
    sheaf_guard_blank(frame);
    return keep_trailers(conn, client, payload.headers, payload.headers_len, is_last, err_desc);
}

/* Between the pieces nothing else may come (RFC 9113 6.10). */
int sheaf_cuts_take_more(h2o_http2_conn_t *conn, sheaf_client_t *client, h2o_http2_frame_t *frame,
                         const char **err_desc)
{
    const uint8_t *piece = frame->payload;
    size_t len = frame->length;
    bool is_last = (frame->flags & H2O_HTTP2_FRAME_FLAG_END_HEADERS) != 0;

    if (frame->type != H2O_HTTP2_FRAME_TYPE_CONTINUATION || frame->stream_id != client->frames.cuts.trailers_of) {
        *err_desc = "expected CONTINUATION frame";
        return H2O_HTTP2_ERROR_PROTOCOL;
    }
    sheaf_guard_blank(frame);
    return keep_trailers(conn, client, piece, len, is_last, err_desc);
}

#endif
