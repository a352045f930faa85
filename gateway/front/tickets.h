/* front/tickets.h - the keys that session tickets are sealed with (RFC 5077 4), shared by all workers.
 *
 * They lie in memory that the supervisor maps before it forks, so a ticket of one worker is good at another, across a
 * reload and after a worker's death; a new binary (SIGUSR2) begins with a copy of them. Never more than one process
 * writes them (the supervisor, or a worker alone); workers read under a sequence count and never wait. A key seals for
 * one period, then opens for another: with a period of the longest session_timeout no ticket outlives its key, and a key
 * that leaks opens nothing older than two of them. A core dump holds none.
 *
 *   AES-256-CBC for secrecy, HMAC-SHA-256 over it, both keys and the key's name from the system's random source. */
#ifndef SHEAF_FRONT_TICKETS_H
#define SHEAF_FRONT_TICKETS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/snapshot.h"

typedef struct sheaf_tickets sheaf_tickets_t;

/* Maps the memory; NULL with errno when the system refuses. There is no key before the first rotation. */
sheaf_tickets_t *sheaf_tickets_new(void);
void sheaf_tickets_free(sheaf_tickets_t *tickets); /* in this process; NULL is fine */

/* How long a key seals under `conf`: the longest session_timeout of its listeners; 0 when none gives tickets. */
uint64_t sheaf_tickets_period_ms(const sheaf_conf_t *conf);

/* The one writer's: makes a new key when the last one has sealed for `period_ms` and forgets the one that is too old.
 * Returns when it wants to be called again (UINT64_MAX: never, period_ms is 0). */
uint64_t sheaf_tickets_rotate(sheaf_tickets_t *tickets, uint64_t now_ms, uint64_t period_ms);

/* A copy for the process that comes after this one: a memfd that stays open across exec, -1 when the system refuses. The
 * caller is the writer. */
int sheaf_tickets_give(const sheaf_tickets_t *tickets);

/* Begins with such a copy, whose keys are as old as they were, and closes `fd`. False when there is none in it, or one of
 * another layout, or of a time that has not come: nothing changes then. Before there is any reader. */
bool sheaf_tickets_take(sheaf_tickets_t *tickets, int fd, uint64_t now_ms);

/* Makes `context` seal and open its tickets with these keys. Without a key there are no tickets. */
void sheaf_tickets_install(sheaf_tickets_t *tickets, SSL_CTX *context);

#endif
