/* jwt/jwt_token.h - a token in the compact form of JWS (RFC 7515 7.1), read but not believed.
 *
 *   base64url(header) . base64url(claims) . base64url(signature)
 *   \________ what is signed ___________/
 *
 * Nothing but the header is looked into before the signature is known to be right: that is `jwt_keys_verify`'s word, and
 * jwt_token_claims() is asked afterwards. */
#ifndef SHEAF_JWT_TOKEN_H
#define SHEAF_JWT_TOKEN_H

#include "plugins/jwt/jwt_alg.h"
#include "plugins/jwt/jwt_text.h"
#include "plugins/jwt/jwt_verdict.h"

#define JWT_SIGNATURE_MAX 1024 /* RSA of 8192 bits */

typedef struct jwt_token {
    uint32_t alg;         /* one jwt_alg_t */
    sheaf_p_str_t kid;    /* base NULL: none; borrowed of `header` */
    sheaf_p_str_t what;   /* what is signed; borrowed of the text */
    sheaf_p_str_t claims; /* base64url, borrowed of the text */
    size_t signature_len;
    json_t *header;
    uint8_t signature[JWT_SIGNATURE_MAX + 2];
} jwt_token_t;

/* text     of at most `limit` bytes, kept by the caller as long as the token
 * returns  JWT_OK, and the caller ends it with jwt_token_fini(); or what is wrong with it */
jwt_verdict_t jwt_token_read(sheaf_p_str_t text, size_t limit, jwt_token_t *ret_token);

/* The claims, an object; NULL: they are none. The caller drops them. */
json_t *jwt_token_claims(const jwt_token_t *token);

/* Whether its `typ` is that one: in any case, "application/" before it or not (RFC 7515 4.1.9). */
bool jwt_token_is_typ(const jwt_token_t *token, sheaf_p_str_t typ);

void jwt_token_fini(jwt_token_t *token);

#endif
