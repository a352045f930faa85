/* upstream/twin.h - two flights for one exchange (hedge.h says when), of which the first good answer is taken.
 *
 *   owner's exchange --> conn 1 ...................... late: its twin --> conn 2
 *     good head on 1: the twin is let go                  good head on 2: they trade places, the twin is let go
 *     failure on 1:   the owner's takes conn 2 over       failure on 2:   the twin is over
 *
 * The twin is a copy of the question that only this upstream knows: it has no sink and no deadline, it never waits, rests
 * or goes to a fallback, and it lives as long as both fly. Whichever conn is left, or answers well first, carries the
 * owner's exchange from then on, so all that follows (more of the answer, retry, fallback, cancel) is as if it had been
 * sent there: what is asked after both have failed is asked once, of the last failure. Good is what is below 500 and no
 * 429 that retry would repeat; a bad head is thrown away while the other one flies.
 * Both are at different servers from their first moment to their last: a dial that would go on at another server ends
 * instead. The one that is let go says nothing of its server: slow is not failed. A twin takes only what is to spare: a
 * conn that is idle, or room for one, with nobody waiting and the breaker closed. And none flies while the conn of the first
 * has bytes that were not read yet: a worker with too much to do is late itself. */
#ifndef SHEAF_UPSTREAM_TWIN_H
#define SHEAF_UPSTREAM_TWIN_H

#include "gateway/upstream/group.h"

/* `exchange` is about to fly: its deadline strikes when it is late. */
void sheaf_twin_watch(sheaf_group_t *group, sheaf_exchange_t *exchange);

/* It is late: sends its twin if it may, and sets its deadline to its end. */
void sheaf_twin_send(sheaf_exchange_t *exchange);

/* A head came on a flight, for one of two or for one that is timed. False: throw the answer away. True: flight->exchange
 * is the owner's now, and alone. */
bool sheaf_twin_takes(sheaf_flight_t *flight, uint16_t status);

/* A flight, which is not aboard any more, is over without an answer to be told of (SHEAF_ERR_CANCELLED: it came to nothing,
 * the backend has not acted on it). True: it was one of two, and the other one goes on; the twin is freed, whichever it was.
 * False: its exchange flew alone, nothing happened. */
bool sheaf_twin_lost(sheaf_flight_t *flight, sheaf_err_t err);

/* One that flew alone is over: what it took, if it had no head. */
void sheaf_twin_ended(sheaf_exchange_t *exchange);

/* The owner's exchange is taken from where it flies: so is its twin. */
void sheaf_twin_let_go(sheaf_exchange_t *exchange);

#endif
