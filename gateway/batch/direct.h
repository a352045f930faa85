/* batch/direct.h - a client's own request: a batch of one item without the wrapping, whose answer is handed on as it
 * comes instead of being kept.
 *
 *   new --> plan --> start --> on_head --> on_body* --> on_item, on_done
 *             \                   \_ item->status, item->answer: the end-to-end headers
 *              \_ refused: nothing has been sent
 *
 * Route, url, policy, upstream and all ends are those of an item; so an item may do nothing that a request may not, and the
 * other way round. What differs: all end-to-end headers of the client go along (an item's own headers are these, and
 * nothing is inherited), any method may have a body, the answer is neither read nor bounded, and once its head is there
 * no timeout of the whole applies. Where on_item comes without on_head before it, item->answer and item->body are the
 * whole answer: a problem document. With on_head before it, item->err tells whether the answer was whole. */
#ifndef SHEAF_BATCH_DIRECT_H
#define SHEAF_BATCH_DIRECT_H

#include "gateway/batch/batch.h"

/* `outer` may be used until sheaf_batch_free. */
sheaf_batch_t *sheaf_direct_new(const sheaf_batch_env_t *env, const sheaf_outer_t *outer);

/* Makes the item: `target` is the path and query as sent, `body` that of the request (absent: none); both must live until
 * the batch is done. What is refused, is so in the words of a request: BAD_REQUEST, NOT_FOUND, METHOD, TOO_LARGE,
 * URI_TOO_LONG, HEAD_TOO_LARGE, LOOP, INHERITED. */
sheaf_err_t sheaf_direct_plan(sheaf_batch_t *batch, sheaf_str_t target, sheaf_str_t body, sheaf_fail_t *fail);

/* The methods that the path of a refused request takes (METHOD); absent otherwise. */
sheaf_str_t sheaf_direct_allow(const sheaf_batch_t *batch);

/* An OPTIONS that may not be forwarded any more (Max-Forwards: 0, RFC 9110 7.6.2): the answer is ours. */
bool sheaf_direct_ends_here(const sheaf_batch_t *batch);

/* The methods that the path of a planned request takes; absent: any. */
sheaf_str_t sheaf_direct_methods(const sheaf_batch_t *batch);

/* After METHOD: takes the route of that path for another method as the item's, so that it is known whose plugins are asked.
 * The item is not sent. */
void sheaf_direct_take_other(sheaf_batch_t *batch);

/* Its head is about to be sent: tells hooks, and when they put another answer in its place the backend's is given up, so that
 * on_item has come when this returns. */
void sheaf_direct_tell_head(sheaf_batch_t *batch);

/* The body goes, and nothing flies any more: whoever looks at the item later finds none. */
void sheaf_direct_forget_body(sheaf_batch_t *batch);

/* The client took `len` bytes of the answer: a paused backend may go on. */
void sheaf_direct_credit(sheaf_batch_t *batch, size_t len);

/* For fanout: the head of an answer, or more of its body. */
bool sheaf_direct_take_head(sheaf_item_t *item, const sheaf_answer_head_t *head);
bool sheaf_direct_take_body(sheaf_item_t *item, const char *bytes, size_t len);

#endif
