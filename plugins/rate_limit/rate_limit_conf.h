/* rate_limit_conf - the plugin's keys, and their values as the other rooms want them. */
#ifndef RATE_LIMIT_CONF_H
#define RATE_LIMIT_CONF_H

#include "plugins/redis/redis_conf.h"
#include "rate_limit_key.h"
#include "rate_limit_table.h"

#define RATE_LIMIT_POLICY_MAX 32 /* bytes of its name */

/* What becomes of a request while Redis does not answer; in the order of the key's words. */
typedef enum rate_limit_on_error {
    RATE_LIMIT_ON_ERROR_ALLOW,
    RATE_LIMIT_ON_ERROR_DENY,
    RATE_LIMIT_ON_ERROR_LOCAL,
} rate_limit_on_error_t;

typedef struct rate_limit_conf {
    rate_limit_rule_t rules[RATE_LIMIT_RULES_MAX];
    uint32_t rule_count;
    rate_limit_by_t by;
    bool is_per_batch;
    bool says; /* what is left, to clients */
    uint64_t cost;
    uint32_t status;
    char policy[RATE_LIMIT_POLICY_MAX + 1];

    /* of Redis; all of it 0 where it is not asked */
    bool asks_redis;
    rate_limit_on_error_t on_error;
    char prefix[REDIS_PREFIX_MAX]; /* of its keys, with the policy */
    redis_conn_conf_t redis;       /* as written; who opens it adds the rest */
} rate_limit_conf_t;

extern const sheaf_p_key_t rate_limit_conf_keys[];

/* 0, or -1 and `fail`. Texts are borrowed of `values`. */
int rate_limit_conf_read(const sheaf_p_value_t *values, rate_limit_conf_t *ret_conf, sheaf_p_fail_t *fail);

/* How many keys are known at once, for the memory that is asked for before anything is opened. */
uint64_t rate_limit_conf_entries(const sheaf_p_value_t *values);

#endif
