/* tests/unit/plugins/idempotency_redis_host.h - idempotency on a host that asks a Redis, or what stands in its place. Waits are for
 * real answers; timeouts are wound by hand. */
#ifndef SHEAF_TESTS_IDEMPOTENCY_REDIS_HOST_H
#define SHEAF_TESTS_IDEMPOTENCY_REDIS_HOST_H

#include "tests/unit/plugins/idempotency_host.h"

static inline host_t *gateway_at(const char *address, const char *on_error)
{
    host_t *host = host_new(&sheaf_plugin_idempotency);

    host_set(host, "redis.address", address);
    host_set(host, "redis.on_error", on_error);
    return host;
}

static inline void wait_for(host_t *host, sheaf_p_ref_t item)
{
    for (int i = 0; host_outcome(item).is_waiting; i++) {
        assert_true(i < 1000);
        host_poll(host, 1000);
    }
    assert_int_equal(host_outcome(item).faults, 0);
}

static inline void settle(host_t *host)
{
    while (host_poll(host, 200) > 0)
        continue;
}

/* Asked and decided: the status it was answered with; 0: it is sent. */
static inline uint32_t decided(host_t *host, sheaf_p_ref_t item)
{
    if (host_ask_item(item) == SHEAF_P_LATER)
        wait_for(host, item);
    return host_outcome(item).is_answered ? host_outcome(item).status : 0;
}

static inline uint32_t tried(host_t *host, const char *key, const char *body)
{
    return decided(host, item_with(host, key, body));
}

static inline void answered(host_t *host, sheaf_p_ref_t item, uint32_t status, const char *body)
{
    answers(item, status, body);
    settle(host);
}

static inline void until_lost(host_t *host)
{
    for (int n = 0; n < 40 && host_counted(host, "redis_lost") == 0; n++)
        host_poll(host, 50);
    assert_true(host_counted(host, "redis_lost") > 0);
}

#endif
