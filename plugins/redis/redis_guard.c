#include "redis_guard.h"

#define FRAME_BYTES 64 /* of a length and its line ends */

#if HIREDIS_MAJOR >= 1
typedef size_t array_len_t;
#else
typedef int array_len_t;
#endif

static const redis_guard_t *guard_of(const redisReadTask *task)
{
    return task->privdata;
}

static bool is_awaited(const redisReadTask *task)
{
    const redis_guard_t *guard = guard_of(task);

    return task->parent != NULL || task->type == REDIS_REPLY_ERROR ||
           (guard->context != NULL && guard->context->replies.head != NULL);
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    if (!is_awaited(task) || len > guard_of(task)->answer_bytes)
        return NULL;
    return guard_of(task)->hiredis->createString(task, text, len);
}

static void *create_array(const redisReadTask *task, array_len_t count)
{
    if (!is_awaited(task) || task->parent != NULL || count > REDIS_ELEMENTS_MAX)
        return NULL;
    return guard_of(task)->hiredis->createArray(task, count);
}

static void *create_integer(const redisReadTask *task, long long number)
{
    return is_awaited(task) ? guard_of(task)->hiredis->createInteger(task, number) : NULL;
}

static void *create_nil(const redisReadTask *task)
{
    return is_awaited(task) ? guard_of(task)->hiredis->createNil(task) : NULL;
}

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double number, char *text, size_t len)
{
    return is_awaited(task) ? guard_of(task)->hiredis->createDouble(task, number, text, len) : NULL;
}

static void *create_bool(const redisReadTask *task, int is_true)
{
    return is_awaited(task) ? guard_of(task)->hiredis->createBool(task, is_true) : NULL;
}
#endif

void redis_guard_init(redis_guard_t *guard, redisAsyncContext *context, size_t answer_bytes)
{
    static redisReplyObjectFunctions guarded = {
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
    redisReader *reader = context->c.reader;

    *guard = (redis_guard_t){context, reader->fn, answer_bytes};
    reader->fn = &guarded;
    reader->privdata = guard;
}

bool redis_guard_is_over(const redis_guard_t *guard)
{
    const redisReader *reader = guard->context->c.reader;

    return reader->len - reader->pos > guard->answer_bytes + FRAME_BYTES;
}
