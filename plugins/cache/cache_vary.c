#include "plugins/cache/cache_vary.h"
#include "plugins/cache/cache_text.h"

#include <string.h>

/* Without a meaning for case. */
static const char *const caseless[] = {"accept", "accept-encoding", "accept-language", "accept-charset", NULL};
/* Written by Sheaf towards the backend, or between two hops: a plugin does not see what the backend saw. */
static const char *const unseen[] = {"via",
                                     "forwarded",
                                     "x-forwarded-for",
                                     "x-forwarded-proto",
                                     "x-forwarded-host",
                                     "x-forwarded-port",
                                     "x-real-ip",
                                     "te",
                                     "connection",
                                     "upgrade",
                                     "x-request-id",
                                     "traceparent",
                                     "tracestate",
                                     "range",
                                     "if-none-match",
                                     "if-modified-since",
                                     "if-match",
                                     "if-unmodified-since",
                                     "if-range",
                                     "expect",
                                     "proxy-authorization",
                                     NULL};
static const char *const secrets[] = {"authorization", "cookie",         "x-api-key", "api-key",
                                      "x-auth-token",  "x-access-token", NULL};

static void put(char *dst, size_t *len, char c)
{
    if (*len < CACHE_VARY_VALUE)
        dst[*len] = c;
    ++*len; /* beyond the room: too long */
}

static int is_separator(char c)
{
    return c == ',' || c == ';';
}

/* Drops spaces beside separators, makes one of several elsewhere. Quoted strings stay as they are. */
static void put_value(char *dst, size_t *len, sheaf_p_str_t value, int is_caseless)
{
    int is_quoted = 0, has_gap = 0;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.base[i];

        if (!is_quoted && (c == ' ' || c == '\t')) {
            has_gap = 1;
            continue;
        }
        if (has_gap && !is_separator(c) && *len > 0 && *len <= CACHE_VARY_VALUE && !is_separator(dst[*len - 1]))
            put(dst, len, ' ');
        has_gap = 0;
        put(dst, len, is_caseless ? cache_text_lower(c) : c);
        if (is_quoted && c == '\\' && i + 1 < value.len)
            put(dst, len, value.base[++i]);
        else if (c == '"')
            is_quoted = !is_quoted;
    }
}

/* "-": not there; "+..." : all fields of that name. -1: too long, or there by another spelling as well, of which nobody knows whether
 * the backend reads it. */
static int normalise(const cache_head_t *question, const char *name, char *dst, sheaf_p_str_t *ret_value)
{
    sheaf_p_str_t value, as_text = {name, strlen(name)};
    int is_caseless = cache_text_is_one_of(as_text, caseless);
    size_t len = 0;

    if (cache_head_has_alias(question, name))
        return -1;
    for (uint32_t i = 0; cache_head_find(question, name, i, &value); i++) {
        put(dst, &len, i == 0 ? '+' : ',');
        put_value(dst, &len, cache_text_trim(value), is_caseless);
    }
    if (len == 0)
        put(dst, &len, '-');
    *ret_value = sheaf_p_str(dst, len);
    return len <= CACHE_VARY_VALUE ? 0 : -1;
}

static int select_field(const cache_head_t *question, sheaf_p_str_t name, cache_head_t *selecting)
{
    char lower[CACHE_VARY_BYTES + 1], text[CACHE_VARY_VALUE];
    sheaf_p_str_t value;

    for (size_t i = 0; i < name.len; i++)
        lower[i] = cache_text_lower(name.base[i]);
    lower[name.len] = '\0';
    if (strcmp(lower, "host") == 0 || cache_head_has(selecting, lower)) /* the host is part of every key */
        return 0;
    if (cache_text_is_alike_one_of(name, unseen))
        return -1;
    if (cache_text_is_alike_one_of(name, secrets) && cache_head_has(question, lower))
        return -1;
    if (normalise(question, lower, text, &value) != 0)
        return -1;
    return cache_head_add(selecting, name, value);
}

static int select_vary(const cache_head_t *answer, const cache_head_t *question, cache_head_t *selecting)
{
    size_t names = 0, bytes = 0;
    sheaf_p_str_t value, name;

    for (uint32_t i = 0; cache_head_find(answer, "vary", i, &value); i++) {
        bytes += value.len;
        if (bytes > CACHE_VARY_BYTES)
            return -1;
        while (cache_text_element(&value, &name)) {
            if (++names > CACHE_VARY_NAMES || !cache_text_is_token(name) || cache_text_is(name, "*") ||
                select_field(question, name, selecting) != 0)
                return -1;
        }
    }
    return 0;
}

/* What a careless answer depends on without a word. */
static int select_implied(const cache_head_t *answer, const cache_head_t *question, cache_head_t *selecting)
{
    sheaf_p_str_t value;

    if (cache_head_find(answer, "content-encoding", 0, &value) && !cache_text_is(cache_text_trim(value), "identity") &&
        select_field(question, sheaf_p_str("accept-encoding", 15), selecting) != 0)
        return -1;
    if (cache_head_find(answer, "access-control-allow-origin", 0, &value) && !cache_text_is(value, "*") &&
        select_field(question, sheaf_p_str("origin", 6), selecting) != 0)
        return -1;
    return 0;
}

int cache_vary_select(const cache_head_t *answer, const cache_head_t *question, cache_head_t *ret_selecting)
{
    cache_head_t selecting = {0};

    if (select_vary(answer, question, &selecting) != 0 || select_implied(answer, question, &selecting) != 0) {
        cache_head_free(&selecting);
        return -1;
    }
    *ret_selecting = selecting;
    return 0;
}

int cache_vary_matches(const cache_head_t *selecting, const cache_head_t *question)
{
    char text[CACHE_VARY_VALUE];
    sheaf_p_str_t stored, asked;
    const char *name;
    size_t at = 0;

    while (cache_head_next(selecting, &at, &name, &stored))
        if (normalise(question, name, text, &asked) != 0 || !cache_text_eq(stored, asked))
            return 0;
    return 1;
}
