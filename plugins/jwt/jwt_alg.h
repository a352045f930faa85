/* jwt/jwt_alg.h - the algorithms (RFC 7518, 8037) that are known. "none" is not one. */
#ifndef SHEAF_JWT_ALG_H
#define SHEAF_JWT_ALG_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

/* Bits, so that a set of them is a number. */
typedef enum jwt_alg {
    JWT_RS256 = 1,
    JWT_PS256 = 2,
    JWT_ES256 = 4,
    JWT_EDDSA = 8,
    JWT_HS256 = 16,
} jwt_alg_t;

#define JWT_ALGS_PUBLIC ((uint32_t)(JWT_RS256 | JWT_PS256 | JWT_ES256 | JWT_EDDSA))

/* The algorithm of that name, exactly as it is written; 0: unknown. */
uint32_t jwt_alg_of(const char *name, size_t len);

#endif
