#include "rate_limit_redis.h"

#include <arpa/inet.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rate_limit_script.h"

#define REST_MIN_MS 100
#define REST_MAX_MS 5000
#define SILENCE_MS  1000

#if HIREDIS_MAJOR >= 1
typedef size_t array_len_t;
#else
typedef int array_len_t;
#endif

/* A question. It lives until hiredis gives it back; when it has timed out it is told already. */
typedef struct asked {
    rate_limit_redis_t *redis;
    struct asked *next; /* in the order they were asked, which is that of their deadlines */
    sheaf_p_ref_t ref;
    uint64_t hash[2], cost, end_ms;
    bool is_told, is_eval;
} asked_t;

struct rate_limit_redis {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    rate_limit_redis_conf_t conf;
    redisAsyncContext *context; /* NULL: DOWN */
    const redisReplyObjectFunctions *hiredis;
    bool is_ending;
    sheaf_p_watch_t watch;
    uint32_t events;
    asked_t *first, **last; /* those not told */
    uint32_t asked_count;   /* those hiredis has */
    uint64_t heard_ms, rest_ms;
    sheaf_p_timer_t deadline, rest;
    char sha[RATE_LIMIT_SHA_LEN + 1];
};

static void dial(void *data);                                              /* DOWN: makes a context            */
static void on_connect(const redisAsyncContext *context, int status);      /* UP, or back to DOWN              */
static void greet(rate_limit_redis_t *redis);                              /* AUTH, SELECT: before any question */
static void on_reply(redisAsyncContext *context, void *reply, void *data); /* an answer, or the end       */
static void on_deadline(void *data);                                       /* the oldest have waited too long  */
static void go_down(rate_limit_redis_t *redis);                            /* the one way down: rests          */

/* --- addresses --- */

static bool is_numeric(const char *host)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool port_read(const char *text, int *ret_port)
{
    char *end;
    const long port = strtol(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != 0 || port < 1 || port > 65535)
        return false;
    *ret_port = (int)port;
    return true;
}

bool rate_limit_address_read(sheaf_p_str_t text, rate_limit_address_t *ret_address)
{
    char copy[RATE_LIMIT_HOST_MAX + 8], *host = copy, *colon;
    size_t len;

    if (text.len >= RATE_LIMIT_HOST_MAX || memchr(text.base, 0, text.len) != NULL)
        return false;
    snprintf(copy, sizeof(copy), "%.*s", (int)text.len, text.base);
    *ret_address = (rate_limit_address_t){.port = 0};
    if (strncmp(copy, "unix:/", 6) == 0) {
        memcpy(ret_address->host, copy + 5, strlen(copy + 5) + 1); /* shorter than text */
        return true;
    }
    colon = strrchr(copy, ':');
    if (colon == NULL || !port_read(colon + 1, &ret_address->port))
        return false;
    *colon = 0;
    len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        host++;
    } else if (strchr(host, ':') != NULL) {
        return false;
    }
    memcpy(ret_address->host, host, strlen(host) + 1); /* shorter than text */
    return is_numeric(host);
}

/* --- hiredis on the loop of the worker --- */

static void on_ready(void *data, uint32_t events)
{
    rate_limit_redis_t *redis = data;
    redisAsyncContext *context = redis->context;

    if ((events & SHEAF_P_READABLE) != 0)
        redisAsyncHandleRead(context);
    if ((events & SHEAF_P_WRITABLE) != 0 && redis->context == context && context != NULL)
        redisAsyncHandleWrite(context);
}

static void listen_for(rate_limit_redis_t *redis, uint32_t events)
{
    if (events == redis->events)
        return;
    if (events == 0)
        redis->api->watch_stop(redis->worker, redis->watch);
    else if (redis->events == 0)
        redis->watch = redis->api->watch(redis->worker, redis->context->c.fd, events, on_ready, redis);
    else
        redis->api->watch_change(redis->worker, redis->watch, events);
    redis->events = events;
}

static void add_read(void *data)
{
    listen_for(data, ((rate_limit_redis_t *)data)->events | SHEAF_P_READABLE);
}

static void del_read(void *data)
{
    listen_for(data, ((rate_limit_redis_t *)data)->events & ~SHEAF_P_READABLE);
}

static void add_write(void *data)
{
    listen_for(data, ((rate_limit_redis_t *)data)->events | SHEAF_P_WRITABLE);
}

static void del_write(void *data)
{
    listen_for(data, ((rate_limit_redis_t *)data)->events & ~SHEAF_P_WRITABLE);
}

/* hiredis closes the descriptor next, and frees the context. */
static void clean_up(void *data)
{
    rate_limit_redis_t *redis = data;

    listen_for(redis, 0);
    redis->context = NULL;
    if (!redis->is_ending)
        go_down(redis);
}

/* --- answers that nobody asked for ---
 *
 * hiredis takes one that is no error for a message to a subscriber and asserts that there is one: whoever greets, or answers
 * twice, would end the worker. So an answer is not even built while none is awaited, as if there were no memory for it: that
 * closes the connection. An error stays one, hiredis closes for it by itself. */

