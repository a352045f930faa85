/* jwt/jwt_ring.h - the keys of one instance: its own, and those that are fetched and kept fresh.
 *
 *   open -> fetch -> known --refresh--> fetch -> ...          a fetch that fails changes nothing but the time of the next
 *                      `---- unknown kid, not within refresh_min ----> fetch; who asked waits for it
 *
 * Who waits is told once, whatever came of it, and is not to wait again for the same token. */
#ifndef SHEAF_JWT_RING_H
#define SHEAF_JWT_RING_H

#include "plugins/jwt/jwt_conf.h"

#define JWT_WAITERS_MAX 1024

typedef struct jwt_ring jwt_ring_t;

typedef struct jwt_ring_events {
    void *data;
    void (*on_change)(void *data);                   /* what was verified before may not be now */
    void (*on_fetched)(void *data, int is_good);     /* of every fetch */
    void (*on_again)(void *data, sheaf_p_ref_t ref); /* a waiter: look once more */
} jwt_ring_events_t;

/* Takes `own` over, in any case. `conf` and `open->values` outlive the ring. NULL: no memory. */
jwt_ring_t *jwt_ring_open(const jwt_conf_t *conf, const sheaf_p_open_t *open, jwt_keys_t *own,
                          const jwt_ring_events_t *events);
void jwt_ring_close(jwt_ring_t *ring);

/* Whether one of the keys signed the token. */
jwt_verdict_t jwt_ring_verify(const jwt_ring_t *ring, const jwt_token_t *token);

/* After JWT_UNKNOWN_KEY: true if fresh keys are on their way, and `ref` hears of them by on_again. */
bool jwt_ring_wait(jwt_ring_t *ring, sheaf_p_ref_t ref);

/* True: keys are to be fetched and none ever came. */
bool jwt_ring_is_blind(const jwt_ring_t *ring);

#endif
