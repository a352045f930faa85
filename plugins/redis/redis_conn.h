/* redis_conn.h - one worker's connection to Redis, on the loop of the worker.
 *
 *   DOWN --rest is over--> DIALING --connected--> UP
 *     ^_____ cannot, closed, silent for a second, answers too much, has no data _____/
 *
 * Questions are pipelined on the one connection, at most REDIS_ASKED_MAX and REDIS_ASKED_BYTES at once; of each the answer is waited
 * for no longer than `timeout_ms`. While it is DOWN none can be asked; it dials again after a rest that doubles from 100 ms to
 * 5 s. Password and database are sent first on every connection; one that refuses the database is left. A script is sent whole by the first question on a
 * connection, so that all are decided in the order they are asked in; then asked by its SHA-1, and sent whole again where Redis
 * has forgotten it. */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H

#include "redis_address.h"
#include "redis_question.h"

#define REDIS_ASKED_MAX   4096
#define REDIS_ASKED_BYTES (16u << 20)

struct redisReply;

typedef struct redis_conn redis_conn_t;

typedef struct redis_conn_conf {
    redis_address_t address;
    sheaf_p_str_t user, password; /* borrowed; empty: none */
    int64_t database;
    uint64_t timeout_ms;
    size_t answer_bytes;   /* of a text in an answer, at most */
    uint32_t lost_counter; /* of the plugin: connections that were lost or could not be made */
    /* Once for each question that was taken, with a copy of its note. reply NULL: there is no answer, in time or at all.
     * Never from inside ask, never after free. May ask again. */
    void (*on_answer)(void *owner, const void *note, const struct redisReply *reply);
    /* NULL, or: it is dialed again, and what is asked now is decided first. Redis may know nothing any more. */
    void (*on_dialed)(void *owner);
    void *owner;
} redis_conn_conf_t;

/* NULL: no memory. Dials at once. */
redis_conn_t *redis_conn_new(const sheaf_p_api_t *api, sheaf_p_worker_t *worker, const redis_conn_conf_t *conf);
void redis_conn_free(redis_conn_t *conn);

/* Returns false if it cannot be asked now: on_answer will not come. Question and note are copied. */
bool redis_conn_ask(redis_conn_t *conn, const redis_question_t *question, const void *note, size_t note_len);

/* It was never lost, or has answered since. */
bool redis_conn_is_back(const redis_conn_t *conn);

/* It is there, or was a moment ago: a question it has not answered in time, or that it has no room for, may be the fault of
 * those who ask. */
bool redis_conn_is_there(const redis_conn_t *conn);

#endif
