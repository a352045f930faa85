/* tests/unit/plugins/jwt_host.h - jwt on a host, and requests and items that bring it a token. */
#ifndef SHEAF_TESTS_JWT_HOST_H
#define SHEAF_TESTS_JWT_HOST_H

#include "tests/unit/plugins/identity_host.h"

#define NOW    1800000000
#define BEARER "Bearer "

extern const sheaf_plugin_t sheaf_plugin_jwt;

static inline sheaf_p_ref_t request_with(host_t *host, const char *authorization)
{
    return request_showing(host, "Authorization", authorization);
}

/* `own` stands for what an item, its envelope or the outer request gives it. */
static inline sheaf_p_ref_t item_with(host_t *host, sheaf_p_ref_t request, const char *own)
{
    sheaf_p_ref_t item = host_item(host, request, "GET", "/users/7");

    if (own != NULL)
        host_header(item, SHEAF_P_QUESTION, "authorization", own);
    return item;
}

#endif
