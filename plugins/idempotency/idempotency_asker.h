/* idempotency_asker.h - who asks, by which key, and for what: hashes that an answer is remembered under and compared by. */
#ifndef IDEMPOTENCY_ASKER_H
#define IDEMPOTENCY_ASKER_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

#define IDEMPOTENCY_FIELD "idempotency-key"

typedef struct idempotency_asker {
    const sheaf_p_api_t *api;
    char identity[65];  /* the attribute that says whose a key is */
    uint64_t secret[2]; /* nobody can find keys that share a place */
} idempotency_asker_t;

/* An item's own key; else that of its batch, of which every item has a part of its own. False: there is none. */
bool idempotency_find_key(const idempotency_asker_t *asker, sheaf_p_ref_t item, sheaf_p_str_t *ret_field,
                          bool *ret_is_of_batch);

/* Two say two things, and a backend may believe the other one. */
bool idempotency_is_more_than_one(const idempotency_asker_t *asker, sheaf_p_ref_t item);

/* IDEMPOTENCY_HASH bytes each: of the key with whose it is, of what is asked. False: no memory. */
bool idempotency_hash_key(const idempotency_asker_t *asker, sheaf_p_ref_t item, sheaf_p_str_t key, bool is_of_batch,
                          uint8_t *ret_hash);
bool idempotency_hash_payload(const idempotency_asker_t *asker, sheaf_p_ref_t item, uint8_t *ret_hash);

#endif
