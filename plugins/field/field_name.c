#include "plugins/field/field_name.h"

#include <string.h>
#include <strings.h>

/* Framing, hop-by-hop (RFC 9110 7.6.1), what says who the client is; and what becomes HTTP_PROXY (CVE-2016-5385). */
static const char *const never[] = {
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    NULL,
};

/* Written anew for each backend; what a client says there is dropped. */
static const char *const of_requests[] = {"via", "x-real-ip", "x-request-id", "x-rewrite-url", NULL};

/* Written anew for the client; what a backend says there is dropped. */
static const char *const of_answers[] = {"date", "server", "x-request-id", NULL};

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

static char folded(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c == '_' ? '-' : c;
}

/* In any case, and with `_` for `-`. */
static int is_among(sheaf_p_str_t name, const char *const *list)
{
    for (; *list != NULL; list++) {
        size_t i = 0;

        while (i < name.len && folded(name.base[i]) == (*list)[i])
            i++;
        if (i == name.len && (*list)[i] == '\0')
            return 1;
    }
    return 0;
}

static int begins(sheaf_p_str_t name, const char *start)
{
    for (size_t i = 0; start[i] != '\0'; i++)
        if (i >= name.len || folded(name.base[i]) != start[i])
            return 0;
    return 1;
}

const char *field_name_refused(sheaf_p_str_t name, int is_request)
{
    if (name.len > FIELD_NAME_MAX)
        return "a name is longer than 128 bytes";
    if (!is_token(name))
        return "is no name of a header field";
    if (is_among(name, never) || begins(name, "x-forwarded-"))
        return "is written by Sheaf itself";
    if (is_request)
        return is_among(name, of_requests) || begins(name, "x-original-")
                   ? "is written by Sheaf itself: what a client says there never gets to a backend"
                   : NULL;
    return is_among(name, of_answers) ? "is written by Sheaf itself: what a backend says there never gets to a client"
                                      : NULL;
}

int field_name_is_alias(sheaf_p_str_t name, const char *other)
{
    if (strlen(other) != name.len || strncasecmp(other, name.base, name.len) == 0)
        return 0;
    for (size_t i = 0; i < name.len; i++)
        if (folded(name.base[i]) != folded(other[i]))
            return 0;
    return 1;
}
