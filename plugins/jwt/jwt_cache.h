/* jwt/jwt_cache.h - tokens whose signature was found right, so that a client's hundred items cost one verification.
 *
 * Known by the SHA-256 of the whole token; what is kept are its claims, whose times are looked at anew each time. At most so many,
 * the one not asked for the longest goes first. Cleared when the keys change. */
#ifndef SHEAF_JWT_CACHE_H
#define SHEAF_JWT_CACHE_H

#include "plugins/jwt/jwt_text.h"

#define JWT_HASH_LEN 32

typedef struct jwt_cache jwt_cache_t;

/* limit    entries, 1 or more
 * returns  NULL: no memory */
jwt_cache_t *jwt_cache_new(uint32_t limit);
void jwt_cache_free(jwt_cache_t *cache);
void jwt_cache_clear(jwt_cache_t *cache);

/* False: OpenSSL refuses; nothing is to be believed then. */
bool jwt_cache_hash(jwt_cache_t *cache, sheaf_p_str_t token, uint8_t ret_hash[JWT_HASH_LEN]);

/* The claims of that token, borrowed until the next put or clear; NULL: not known. */
json_t *jwt_cache_find(jwt_cache_t *cache, const uint8_t hash[JWT_HASH_LEN]);

/* Keeps `claims` (counted up). */
void jwt_cache_put(jwt_cache_t *cache, const uint8_t hash[JWT_HASH_LEN], json_t *claims);

#endif
