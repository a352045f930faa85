/* front/lingering.h - the lingering close: an answer that came before the end of the request reaches its client.
 *
 * A socket that is closed with bytes unread is reset by the kernel, and the reset overtakes the answer (RFC 9112 9.6).
 * libh2o closes so (libh2o.md fact 20). We keep a copy of the descriptor, end only our side, and throw away what still
 * comes: until the client closes, is silent for 5 s, or 30 s have passed. So many per worker; others are just closed. */
#ifndef SHEAF_FRONT_LINGERING_H
#define SHEAF_FRONT_LINGERING_H

#include "gateway/front/client.h"

#define SHEAF_LINGERING_MOST 256

/* When libh2o closes `client`, let it linger. Nothing happens when there is no descriptor to spare. */
void sheaf_lingering_keep(sheaf_client_t *client);

/* libh2o has closed a client that was kept: `fd` is taken over. */
void sheaf_lingering_start(sheaf_front_t *front, int fd);

/* Closes every one of them now. */
void sheaf_lingering_end_all(sheaf_front_t *front);

#endif
