/* rate_limit_script - the same decision made by Redis: one script, which charges all limits of a key or none.
 *
 * It reckons with the clock of the Redis server, so that all machines mean the same window. A key is one Redis key per limit,
 * PREFIX{HASH}NUMBER (in braces: a cluster keeps them together), which expires when it is as good as new. */
#ifndef RATE_LIMIT_SCRIPT_H
#define RATE_LIMIT_SCRIPT_H

#include "plugins/redis/redis_question.h"
#include "rate_limit_table.h"

struct redisReply;

extern const char rate_limit_script[];

/* Charges `cost` to a key: what is asked of the script. */
void rate_limit_question(const redis_script_t *script, const char *prefix, const uint64_t hash[2],
                         const rate_limit_rule_t *rules, uint32_t rule_count, uint64_t cost,
                         redis_question_t *ret_question);

/* Returns false if the reply is not one of the script for `rule_count` limits. */
bool rate_limit_reply_read(const struct redisReply *reply, uint32_t rule_count, rate_limit_outcome_t *ret_outcome);

#endif
