/* rate_limit_script - the same decision made by Redis: one script, which charges all limits of a key or none.
 *
 * It reckons with the clock of the Redis server, so that all machines mean the same window. A key is one Redis key per limit,
 * PREFIX{HASH}NUMBER (in braces: a cluster keeps them together), which expires when it is as good as new. */
#ifndef RATE_LIMIT_SCRIPT_H
#define RATE_LIMIT_SCRIPT_H

#include "rate_limit_table.h"

#define RATE_LIMIT_SHA_LEN    40
#define RATE_LIMIT_PREFIX_MAX 64
#define RATE_LIMIT_ARGS_MAX   (4 + 5 * RATE_LIMIT_RULES_MAX)
#define RATE_LIMIT_ARG_MAX    (RATE_LIMIT_PREFIX_MAX + 40)

struct redisReply;

/* A command, its words NUL-terminated. words[1] is the hash of the script, or the script itself. */
typedef struct rate_limit_command {
    int count;
    const char *words[RATE_LIMIT_ARGS_MAX];
    char room[RATE_LIMIT_ARGS_MAX][RATE_LIMIT_ARG_MAX];
} rate_limit_command_t;

extern const char rate_limit_script[];
/* SHA-1 of it in hex, NUL-terminated. */
void rate_limit_script_sha(char ret_sha[RATE_LIMIT_SHA_LEN + 1]);

/* EVALSHA sha ..., or EVAL script ... where `sha` is NULL. */
void rate_limit_command(const char *sha, const char *prefix, const uint64_t hash[2], const rate_limit_rule_t *rules,
                        uint32_t rule_count, uint64_t cost, rate_limit_command_t *ret_command);

/* Returns false if the reply is not one of the script for `rule_count` limits. */
bool rate_limit_reply_read(const struct redisReply *reply, uint32_t rule_count, rate_limit_outcome_t *ret_outcome);

#endif
