/* tests/plugins/redis_server.h - a Redis of the test's own, on a unix socket in a folder of its own; it dies with the test. */
#ifndef SHEAF_TESTS_PLUGINS_REDIS_SERVER_H
#define SHEAF_TESTS_PLUGINS_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct redis_server {
    pid_t pid; /* 0: does not run */
    char folder[64], address[96];
    const char *password; /* NULL: none */
} redis_server_t;

bool redis_server_is_installed(void);
/* Both return when it takes connections, or ends the test. Started again it knows nothing of before. */
void redis_server_new(redis_server_t *server, const char *password);
void redis_server_start(redis_server_t *server);
void redis_server_kill(redis_server_t *server);
void redis_server_free(redis_server_t *server);

#endif
