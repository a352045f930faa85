/* cache/cache_control.h - Cache-Control (RFC 9111 5.2, RFC 5861 3 and 4) of a question or of an answer.
 *
 * Read strictly: what cannot be understood as a list of directives is marked as malformed and permits nothing. A lifetime that is no number, or that stands
 * there twice with two numbers, is 0 (4.2.1: such an answer is stale). no-cache and private go for the whole answer where they
 * name fields too (5.2.2.4 and 5.2.2.7 permit that). */
#ifndef CACHE_CONTROL_H
#define CACHE_CONTROL_H

#include "plugins/sheaf_plugin.h"

#define CACHE_NO_STORE         (1u << 0)
#define CACHE_NO_CACHE         (1u << 1)
#define CACHE_PRIVATE          (1u << 2)
#define CACHE_PUBLIC           (1u << 3)
#define CACHE_MUST_REVALIDATE  (1u << 4)
#define CACHE_PROXY_REVALIDATE (1u << 5)
#define CACHE_MUST_UNDERSTAND  (1u << 6)
#define CACHE_ONLY_IF_CACHED   (1u << 7)
#define CACHE_MALFORMED        (1u << 8)

typedef struct cache_control {
    uint32_t said; /* CACHE_... */
    /* Seconds; -1: not said. */
    int64_t max_age, s_maxage, stale_while_revalidate, stale_if_error;
    int64_t min_fresh, max_stale; /* of a question */
} cache_control_t;

void cache_control_init(cache_control_t *control);
/* Adds what one field says. */
void cache_control_read(sheaf_p_str_t value, cache_control_t *control);

#endif
