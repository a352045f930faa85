/* Any bytes as a token: what is read is one of the known algorithms, and none verifies that was not signed; claims become texts
 * without controls. */
#include <stdlib.h>
#include <string.h>

#include "plugins/jwt/jwt_claims.h"
#include "plugins/jwt/jwt_keys.h"

#define LIMIT 8192
#define KEYS                                                                                                           \
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTw"   \
    "jAzZr1Z9CAow\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"   \
    "\"x_"                                                                                                             \
    "FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"         \
    "7TyWQHOg7h"                                                                                                       \
    "cvPapiMlrwIaaPcHURo\",\"kid\":\"ed\"}]}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool claim)
{
    if (!claim)
        abort();
}

static void check_claims(const json_t *claims)
{
    static const sheaf_p_str_t names[] = {{"sub", 3}, {"scope", 5}, {"/a/b", 4}, {"aud", 3}};
    const jwt_rules_t rules = {.audiences = {names, 1}, .scopes = {names, 2}, .needs_expiry = true};

    require(jwt_claims_check(claims, &rules, 1000000) < JWT_VERDICTS);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[JWT_CLAIM_MAX];
        size_t len = 0;

        if (!jwt_claims_text(claims, names[i], ',', text, &len))
            continue;
        require(len <= JWT_CLAIM_MAX);
        for (size_t at = 0; at < len; at++)
            require((unsigned char)text[at] >= 0x20 && text[at] != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static jwt_keys_t *keys;
    const char *why;
    jwt_token_t token;
    json_t *claims;

    if (keys == NULL)
        keys = jwt_keys_read(sheaf_p_str(KEYS, strlen(KEYS)), &why);
    if (jwt_token_read(sheaf_p_str((const char *)data, size), LIMIT, &token) == JWT_OK) {
        require(size <= LIMIT && token.signature_len <= JWT_SIGNATURE_MAX);
        require(token.what.len < size && data[token.what.len] == '.');
        require((token.alg & (JWT_ALGS_PUBLIC | JWT_HS256)) != 0 && (token.alg & (token.alg - 1)) == 0);
        require(jwt_keys_verify(keys, 0, &token) == JWT_ALGORITHM);
        jwt_keys_verify(keys, token.alg, &token); /* what a seed signs is good: nothing to claim */
        claims = jwt_token_claims(&token);
        if (claims != NULL)
            check_claims(claims);
        json_decref(claims);
        jwt_token_fini(&token);
    }
    claims =
        jwt_json_read((const char *)data, size); /* claims as they are, so that they need no encoding to be found */
    if (claims != NULL)
        check_claims(claims);
    json_decref(claims);
    return 0;
}
