/* tests/unit/plugins/identity_host.h - a plugin that says who somebody is, on a host, and requests that show it a
 * credential. */
#ifndef SHEAF_TESTS_IDENTITY_HOST_H
#define SHEAF_TESTS_IDENTITY_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/plugins/host.h"

/* Sets `more` (key, text, key, text ... NULL) and opens. */
static inline host_t *opened(host_t *host, const char *const *more)
{
    for (size_t i = 0; more[i] != NULL; i += 2)
        host_set(host, more[i], more[i + 1]);
    assert_null(host_open(host));
    return host;
}

/* OPENED(host, key, text, key, text ...), or OPENED(host, NULL) */
#define OPENED(host, ...) opened(host, (const char *const[]){__VA_ARGS__, NULL})

/* A batch whose client shows `credential` in its field `name`; NULL: it shows none. */
static inline sheaf_p_ref_t request_showing(host_t *host, const char *name, const char *credential)
{
    sheaf_p_ref_t request = host_request(host, "POST", "/batch");

    if (credential != NULL)
        host_header(request, SHEAF_P_CLIENT, name, credential);
    return request;
}

#endif
