/* front/responder.h - results on their way to the client.
 *
 * Settled items are encoded in the order the batch asked for, at most 256 KiB ahead of the client. Nothing is sent until
 * the batch is done (one write with Content-Length), or its linger is over or 64 KiB are there (then it streams, each
 * write made of what came within 5 ms or of 64 KiB). One h2o_send is under way at a time, the next one follows proceed
 * (libh2o.md fact 16). */
#ifndef SHEAF_FRONT_RESPONDER_H
#define SHEAF_FRONT_RESPONDER_H

#include "gateway/front/visit.h"

/* Starts the batch of `visit` and answers with `encoder`. */
void sheaf_responder_start(sheaf_visit_t *visit, const sheaf_encoder_t *encoder);

/* Makes the answer of `visit` a problem document instead of a batch: status, headers, counts. Returns the body, which is
 * to be sent as the one and only piece. */
h2o_iovec_t sheaf_responder_prepare_refusal(sheaf_visit_t *visit, const sheaf_fail_t *fail);

/* Tells the client what its request is called, as x-request-id. */
void sheaf_responder_add_id(sheaf_visit_t *visit);

/* Answers with a problem document instead of a batch. */
void sheaf_responder_refuse(sheaf_visit_t *visit, const sheaf_fail_t *fail);

#endif
