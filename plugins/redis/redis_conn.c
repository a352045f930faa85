#include "redis_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_guard.h"

#define REST_MIN_MS 100
#define REST_MAX_MS 5000
#define SILENCE_MS  1000
#define NOTE_ALIGN  sizeof(uint64_t)

/* A question. It lives until hiredis gives it back; when it has timed out it is told already. */
typedef struct asked {
    redis_conn_t *conn;
    struct asked *next; /* in the order they were asked, which is that of their deadlines */
    uint64_t end_ms;
    bool is_told, is_eval;
    const redis_script_t *script;
    uint32_t keys, count;
    size_t bytes;
    sheaf_p_str_t *words; /* both behind the struct, with what the words say */
    char *note;
} asked_t;

struct redis_conn {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    redis_conn_conf_t conf;
    redisAsyncContext *context; /* NULL: DOWN */
    redis_guard_t guard;
    bool is_ending;
    bool is_fresh; /* nothing has been asked on this connection */
    sheaf_p_watch_t watch;
    uint32_t events;
    asked_t *first, **last; /* those not told */
    uint32_t asked_count;   /* those hiredis has */
    size_t asked_bytes;
    uint64_t heard_ms, rest_ms;
    sheaf_p_timer_t deadline, rest;
};

static void on_rested(void *data);                                         /* DOWN for long enough: dials again   */
static void dial(redis_conn_t *conn);                                      /* DOWN: makes a context            */
static void on_connect(const redisAsyncContext *context, int status);      /* UP, or back to DOWN              */
static void greet(redis_conn_t *conn);                                     /* AUTH, SELECT: before any question */
static void on_reply(redisAsyncContext *context, void *reply, void *data); /* an answer, or the end            */
static void on_deadline(void *data);                                       /* the oldest have waited too long  */
static void go_down(redis_conn_t *conn);                                   /* the one way down: rests          */

/* --- hiredis on the loop of the worker --- */

static void on_ready(void *data, uint32_t events)
{
    redis_conn_t *conn = data;
    redisAsyncContext *context = conn->context;

    if ((events & SHEAF_P_READABLE) != 0)
        redisAsyncHandleRead(context);
    if (context != NULL && conn->context == context && redis_guard_is_over(&conn->guard))
        redisAsyncFree(context);
    if ((events & SHEAF_P_WRITABLE) != 0 && conn->context == context && context != NULL)
        redisAsyncHandleWrite(context);
}

static void listen_for(redis_conn_t *conn, uint32_t events)
{
    if (events == conn->events)
        return;
    if (events == 0)
        conn->api->watch_stop(conn->worker, conn->watch);
    else if (conn->events == 0)
        conn->watch = conn->api->watch(conn->worker, conn->context->c.fd, events, on_ready, conn);
    else
        conn->api->watch_change(conn->worker, conn->watch, events);
    conn->events = events;
}

static void add_read(void *data)
{
    listen_for(data, ((redis_conn_t *)data)->events | SHEAF_P_READABLE);
}

static void del_read(void *data)
{
    listen_for(data, ((redis_conn_t *)data)->events & ~SHEAF_P_READABLE);
}

static void add_write(void *data)
{
    listen_for(data, ((redis_conn_t *)data)->events | SHEAF_P_WRITABLE);
}

static void del_write(void *data)
{
    listen_for(data, ((redis_conn_t *)data)->events & ~SHEAF_P_WRITABLE);
}

/* hiredis closes the descriptor next, and frees the context. */
static void clean_up(void *data)
{
    redis_conn_t *conn = data;

    listen_for(conn, 0);
    conn->context = NULL;
    conn->guard.context = NULL;
    if (!conn->is_ending)
        go_down(conn);
}

/* --- up and down --- */

static void go_down(redis_conn_t *conn)
{
    uint8_t chance = 0;

    conn->api->count(conn->worker, conn->conf.lost_counter, 1);
    if (conn->rest_ms == 0) /* once, until it has answered again */
        conn->api->log(conn->worker, SHEAF_P_WARN, "redis is lost, or cannot be reached");
    conn->rest_ms = conn->rest_ms == 0                ? REST_MIN_MS
                    : conn->rest_ms * 2 > REST_MAX_MS ? REST_MAX_MS
                                                      : conn->rest_ms * 2;
    conn->api->random(&chance, 1); /* workers and machines do not come back all at once */
    conn->api->timer_stop(conn->worker, conn->rest);
    conn->rest = conn->api->timer_start(conn->worker, conn->rest_ms + conn->rest_ms * chance / 1024, on_rested, conn);
}

static void on_rested(void *data)
{
    redis_conn_t *conn = data;

    dial(conn);
    if (conn->context != NULL && conn->conf.on_dialed != NULL)
        conn->conf.on_dialed(conn->conf.owner);
}

