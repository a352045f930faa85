/* tests/plugins/redis_liar.h - something that listens where a Redis should, and says what a test tells it to. */
#ifndef SHEAF_TESTS_PLUGINS_REDIS_LIAR_H
#define SHEAF_TESTS_PLUGINS_REDIS_LIAR_H

#include <stddef.h>

typedef struct redis_liar {
    char address[32];
    int listener, conn; /* conn -1: none yet */
} redis_liar_t;

/* Those that cannot be done end the test. */
void redis_liar_new(redis_liar_t *liar);
void redis_liar_accept(redis_liar_t *liar);
void redis_liar_say(const redis_liar_t *liar, const char *bytes, size_t len);
/* What has come: at most `room` - 1 bytes, a NUL behind them. Waits until there is something. */
size_t redis_liar_hear(const redis_liar_t *liar, char *ret_bytes, size_t room);
void redis_liar_free(redis_liar_t *liar);

#endif
