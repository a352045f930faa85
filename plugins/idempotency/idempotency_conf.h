/* idempotency_conf.h - the plugin's keys, and their values as the other rooms want them. */
#ifndef IDEMPOTENCY_CONF_H
#define IDEMPOTENCY_CONF_H

#include "plugins/redis/redis_conf.h"

/* What becomes of a request while Redis does not answer; in the order of the key's words. */
typedef enum idempotency_on_error {
    IDEMPOTENCY_ON_ERROR_DENY,
    IDEMPOTENCY_ON_ERROR_ALLOW,
} idempotency_on_error_t;

typedef struct idempotency_conf {
    const sheaf_p_value_t *methods; /* borrowed; count 0: POST and PATCH */
    bool is_required;
    char identity[65];
    uint64_t ttl_ms, lease_ms, entries;
    uint32_t answer_bytes;

    /* of Redis; all of it 0 where it is not asked */
    bool asks_redis;
    idempotency_on_error_t on_error;
    sheaf_p_str_t prefix;    /* of its keys */
    redis_conn_conf_t redis; /* as written; who opens it adds the rest */
} idempotency_conf_t;

extern const sheaf_p_key_t idempotency_conf_keys[];

/* 0, or -1 and `fail`. Texts are borrowed of `values`. */
int idempotency_conf_read(const sheaf_p_value_t *values, idempotency_conf_t *ret_conf, sheaf_p_fail_t *fail);

/* A number of the place in Redis that its keys lie at: the same for all instances that know of each other's. */
uint64_t idempotency_conf_place(const idempotency_conf_t *conf);

/* Whether `item` is of the methods that are protected. */
bool idempotency_conf_protects(const idempotency_conf_t *conf, const sheaf_p_api_t *api, sheaf_p_ref_t item);

#endif