static void dial(redis_conn_t *conn)
{
    const redis_address_t *at = &conn->conf.address;
    redisAsyncContext *context =
        at->port == 0 ? redisAsyncConnectUnix(at->host) : redisAsyncConnect(at->host, at->port);

    if (context == NULL || context->err != 0) {
        if (context != NULL)
            redisAsyncFree(context);
        go_down(conn);
        return;
    }
    conn->context = context;
    conn->is_fresh = true;
    redis_guard_init(&conn->guard, context, conn->conf.answer_bytes);
    conn->heard_ms = conn->api->now_ms(conn->worker);
    context->data = conn;
    context->ev.data = conn;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = clean_up;
    redisAsyncSetConnectCallback(context, on_connect);
    greet(conn);
}

static void on_connect(const redisAsyncContext *context, int status)
{
    redis_conn_t *conn = context->data;

    if (status != REDIS_OK) /* clean_up() follows */
        return;
    conn->heard_ms = conn->api->now_ms(conn->worker);
}

static bool is_error(const redisReply *reply, const char *word)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

static void on_password(redisAsyncContext *context, void *reply, void *data)
{
    redis_conn_t *conn = data;

    (void)context;
    if (is_error(reply, ""))
        conn->api->log(conn->worker, SHEAF_P_ERROR_LEVEL, "redis refuses the password");
}

/* It would go on in database 0, and what it says from there is of somebody else. */
static void on_database(redisAsyncContext *context, void *reply, void *data)
{
    redis_conn_t *conn = data;

    if (!is_error(reply, ""))
        return;
    conn->api->log(conn->worker, SHEAF_P_ERROR_LEVEL, "redis refuses the database");
    redisAsyncFree(context);
}

static void greet(redis_conn_t *conn)
{
    const redis_conn_conf_t *conf = &conn->conf;

    if (conf->password.len > 0 && conf->user.len > 0)
        redisAsyncCommand(conn->context, on_password, conn, "AUTH %b %b", conf->user.base, conf->user.len,
                          conf->password.base, conf->password.len);
    else if (conf->password.len > 0)
        redisAsyncCommand(conn->context, on_password, conn, "AUTH %b", conf->password.base, conf->password.len);
    if (conf->database > 0)
        redisAsyncCommand(conn->context, on_database, conn, "SELECT %lld", (long long)conf->database);
}

/* --- questions --- */

/* With all that has to be said again where Redis does not know the script: asked | words | note | what the words say. */
static asked_t *asked_new(redis_conn_t *conn, const redis_question_t *question, const void *note, size_t note_len)
{
    const size_t words = question->count * sizeof(sheaf_p_str_t),
                 noted = (note_len + NOTE_ALIGN - 1) / NOTE_ALIGN * NOTE_ALIGN;
    asked_t *asked = malloc(sizeof(*asked) + words + noted + redis_question_bytes(question));
    char *at;

    if (asked == NULL)
        return NULL;
    *asked = (asked_t){.conn = conn,
                       .script = question->script,
                       .keys = question->keys,
                       .count = question->count,
                       .bytes = redis_question_bytes(question),
                       .words = (sheaf_p_str_t *)(asked + 1),
                       .note = (char *)(asked + 1) + words};
    memcpy(asked->note, note, note_len);
    at = asked->note + noted;
    for (uint32_t i = 0; i < question->count; i++) {
        const sheaf_p_str_t word = question->words[i];

        if (word.len > 0)
            memcpy(at, word.base, word.len);
        asked->words[i] = sheaf_p_str(at, word.len);
        at += word.len;
    }
    return asked;
}

static void tell(asked_t *asked, const redisReply *reply)
{
    redis_conn_t *conn = asked->conn;
    asked_t **at = &conn->first;

    if (asked->is_told)
        return;
    asked->is_told = true;
    while (*at != asked) /* answers come in order: it is the first one */
        at = &(*at)->next;
    *at = asked->next;
    if (conn->last == &asked->next)
        conn->last = at;
    if (!conn->is_ending)
        conn->conf.on_answer(conn->conf.owner, asked->note, reply);
}

static bool send_asked(redis_conn_t *conn, asked_t *asked)
{
    const char *script = asked->is_eval ? asked->script->text : asked->script->sha, *words[REDIS_WORDS_MAX + 3];
    size_t lens[REDIS_WORDS_MAX + 3];
    char keys[16];

    words[0] = asked->is_eval ? "EVAL" : "EVALSHA";
    words[1] = script;
    words[2] = keys;
    snprintf(keys, sizeof(keys), "%u", asked->keys);
    for (int i = 0; i < 3; i++)
        lens[i] = strlen(words[i]);
    for (uint32_t i = 0; i < asked->count; i++) {
        words[3 + i] = asked->words[i].base;
        lens[3 + i] = asked->words[i].len;
    }
    if (redisAsyncCommandArgv(conn->context, on_reply, asked, 3 + (int)asked->count, words, lens) != REDIS_OK)
        return false;
    conn->asked_count++;
    conn->asked_bytes += asked->bytes;
    return true;
}

