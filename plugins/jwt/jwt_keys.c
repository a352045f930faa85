#include "plugins/jwt/jwt_keys.h"

#include <stdlib.h>

jwt_keys_t *jwt_keys_new(void)
{
    return calloc(1, sizeof(jwt_keys_t));
}

static void read_key(jwt_keys_t *keys, const json_t *jwk)
{
    const char *why = "a set has at most 64 keys";

    if (!jwt_key_may_verify(jwk))
        return;
    if (keys->count < JWT_KEYS_MAX)
        why = jwt_key_read(jwk, &keys->keys[keys->count]);
    if (why == NULL) {
        keys->count++;
        return;
    }
    keys->skipped++;
    keys->why_skipped = why;
}

jwt_keys_t *jwt_keys_read(sheaf_p_str_t document, const char **ret_why)
{
    json_t *json = document.len <= JWT_JWKS_MAX ? jwt_json_read(document.base, document.len) : NULL;
    const json_t *list = json_object_get(json, "keys"), *jwk;
    jwt_keys_t *keys = NULL;
    size_t index;

    *ret_why = "it is no JSON object with a list `keys`, of at most 256 KiB, no member twice";
    if (json_is_array(list) && (keys = jwt_keys_new()) != NULL)
        json_array_foreach(list, index, jwk) read_key(keys, jwk);
    json_decref(json);
    return keys;
}

const char *jwt_keys_add_secret(jwt_keys_t *keys, sheaf_p_str_t secret)
{
    const char *why = "a set has at most 64 keys";

    if (keys->count < JWT_KEYS_MAX)
        why = jwt_key_secret(secret, &keys->keys[keys->count]);
    if (why == NULL)
        keys->count++;
    return why;
}

jwt_verdict_t jwt_keys_verify(const jwt_keys_t *keys, uint32_t algs, const jwt_token_t *token)
{
    uint32_t tries = 0;

    if ((algs & token->alg) == 0)
        return JWT_ALGORITHM;
    for (uint32_t i = 0; i < keys->count && tries < JWT_TRIES; i++) {
        const jwt_key_t *key = &keys->keys[i];

        if ((key->algs & token->alg) == 0 || !jwt_key_fits(key, token))
            continue;
        if (jwt_key_verify(key, token))
            return JWT_OK;
        tries++;
    }
    return tries > 0 ? JWT_SIGNATURE : JWT_UNKNOWN_KEY;
}

void jwt_keys_free(jwt_keys_t *keys)
{
    if (keys == NULL)
        return;
    for (uint32_t i = 0; i < keys->count; i++)
        jwt_key_fini(&keys->keys[i]);
    free(keys);
}
