/* guard/cuts.h - requests over HTTP/2 whose handling began before all of them had come: what else comes for them.
 *
 * Such a request was cut short: its answer (413, 503, 400) is on its way while its client still sends. DATA is thrown
 * away, with its flow control windows kept open until the answer is out; then RST_STREAM(NO_ERROR) asks the client to
 * stop (RFC 9113 8.1). Trailers, in however many frames, are decoded for the sake of the HPACK table and thrown away. */
#ifndef SHEAF_FRONT_GUARD_CUTS_H
#define SHEAF_FRONT_GUARD_CUTS_H

#include "gateway/front/guard/guard.h"

#define SHEAF_CUTS_MOST 16

/* Per connection. */
typedef struct sheaf_cuts {
    /* streams whose request was cut short and whose client may not know it yet; the oldest is forgotten first, and
     * libh2o then answers its frames with RST_STREAM(STREAM_CLOSED) */
    struct {
        uint32_t stream_id; /* 0: free */
        bool is_reset;      /* the client has been told */
    } slots[SHEAF_CUTS_MOST];
    uint32_t next;
    /* trailers that come in several frames; 0: none do */
    uint32_t trailers_of;
    uint8_t *trailers;
    size_t trailers_len;
} sheaf_cuts_t;

void sheaf_cuts_fini(sheaf_cuts_t *cuts);

/* SHEAF_OK, or why the body of `req` is only the beginning of what was to come: TOO_LARGE, or OVERLOADED when the worker
 * had no memory for the rest; or why there is none of it, BAD_REQUEST. */
sheaf_err_t sheaf_cuts_why(const h2o_req_t *req);

/* Marks `req`, of which nothing else comes. */
void sheaf_cuts_mark(h2o_req_t *req, sheaf_err_t why);

/* Marks `req`, whose stream is still being sent: whatever else comes for it is thrown away. */
void sheaf_cuts_add(sheaf_cuts_t *cuts, h2o_req_t *req, uint32_t stream_id, sheaf_err_t why);

/* Whatever else comes for a stream that has no request any more is thrown away. `is_reset`: its client knows. */
void sheaf_cuts_remember(sheaf_cuts_t *cuts, uint32_t stream_id, bool is_reset);

/* The stream was reset: if its request was cut, its client is not told so once more. */
void sheaf_cuts_tell(sheaf_cuts_t *cuts, uint32_t stream_id);

/* Is the stream one of those that are remembered? */
bool sheaf_cuts_has(const sheaf_cuts_t *cuts, uint32_t stream_id);

#if SHEAF_GUARD_IS_ON

struct sheaf_client;
struct st_h2o_http2_conn_t;
struct st_h2o_http2_frame_t;
struct st_h2o_http2_stream_t;

/* Is what comes for the stream to be thrown away? `stream` NULL: it is gone. */
bool sheaf_cuts_are_of(const sheaf_cuts_t *cuts, const struct st_h2o_http2_stream_t *stream, uint32_t stream_id);

/* Throws a DATA frame of such a stream away: libh2o sees a blank one. */
void sheaf_cuts_swallow(struct st_h2o_http2_conn_t *conn, sheaf_cuts_t *cuts, struct st_h2o_http2_frame_t *frame,
                        const h2o_http2_settings_t *ours);

/* A HEADERS frame, which holds trailers if its stream was cut; and what comes while trailers_of is not 0. 0, or what ends
 * the connection. */
int sheaf_cuts_take_trailers(struct st_h2o_http2_conn_t *conn, struct sheaf_client *client,
                             struct st_h2o_http2_frame_t *frame, const char **err_desc);
int sheaf_cuts_take_more(struct st_h2o_http2_conn_t *conn, struct sheaf_client *client,
                         struct st_h2o_http2_frame_t *frame, const char **err_desc);

#endif
#endif
