#include "plugins/jwt/jwt_verdict.h"

const char *jwt_verdict_text(jwt_verdict_t verdict)
{
    static const char *const texts[JWT_VERDICTS] = {
        [JWT_OK] = "the token is good",
        [JWT_MALFORMED] = "the token is malformed",
        [JWT_TOO_LONG] = "the token is too long",
        [JWT_ALGORITHM] = "the algorithm of the token is not accepted",
        [JWT_TYPE] = "the token is of another type",
        [JWT_CRITICAL] = "the token has a critical extension that is not understood",
        [JWT_UNKNOWN_KEY] = "the key of the token is not known",
        [JWT_SIGNATURE] = "the signature of the token is not valid",
        [JWT_EXPIRED] = "the token has expired",
        [JWT_NO_EXPIRY] = "the token does not expire",
        [JWT_NOT_YET] = "the token is not valid yet",
        [JWT_ISSUER] = "the issuer of the token is not accepted",
        [JWT_AUDIENCE] = "the token is meant for another audience",
        [JWT_SCOPE] = "the token lacks a scope",
        [JWT_BUSY] = "the token waits for its turn",
    };

    return texts[verdict];
}
