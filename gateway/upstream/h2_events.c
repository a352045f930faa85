/* upstream/h2_events.c - what the nghttp2 session tells, and what becomes of it; see h2.h. */
#include <stdio.h>

#include "gateway/upstream/h2_inside.h"

/* --- how a stream ends --- */

static void tell_end(sheaf_h2_t *h2, sheaf_h2_stream_t *stream, sheaf_h2_end_t end, const char *detail)
{
    void *data = stream->data;

    sheaf_h2_forget(h2, stream);
    h2->setup.events->on_end(h2->setup.owner, data, end, detail);
}

static void refuse(sheaf_h2_t *h2, sheaf_h2_stream_t *stream, const char *why)
{
    sheaf_h2_reset(h2, stream->id, NGHTTP2_PROTOCOL_ERROR);
    tell_end(h2, stream, SHEAF_H2_MALFORMED, why);
}

/* An answer may be complete before its request is: the rest of that is not wanted (RFC 9113 8.1). */
static void finish(sheaf_h2_t *h2, sheaf_h2_stream_t *stream)
{
    const char *why = sheaf_h2_answer_end(&stream->answer);

    if (why != NULL) {
        refuse(h2, stream, why);
        return;
    }
    if (nghttp2_session_get_stream_local_close(h2->session, stream->id) == 0)
        sheaf_h2_reset(h2, stream->id, NGHTTP2_NO_ERROR);
    tell_end(h2, stream, SHEAF_H2_COMPLETE, "");
}

/* Who began an answer has taken the request, whatever it says later. */
static void take_reset(sheaf_h2_t *h2, sheaf_h2_stream_t *stream, uint32_t code)
{
    bool is_refused = code == NGHTTP2_REFUSED_STREAM && !stream->answer.has_head;
    char detail[64];

    snprintf(detail, sizeof(detail), "the server reset the stream: %s", nghttp2_http2_strerror(code));
    tell_end(h2, stream, is_refused ? SHEAF_H2_REFUSED : SHEAF_H2_RESET, detail);
}

/* --- how an answer gets on --- */

static void get_on(sheaf_h2_t *h2, uint32_t frames)
{
    sheaf_h2_earn(h2, frames);
    h2->idle_bytes = 0;
}

static void tell_stranded(sheaf_h2_t *h2, sheaf_h2_stream_t *stream)
{
    if (stream->answer.has_head)
        tell_end(h2, stream, SHEAF_H2_RESET, "the server went away");
    else
        tell_end(h2, stream, SHEAF_H2_REFUSED, "the server went away before it took the request");
}

/* RFC 9113 6.8: streams beyond the last id were not processed. Those that did not go out never will. */
static void take_goaway(sheaf_h2_t *h2, const nghttp2_goaway *goaway)
{
    h2->has_goaway = true;
    if (goaway->error_code != NGHTTP2_NO_ERROR)
        snprintf(h2->detail, sizeof(h2->detail), "the server ended the HTTP/2 connection: %s",
                 nghttp2_http2_strerror(goaway->error_code));
    for (sheaf_h2_stream_t *stream = sheaf_h2_last(h2); stream != NULL;
         stream = sheaf_h2_is_over(h2) ? NULL : sheaf_h2_last(h2)) {
        if (stream->is_sent && stream->id <= goaway->last_stream_id)
            break;
        sheaf_h2_reset(h2, stream->id, NGHTTP2_CANCEL);
        tell_stranded(h2, stream);
    }
    if (!sheaf_h2_is_over(h2))
        h2->setup.events->on_change(h2->setup.owner);
}

/* --- what the session tells --- */

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *data)
{
    sheaf_h2_t *h2 = data;

    (void)session;
    h2->has_run = false;
    if (hd->type == NGHTTP2_PUSH_PROMISE)
        sheaf_h2_fail(h2, NGHTTP2_PROTOCOL_ERROR, "the server pushed, which it was told not to");
    else if (h2->frames_left == 0)
        sheaf_h2_fail(h2, NGHTTP2_ENHANCE_YOUR_CALM, "the server keeps sending frames and no answer");
    else
        h2->frames_left--;
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    sheaf_h2_t *h2 = data;

    (void)session;
    (void)frame;
    sheaf_h2_block_begin(&h2->block);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                     uint8_t flags, void *data)
{
    sheaf_h2_t *h2 = data;

    (void)session;
    (void)frame;
    (void)flags;
    sheaf_h2_block_add(&h2->block, name, value);
    return 0;
}

static void tell_head(sheaf_h2_t *h2, sheaf_h2_stream_t *stream)
{
    const sheaf_h2_block_t *block = &h2->block;
    uint64_t to_come = stream->answer.has_no_body ? 0 : block->content_length; /* a HEAD's length is not to come */
    sheaf_answer_head_t head = {block->status, block->headers, block->count, to_come};

    get_on(h2, SHEAF_H2_FRAMES_A_HEAD);
    h2->setup.events->on_head(h2->setup.owner, stream->data, &head);
}

