/* Any bytes as a JWKS document: bounded, every key is for something, and a forged token verifies by none. */
#include <stdlib.h>
#include <string.h>

#include "plugins/jwt/jwt_keys.h"

#define FORGED_TAIL ".e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool claim)
{
    if (!claim)
        abort();
}

static void check_key(const jwt_key_t *key)
{
    bool is_secret = key->pkey == NULL;

    require(key->algs != 0 && is_secret == (key->algs == JWT_HS256));
    require(!is_secret || (key->secret_len >= JWT_SECRET_MIN && key->secret_len <= JWT_SECRET_MAX));
    require(is_secret || (key->algs & JWT_HS256) == 0);
    require(key->kid_len <= JWT_KID_MAX && (key->has_kid || key->kid_len == 0));
    if (!is_secret && EVP_PKEY_get_base_id(key->pkey) == EVP_PKEY_RSA)
        require(EVP_PKEY_get_bits(key->pkey) >= 2048 && EVP_PKEY_get_bits(key->pkey) <= 8192);
}

static void check_forged(const jwt_keys_t *keys)
{
    static const char *const forged[] = {
        "eyJhbGciOiJFUzI1NiJ9" FORGED_TAIL,
        "eyJhbGciOiJSUzI1NiJ9" FORGED_TAIL,
        "eyJhbGciOiJIUzI1NiJ9" FORGED_TAIL,
    };

    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        jwt_token_t token;

        require(jwt_token_read(sheaf_p_str(forged[i], strlen(forged[i])), 8192, &token) == JWT_OK);
        require(jwt_keys_verify(keys, JWT_ALGS_PUBLIC | JWT_HS256, &token) != JWT_OK);
        jwt_token_fini(&token);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    jwt_keys_t *keys = jwt_keys_read(sheaf_p_str((const char *)data, size), &why);

    if (keys == NULL) {
        require(why != NULL);
        return 0;
    }
    require(keys->count <= JWT_KEYS_MAX && (keys->skipped == 0) == (keys->why_skipped == NULL));
    for (uint32_t i = 0; i < keys->count; i++)
        check_key(&keys->keys[i]);
    check_forged(keys);
    jwt_keys_free(keys);
    return 0;
}
