/* jwt/jwt_key.h - one key that verifies: read from a JWK (RFC 7517) or a shared secret.
 *
 *   kty   RSA (2048 to 8192 bits): RS256, PS256     EC P-256: ES256     OKP Ed25519: EdDSA     oct (32 bytes or more): HS256
 *
 * Which algorithms a key verifies follows from what it is, and a JWK's own `alg` narrows it; so the bytes of a public key never
 * serve as a secret (key confusion), whatever a token says. */
#ifndef SHEAF_JWT_KEY_H
#define SHEAF_JWT_KEY_H

#include <openssl/evp.h>

#include "plugins/jwt/jwt_token.h"

#define JWT_KID_MAX    256
#define JWT_SECRET_MIN 32 /* RFC 7518 3.2: not shorter than the hash */
#define JWT_SECRET_MAX 1024

typedef struct jwt_key {
    uint32_t algs;
    size_t kid_len, secret_len;
    bool has_kid;
    EVP_PKEY *pkey; /* NULL: a secret */
    char kid[JWT_KID_MAX];
    uint8_t secret[JWT_SECRET_MAX];
} jwt_key_t;

/* What `use` and `key_ops` say, where they stand (RFC 7517 4.2, 4.3): false for a key that encrypts. */
bool jwt_key_may_verify(const json_t *jwk);

/* Reads a JWK; private parts are ignored.
 *
 * returns  NULL, and the caller ends the key with jwt_key_fini(); or why it is of no use here */
const char *jwt_key_read(const json_t *jwk, jwt_key_t *ret_key);

/* A secret of JWT_SECRET_MIN to JWT_SECRET_MAX bytes. NULL, or what is wrong with it. */
const char *jwt_key_secret(sheaf_p_str_t secret, jwt_key_t *ret_key);

/* True: the token's kid, if it has one, is not another than the key's, if it has one. */
bool jwt_key_fits(const jwt_key_t *key, const jwt_token_t *token);

/* Whether the signature is the key's. False too when the key is not one for the token's algorithm. */
bool jwt_key_verify(const jwt_key_t *key, const jwt_token_t *token);

void jwt_key_fini(jwt_key_t *key);

#endif
