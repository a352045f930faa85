#include "idempotency_redis.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idempotency_held.h"

#define AGAIN_MIN_MS 1000
#define AGAIN_MAX_MS 30000
#define FRAME_ROOM   1024 /* an error of Redis is as long as that at most */

/* One script for all three, so that Redis knows it when an end is told: nobody may be there to send it whole then.
 * KEYS[1] the key; ARGV: what is done, payload, ticket, milliseconds; then for `begin` how long an answer may be here, for `finish`
 * the answer. `begin` returns {what was found, the answer}; what the others return says nothing but that they were done. */
static const char script_text[] = "local was = redis.call('GET', KEYS[1])\n"
                                  "local mine = 'R' .. ARGV[2] .. ARGV[3]\n"
                                  "if ARGV[1] == 'drop' then\n"
                                  "  if was ~= mine then return 0 end\n"
                                  "  return redis.call('DEL', KEYS[1])\n"
                                  "end\n"
                                  "if ARGV[1] == 'finish' then\n"
                                  "  if was and string.sub(was, 2, 49) ~= ARGV[2] .. ARGV[3] then return 0 end\n"
                                  "  redis.call('SET', KEYS[1], 'A' .. ARGV[2] .. ARGV[3] .. ARGV[5], 'PX', ARGV[4])\n"
                                  "  return 1\n"
                                  "end\n"
                                  "if ARGV[1] == 'hold' and was then return 0 end\n"
                                  "if not was then\n"
                                  "  redis.call('SET', KEYS[1], mine, 'PX', ARGV[4])\n"
                                  "  return {'new', ''}\n"
                                  "end\n"
                                  "if string.sub(was, 2, 33) ~= ARGV[2] then return {'other', ''} end\n"
                                  "if string.sub(was, 1, 1) == 'R' then return {'running', ''} end\n"
                                  "if #was - 49 > tonumber(ARGV[5]) then return {'done', ''} end\n"
                                  "return {'done', string.sub(was, 50)}\n";

/* An end that Redis has not taken yet. */
typedef struct owed {
    struct owed *next;
    uint64_t number;
    bool is_asked, is_drop;
    bool is_old; /* a later one says more */
    idempotency_hold_t hold;
    uint64_t end_ms; /* until when it is remembered */
    uint32_t len;
    char answer[];
} owed_t;

struct idempotency_redis {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    const idempotency_conf_t *conf;
    idempotency_redis_events_t events;
    redis_conn_t *conn;
    redis_script_t script;
    redis_question_t question; /* of one call at a time */
    idempotency_held_t *held;
    owed_t *owed;                 /* the oldest first */
    uint32_t owed_count, waiting; /* waiting: those that are not asked */
    uint64_t owed_bytes, last_number, again_ms;
    bool is_full; /* something was not taken into the list, and that was said */
    sheaf_p_timer_t again;
    idempotency_redis_t *next; /* of this worker */
};

/* Those of this worker: while a new configuration is in use an older one may have things to tell still. */
static idempotency_redis_t *alive;

/* Behind a question. owed: number of an end; 0: it is a beginning, or says that it has begun. */
typedef struct note {
    uint64_t owed;
    uint64_t is_hold;
    sheaf_p_ref_t item;
    idempotency_hold_t hold;
} note_t;

static void on_again(void *data);

/* --- questions --- */

static sheaf_p_str_t bytes_of(const void *base, size_t len)
{
    return sheaf_p_str(base, len);
}

