/* front/greeting.h - a connection whose proxy has to say first for whom it stands (PROXY protocol).
 *
 * Exactly the bytes of the header are read from the descriptor, before anybody else reads it: what follows, a TLS
 * handshake or a request, stays in the kernel for libh2o. The proxy speaks first and at once, so a header that is not
 * complete within limits.handshake_timeout is none. */
#ifndef SHEAF_FRONT_GREETING_H
#define SHEAF_FRONT_GREETING_H

#include "gateway/front/inside.h"
#include "gateway/front/proxy_protocol.h"

#define SHEAF_GREETING_HURRY_MS 1000 /* what is left of it once a drain began */

/* The end of a greeting: `fd` is the callback's from here on. fd -1: there was no valid header, the connection is closed
 * and counted; `header` is NULL then. */
typedef void (*sheaf_greeting_cb)(void *data, int fd, const sheaf_proxy_header_t *header);

/* Takes over `fd` (non-blocking) and waits. on_done is called once, in a later turn. False: it cannot be watched, is
 * closed, and on_done is not called. */
bool sheaf_greeting_start(sheaf_front_t *front, int fd, sheaf_greeting_cb on_done, void *data);

/* A drain began: whoever has not spoken yet has SHEAF_GREETING_HURRY_MS left. */
void sheaf_greeting_hurry(sheaf_front_t *front);

/* Ends all that wait, without counting them. */
void sheaf_greeting_end_all(sheaf_front_t *front);

#endif
