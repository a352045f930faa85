/* rate_limit_redis - one worker's connection to Redis.
 *
 *   DOWN --rest is over--> DIALING --connected--> UP
 *     ^_____ cannot, closed, silent for a second _____/
 *
 * Questions are pipelined on the one connection, at most RATE_LIMIT_ASKED_MAX at once, and each has its own timeout. While it is
 * DOWN every question fails at once; it dials again after a rest that doubles from 100 ms to 5 s. Password and database are
 * sent first on every connection. Addresses are numeric or a unix socket: nothing here waits for DNS. */
#ifndef RATE_LIMIT_REDIS_H
#define RATE_LIMIT_REDIS_H

#include "plugins/sheaf_plugin.h"
#include "rate_limit_table.h"

#define RATE_LIMIT_ASKED_MAX 4096
#define RATE_LIMIT_HOST_MAX  108 /* a unix path */

typedef struct rate_limit_redis rate_limit_redis_t;

typedef struct rate_limit_address {
    char host[RATE_LIMIT_HOST_MAX]; /* or the path of a unix socket */
    int port;                       /* 0: a unix socket */
} rate_limit_address_t;

/* 127.0.0.1:6379, [::1]:6379, unix:/run/redis.sock. Returns false if it is none of these. */
bool rate_limit_address_read(sheaf_p_str_t text, rate_limit_address_t *ret_address);

typedef struct rate_limit_redis_conf {
    rate_limit_address_t address;
    sheaf_p_str_t user, password; /* borrowed; empty: none */
    int64_t database;
    const char *prefix; /* borrowed, less than RATE_LIMIT_PREFIX_MAX */
    uint64_t timeout_ms;
    const rate_limit_rule_t *rules; /* borrowed */
    uint32_t rule_count;
    uint32_t lost_counter; /* of the plugin: connections that were lost or could not be made */
    /* outcome NULL: there is no answer, in time or at all. Never from inside ask, never after free. */
    void (*on_outcome)(void *owner, sheaf_p_ref_t ref, uint64_t cost, const rate_limit_outcome_t *outcome);
    void *owner;
} rate_limit_redis_conf_t;

/* NULL: no memory. Dials at once. */
rate_limit_redis_t *rate_limit_redis_new(const sheaf_p_api_t *api, sheaf_p_worker_t *worker,
                                         const rate_limit_redis_conf_t *conf);
void rate_limit_redis_free(rate_limit_redis_t *redis);

/* Charges `cost` to the key. Returns false if it cannot be asked now: on_outcome will not come. */
bool rate_limit_redis_ask(rate_limit_redis_t *redis, sheaf_p_ref_t ref, const uint64_t hash[2], uint64_t cost);

/* It is there, or was a moment ago: a question it has not answered in time, or that it has no room for, may be the fault of
 * those who ask. */
bool rate_limit_redis_is_there(const rate_limit_redis_t *redis);

#endif
