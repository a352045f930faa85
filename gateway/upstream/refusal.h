/* upstream/refusal.h - HTTP/2: an exchange that the backend has not acted on (RFC 9113 8.7), and whether it goes on.
 *
 * It may be sent again whatever it is, and needs no `retry` for that: REFUSED_STREAM, and what is above the last stream of a
 * GOAWAY. What bounds it: its deadline, and how often, 64 times where a conn goes away (8 of them without a rest), 8 times,
 * with longer and longer rests, where one goes on. */
#ifndef SHEAF_UPSTREAM_REFUSAL_H
#define SHEAF_UPSTREAM_REFUSAL_H

#include "gateway/http/exchange.h"

/* False when it was refused too often: then it counts as a reset. was_conn_lost: its conn goes away (GOAWAY), so that each
 * time costs the backend a new one; *ret_again_ms is SHEAF_NEVER while it goes on at once, then soon. Else the stream
 * alone was refused (REFUSED_STREAM), by a server that has enough of it for now: it is given time until then, each time
 * more. */
bool sheaf_refusal_allows(sheaf_exchange_t *exchange, bool was_conn_lost, uint64_t now_ms, uint64_t *ret_again_ms);

/* It goes on, and another server should be asked, where there is one: not because one conn of it went away, which every
 * server lets end some time (keepalive_requests, a reload), and which is no reason to take a key from it. */
bool sheaf_refusal_is_servers(const sheaf_exchange_t *exchange, bool was_conn_lost);

#endif
