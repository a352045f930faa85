/* redis_guard.h - what of Redis is believed to be an answer, before hiredis makes one of it.
 *
 * hiredis takes an answer that nobody awaits, and that is no error, for a message to a subscriber and asserts that there is one:
 * whoever greets, or answers twice, would end the worker. It reads announced lengths of half a gigabyte, and lists of lists. So
 * what is not awaited, longer than was agreed, or a list in a list is never built, as if there were no memory for it: that
 * closes the connection, and nothing else. An error that nobody awaits stays one, hiredis closes for it by itself. */
#ifndef REDIS_GUARD_H
#define REDIS_GUARD_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

#define REDIS_ELEMENTS_MAX 64 /* of a list */

typedef struct redis_guard {
    redisAsyncContext *context; /* NULL: nothing is awaited */
    const redisReplyObjectFunctions *hiredis;
    size_t answer_bytes;
} redis_guard_t;

/* Guards a context that has read nothing yet; the guard lives as long as it. */
void redis_guard_init(redis_guard_t *guard, redisAsyncContext *context, size_t answer_bytes);

/* After each reading: what has come of an answer that is not whole is more than it may be. */
bool redis_guard_is_over(const redis_guard_t *guard);

#endif
