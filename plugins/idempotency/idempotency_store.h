/* idempotency_store - what runs and what was answered, by key, in memory that every worker sees.
 *
 *   (none) --begin--> RUNNING --finish--> DONE --ttl--> (none)
 *                        \--drop, or its lease is over--> (none)
 *
 * A key is a hash of 256 bits: of its first bytes the bucket, of 8 slots. A slot has room for one answer of `answer_bytes`; memory
 * is used as far as it is written to. Of a full bucket the answer that is oldest is forgotten, never what runs.
 *
 * A bucket is locked while it is looked at or copied from: a word that holds the time. One that was locked for a second
 * belongs to a worker that died in the middle, and is taken over. A worker that dies while an item flies leaves RUNNING
 * behind, until the lease is over. */
#ifndef IDEMPOTENCY_STORE_H
#define IDEMPOTENCY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDEMPOTENCY_HASH 32

typedef struct idempotency_memory idempotency_memory_t;

typedef struct idempotency_store {
    idempotency_memory_t *memory;
    uint64_t buckets; /* a power of two */
    uint32_t answer_bytes;
    uint64_t secret[2]; /* of all workers: to be hashed with a key, so that nobody can aim at a bucket */
} idempotency_store_t;

typedef enum idempotency_found {
    IDEMPOTENCY_NEW,     /* it runs now: finish or drop it */
    IDEMPOTENCY_RUNNING, /* somebody else's does */
    IDEMPOTENCY_DONE,    /* and here is the answer */
    IDEMPOTENCY_OTHER,   /* the key was used with another payload */
    IDEMPOTENCY_FULL,    /* nothing can be remembered */
    IDEMPOTENCY_UNKNOWN, /* the store does not say */
} idempotency_found_t;

/* What finish and drop find it by. */
typedef struct idempotency_ticket {
    uint64_t slot, turn;
} idempotency_ticket_t;

/* What an item holds while it runs. In Redis the ticket is a random number. */
typedef struct idempotency_hold {
    uint8_t key[IDEMPOTENCY_HASH], payload[IDEMPOTENCY_HASH];
    idempotency_ticket_t ticket;
} idempotency_hold_t;

uint64_t idempotency_store_bytes(uint64_t entries, uint32_t answer_bytes);

/* `memory` is zeroed, or was used by a store of the same sizes. `random` becomes the secret where there is none yet. */
void idempotency_store_init(idempotency_store_t *store, void *memory, uint64_t entries, uint32_t answer_bytes,
                            const uint64_t random[2]);

/* DONE: the answer is copied to `ret_answer` (answer_bytes) and its length to `ret_len`. `ret_evicted`: answers that were forgotten
 * before their time. */
idempotency_found_t idempotency_store_begin(idempotency_store_t *store, const uint8_t key[IDEMPOTENCY_HASH],
                                            const uint8_t payload[IDEMPOTENCY_HASH], uint64_t now_ms, uint64_t lease_ms,
                                            idempotency_ticket_t *ret_ticket, char *ret_answer, uint32_t *ret_len,
                                            uint32_t *ret_evicted);

/* Both do nothing where the slot has become another's. An answer may take the place of one that was there; it is not dropped
 * any more. len at most answer_bytes. */
void idempotency_store_finish(idempotency_store_t *store, idempotency_ticket_t ticket, uint64_t now_ms, uint64_t ttl_ms,
                              const char *answer, uint32_t len);
void idempotency_store_drop(idempotency_store_t *store, idempotency_ticket_t ticket, uint64_t now_ms);

#endif