/* Somebody answers and has no data: it is being loaded, or another one is the master now. */
static bool is_away(const redisReply *reply)
{
    return is_error(reply, "LOADING") || is_error(reply, "MASTERDOWN") || is_error(reply, "READONLY");
}

static void heard(redis_conn_t *conn)
{
    conn->heard_ms = conn->api->now_ms(conn->worker);
    if (conn->rest_ms > 0)
        conn->api->log(conn->worker, SHEAF_P_INFO, "redis answers again");
    conn->rest_ms = 0;
}

static void on_reply(redisAsyncContext *context, void *data_reply, void *data)
{
    asked_t *asked = data;
    redis_conn_t *conn = asked->conn;
    const redisReply *reply = data_reply;

    conn->asked_count--;
    conn->asked_bytes -= asked->bytes;
    if (is_away(reply))
        redisAsyncFree(context); /* what is asked behind this must not be answered before this is told again */
    else if (reply != NULL)
        heard(conn);
    /* Redis was restarted, or never saw it. What the other one sent first is behind us in the pipeline. */
    if (is_error(reply, "NOSCRIPT") && !asked->is_told && !asked->is_eval && !conn->is_ending) {
        asked->is_eval = true;
        if (send_asked(conn, asked))
            return;
    }
    tell(asked, reply);
    free(asked);
}

static void watch_deadline(redis_conn_t *conn)
{
    const uint64_t now_ms = conn->api->now_ms(conn->worker);

    conn->deadline.value = 0;
    if (conn->first != NULL)
        conn->deadline = conn->api->timer_start(
            conn->worker, conn->first->end_ms > now_ms ? conn->first->end_ms - now_ms : 0, on_deadline, conn);
}

static void on_deadline(void *data)
{
    redis_conn_t *conn = data;
    const uint64_t now_ms = conn->api->now_ms(conn->worker);
    bool is_late = false;

    conn->deadline.value = 0;
    while (conn->first != NULL && conn->first->end_ms <= now_ms) {
        is_late = true;
        tell(conn->first, NULL);
    }
    /* Nobody at the other end: what comes next should not have to wait as well. */
    if (is_late && conn->context != NULL && now_ms - conn->heard_ms >= SILENCE_MS)
        redisAsyncFree(conn->context);
    if (conn->deadline.value == 0)
        watch_deadline(conn);
}

bool redis_conn_ask(redis_conn_t *conn, const redis_question_t *question, const void *note, size_t note_len)
{
    asked_t *asked;

    if (conn->context == NULL || question->is_cut || conn->asked_count >= REDIS_ASKED_MAX ||
        conn->asked_bytes >= REDIS_ASKED_BYTES)
        return false;
    if (conn->asked_count == 0) /* that nothing was heard while nothing was asked says nothing */
        conn->heard_ms = conn->api->now_ms(conn->worker);
    asked = asked_new(conn, question, note, note_len);
    if (asked == NULL)
        return false;
    asked->end_ms = conn->api->now_ms(conn->worker) + conn->conf.timeout_ms;
    asked->is_eval = conn->is_fresh;
    if (!send_asked(conn, asked)) {
        free(asked);
        return false;
    }
    conn->is_fresh = false;
    *conn->last = asked;
    conn->last = &asked->next;
    if (conn->deadline.value == 0)
        watch_deadline(conn);
    return true;
}

bool redis_conn_is_back(const redis_conn_t *conn)
{
    return conn->context != NULL && conn->rest_ms == 0;
}

bool redis_conn_is_there(const redis_conn_t *conn)
{
    return conn->context != NULL && conn->api->now_ms(conn->worker) - conn->heard_ms < SILENCE_MS;
}

/* --- life --- */

redis_conn_t *redis_conn_new(const sheaf_p_api_t *api, sheaf_p_worker_t *worker, const redis_conn_conf_t *conf)
{
    redis_conn_t *conn = calloc(1, sizeof(*conn));

    if (conn == NULL)
        return NULL;
    conn->api = api;
    conn->worker = worker;
    conn->conf = *conf;
    conn->last = &conn->first;
    dial(conn);
    return conn;
}

/* What has been said and not gone out yet is worth a try: ends are told last of all. */
static void flush(redis_conn_t *conn)
{
    if (conn->context != NULL && (conn->context->c.flags & REDIS_CONNECTED) != 0 &&
        (conn->events & SHEAF_P_WRITABLE) != 0)
        redisAsyncHandleWrite(conn->context);
}

void redis_conn_free(redis_conn_t *conn)
{
    if (conn == NULL)
        return;
    conn->is_ending = true;
    flush(conn);
    conn->api->timer_stop(conn->worker, conn->deadline);
    conn->api->timer_stop(conn->worker, conn->rest);
    if (conn->context != NULL)
        redisAsyncFree(conn->context);
    free(conn);
}
