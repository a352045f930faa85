/* jwt/jwt_conf.h - the plugin's keys, and their values as the other rooms want them. */
#ifndef SHEAF_JWT_CONF_H
#define SHEAF_JWT_CONF_H

#include "plugins/jwt/jwt_claims.h"
#include "plugins/jwt/jwt_keys.h"

#define JWT_GRANTS_MAX    16  /* claims that become attributes, and those that become fields */
#define JWT_NAME_MAX      64  /* bytes of an attribute's or a field's name */
#define JWT_CHALLENGE_MAX 512 /* bytes of WWW-Authenticate */
#define JWT_SCOPES_MAX    16

/* A claim and what becomes of it. */
typedef struct jwt_grant {
    sheaf_p_str_t claim;
    char name[JWT_NAME_MAX + 1];
} jwt_grant_t;

/* Where keys are fetched. */
typedef struct jwt_remote {
    bool is_set;
    int64_t upstream;
    sheaf_p_str_t path;
    uint64_t refresh_ms, refresh_min_ms, timeout_ms;
} jwt_remote_t;

typedef struct jwt_conf {
    uint32_t algs;              /* that are taken: HS256 only where it was asked for, by name or by giving a secret */
    sheaf_p_str_t jwks, secret; /* base NULL: none */
    jwt_remote_t remote;
    jwt_rules_t rules;
    jwt_grant_t fields[JWT_GRANTS_MAX], attributes[JWT_GRANTS_MAX];
    uint32_t field_count, attribute_count;
    bool is_forwarded, is_required, takes_anonymous_batch;
    sheaf_p_str_t realm, typ; /* typ of length 0: not looked at */
    size_t max_token;
    uint32_t cache_limit;
} jwt_conf_t;

extern const sheaf_p_key_t jwt_conf_keys[];

/* 0, or -1 and `fail`. Texts are borrowed of `values`. */
int jwt_conf_read(const sheaf_p_value_t *values, jwt_conf_t *ret_conf, sheaf_p_fail_t *fail);

/* Who passes without a token, for sheaf_plugin_t; NULL: nobody. */
const char *jwt_conf_lets_pass(const sheaf_p_value_t *values);

/* The keys of `jwks` and `secret`, all of which must be of use; freed by the caller. NULL and `fail`. */
jwt_keys_t *jwt_conf_own_keys(const jwt_conf_t *conf, sheaf_p_fail_t *fail);

#endif
