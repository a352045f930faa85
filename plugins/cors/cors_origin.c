#include "plugins/cors/cors_origin.h"

#include <string.h>
#include <strings.h>

#define HOST_MAX   253 /* RFC 1035 2.3.4, as text */
#define SCHEME_MAX 32

static int is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int equals(sheaf_p_str_t text, const char *literal)
{
    return text.len == strlen(literal) && strncasecmp(text.base, literal, text.len) == 0;
}

static int alike(sheaf_p_str_t a, sheaf_p_str_t b)
{
    return a.len == b.len && strncasecmp(a.base, b.base, a.len) == 0;
}

static int is_scheme(sheaf_p_str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];

        if (!is_alpha(c) && (i == 0 || (!is_digit(c) && c != '+' && c != '-' && c != '.')))
            return 0;
    }
    return text.len > 0 && text.len <= SCHEME_MAX;
}

/* Labels of letters, digits, hyphens and underscores, none of them empty. */
static int is_name(sheaf_p_str_t host)
{
    size_t label = 0;

    for (size_t i = 0; i < host.len; i++) {
        char c = host.base[i];

        if (c == '.' ? label == 0 : !is_alpha(c) && !is_digit(c) && c != '-' && c != '_')
            return 0;
        label = c == '.' ? 0 : label + 1;
    }
    return label > 0 && host.len <= HOST_MAX;
}

static int is_ipv6(sheaf_p_str_t host)
{
    if (host.len < 4 || host.len > 47 || host.base[0] != '[' || host.base[host.len - 1] != ']')
        return 0;
    for (size_t i = 1; i + 1 < host.len; i++) {
        char c = host.base[i];

        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != ':' && c != '.')
            return 0;
    }
    return 1;
}

static uint32_t default_port(sheaf_p_str_t scheme)
{
    if (equals(scheme, "https"))
        return 443;
    return equals(scheme, "http") ? 80 : 0;
}

static int read_port(sheaf_p_str_t text, uint32_t *ret_port)
{
    uint32_t port = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.base[i]))
            return 0;
        port = port * 10 + (uint32_t)(text.base[i] - '0');
    }
    *ret_port = port;
    return text.len > 0 && text.len <= 5 && port > 0 && port <= 65535 && text.base[0] != '0';
}

/* Parts `text` at its scheme's end and its port's beginning; `*ret_port` has base NULL when there is none. */
static int part(sheaf_p_str_t text, cors_origin_t *origin, sheaf_p_str_t *ret_port)
{
    const char *colon = memchr(text.base, ':', text.len), *end = text.base + text.len, *at = end;
    const char *host;

    if (colon == NULL || end - colon < 4 || colon[1] != '/' || colon[2] != '/')
        return 0;
    host = colon + 3;
    while (at > host && at[-1] != ':' && at[-1] != ']')
        at--;
    *ret_port = sheaf_p_str(NULL, 0);
    if (at > host && at[-1] == ':') {
        *ret_port = sheaf_p_str(at, (size_t)(end - at));
        end = at - 1;
    } else if (at > host && at != end) {
        return 0; /* something behind ']' */
    }
    origin->scheme = sheaf_p_str(text.base, (size_t)(colon - text.base));
    origin->host = sheaf_p_str(host, (size_t)(end - host));
    return is_scheme(origin->scheme);
}

int cors_origin_read(sheaf_p_str_t text, cors_origin_t *ret_origin)
{
    cors_origin_t origin = {{NULL, 0}, {NULL, 0}, 0, 0};
    sheaf_p_str_t port;

    if (text.len == 0 || text.len > CORS_ORIGIN_MAX)
        return 0;
    if (text.len == 4 && memcmp(text.base, "null", 4) == 0) {
        origin.is_null = 1;
        *ret_origin = origin;
        return 1;
    }
    if (!part(text, &origin, &port) || (!is_name(origin.host) && !is_ipv6(origin.host)))
        return 0;
    origin.port = default_port(origin.scheme);
    if (port.base != NULL && !read_port(port, &origin.port))
        return 0;
    *ret_origin = origin;
    return 1;
}

/* --- patterns --- */

static const char *read_suffix(sheaf_p_str_t text, cors_pattern_t *pattern, sheaf_p_str_t *ret_port)
{
    sheaf_p_str_t host;

    *ret_port = sheaf_p_str(NULL, 0);
    if (text.len > 1 && text.base[0] == '*') {
        pattern->origin.scheme = sheaf_p_str("https", 5);
        pattern->origin.host = text;
    } else if (!part(text, &pattern->origin, ret_port)) {
        return "is no origin: https://app.example, https://*.example.com, null or *";
    }
    host = pattern->origin.host;
    pattern->is_suffix = host.len > 0 && host.base[0] == '*';
    if (!pattern->is_suffix)
        return is_name(host) || is_ipv6(host) ? NULL : "has no valid host; a path does not belong here";
    if (host.len < 3 || host.base[1] != '.' || !is_name(sheaf_p_str(host.base + 2, host.len - 2)))
        return "a * stands for whole labels in front of a name, *.example.com";
    pattern->origin.host = sheaf_p_str(host.base + 1, host.len - 1);
    return NULL;
}

const char *cors_pattern_read(sheaf_p_str_t text, cors_pattern_t *ret_pattern)
{
    cors_pattern_t pattern = {{{NULL, 0}, {NULL, 0}, 0, 0}, 0, 0, 0};
    sheaf_p_str_t port;
    const char *why;

    if (text.len == 0 || text.len > CORS_ORIGIN_MAX)
        return "is empty or longer than 300 bytes";
    pattern.is_any = text.len == 1 && text.base[0] == '*';
    pattern.origin.is_null = equals(text, "null");
    if (!pattern.is_any && !pattern.origin.is_null) {
        why = read_suffix(text, &pattern, &port);
        if (why != NULL)
            return why;
        pattern.origin.port = default_port(pattern.origin.scheme);
        pattern.is_any_port = port.len == 1 && port.base[0] == '*';
        if (port.base != NULL && !pattern.is_any_port && !read_port(port, &pattern.origin.port))
            return "has no valid port: a number, or * for any";
    }
    *ret_pattern = pattern;
    return NULL;
}

static int host_matches(const cors_pattern_t *pattern, sheaf_p_str_t host)
{
    sheaf_p_str_t want = pattern->origin.host;

    if (!pattern->is_suffix)
        return alike(want, host);
    /* the dot is part of it: evilexample.com does not end in .example.com, and something stands in front */
    return host.len > want.len && alike(want, sheaf_p_str(host.base + host.len - want.len, want.len));
}

int cors_pattern_matches(const cors_pattern_t *pattern, const cors_origin_t *origin)
{
    if (pattern->is_any)
        return 1;
    if (pattern->origin.is_null || origin->is_null)
        return pattern->origin.is_null && origin->is_null;
    return alike(pattern->origin.scheme, origin->scheme) && host_matches(pattern, origin->host) &&
           (pattern->is_any_port || pattern->origin.port == origin->port);
}
