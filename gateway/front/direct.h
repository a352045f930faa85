/* front/direct.h - requests to a route itself: answered as its upstream answers, while it answers.
 *
 * Head, then bytes as libh2o takes them, one h2o_send at a time: what is there is sent at once. What the client has not
 * taken is the backend's to wait for (sheaf_direct_credit), so a download of any size needs no more memory than a small
 * one. Content-Length is kept where the backend gave one. An answer that its backend breaks off is cut here too: a client
 * never takes it for whole. */
#ifndef SHEAF_FRONT_DIRECT_H
#define SHEAF_FRONT_DIRECT_H

#include "gateway/front/visit.h"

/* Answers the request of `visit`, which no endpoint is there for. */
void sheaf_direct_serve(sheaf_visit_t *visit);

#endif