static void write_hex(const uint8_t hash[IDEMPOTENCY_HASH], char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < IDEMPOTENCY_HASH; i++) {
        ret_hex[2 * i] = digits[hash[i] >> 4];
        ret_hex[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_hex[2 * IDEMPOTENCY_HASH] = 0;
}

static redis_question_t *question_about(idempotency_redis_t *redis, const char *what, const idempotency_hold_t *hold,
                                        uint64_t ms)
{
    redis_question_t *question = &redis->question;
    char hex[2 * IDEMPOTENCY_HASH + 1];

    write_hex(hold->key, hex);
    redis_question_begin(question, &redis->script);
    redis_question_key(question, "%.*s%s", (int)redis->conf->prefix.len, redis->conf->prefix.base, hex);
    redis_question_print(question, "%s", what);
    redis_question_word(question, bytes_of(hold->payload, sizeof(hold->payload)));
    redis_question_word(question, bytes_of(&hold->ticket, sizeof(hold->ticket)));
    redis_question_print(question, "%" PRIu64, ms);
    return question;
}

static bool ask_end(idempotency_redis_t *redis, const owed_t *owed, uint64_t now_ms)
{
    redis_question_t *question =
        question_about(redis, owed->is_drop ? "drop" : "finish", &owed->hold, owed->end_ms - now_ms);
    const note_t note = {.owed = owed->number};

    if (!owed->is_drop)
        redis_question_word(question, bytes_of(owed->answer, owed->len));
    return redis_conn_ask(redis->conn, question, &note, sizeof(note));
}

/* --- what is owed --- */

static void forget(idempotency_redis_t *redis, owed_t **at)
{
    owed_t *owed = *at;

    *at = owed->next;
    redis->waiting -= !owed->is_asked;
    redis->owed_count--;
    redis->owed_bytes -= owed->len;
    redis->is_full = redis->is_full && redis->owed_count > 0;
    free(owed);
}

/* What was not taken now is told again, less and less often until something is taken. */
static void rest(idempotency_redis_t *redis)
{
    if (redis->waiting == 0 || redis->again.value != 0)
        return;
    redis->again_ms = redis->again_ms == 0                 ? AGAIN_MIN_MS
                      : redis->again_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS
                                                           : redis->again_ms * 2;
    redis->again = redis->api->timer_start(redis->worker, redis->again_ms, on_again, redis);
}

/* Those that wait, in their order, as far as Redis takes them. */
static void pay(idempotency_redis_t *redis)
{
    const uint64_t now_ms = redis->api->now_ms(redis->worker);
    owed_t **at = &redis->owed;

    while (*at != NULL && redis->waiting > 0) {
        owed_t *owed = *at;

        if (!owed->is_asked && owed->end_ms <= now_ms) {
            forget(redis, at);
            continue;
        }
        if (!owed->is_asked) {
            if (!ask_end(redis, owed, now_ms))
                break;
            owed->is_asked = true;
            redis->waiting--;
        }
        at = &owed->next;
    }
    rest(redis);
}

static void on_again(void *data)
{
    idempotency_redis_t *redis = data;

    redis->again.value = 0;
    pay(redis);
}

/* Once, until nothing is owed any more. */
static void say_full(idempotency_redis_t *redis)
{
    if (!redis->is_full)
        redis->api->log(redis->worker, SHEAF_P_WARN,
                        "answers cannot be remembered: their keys run until their lease is over");
    redis->is_full = true;
}

/* Of two ends of one run the later one is meant: the first must not be said again after it. Returns the end of the list. */
static owed_t **supersede(idempotency_redis_t *redis, idempotency_ticket_t ticket)
{
    owed_t **at = &redis->owed;

    while (*at != NULL) {
        owed_t *owed = *at;

        owed->is_old = owed->is_old || memcmp(&owed->hold.ticket, &ticket, sizeof(ticket)) == 0;
        if (owed->is_old && !owed->is_asked)
            forget(redis, at);
        else
            at = &owed->next;
    }
    return at;
}

static bool has_room(const idempotency_redis_t *redis, uint32_t len)
{
    return redis->owed_count < IDEMPOTENCY_OWED_MAX && redis->owed_bytes + len <= IDEMPOTENCY_OWED_BYTES;
}

/* Told alone: those that were refused have their own time. */
static void append(idempotency_redis_t *redis, owed_t **end, owed_t *owed)
{
    owed->number = ++redis->last_number;
    owed->next = NULL;
    *end = owed;
    redis->owed_count++;
    redis->owed_bytes += owed->len;
    owed->is_asked = ask_end(redis, owed, redis->api->now_ms(redis->worker));
    redis->waiting += !owed->is_asked;
    rest(redis);
}

static void owe(idempotency_redis_t *redis, const idempotency_hold_t *hold, bool is_drop, const char *answer,
                uint32_t len)
{
    const uint64_t now_ms = redis->api->now_ms(redis->worker);
    owed_t *owed = has_room(redis, len) ? malloc(sizeof(*owed) + len) : NULL;

    if (owed == NULL) {
        say_full(redis);
        return;
    }
    *owed = (owed_t){.is_drop = is_drop, .hold = *hold, .len = len};
    owed->end_ms = now_ms + (is_drop ? redis->conf->lease_ms : redis->conf->ttl_ms);
    if (len > 0)
        memcpy(owed->answer, answer, len);
    append(redis, supersede(redis, hold->ticket), owed);
}

/* Taken, or not: an error may be over the next time. */
static void end_told(idempotency_redis_t *redis, uint64_t number, const redisReply *reply)
{
    owed_t **at = &redis->owed;

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    if ((*at)->is_old || (reply != NULL && reply->type == REDIS_REPLY_INTEGER)) {
        redis->again_ms = 0;
        forget(redis, at);
        return;
    }
    (*at)->is_asked = false;
    redis->waiting++;
    rest(redis);
}

/* --- what is found --- */

static bool is_word(const redisReply *reply, const char *word)
{
    return (size_t)reply->len == strlen(word) && memcmp(reply->str, word, strlen(word)) == 0;
}

static idempotency_found_t found_in(const redisReply *reply)
{
    static const struct {
        const char *word;
        idempotency_found_t found;
    } rows[] = {{"new", IDEMPOTENCY_NEW},
                {"running", IDEMPOTENCY_RUNNING},
                {"done", IDEMPOTENCY_DONE},
                {"other", IDEMPOTENCY_OTHER}};

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[1]->type != REDIS_REPLY_STRING)
        return IDEMPOTENCY_UNKNOWN;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (is_word(reply->element[0], rows[i].word))
            return rows[i].found;
    return IDEMPOTENCY_UNKNOWN;
}

