/* guard/goaway.h - how HTTP/2 connections end in a drain.
 *
 * libh2o's own way (h2o_context_request_shutdown) can be made to spin and drops uploads (libh2o.md fact 3). RFC 9113 6.8:
 * GOAWAY(2^31-1) says that the end is near, and a round trip later GOAWAY(N) names the last request that was taken;
 * what comes after it is refused, and its client knows that nothing of it was done. */
#ifndef SHEAF_FRONT_GUARD_GOAWAY_H
#define SHEAF_FRONT_GUARD_GOAWAY_H

#include "gateway/front/inside.h"

#define SHEAF_GOAWAY_NOTICE_MS 1000

/* Takes every HTTP/2 connection of the front one step on if it is due: notice, last word, and, once it has no stream,
 * retirement. To be called again and again while draining. */
void sheaf_goaway_step(sheaf_front_t *front);

/* Tells one idle HTTP/2 client that the request it sent last was the last that is taken. */
void sheaf_goaway_tell(sheaf_client_t *client);

#endif
