#include "config/env.h"

#include <stdlib.h>

#define OPENING     "${env."
#define OPENING_LEN (sizeof(OPENING) - 1)

bool sheaf_env_is_in(sheaf_str_t text)
{
    return text.len > OPENING_LEN && memmem(text.base, text.len, OPENING, OPENING_LEN) != NULL;
}

static bool is_name(sheaf_str_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = sheaf_lower(name.base[i]);

        if (c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len > 0;
}

/* `inside` is what stands between "${env." and "}". */
static sheaf_err_t look_up(sheaf_str_t inside, sheaf_str_t *ret_value, sheaf_fail_t *fail)
{
    const char *dash = memmem(inside.base, inside.len, ":-", 2);
    sheaf_str_t name = sheaf_str(inside.base, dash != NULL ? (size_t)(dash - inside.base) : inside.len);
    char cname[256];
    const char *value;

    if (!is_name(name) || name.len >= sizeof(cname))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is no name of an environment variable",
                          (int)(name.len < 64 ? name.len : 64), name.base);
    memcpy(cname, name.base, name.len);
    cname[name.len] = '\0';
    value = getenv(cname);
    if (dash != NULL && (value == NULL || *value == '\0')) {
        *ret_value = sheaf_str(dash + 2, (size_t)(inside.base + inside.len - dash - 2));
        return SHEAF_OK;
    }
    if (value == NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                          "the environment variable `%s` is not set; ${env.%s:-default} would give it a default", cname,
                          cname);
    *ret_value = sheaf_str_of(value);
    if (sheaf_utf8_valid_prefix(*ret_value) != ret_value->len)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the environment variable `%s` is not valid UTF-8", cname);
    return SHEAF_OK;
}

typedef struct text_sink { /* measures when bytes is NULL */
    char *bytes;
    size_t len;
} text_sink_t;

static void put(text_sink_t *sink, sheaf_str_t s)
{
    if (sink->bytes != NULL && s.len > 0)
        memcpy(sink->bytes + sink->len, s.base, s.len);
    sink->len += s.len;
}

static sheaf_err_t expand_into(sheaf_str_t text, text_sink_t *sink, sheaf_str_t *ret_bad, sheaf_fail_t *fail)
{
    const char *at = text.base, *end = text.base + text.len;

    for (;;) {
        const char *open = memmem(at, (size_t)(end - at), OPENING, OPENING_LEN), *close;
        sheaf_str_t value;

        if (open == NULL)
            break;
        if (open > at && open[-1] == '$') { /* $${env. */
            put(sink, sheaf_str(at, (size_t)(open - 1 - at)));
            put(sink, SHEAF_STR(OPENING));
            at = open + OPENING_LEN;
            continue;
        }
        put(sink, sheaf_str(at, (size_t)(open - at)));
        close = memchr(open, '}', (size_t)(end - open));
        *ret_bad = sheaf_str(open, (size_t)((close != NULL ? close + 1 : end) - open));
        if (close == NULL)
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`${env.` is not closed by `}`");
        if (look_up(sheaf_str(open + OPENING_LEN, (size_t)(close - open) - OPENING_LEN), &value, fail) != SHEAF_OK)
            return SHEAF_ERR_CONFIG;
        put(sink, value);
        if (sink->len > SHEAF_ENV_MAX)
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the value is longer than %d bytes once replaced", SHEAF_ENV_MAX);
        at = close + 1;
    }
    put(sink, sheaf_str(at, (size_t)(end - at)));
    return SHEAF_OK;
}

sheaf_err_t sheaf_env_expand(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_text, sheaf_str_t *ret_bad,
                             sheaf_fail_t *fail)
{
    text_sink_t sink = {NULL, 0};
    sheaf_err_t err = expand_into(text, &sink, ret_bad, fail);

    if (err != SHEAF_OK)
        return err;
    sink.bytes = sheaf_pool_alloc(pool, sink.len + 1);
    ret_text->base = sink.bytes;
    sink.len = 0;
    err = expand_into(text, &sink, ret_bad, fail);
    ret_text->len = sink.len;
    return err;
}
