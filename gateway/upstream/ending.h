/* upstream/ending.h - how an exchange leaves its group: told at once, told from the soon-queue, or sent to
 * another group; or stays for another attempt.
 *
 * A route's fallback is that other group (exchange->other). triage closes the way to it as soon as an end is not one that it
 * stands in for, or the request may not be sent twice. */
#ifndef SHEAF_UPSTREAM_ENDING_H
#define SHEAF_UPSTREAM_ENDING_H

#include "gateway/upstream/group.h"

/* exchange->state, while a group has it; 0 is the owner's. */
typedef enum sheaf_exchange_state {
    SHEAF_EXCHANGE_IDLE,
    SHEAF_EXCHANGE_WAITING,   /* in the line */
    SHEAF_EXCHANGE_FLYING,    /* on a conn */
    SHEAF_EXCHANGE_RESTING,   /* between two attempts */
    SHEAF_EXCHANGE_REPORTING, /* over, its owner is about to hear */
} sheaf_exchange_state_t;

/* Tells the owner, and when to ask again where it was refused. Nothing is touched after this: it may have freed the
 * exchange, closed the conn, sent another one. */
void sheaf_ending_tell(sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail);

/* It is sent again at `until_ms`: its one deadline wakes it. False: SHEAF_NEVER, it is not to be sent again. */
bool sheaf_ending_rest(sheaf_group_t *group, sheaf_exchange_t *exchange, uint64_t until_ms);

/* It stood behind another one on a conn (pipelining), in vain: it is sent again, by itself. */
void sheaf_ending_again(sheaf_group_t *group, sheaf_exchange_t *exchange);

/* The end of an exchange here: it goes to its fallback, where that was left open (triage), or back to its owner. */
void sheaf_ending_conclude(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail);

/* The same from the soon-queue, when a sink callback may not run now. `detail` is copied. */
void sheaf_ending_report(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail);

/* The same of one that was not sent at all: the breaker is open, too many wait, it would be late. Counted. */
void sheaf_ending_refuse(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_err_t err, const char *detail);

/* Takes that back. */
void sheaf_ending_unsay(sheaf_exchange_t *exchange);

#endif
