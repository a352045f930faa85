/* upstream/throttle.h - how many exchanges of an upstream fly at once, and which are not worth sending.
 *
 *   door, or front of the line --shed?--> 504      --is there room?--> flies --how it ended--> gradient, shed
 *
 * One per group. It counts what flies against max_in_flight and the adaptive limit (gradient), and brings gradient and shed,
 * which are off unless configured, the clock and the ends of exchanges. How each attempt ended, and how long that took, goes
 * to the metrics of the upstream from here, too. */
#ifndef SHEAF_UPSTREAM_THROTTLE_H
#define SHEAF_UPSTREAM_THROTTLE_H

#include "gateway/base/upstats.h"
#include "gateway/http/exchange.h"
#include "gateway/upstream/gradient.h"
#include "gateway/upstream/shed.h"

typedef struct sheaf_throttle {
    sheaf_clock_t *clock;
    sheaf_metrics_t *metrics; /* may be NULL */
    sheaf_upstats_t *upstats; /* likewise */
    const sheaf_upstream_conf_t *conf;
    uint32_t in_flight;
    uint32_t answered;          /* of them, streamed ones whose head has passed */
    sheaf_gradient_t *gradient; /* NULL: off */
    sheaf_shed_t *shed;         /* NULL: off */
} sheaf_throttle_t;

void sheaf_throttle_init(sheaf_throttle_t *throttle, sheaf_clock_t *clock, sheaf_metrics_t *metrics,
                         sheaf_upstats_t *upstats, const sheaf_upstream_conf_t *conf);
void sheaf_throttle_fini(sheaf_throttle_t *throttle);
void sheaf_throttle_rebase(sheaf_throttle_t *throttle, const sheaf_upstream_conf_t *conf); /* an equal one */

/* May one more fly? Asked for an exchange that waits otherwise. */
bool sheaf_throttle_has_room(sheaf_throttle_t *throttle);

/* True: the exchange, which has until exchange->end_ms, is not to be sent. Counted. */
bool sheaf_throttle_sheds(sheaf_throttle_t *throttle, sheaf_exchange_t *exchange);

/* An attempt begins, and ends: with `err`, or an answer of `status`. SHEAF_ERR_CANCELLED: cut short from outside, by its
 * owner or a deadline of its owner, which counts neither as an answer nor as a failure here (what is late counts in leaving).
 * Entering one that flies, and leaving with one that does not, does nothing. */
void sheaf_throttle_enter(sheaf_throttle_t *throttle, sheaf_exchange_t *exchange);
void sheaf_throttle_leave(sheaf_throttle_t *throttle, sheaf_exchange_t *exchange, sheaf_err_t err, uint16_t status);

/* The head of an answer to a streamed one is handed to its owner, who takes what time it likes from here on: how long it took
 * is known now, and is not asked of leave. The adaptive limit is one of those that wait for an answer: it makes room, where
 * an event stream would stand in the way of others for hours. */
void sheaf_throttle_answered(sheaf_throttle_t *throttle, const sheaf_exchange_t *exchange, uint16_t status);

/* An attempt came to nothing, and will be made again: the backend has not acted on it, so how long it flew says nothing. */
void sheaf_throttle_undo(sheaf_throttle_t *throttle, sheaf_exchange_t *exchange);

/* It joins the line, and leaves it for whatever reason: how long that was goes to the metrics. */
void sheaf_throttle_joined(const sheaf_throttle_t *throttle, sheaf_exchange_t *exchange);
void sheaf_throttle_waited(const sheaf_throttle_t *throttle, const sheaf_exchange_t *exchange);

#endif
