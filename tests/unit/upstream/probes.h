/* tests/unit/upstream/probes.h - health checks that come to a verdict soon, and what they are answered. */
#ifndef TESTS_UNIT_UPSTREAM_PROBES_H
#define TESTS_UNIT_UPSTREAM_PROBES_H

#include "config/snapshot.h"

#define FINE "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define SICK "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"

static sheaf_health_conf_t quick(uint64_t timeout_ms)
{
    static uint16_t classes[] = {2};

    return (sheaf_health_conf_t){.mark = {1, 1},
                                 .path = {"/health", 7},
                                 .interval_ms = 100,
                                 .timeout_ms = timeout_ms,
                                 .expect = {classes, 1},
                                 .unhealthy = 2,
                                 .healthy = 2};
}

#endif
