/* tests/unit/plugins/idempotency_host.h - idempotency on a host, and items that POST /orders under a key. */
#ifndef SHEAF_TESTS_IDEMPOTENCY_HOST_H
#define SHEAF_TESTS_IDEMPOTENCY_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/plugins/host.h"

extern const sheaf_plugin_t sheaf_plugin_idempotency;

static inline host_t *opened(void)
{
    host_t *host = host_new(&sheaf_plugin_idempotency);

    assert_null(host_open(host));
    return host;
}

static inline sheaf_p_ref_t item_of(host_t *host, sheaf_p_ref_t request, const char *key, const char *body)
{
    sheaf_p_ref_t item = host_item(host, request, "POST", "/orders");

    if (key != NULL)
        host_header(item, SHEAF_P_QUESTION, "idempotency-key", key);
    host_body(item, SHEAF_P_QUESTION, body);
    return item;
}

static inline sheaf_p_ref_t item_with(host_t *host, const char *key, const char *body)
{
    return item_of(host, host_request(host, "POST", "/batch"), key, body);
}

static inline void answers(sheaf_p_ref_t item, uint32_t status, const char *body)
{
    host_header(item, SHEAF_P_RESULT, "content-type", "application/json");
    host_header(item, SHEAF_P_RESULT, "location", "/orders/7");
    host_header(item, SHEAF_P_RESULT, "set-cookie", "sid=1");
    host_body(item, SHEAF_P_RESULT, body);
    host_result(item, status);
}

static inline void refused(host_t *host, sheaf_p_ref_t item, uint32_t status)
{
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, status);
}

#endif