static bool is_awaited(const redisReadTask *task)
{
    const rate_limit_redis_t *redis = task->privdata;

    return task->parent != NULL || task->type == REDIS_REPLY_ERROR ||
           (redis->context != NULL && redis->context->replies.head != NULL);
}

static const redisReplyObjectFunctions *hiredis_of(const redisReadTask *task)
{
    return ((const rate_limit_redis_t *)task->privdata)->hiredis;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    return is_awaited(task) ? hiredis_of(task)->createString(task, text, len) : NULL;
}

static void *create_array(const redisReadTask *task, array_len_t count)
{
    return is_awaited(task) ? hiredis_of(task)->createArray(task, count) : NULL;
}

static void *create_integer(const redisReadTask *task, long long number)
{
    return is_awaited(task) ? hiredis_of(task)->createInteger(task, number) : NULL;
}

static void *create_nil(const redisReadTask *task)
{
    return is_awaited(task) ? hiredis_of(task)->createNil(task) : NULL;
}

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double number, char *text, size_t len)
{
    return is_awaited(task) ? hiredis_of(task)->createDouble(task, number, text, len) : NULL;
}

static void *create_bool(const redisReadTask *task, int is_true)
{
    return is_awaited(task) ? hiredis_of(task)->createBool(task, is_true) : NULL;
}
#endif

static void refuse_unasked(rate_limit_redis_t *redis)
{
    static redisReplyObjectFunctions awaited = {
        .createString = create_string,
        .createArray = create_array,
        .createInteger = create_integer,
        .createNil = create_nil,
#if HIREDIS_MAJOR >= 1
        .createDouble = create_double,
        .createBool = create_bool,
#endif
        .freeObject = freeReplyObject,
    };
    redisReader *reader = redis->context->c.reader;

    redis->hiredis = reader->fn;
    reader->fn = &awaited;
    reader->privdata = redis;
}

/* --- up and down --- */

static void go_down(rate_limit_redis_t *redis)
{
    uint8_t chance = 0;

    redis->api->count(redis->worker, redis->conf.lost_counter, 1);
    if (redis->rest_ms == 0) /* once, until it has answered again */
        redis->api->log(redis->worker, SHEAF_P_WARN, "redis is lost, or cannot be reached");
    redis->rest_ms = redis->rest_ms == 0                ? REST_MIN_MS
                     : redis->rest_ms * 2 > REST_MAX_MS ? REST_MAX_MS
                                                        : redis->rest_ms * 2;
    redis->api->random(&chance, 1); /* workers and machines do not come back all at once */
    redis->api->timer_stop(redis->worker, redis->rest);
    redis->rest = redis->api->timer_start(redis->worker, redis->rest_ms + redis->rest_ms * chance / 1024, dial, redis);
}

static void dial(void *data)
{
    rate_limit_redis_t *redis = data;
    const rate_limit_address_t *at = &redis->conf.address;
    redisAsyncContext *context =
        at->port == 0 ? redisAsyncConnectUnix(at->host) : redisAsyncConnect(at->host, at->port);

    if (context == NULL || context->err != 0) {
        if (context != NULL)
            redisAsyncFree(context);
        go_down(redis);
        return;
    }
    redis->context = context;
    refuse_unasked(redis);
    redis->heard_ms = redis->api->now_ms(redis->worker);
    context->data = redis;
    context->ev.data = redis;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = clean_up;
    redisAsyncSetConnectCallback(context, on_connect);
    greet(redis);
}

static void on_connect(const redisAsyncContext *context, int status)
{
    rate_limit_redis_t *redis = context->data;

    if (status != REDIS_OK) /* clean_up() follows */
        return;
    redis->heard_ms = redis->api->now_ms(redis->worker);
}

static void on_greeted(redisAsyncContext *context, void *reply, void *data)
{
    const redisReply *said = reply;
    rate_limit_redis_t *redis = data;

    (void)context;
    if (said != NULL && said->type == REDIS_REPLY_ERROR)
        redis->api->log(redis->worker, SHEAF_P_ERROR_LEVEL, "redis refuses the password or the database");
}

static void greet(rate_limit_redis_t *redis)
{
    const rate_limit_redis_conf_t *conf = &redis->conf;

    if (conf->password.len > 0 && conf->user.len > 0)
        redisAsyncCommand(redis->context, on_greeted, redis, "AUTH %b %b", conf->user.base, conf->user.len,
                          conf->password.base, conf->password.len);
    else if (conf->password.len > 0)
        redisAsyncCommand(redis->context, on_greeted, redis, "AUTH %b", conf->password.base, conf->password.len);
    if (conf->database > 0)
        redisAsyncCommand(redis->context, on_greeted, redis, "SELECT %lld", (long long)conf->database);
}

/* --- questions --- */

