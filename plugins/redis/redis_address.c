#include "redis_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool redis_address_read(sheaf_p_str_t text, redis_address_t *ret_address)
{
    char copy[REDIS_HOST_MAX + 8], *host = copy, *colon;
    size_t len;

    if (text.len >= REDIS_HOST_MAX || memchr(text.base, 0, text.len) != NULL)
        return false;
    snprintf(copy, sizeof(copy), "%.*s", (int)text.len, text.base);
    *ret_address = (redis_address_t){.port = 0};
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
