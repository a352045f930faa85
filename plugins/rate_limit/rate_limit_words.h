/* rate_limit_words - what a client is told: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers).
 *
 *   RateLimit-Policy: "logins";q=5;w=60, "logins-1";q=100;w=3600
 *   RateLimit: "logins";r=0;t=43, "logins-1";r=52;t=3011
 *
 * q: what may be used in w seconds, with `sheaf-burst` where less or more may come at once; r: what could be used now; t: seconds
 * until nothing of it is used or, of a limit that has just refused, until it would not: as Retry-After says. Structured fields (RFC 9651): lists of strings with parameters. */
#ifndef RATE_LIMIT_WORDS_H
#define RATE_LIMIT_WORDS_H

#include "rate_limit_table.h"

#define RATE_LIMIT_WORDS_MAX 1024

/* Both write a NUL-terminated text of less than RATE_LIMIT_WORDS_MAX bytes and return its length. `name`: at most 32 of [a-z0-9_-]. */
size_t rate_limit_policy_words(const char *name, const rate_limit_rule_t *rules, uint32_t count, char *ret_words);
/* `outcome` of what cost `cost`, under `count` rules. */
size_t rate_limit_state_words(const char *name, const rate_limit_outcome_t *outcome, uint64_t cost, uint32_t count,
                              char *ret_words);

/* Seconds, rounded up; at least 1, at most a year. */
uint64_t rate_limit_seconds(uint64_t ms);

#endif