static void tell(asked_t *asked, const rate_limit_outcome_t *outcome)
{
    rate_limit_redis_t *redis = asked->redis;
    asked_t **at = &redis->first;

    if (asked->is_told)
        return;
    asked->is_told = true;
    while (*at != asked) /* answers come in order: it is the first one */
        at = &(*at)->next;
    *at = asked->next;
    if (redis->last == &asked->next)
        redis->last = at;
    if (!redis->is_ending)
        redis->conf.on_outcome(redis->conf.owner, asked->ref, asked->cost, outcome);
}

static bool send_asked(rate_limit_redis_t *redis, asked_t *asked)
{
    rate_limit_command_t command;

    rate_limit_command(asked->is_eval ? NULL : redis->sha, redis->conf.prefix, asked->hash, redis->conf.rules,
                       redis->conf.rule_count, asked->cost, &command);
    if (redisAsyncCommandArgv(redis->context, on_reply, asked, command.count, command.words, NULL) != REDIS_OK)
        return false;
    redis->asked_count++;
    return true;
}

static bool is_unknown_script(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

static void heard(rate_limit_redis_t *redis)
{
    redis->heard_ms = redis->api->now_ms(redis->worker);
    if (redis->rest_ms > 0)
        redis->api->log(redis->worker, SHEAF_P_INFO, "redis answers again");
    redis->rest_ms = 0;
}

static void on_reply(redisAsyncContext *context, void *data_reply, void *data)
{
    asked_t *asked = data;
    rate_limit_redis_t *redis = asked->redis;
    const redisReply *reply = data_reply;
    rate_limit_outcome_t outcome;

    (void)context;
    redis->asked_count--;
    if (reply != NULL)
        heard(redis);
    /* Redis was restarted, or never saw it. What the other one sent first is behind us in the pipeline. */
    if (is_unknown_script(reply) && !asked->is_told && !asked->is_eval && !redis->is_ending) {
        asked->is_eval = true;
        if (send_asked(redis, asked))
            return;
    }
    if (reply != NULL && rate_limit_reply_read(reply, redis->conf.rule_count, &outcome))
        tell(asked, &outcome);
    else
        tell(asked, NULL);
    free(asked);
}

static void watch_deadline(rate_limit_redis_t *redis)
{
    const uint64_t now_ms = redis->api->now_ms(redis->worker);

    redis->deadline.value = 0;
    if (redis->first != NULL)
        redis->deadline = redis->api->timer_start(
            redis->worker, redis->first->end_ms > now_ms ? redis->first->end_ms - now_ms : 0, on_deadline, redis);
}

static void on_deadline(void *data)
{
    rate_limit_redis_t *redis = data;
    const uint64_t now_ms = redis->api->now_ms(redis->worker);
    bool is_late = false;

    redis->deadline.value = 0;
    while (redis->first != NULL && redis->first->end_ms <= now_ms) {
        is_late = true;
        tell(redis->first, NULL);
    }
    /* Nobody at the other end: what comes next should not have to wait as well. */
    if (is_late && redis->context != NULL && now_ms - redis->heard_ms >= SILENCE_MS)
        redisAsyncFree(redis->context);
    if (redis->deadline.value == 0)
        watch_deadline(redis);
}

bool rate_limit_redis_ask(rate_limit_redis_t *redis, sheaf_p_ref_t ref, const uint64_t hash[2], uint64_t cost)
{
    asked_t *asked;

    if (redis->context == NULL || redis->asked_count >= RATE_LIMIT_ASKED_MAX)
        return false;
    if (redis->asked_count == 0) /* that nothing was heard while nothing was asked says nothing */
        redis->heard_ms = redis->api->now_ms(redis->worker);
    asked = calloc(1, sizeof(*asked));
    if (asked == NULL)
        return false;
    *asked = (asked_t){.redis = redis, .ref = ref, .hash = {hash[0], hash[1]}, .cost = cost};
    asked->end_ms = redis->api->now_ms(redis->worker) + redis->conf.timeout_ms;
    if (!send_asked(redis, asked)) {
        free(asked);
        return false;
    }
    *redis->last = asked;
    redis->last = &asked->next;
    if (redis->deadline.value == 0)
        watch_deadline(redis);
    return true;
}

bool rate_limit_redis_is_there(const rate_limit_redis_t *redis)
{
    return redis->context != NULL && redis->api->now_ms(redis->worker) - redis->heard_ms < SILENCE_MS;
}

/* --- life --- */

rate_limit_redis_t *rate_limit_redis_new(const sheaf_p_api_t *api, sheaf_p_worker_t *worker,
                                         const rate_limit_redis_conf_t *conf)
{
    rate_limit_redis_t *redis = calloc(1, sizeof(*redis));

    if (redis == NULL)
        return NULL;
    redis->api = api;
    redis->worker = worker;
    redis->conf = *conf;
    redis->last = &redis->first;
    rate_limit_script_sha(redis->sha);
    dial(redis);
    return redis;
}

void rate_limit_redis_free(rate_limit_redis_t *redis)
{
    if (redis == NULL)
        return;
    redis->is_ending = true;
    redis->api->timer_stop(redis->worker, redis->deadline);
    redis->api->timer_stop(redis->worker, redis->rest);
    if (redis->context != NULL)
        redisAsyncFree(redis->context);
    free(redis);
}
