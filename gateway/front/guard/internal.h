/* guard/internal.h - libh2o's inner structures, which do not compile under our warnings. */
#ifndef SHEAF_FRONT_GUARD_INTERNAL_H
#define SHEAF_FRONT_GUARD_INTERNAL_H

#include "gateway/front/guard/guard.h"

#if SHEAF_GUARD_IS_ON

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <h2o/http2_internal.h>
#pragma GCC diagnostic pop

_Static_assert(sizeof(void *) != 8 || (sizeof(h2o_http2_conn_t) == 472 && sizeof(h2o_http2_stream_t) == 880),
               "these are not the inner structures of libh2o 2.2.5");

/* Makes it a frame that libh2o reads without doing anything. */
static inline void sheaf_guard_blank(h2o_http2_frame_t *frame)
{
    static const uint8_t nothing[8];

    frame->type = H2O_HTTP2_FRAME_TYPE_PING;
    frame->flags = H2O_HTTP2_FRAME_FLAG_ACK;
    frame->stream_id = 0;
    frame->payload = nothing;
    frame->length = sizeof(nothing);
}

#endif
#endif
