#include "gateway/front/guard/flow.h"

#include "gateway/front/client.h"
#include "gateway/front/guard/internal.h"

#if SHEAF_GUARD_IS_ON

enum { INTERNAL_ERROR = 2, CANCEL = 8 }; /* RFC 9113 7 */

static h2o_http2_stream_t *stream_of(const h2o_req_t *req)
{
    return H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
}

static h2o_http2_conn_t *conn_of(const h2o_req_t *req)
{
    return (h2o_http2_conn_t *)(void *)req->conn;
}

/* An answer of which only END_STREAM is left waits for windows too, as libh2o has it. */
static bool is_framed(h2o_http2_stream_t *stream)
{
    switch (stream->state) {
    case H2O_HTTP2_STREAM_STATE_SEND_BODY:
        return !h2o_http2_stream_has_pending_data(stream);
    case H2O_HTTP2_STREAM_STATE_SEND_BODY_IS_FINAL:
        return false;
    default:
        return true;
    }
}

sheaf_flow_t sheaf_flow_of(const h2o_req_t *req)
{
    if (req->version < 0x200 || is_framed(stream_of(req)))
        return SHEAF_FLOW_KERNEL;
    if (h2o_http2_window_get_window(&stream_of(req)->output_window) <= 0)
        return SHEAF_FLOW_STREAM;
    return h2o_http2_window_get_window(&conn_of(req)->_write.window) <= 0 ? SHEAF_FLOW_CONN : SHEAF_FLOW_TURN;
}

/* What the window was opened by and is not open any more has been used. */
uint64_t sheaf_flow_data(const h2o_req_t *req)
{
    if (req->version < 0x200)
        return 0;
    return sheaf_client_of((h2o_req_t *)req)->frames.window_bytes -
           (uint64_t)h2o_http2_window_get_window(&conn_of(req)->_write.window);
}

bool sheaf_flow_is_writing(const h2o_req_t *req)
{
    return req->version < 0x200 || conn_of(req)->_write.buf_in_flight != NULL;
}

/* At once: nothing of it is on its way to the kernel. */
static bool reset(h2o_req_t *req, int code)
{
    h2o_http2_conn_t *conn = conn_of(req);
    h2o_http2_stream_t *stream = stream_of(req);

    if (conn->state >= H2O_HTTP2_CONN_STATE_IS_CLOSING)
        return false;
    sheaf_cuts_tell(&sheaf_client_of(req)->frames.cuts, stream->stream_id);
    h2o_http2_encode_rst_stream_frame(&conn->_write.buf, stream->stream_id, code);
    h2o_http2_conn_request_write(conn);
    h2o_http2_stream_reset(conn, stream);
    return true;
}

bool sheaf_flow_reset(h2o_req_t *req)
{
    return sheaf_flow_of(req) == SHEAF_FLOW_STREAM && reset(req, CANCEL);
}

bool sheaf_flow_break(h2o_req_t *req)
{
    if (req->version < 0x200 || stream_of(req)->state != H2O_HTTP2_STREAM_STATE_SEND_BODY ||
        h2o_http2_stream_has_pending_data(stream_of(req)))
        return false;
    return reset(req, INTERNAL_ERROR);
}

#else

sheaf_flow_t sheaf_flow_of(const h2o_req_t *req)
{
    (void)req;
    return SHEAF_FLOW_KERNEL;
}

uint64_t sheaf_flow_data(const h2o_req_t *req)
{
    (void)req;
    return 0;
}

bool sheaf_flow_is_writing(const h2o_req_t *req)
{
    (void)req;
    return true;
}

bool sheaf_flow_reset(h2o_req_t *req)
{
    (void)req;
    return false;
}

bool sheaf_flow_break(h2o_req_t *req)
{
    (void)req;
    return false;
}

#endif
