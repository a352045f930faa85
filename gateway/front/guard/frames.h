/* guard/frames.h - h2o_http2_decode_frame, replaced: frames before libh2o handles them; and
 * h2o_http2__encode_rst_stream_frame: what it says when it resets a stream.
 *
 * Facts of libh2o.md:
 *  1  WINDOW_UPDATE or SETTINGS that lifts the window of a stream whose last frame is still being written: an assert.
 *     Such a stream needs no window any more: the update is dropped, its window kept far above zero.
 *  3  CONTINUATION on a connection that is ending spins for ever: it is an error here.
 *  3  A request beyond the last one that GOAWAY named is reset with REFUSED_STREAM: its client may send it again (RFC 9113
 *     6.8, 8.7). What else comes for it is thrown away.
 *  8  resets that the server is provoked to are counted like those of the client: by the requests that were abandoned.
 * 11  request bodies are buffered without bound, for 100 streams: their sum is bounded (limits.buffered_body).
 * 14  every frame of an unknown type prints a line: it is dropped.
 * 15  frames that do no work are paid from a bucket (limits.control_frames).
 * 20  a body over the limit is refused with REFUSED_STREAM, which tells the client to send it again. The first DATA frame
 *     that goes over the largest max_body, or that belongs to a content-length which does, is made the last one of its
 *     request: the handler answers 413 at once. What the client still sends is for cuts.h. */
#ifndef SHEAF_FRONT_GUARD_FRAMES_H
#define SHEAF_FRONT_GUARD_FRAMES_H

#include "gateway/front/bucket.h"
#include "gateway/front/guard/cuts.h"
#include "gateway/front/guard/guard.h"

/* Per connection. */
typedef struct sheaf_frames {
    sheaf_bucket_t control;
    uint32_t data_frames;
    uint64_t noticed_ms;  /* when a drain was announced, 0: never */
    uint32_t last_stream; /* after a GOAWAY that named it: requests beyond are not taken; UINT32_MAX: none was sent */
    uint32_t refused;     /* the stream whose reset is about to be written and means REFUSED_STREAM; 0: none */
    bool is_http2;
    bool is_in_head;       /* between HEADERS and the CONTINUATION that ends it */
    uint64_t window_bytes; /* by which the client has opened the window of the connection, ever */
    sheaf_cuts_t cuts;
} sheaf_frames_t;

void sheaf_frames_init(sheaf_frames_t *frames, uint64_t burst, uint64_t now_ms);

struct sheaf_client;

/* Takes `cost` from the budget of control frames; false when it is used up, and counted. */
bool sheaf_frames_pay(struct sheaf_client *client, double cost);

/* The reset of this stream, which libh2o is about to write, becomes REFUSED_STREAM. With `has_body`, whatever else comes
 * for it is thrown away. */
void sheaf_frames_refuse(sheaf_frames_t *frames, uint32_t stream_id, bool has_body);

#endif
