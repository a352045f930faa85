/* jwt/jwt_verdict.h - what a token came to. The words go to clients and tell nothing about keys. */
#ifndef SHEAF_JWT_VERDICT_H
#define SHEAF_JWT_VERDICT_H

typedef enum jwt_verdict {
    JWT_OK = 0,
    JWT_MALFORMED,
    JWT_TOO_LONG,
    JWT_ALGORITHM,   /* not one that is taken here; "none" is never */
    JWT_TYPE,        /* `typ` is not what is asked for */
    JWT_CRITICAL,    /* an extension that must be understood */
    JWT_UNKNOWN_KEY, /* no key of this kid fits: fresh keys may know it */
    JWT_SIGNATURE,
    JWT_EXPIRED,
    JWT_NO_EXPIRY,
    JWT_NOT_YET, /* nbf or iat lies ahead */
    JWT_ISSUER,
    JWT_AUDIENCE,
    JWT_SCOPE,
    JWT_BUSY, /* not looked at yet: its turn comes */
    JWT_VERDICTS
} jwt_verdict_t;

/* A sentence for error_description: no quotes, no backslashes (RFC 6750 3). */
const char *jwt_verdict_text(jwt_verdict_t verdict);

#endif
