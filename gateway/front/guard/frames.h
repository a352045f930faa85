/* guard/frames.h - h2o_http2_decode_frame, replaced: frames before libh2o handles them.
 *
 * Fact 20 (libh2o.md): a body over max_request_entity_size is answered with REFUSED_STREAM, which tells the client to
 * send it again. Here the first DATA frame that goes over the largest max_body, or that belongs to a content-length
 * which does, is made the last one of its request: the handler answers 413 at once. What the client still sends is
 * thrown away, with its flow control windows kept open until the answer is out; then RST_STREAM(NO_ERROR) asks it to
 * stop (RFC 9113 8.1). */
#ifndef SHEAF_FRONT_GUARD_FRAMES_H
#define SHEAF_FRONT_GUARD_FRAMES_H

#include "gateway/front/guard/guard.h"

#define SHEAF_FRAMES_CUT_MOST 16

/* Per connection: streams whose request was cut short and whose client may not know it yet. The oldest is forgotten
 * first; libh2o then answers its frames with RST_STREAM(STREAM_CLOSED). */
typedef struct sheaf_frames {
    struct {
        uint32_t stream_id; /* 0: free */
        bool is_reset;      /* NO_ERROR was sent */
    } cut[SHEAF_FRAMES_CUT_MOST];
    uint32_t next;
} sheaf_frames_t;

/* The body of `req` is only the beginning of what was to come. */
bool sheaf_frames_is_cut_short(const h2o_req_t *req);

#endif
