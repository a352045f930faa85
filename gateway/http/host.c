/* The host half of wire.h (RFC 3986 3.2.2, RFC 9110 4.2.3). */
#include "gateway/http/wire.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A bracketed IPv6 address, or IPvFuture: what stands in it is up to whoever resolves it. */
static const char *skip_literal(const char *at, const char *end)
{
    const char *close = memchr(at, ']', (size_t)(end - at));

    for (const char *c = at + 1; close != NULL && c < close; c++) {
        if (!is_digit(*c) && (sheaf_lower(*c) < 'a' || sheaf_lower(*c) > 'z') && *c != ':' && *c != '.')
            return NULL;
    }
    return close == NULL || close == at + 1 ? NULL : close + 1;
}

static const char *skip_name(const char *at, const char *end)
{
    /* RFC 3986 reg-name: token characters but #, ^, `, | and with ( ) , ; = */
    while (at < end && *at != ':' && (sheaf_token_lower[(uint8_t)*at] != 0 || strchr("(),;=", *at) != NULL) &&
           strchr("#^`|", *at) == NULL)
        at++;
    return at;
}

bool sheaf_wire_host_is_valid(sheaf_str_t host)
{
    const char *at = host.base, *end = host.base + host.len;

    if (host.len == 0)
        return false;
    at = *at == '[' ? skip_literal(at, end) : skip_name(at, end);
    if (at == NULL || at == host.base)
        return false;
    if (at == end)
        return true;
    if (*at++ != ':' || end - at > 5)
        return false;
    while (at < end && is_digit(*at))
        at++;
    return at == end;
}
