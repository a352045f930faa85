/* tests/unit/plugins/cache_host.h - the cache on a host, and what one who asks it gets, as a word:
 *
 *   "x"      the body, if the cache has answered
 *   "-"      the backend is asked
 *   "..."    it waits */
#ifndef SHEAF_TESTS_CACHE_HOST_H
#define SHEAF_TESTS_CACHE_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/plugins/host.h"

extern const sheaf_plugin_t sheaf_plugin_cache;

static inline host_t *opened(const char *key, const char *value)
{
    host_t *host = host_new(&sheaf_plugin_cache);

    if (key != NULL)
        host_set(host, key, value);
    assert_null(host_open(host));
    return host;
}

/* An item that asks, of a request of its own. */
static inline sheaf_p_ref_t item_of(host_t *host, const char *method, const char *target)
{
    sheaf_p_ref_t item = host_item(host, host_request(host, "POST", "/batch"), method, target);

    host_fact(item, SHEAF_P_UPSTREAM_NAME, "users");
    host_fact(item, SHEAF_P_ROUTE, "/users/{id}");
    return item;
}

/* The backend answers. */
static inline void answer(sheaf_p_ref_t item, uint32_t status, const char *control, const char *body)
{
    if (*control != '\0')
        host_header(item, SHEAF_P_RESULT, "Cache-Control", control);
    host_body(item, SHEAF_P_RESULT, body);
    host_result(item, status);
}

static inline void fill(host_t *host, const char *target, const char *control, const char *etag, const char *body)
{
    sheaf_p_ref_t item = item_of(host, "GET", target);

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    host_header(item, SHEAF_P_RESULT, "Content-Type", "text/plain");
    if (etag != NULL)
        host_header(item, SHEAF_P_RESULT, "ETag", etag);
    answer(item, 200, control, body);
    host_done(item);
}

/* What an item gets that asks now. */
static inline const char *ask(sheaf_p_ref_t item)
{
    sheaf_p_verdict_t verdict = host_ask_item(item);

    return verdict == SHEAF_P_PASS ? "-" : verdict == SHEAF_P_LATER ? "..." : host_outcome(item).body;
}

static inline const char *get(host_t *host, const char *target)
{
    return ask(item_of(host, "GET", target));
}

static inline const char *get_with(host_t *host, const char *target, const char *name, const char *value)
{
    sheaf_p_ref_t item = item_of(host, "GET", target);

    host_header(item, SHEAF_P_QUESTION, name, value);
    return ask(item);
}

static inline const char *status_of(sheaf_p_ref_t item)
{
    return host_field(item, SHEAF_P_RESULT, "Cache-Status");
}

#endif
