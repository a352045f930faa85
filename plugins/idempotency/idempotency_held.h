/* idempotency_held.h - what this worker runs, to be said again to a Redis that may have forgotten it.
 *
 * By ticket, which is random: a table of lists. What nobody removes (nobody knows what became of it) is forgotten when its lease is
 * over. At most HELD_MAX. */
#ifndef IDEMPOTENCY_HELD_H
#define IDEMPOTENCY_HELD_H

#include "idempotency_store.h"

#define IDEMPOTENCY_HELD_MAX 65536

typedef struct idempotency_held idempotency_held_t;

/* NULL: no memory. */
idempotency_held_t *idempotency_held_new(void);
void idempotency_held_free(idempotency_held_t *held);

/* Without memory for it, it is not known: that is no more than it was. */
void idempotency_held_add(idempotency_held_t *held, const idempotency_hold_t *hold, uint64_t end_ms, uint64_t now_ms);
void idempotency_held_remove(idempotency_held_t *held, idempotency_ticket_t ticket);

bool idempotency_held_is_empty(const idempotency_held_t *held);

/* Each of those whose lease is not over, until `say` returns false. */
void idempotency_held_each(const idempotency_held_t *held, uint64_t now_ms,
                           bool (*say)(void *data, const idempotency_hold_t *hold, uint64_t left_ms), void *data);

#endif
