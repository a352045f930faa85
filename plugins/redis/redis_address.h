/* redis_address.h - where a Redis is. Numeric, or a unix socket: nothing waits for DNS. */
#ifndef REDIS_ADDRESS_H
#define REDIS_ADDRESS_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

#define REDIS_HOST_MAX 108 /* a unix path */

typedef struct redis_address {
    char host[REDIS_HOST_MAX]; /* or the path of a unix socket */
    int port;                  /* 0: a unix socket */
} redis_address_t;

/* 127.0.0.1:6379, [::1]:6379, unix:/run/redis.sock. Returns false if it is none of these. */
bool redis_address_read(sheaf_p_str_t text, redis_address_t *ret_address);

#endif