static void take_block(sheaf_h2_t *h2, sheaf_h2_stream_t *stream, bool is_last)
{
    int32_t id = stream->id;
    bool is_head;
    const char *why = sheaf_h2_answer_block(&stream->answer, &h2->block, is_last, &is_head);

    if (why != NULL) {
        refuse(h2, stream, why);
        return;
    }
    if (is_head)
        tell_head(h2, stream); /* which may have cancelled it */
    if (is_last && !sheaf_h2_is_over(h2) && (stream = sheaf_h2_find(h2, id)) != NULL)
        finish(h2, stream);
}

static void take_frame(sheaf_h2_t *h2, const nghttp2_frame *frame)
{
    sheaf_h2_stream_t *stream = frame->hd.stream_id != 0 ? sheaf_h2_find(h2, frame->hd.stream_id) : NULL;
    bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (stream != NULL)
            take_block(h2, stream, is_last);
        break;
    case NGHTTP2_DATA:
        if (stream != NULL && is_last)
            finish(h2, stream);
        break;
    case NGHTTP2_RST_STREAM:
        if (stream != NULL)
            take_reset(h2, stream, frame->rst_stream.error_code);
        break;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            h2->setup.events->on_change(h2->setup.owner);
        break;
    case NGHTTP2_PING:
        h2->is_pinged &= (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
        break;
    case NGHTTP2_GOAWAY:
        take_goaway(h2, &frame->goaway);
        break;
    default:
        break;
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    sheaf_h2_t *h2 = data;

    (void)session;
    if (!sheaf_h2_is_over(h2) && !(h2->has_goaway && h2->open_count == 0)) /* else nothing is left to be told of */
        take_frame(h2, frame);
    return h2->is_freed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* In the place of the update of its window that would be due now anyway: an answer of which this is known is worth more. */
static void widen(sheaf_h2_t *h2, sheaf_h2_stream_t *stream)
{
    if (stream->is_wide || stream->is_streamed || stream->answer.got < h2->setup.held_window / 2)
        return;
    stream->is_wide = true;
    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, stream->id, (int32_t)h2->setup.stream_window);
}

static int on_run(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *data)
{
    sheaf_h2_t *h2 = data;
    sheaf_h2_stream_t *stream = sheaf_h2_is_over(h2) ? NULL : sheaf_h2_find(h2, id);
    const char *why;

    (void)flags;
    if (stream == NULL) {
        nghttp2_session_consume_connection(session, len);
        return 0;
    }
    get_on(h2, h2->has_run ? 0 : SHEAF_H2_FRAMES_A_RUN);
    h2->has_run = true;
    stream->unconsumed += len;
    why = sheaf_h2_answer_data(&stream->answer, len);
    widen(h2, stream);
    if (why != NULL)
        refuse(h2, stream, why);
    else
        h2->setup.events->on_body(h2->setup.owner, stream->data, (const char *)bytes, len);
    return h2->is_freed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* A fault of one stream, with which the server still broke the rules of all: zero increments, windows overrun. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int why, void *data)
{
    (void)session;
    (void)frame;
    sheaf_h2_fail(data, why == NGHTTP2_ERR_FLOW_CONTROL ? NGHTTP2_FLOW_CONTROL_ERROR : NGHTTP2_PROTOCOL_ERROR,
                  nghttp2_strerror(why));
    return 0;
}

static int on_error(nghttp2_session *session, int why, const char *text, size_t len, void *data)
{
    (void)session;
    (void)text;
    (void)len;
    if (why == NGHTTP2_ERR_SETTINGS_EXPECTED)
        sheaf_h2_fail(data, NGHTTP2_PROTOCOL_ERROR, "what came is not HTTP/2");
    return 0;
}

/* A stream that the session ended by itself was told of in on_frame, or the server broke a rule that we did not see. */
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *data)
{
    sheaf_h2_t *h2 = data;

    (void)code;
    if (!sheaf_h2_is_over(h2) && !h2->has_said_goodbye && nghttp2_session_get_stream_user_data(session, id) != NULL)
        sheaf_h2_fail(h2, NGHTTP2_PROTOCOL_ERROR, "the server broke the rules of a stream");
    return 0;
}

static int before_send(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    sheaf_h2_t *h2 = data;
    sheaf_h2_stream_t *stream;

    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        h2->unsent_count--;
        h2->sent_id = frame->hd.stream_id;
        stream = sheaf_h2_find(h2, frame->hd.stream_id);
        stream->is_sent = true;
    } else if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        sheaf_h2_fail(h2, frame->goaway.error_code, nghttp2_http2_strerror(frame->goaway.error_code));
    }
    return 0;
}

/* Of those that a failure keeps from going out it stays known that they did not. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int why, void *data)
{
    sheaf_h2_t *h2 = data;

    (void)session;
    (void)why;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    h2->unsent_count--;
    if (!sheaf_h2_is_over(h2))
        h2->sent_id = frame->hd.stream_id; /* it was cancelled: from here on the session knows that it is gone */
    return 0;
}

nghttp2_session_callbacks *sheaf_h2_callbacks_new(void)
{
    nghttp2_session_callbacks *callbacks;

    SHEAF_ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_run);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_error_callback2(callbacks, on_error);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, before_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_not_sent);
    return callbacks;
}
