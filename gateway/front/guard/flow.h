/* guard/flow.h - what an answer over HTTP/2 waits for, and the end of one stream alone.
 *
 * libh2o has no send timeout (libh2o.md fact 11) and no call that resets a stream. A client that keeps the window of one
 * stream shut holds up nothing but that stream: it gets RST_STREAM(CANCEL) (RFC 9113 5.4.2), and its siblings go on. A
 * window of the connection that stays shut, or a kernel that takes no more bytes, holds up all of them. */
#ifndef SHEAF_FRONT_GUARD_FLOW_H
#define SHEAF_FRONT_GUARD_FLOW_H

#include "gateway/front/guard/guard.h"

typedef enum sheaf_flow {
    SHEAF_FLOW_STREAM, /* the stream's window is shut */
    SHEAF_FLOW_CONN,   /* the connection's is */
    SHEAF_FLOW_TURN,   /* neither: it waits for its turn among its siblings, or for the kernel */
    SHEAF_FLOW_KERNEL, /* all of it became frames; on HTTP/1 always */
} sheaf_flow_t;

/* What the bytes wait for that were handed to libh2o for `req`. */
sheaf_flow_t sheaf_flow_of(const h2o_req_t *req);

/* Bytes of DATA that went out on the connection of `req` within its window, ever, but for a constant; on HTTP/1 nothing. */
uint64_t sheaf_flow_data(const h2o_req_t *req);

/* Whether bytes of the connection of `req` are on their way to the kernel, which has not taken all of them yet. */
bool sheaf_flow_is_writing(const h2o_req_t *req);

/* Resets the stream of `req`, whose answer waits as SHEAF_FLOW_STREAM: no frame of it is begun and not ended, so nothing
 * is torn. `req` is gone when it returns true, and the destructors of its pool have run; false, and nothing happened,
 * when the connection is ending anyway. Not to be called below libh2o. */
bool sheaf_flow_reset(h2o_req_t *req);

/* The same, with INTERNAL_ERROR, for an answer that was begun and cannot be ended; all of it that was sent is out. libh2o
 * would say PROTOCOL_ERROR, which blames the client: some never use the connection again. */
bool sheaf_flow_break(h2o_req_t *req);

#endif
