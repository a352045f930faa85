/* cache/cache_facts.h - what the head of an answer says about keeping it, how old it is and how long it is fresh.
 *
 *   age      = (age when it came) + (time it has lain here)          RFC 9111 4.2.3
 *   lifetime = s-maxage, else max-age, else Expires - Date, else a tenth of what Last-Modified says, if that is wanted
 *   fresh    : lifetime > age                                        RFC 9111 4.2 */
#ifndef CACHE_FACTS_H
#define CACHE_FACTS_H

#include "plugins/cache/cache_control.h"
#include "plugins/cache/cache_head.h"

typedef struct cache_facts {
    cache_control_t control;
    int64_t date_s;     /* when it was made; when it came, if it does not say */
    int64_t lifetime_s; /* -1: it does not say */
    int64_t age_s;      /* when it came */
    int has_validator;  /* ETag or Last-Modified */
} cache_facts_t;

/* `asked_s` and `came_s`: wall clock, when the question went out and the answer was here; `heuristic` is the share in percent of
 * the time since Last-Modified that an answer is fresh which does not say how long (4.2.2); 0: not at all. */
void cache_facts_read(const cache_head_t *head, int64_t asked_s, int64_t came_s, uint32_t heuristic,
                      cache_facts_t *ret_facts);

#endif
