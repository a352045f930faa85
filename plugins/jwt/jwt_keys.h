/* jwt/jwt_keys.h - a set of keys: a JWKS document (RFC 7517 5), a secret, or both. */
#ifndef SHEAF_JWT_KEYS_H
#define SHEAF_JWT_KEYS_H

#include "plugins/jwt/jwt_key.h"

#define JWT_KEYS_MAX 64
#define JWT_JWKS_MAX ((size_t)256 * 1024) /* bytes of a document */
#define JWT_TRIES    8                    /* signatures checked for a token that names no key */

typedef struct jwt_keys {
    uint32_t count, skipped;
    const char *why_skipped; /* of the last one */
    jwt_key_t keys[JWT_KEYS_MAX];
} jwt_keys_t;

/* Reads a document. Keys that encrypt are passed over; those of no use are skipped, as the RFC asks for, and counted; so are those
 * behind the 64th.
 *
 * returns  the set, which the caller frees; or NULL: it is no JWKS document, `ret_why` says what is wrong */
jwt_keys_t *jwt_keys_read(sheaf_p_str_t document, const char **ret_why);

/* An empty set. NULL: no memory. */
jwt_keys_t *jwt_keys_new(void);

/* Adds a secret. NULL, or what is wrong with it. */
const char *jwt_keys_add_secret(jwt_keys_t *keys, sheaf_p_str_t secret);

/* Whether one of the keys signed the token by one of `algs`: JWT_OK, JWT_ALGORITHM, JWT_UNKNOWN_KEY or JWT_SIGNATURE. */
jwt_verdict_t jwt_keys_verify(const jwt_keys_t *keys, uint32_t algs, const jwt_token_t *token);

void jwt_keys_free(jwt_keys_t *keys);

#endif
