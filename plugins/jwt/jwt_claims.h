/* jwt/jwt_claims.h - what the claims of a token (RFC 7519 4.1) must say, and what they say of its bearer.
 *
 * They are only looked at once the signature is known to be right. */
#ifndef SHEAF_JWT_CLAIMS_H
#define SHEAF_JWT_CLAIMS_H

#include "plugins/jwt/jwt_text.h"
#include "plugins/jwt/jwt_verdict.h"

#define JWT_CLAIM_MAX 4096 /* bytes of a claim that becomes an attribute or a field */

/* Texts, borrowed. */
typedef struct jwt_texts {
    const sheaf_p_str_t *texts;
    uint32_t count;
} jwt_texts_t;

typedef struct jwt_rules {
    jwt_texts_t issuers, audiences; /* one of these; none: not looked at */
    jwt_texts_t scopes;             /* all of these */
    int64_t leeway_s;
    bool needs_expiry;
} jwt_rules_t;

/* JWT_OK or the first thing that is wrong, scopes last: JWT_SCOPE means that the bearer is known. */
jwt_verdict_t jwt_claims_check(const json_t *claims, const jwt_rules_t *rules, int64_t now_s);

/* A claim as a text: a text as it is, a number, true or false, a list of these joined by `separator`.
 *
 * name     of a claim; with a '/' before it a JSON pointer into the claims ("/realm_access/roles")
 * returns  false: there is none, or it is an object, longer than JWT_CLAIM_MAX, has controls, or a list one of whose
 *          members has the separator in it, which would read as two */
bool jwt_claims_text(const json_t *claims, sheaf_p_str_t name, char separator, char dst[JWT_CLAIM_MAX],
                     size_t *ret_len);

#endif
