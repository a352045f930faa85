/* idempotency_redis.h - what runs and what was answered, by key, in Redis: known to every machine.
 *
 *   (none) --begin--> 'R' payload ticket --finish--> 'A' payload ticket answer --ttl--> (none)
 *                        \--drop, or its lease is over--> (none)
 *
 * Each is one run of a script, so nothing comes in between. Whoever holds a key has drawn its ticket at random; finish and drop do nothing
 * where another one's stands. Finish does write where nothing stands any more: what was done must be known, also by a Redis that has
 * lost what it was told, or after the lease; and over the answer of its own that stands there, when more of it is known.
 *
 * Ends (finish, drop) that Redis did not take are owed until `ttl` is over: at most OWED_MAX of them and OWED_BYTES. When it had
 * been lost they are the first that it is told, then what this worker runs (hold): it may have forgotten all of it. What it
 * refuses, or is late with, is told again after 1 to 30 seconds. Who is freed hands all of it on to another one of this worker
 * that asks the same place (a new configuration's); while it lives and has Redis to tell of it first, that one asks nothing. */
#ifndef IDEMPOTENCY_REDIS_H
#define IDEMPOTENCY_REDIS_H

#include "idempotency_conf.h"
#include "idempotency_store.h"

#define IDEMPOTENCY_OWED_MAX   4096
#define IDEMPOTENCY_OWED_BYTES (16u << 20)

typedef struct idempotency_redis idempotency_redis_t;

typedef struct idempotency_redis_events {
    /* NEW: `hold` is the item's now. DONE: the answer, which is borrowed. UNKNOWN: Redis does not say, in time or at all; the key
     * may be held. Never from inside begin, never after free; `item` may have ended. */
    void (*on_found)(void *owner, sheaf_p_ref_t item, const idempotency_hold_t *hold, idempotency_found_t found,
                     const char *answer, uint32_t len);
    void *owner;
    uint32_t lost_counter; /* of the plugin: connections that were lost or could not be made */
} idempotency_redis_events_t;

/* NULL: no memory. `conf` is borrowed. */
idempotency_redis_t *idempotency_redis_new(const sheaf_p_api_t *api, sheaf_p_worker_t *worker,
                                           const idempotency_conf_t *conf, const idempotency_redis_events_t *events);
void idempotency_redis_free(idempotency_redis_t *redis);

/* Returns false if Redis cannot be asked now: on_found will not come, and the key is not held. */
bool idempotency_redis_begin(idempotency_redis_t *redis, sheaf_p_ref_t item, const idempotency_hold_t *hold);

/* It is sent with that: until it ends, or its lease is over, a Redis that is dialed again is told of it once more. */
void idempotency_redis_hold(idempotency_redis_t *redis, const idempotency_hold_t *hold);

void idempotency_redis_finish(idempotency_redis_t *redis, const idempotency_hold_t *hold, const char *answer,
                              uint32_t len);
void idempotency_redis_drop(idempotency_redis_t *redis, const idempotency_hold_t *hold);

#endif