static void on_answer(void *owner, const void *data, const redisReply *reply)
{
    idempotency_redis_t *redis = owner;
    const idempotency_found_t found = found_in(reply);
    const bool is_done = found == IDEMPOTENCY_DONE;
    note_t note;

    memcpy(&note, data, sizeof(note));
    if (note.is_hold)
        return;
    if (note.owed != 0)
        end_told(redis, note.owed, reply);
    else
        redis->events.on_found(redis->events.owner, note.item, &note.hold, found,
                               is_done ? reply->element[1]->str : NULL, is_done ? (uint32_t)reply->element[1]->len : 0);
}

/* --- those of older configurations --- */

static bool is_same_place(const idempotency_redis_t *a, const idempotency_redis_t *b)
{
    const redis_conn_conf_t *one = &a->conf->redis, *other = &b->conf->redis;

    return strcmp(one->address.host, other->address.host) == 0 && one->address.port == other->address.port &&
           one->database == other->database && a->conf->prefix.len == b->conf->prefix.len &&
           memcmp(a->conf->prefix.base, b->conf->prefix.base, a->conf->prefix.len) == 0;
}

/* It has lost Redis, and something to tell it first when it is back. */
static bool is_untold(const idempotency_redis_t *redis)
{
    return !redis_conn_is_back(redis->conn) && (redis->owed_count > 0 || !idempotency_held_is_empty(redis->held));
}

static bool may_ask(const idempotency_redis_t *asks)
{
    for (const idempotency_redis_t *redis = alive; redis != NULL; redis = redis->next)
        if (redis != asks && is_untold(redis) && is_same_place(asks, redis))
            return false;
    return true;
}

bool idempotency_redis_begin(idempotency_redis_t *redis, sheaf_p_ref_t item, const idempotency_hold_t *hold)
{
    const note_t note = {.item = item, .hold = *hold};
    redis_question_t *question;

    if (!may_ask(redis))
        return false;
    question = question_about(redis, "begin", hold, redis->conf->lease_ms);
    redis_question_print(question, "%" PRIu32, redis->conf->answer_bytes);
    return redis_conn_ask(redis->conn, question, &note, sizeof(note));
}

void idempotency_redis_hold(idempotency_redis_t *redis, const idempotency_hold_t *hold)
{
    const uint64_t now_ms = redis->api->now_ms(redis->worker);

    idempotency_held_add(redis->held, hold, now_ms + redis->conf->lease_ms, now_ms);
}

