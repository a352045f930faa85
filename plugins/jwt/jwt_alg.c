#include "plugins/jwt/jwt_alg.h"

#include <string.h>

uint32_t jwt_alg_of(const char *name, size_t len)
{
    static const struct {
        const char *name;
        jwt_alg_t alg;
    } known[] = {
        {"RS256", JWT_RS256}, {"PS256", JWT_PS256}, {"ES256", JWT_ES256}, {"EdDSA", JWT_EDDSA}, {"HS256", JWT_HS256}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (len == strlen(known[i].name) && memcmp(name, known[i].name, len) == 0)
            return known[i].alg;
    return 0;
}
