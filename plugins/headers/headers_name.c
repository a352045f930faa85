#include "plugins/headers/headers_name.h"

#include <string.h>
#include <strings.h>

/* Framing, hop-by-hop (RFC 9110 7.6.1) and what says who the client is. */
static const char *const ours[] = {
    "connection", "content-length",    "expect",  "forwarded", "host", "keep-alive", "proxy-connection", "te",
    "trailer",    "transfer-encoding", "upgrade",
};

static int is_token(sheaf_p_str_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.base[i];
        int is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return 0;
    }
    return name.len > 0;
}

static int is_ours(sheaf_p_str_t name)
{
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strlen(ours[i]) == name.len && strncasecmp(ours[i], name.base, name.len) == 0)
            return 1;
    return name.len >= 12 && strncasecmp(name.base, "x-forwarded-", 12) == 0;
}

const char *headers_name_refused(sheaf_p_str_t name)
{
    if (name.len > HEADERS_NAME_MAX)
        return "a name is longer than 128 bytes";
    if (!is_token(name))
        return "is no name of a header field";
    return is_ours(name) ? "is written by Sheaf itself" : NULL;
}

static char folded(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c == '_' ? '-' : c;
}

int headers_name_is_alias(sheaf_p_str_t name, const char *other)
{
    if (strlen(other) != name.len || strncasecmp(other, name.base, name.len) == 0)
        return 0;
    for (size_t i = 0; i < name.len; i++)
        if (folded(name.base[i]) != folded(other[i]))
            return 0;
    return 1;
}
