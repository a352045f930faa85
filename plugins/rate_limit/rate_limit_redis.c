#include "rate_limit_redis.h"

#include <stdlib.h>

#include "rate_limit_script.h"

#define ANSWER_BYTES 1024 /* it answers in numbers, or with an error */

struct rate_limit_redis {
    redis_conn_t *conn;
    redis_script_t script;
    const rate_limit_conf_t *conf;
    rate_limit_redis_events_t events;
    redis_question_t question; /* of one call at a time */
};

typedef struct note {
    sheaf_p_ref_t ref;
    uint64_t cost;
} note_t;

static void on_answer(void *owner, const void *data, const struct redisReply *reply)
{
    rate_limit_redis_t *redis = owner;
    const note_t *note = data;
    rate_limit_outcome_t outcome;
    const bool is_outcome = reply != NULL && rate_limit_reply_read(reply, redis->conf->rule_count, &outcome);

    redis->events.on_outcome(redis->events.owner, note->ref, note->cost, is_outcome ? &outcome : NULL);
}

bool rate_limit_redis_ask(rate_limit_redis_t *redis, sheaf_p_ref_t ref, const uint64_t hash[2], uint64_t cost)
{
    const rate_limit_conf_t *conf = redis->conf;
    const note_t note = {ref, cost};

    rate_limit_question(&redis->script, conf->prefix, hash, conf->rules, conf->rule_count, cost, &redis->question);
    return redis_conn_ask(redis->conn, &redis->question, &note, sizeof(note));
}

bool rate_limit_redis_is_there(const rate_limit_redis_t *redis)
{
    return redis_conn_is_there(redis->conn);
}

rate_limit_redis_t *rate_limit_redis_new(const sheaf_p_api_t *api, sheaf_p_worker_t *worker,
                                         const rate_limit_conf_t *conf, const rate_limit_redis_events_t *events)
{
    rate_limit_redis_t *redis = calloc(1, sizeof(*redis));
    redis_conn_conf_t conn = conf->redis;

    if (redis == NULL)
        return NULL;
    redis->conf = conf;
    redis->events = *events;
    redis_script_init(&redis->script, rate_limit_script);
    conn.answer_bytes = ANSWER_BYTES;
    conn.lost_counter = events->lost_counter;
    conn.on_answer = on_answer;
    conn.owner = redis;
    redis->conn = redis_conn_new(api, worker, &conn);
    if (redis->conn != NULL)
        return redis;
    free(redis);
    return NULL;
}

void rate_limit_redis_free(rate_limit_redis_t *redis)
{
    if (redis == NULL)
        return;
    redis_conn_free(redis->conn);
    free(redis);
}
