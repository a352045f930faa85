/* rate_limit_redis - one worker's limits as Redis counts them: a question a decision. */
#ifndef RATE_LIMIT_REDIS_H
#define RATE_LIMIT_REDIS_H

#include "rate_limit_conf.h"

typedef struct rate_limit_redis rate_limit_redis_t;

typedef struct rate_limit_redis_events {
    /* outcome NULL: there is no answer, in time or at all. Never from inside ask, never after free. */
    void (*on_outcome)(void *owner, sheaf_p_ref_t ref, uint64_t cost, const rate_limit_outcome_t *outcome);
    void *owner;
    uint32_t lost_counter; /* of the plugin: connections that were lost or could not be made */
} rate_limit_redis_events_t;

/* NULL: no memory. Dials at once. `conf` is borrowed. */
rate_limit_redis_t *rate_limit_redis_new(const sheaf_p_api_t *api, sheaf_p_worker_t *worker,
                                         const rate_limit_conf_t *conf, const rate_limit_redis_events_t *events);
void rate_limit_redis_free(rate_limit_redis_t *redis);

/* Charges `cost` to the key. Returns false if it cannot be asked now: on_outcome will not come. */
bool rate_limit_redis_ask(rate_limit_redis_t *redis, sheaf_p_ref_t ref, const uint64_t hash[2], uint64_t cost);

/* As redis_conn_is_there. */
bool rate_limit_redis_is_there(const rate_limit_redis_t *redis);

#endif
