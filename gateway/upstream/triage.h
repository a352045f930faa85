/* upstream/triage.h - what the end of an exchange means: for itself, for its server, for the upstream.
 *
 *   end of an exchange --> retry    is it sent again?
 *                     \--> outlier  is its server left out?       (the server's, in balance)
 *                      \-> breaker  is the upstream asked at all?
 *
 * One per group. Each of the three is off unless its section is written; with all of them off is_on is false, and the
 * group asks nothing here. Server and upstream hear of every end but two: cancels, and deadlines shorter than
 * what the configuration gives (upstream, route), so that an impatient client ejects nobody. This room brings them the
 * clock, and tells the log and the metrics what they decided. */
#ifndef SHEAF_UPSTREAM_TRIAGE_H
#define SHEAF_UPSTREAM_TRIAGE_H

#include "gateway/upstream/breaker.h"
#include "gateway/upstream/retry.h"
#include "gateway/upstream/stock.h"

typedef struct sheaf_triage {
    sheaf_conn_env_t *env;
    sheaf_balance_t *balance;
    sheaf_stock_t *stock;
    const sheaf_upstream_conf_t *conf;
    bool is_on, has_retry, has_outlier, has_breaker;
    sheaf_retry_t retry;
    sheaf_outliers_t outliers;
    sheaf_breaker_t breaker;
    sheaf_deadline_t readmit; /* when the next ejected server comes back, or earlier */
} sheaf_triage_t;

void sheaf_triage_init(sheaf_triage_t *triage, sheaf_conn_env_t *env, sheaf_balance_t *balance, sheaf_stock_t *stock,
                       const sheaf_upstream_conf_t *conf, uint64_t seed);
void sheaf_triage_fini(sheaf_triage_t *triage);
void sheaf_triage_rebase(sheaf_triage_t *triage, const sheaf_upstream_conf_t *conf); /* an equal one */

/* An exchange comes to the upstream. */
void sheaf_triage_begin(sheaf_triage_t *triage, sheaf_exchange_t *exchange);

/* False: the breaker is open, the exchange is to be refused. lets: it is about to wait; admit: it is about to fly. */
bool sheaf_triage_lets(sheaf_triage_t *triage);
bool sheaf_triage_admit(sheaf_triage_t *triage, sheaf_exchange_t *exchange);

/* The four ends of a flying exchange. Those that return a time: when it is to be sent again (which is counted as spent
 * then), or SHEAF_NEVER. A server that is ejected by it loses its idle conns. */
uint64_t sheaf_triage_ended(sheaf_triage_t *triage, sheaf_flight_t *flight, sheaf_err_t err);
uint64_t sheaf_triage_unreached(sheaf_triage_t *triage, sheaf_exchange_t *exchange, sheaf_err_t err); /* no conn */
void sheaf_triage_late(sheaf_triage_t *triage, sheaf_flight_t *flight);
void sheaf_triage_forget(sheaf_triage_t *triage, sheaf_exchange_t *exchange); /* cancelled: that says nothing */

/* The head of an answer to a streamed exchange is handed on: for the upstream that is how it went, whenever the rest comes.
 * The event streams that break when one server is restarted do not mean that nobody answers. Its end is its server's. */
void sheaf_triage_answered(sheaf_triage_t *triage, sheaf_exchange_t *exchange, uint16_t status);

/* There is no such server any more: what is known of it is forgotten. */
void sheaf_triage_left(sheaf_triage_t *triage, sheaf_server_t *server);

/* One of two that fly for the same (twin.h) failed: that says something of its server, and nothing is decided yet. */
void sheaf_triage_lost(sheaf_triage_t *triage, sheaf_flight_t *flight, sheaf_err_t err);

/* No address of `server` took a connection. */
void sheaf_triage_blame(sheaf_triage_t *triage, sheaf_server_t *server);

/* The head of an answer of 400 or more: false when the answer is to be thrown away, for the exchange is sent again, or
 * goes to its fallback. exchange->other is NULL once that is ruled out. */
bool sheaf_triage_passes(sheaf_triage_t *triage, sheaf_flight_t *flight, const sheaf_answer_head_t *head);

/* Is it a good time to send what nobody asked for? Not while the breaker is anything but closed. */
bool sheaf_triage_is_calm(const sheaf_triage_t *triage);

/* An answer with this status is one to take, where there is a choice. */
bool sheaf_triage_is_good(const sheaf_triage_t *triage, uint16_t status);

#endif
