#include "plugins/cache/cache_control.h"
#include "plugins/cache/cache_text.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t flag;
} flags[] = {
    {"no-store", CACHE_NO_STORE},
    {"no-cache", CACHE_NO_CACHE},
    {"private", CACHE_PRIVATE},
    {"public", CACHE_PUBLIC},
    {"must-revalidate", CACHE_MUST_REVALIDATE},
    {"proxy-revalidate", CACHE_PROXY_REVALIDATE},
    {"must-understand", CACHE_MUST_UNDERSTAND},
    {"only-if-cached", CACHE_ONLY_IF_CACHED},
};

static const struct {
    const char *name;
    size_t at;
    int is_longest; /* of two the longer is the stricter one */
} spans[] = {
    {"max-age", offsetof(cache_control_t, max_age), 0},
    {"s-maxage", offsetof(cache_control_t, s_maxage), 0},
    {"stale-while-revalidate", offsetof(cache_control_t, stale_while_revalidate), 0},
    {"stale-if-error", offsetof(cache_control_t, stale_if_error), 0},
    {"min-fresh", offsetof(cache_control_t, min_fresh), 1},
    {"max-stale", offsetof(cache_control_t, max_stale), 0},
};

void cache_control_init(cache_control_t *control)
{
    memset(control, 0, sizeof(*control));
    control->max_age = control->s_maxage = control->stale_while_revalidate = control->stale_if_error = -1;
    control->min_fresh = control->max_stale = -1;
}

static void take_span(int64_t *span, sheaf_p_str_t argument, int is_longest)
{
    int64_t seconds = cache_text_seconds(argument);

    if (seconds < 0)
        seconds = is_longest ? CACHE_SECONDS_MAX : 0;
    if (*span < 0 || *span == seconds)
        *span = seconds;
    else if (is_longest)
        *span = *span > seconds ? *span : seconds;
    else
        *span = 0; /* 4.2.1: conflicting lifetimes, stale */
}

static void take(cache_control_t *control, sheaf_p_str_t name, sheaf_p_str_t argument, int has_argument)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (cache_text_is(name, flags[i].name))
            control->said |= flags[i].flag;
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        int64_t *span = (int64_t *)(void *)((char *)control + spans[i].at);

        if (!cache_text_is(name, spans[i].name))
            continue;
        if (!has_argument && cache_text_is(name, "max-stale")) /* 5.2.1.2: as stale as it may be */
            argument = sheaf_p_str("2147483648", 10);
        take_span(span, argument, spans[i].is_longest);
    }
}

/* Between the quotes; -1: there is more or less than one quoted string. Escapes are left as they are: no argument that is used
 * has one. */
static int unquote(sheaf_p_str_t *text)
{
    for (size_t i = 1; i < text->len; i++) {
        if (text->base[i] == '\\')
            i++;
        else if (text->base[i] == '"' && i + 1 != text->len)
            return -1;
        else if (text->base[i] == '"') {
            *text = sheaf_p_str(text->base + 1, text->len - 2);
            return 0;
        }
    }
    return -1;
}

static int take_directive(cache_control_t *control, sheaf_p_str_t directive)
{
    const char *equals = memchr(directive.base, '=', directive.len);
    sheaf_p_str_t name = directive, argument = {NULL, 0};

    if (equals != NULL) {
        name.len = (size_t)(equals - directive.base);
        argument = sheaf_p_str(equals + 1, directive.len - name.len - 1);
        if (argument.len > 0 && argument.base[0] == '"' ? unquote(&argument) != 0 : !cache_text_is_token(argument))
            return -1;
    }
    if (!cache_text_is_token(name))
        return -1;
    take(control, name, argument, equals != NULL);
    return 0;
}

void cache_control_read(sheaf_p_str_t value, cache_control_t *control)
{
    sheaf_p_str_t directive;

    while (cache_text_element(&value, &directive))
        if (take_directive(control, directive) != 0)
            control->said |= CACHE_MALFORMED;
}
