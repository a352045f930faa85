/* cache/cache_rules.h - what may be stored (RFC 9111 3) and what may be answered from the store (RFC 9111 4). */
#ifndef CACHE_RULES_H
#define CACHE_RULES_H

#include "plugins/cache/cache_facts.h"

/* NULL: may be stored; else why not, in a word. `is_personal`: the question says who asks (Authorization, Cookie, an identity
 * that a plugin found out). The method was GET and understood; Vary is asked elsewhere. */
const char *cache_rules_refusal(uint32_t status, const cache_head_t *answer, const cache_facts_t *facts,
                                int is_personal);

/* May an answer be given to one who has said who he is? Only one that says so in so many words (3.5). */
int cache_rules_is_for_all(const cache_facts_t *facts);

typedef enum cache_use {
    CACHE_USE_FRESH = 0,
    CACHE_USE_STALE = 1,      /* the question permits that (max-stale) */
    CACHE_USE_WHILE = 2,      /* stale-while-revalidate */
    CACHE_USE_REVALIDATE = 3, /* the backend must be asked */
} cache_use_t;

/* `age_s` is its age now. */
cache_use_t cache_rules_use(const cache_facts_t *facts, int64_t age_s, const cache_control_t *question);
/* May it stand in for a backend that fails (stale-if-error)? */
int cache_rules_stands_in(const cache_facts_t *facts, int64_t age_s);
/* Seconds from now until nothing can be made of it any more, with a validator a day. */
int64_t cache_rules_worth_s(const cache_facts_t *facts);

int cache_rules_is_safe(sheaf_p_str_t method); /* RFC 9110 9.2.1 */
/* Is an unsafe method's answer one that invalidates (4.4)? */
int cache_rules_invalidates(sheaf_p_str_t method, int64_t status);

#endif