void idempotency_redis_finish(idempotency_redis_t *redis, const idempotency_hold_t *hold, const char *answer,
                              uint32_t len)
{
    idempotency_held_remove(redis->held, hold->ticket);
    owe(redis, hold, false, answer, len);
}

void idempotency_redis_drop(idempotency_redis_t *redis, const idempotency_hold_t *hold)
{
    idempotency_held_remove(redis->held, hold->ticket);
    owe(redis, hold, true, NULL, 0);
}

/* --- a Redis that is back --- */

static bool say_held(void *data, const idempotency_hold_t *hold, uint64_t left_ms)
{
    idempotency_redis_t *redis = data;
    const note_t note = {.is_hold = true};

    return redis_conn_ask(redis->conn, question_about(redis, "hold", hold, left_ms), &note, sizeof(note));
}

static void on_dialed(void *owner)
{
    idempotency_redis_t *redis = owner;

    pay(redis);
    idempotency_held_each(redis->held, redis->api->now_ms(redis->worker), say_held, redis);
}

/* --- life --- */

idempotency_redis_t *idempotency_redis_new(const sheaf_p_api_t *api, sheaf_p_worker_t *worker,
                                           const idempotency_conf_t *conf, const idempotency_redis_events_t *events)
{
    idempotency_redis_t *redis = calloc(1, sizeof(*redis));
    redis_conn_conf_t conn = conf->redis;

    if (redis == NULL || (redis->held = idempotency_held_new()) == NULL) {
        free(redis);
        return NULL;
    }
    redis->api = api;
    redis->worker = worker;
    redis->conf = conf;
    redis->events = *events;
    redis_script_init(&redis->script, script_text);
    conn.answer_bytes = conf->answer_bytes + FRAME_ROOM;
    conn.lost_counter = events->lost_counter;
    conn.on_answer = on_answer;
    conn.on_dialed = on_dialed;
    conn.owner = redis;
    redis->conn = redis_conn_new(api, worker, &conn);
    if (redis->conn == NULL) {
        idempotency_held_free(redis->held);
        free(redis);
        return NULL;
    }
    redis->next = alive;
    alive = redis;
    return redis;
}

/* Returns another one that asks the same place; NULL: there is none. */
static idempotency_redis_t *leave(const idempotency_redis_t *redis)
{
    idempotency_redis_t **at = &alive, *heir;

    while (*at != redis)
        at = &(*at)->next;
    *at = redis->next;
    for (heir = alive; heir != NULL && !is_same_place(redis, heir);)
        heir = heir->next;
    return heir;
}

static bool hold_for(void *data, const idempotency_hold_t *hold, uint64_t left_ms)
{
    idempotency_redis_t *heir = data;
    const uint64_t now_ms = heir->api->now_ms(heir->worker);

    idempotency_held_add(heir->held, hold, now_ms + left_ms, now_ms);
    say_held(heir, hold, left_ms); /* or when it is dialed */
    return true;
}

/* What was heard of it already is told once more: that does no harm. */
static void bequeath(idempotency_redis_t *redis, idempotency_redis_t *heir)
{
    owed_t **end = &heir->owed;

    idempotency_held_each(redis->held, redis->api->now_ms(redis->worker), hold_for, heir);
    while (*end != NULL)
        end = &(*end)->next;
    while (redis->owed != NULL) {
        owed_t *owed = redis->owed;

        if (owed->is_old || owed->end_ms <= heir->api->now_ms(heir->worker) || !has_room(heir, owed->len)) {
            forget(redis, &redis->owed);
            continue;
        }
        redis->owed = owed->next;
        append(heir, end, owed);
        end = &owed->next;
    }
}

void idempotency_redis_free(idempotency_redis_t *redis)
{
    idempotency_redis_t *heir;

    if (redis == NULL)
        return;
    heir = leave(redis);
    redis->api->timer_stop(redis->worker, redis->again);
    redis_conn_free(redis->conn);
    if (heir != NULL)
        bequeath(redis, heir);
    while (redis->owed != NULL)
        forget(redis, &redis->owed);
    idempotency_held_free(redis->held);
    free(redis);
}
