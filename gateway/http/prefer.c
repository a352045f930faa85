#include "gateway/http/prefer.h"

#include <stdio.h>

#define VALUE_MAX 32 /* no value that we know is longer */

/* One preference: name, the value without quotes and escapes, parameters left out. */
typedef struct preference {
    sheaf_str_t name;
    char value[VALUE_MAX];
    size_t value_len;
    bool has_value, is_too_long;
} preference_t;

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_spaces(sheaf_str_t *rest)
{
    while (rest->len > 0 && is_space(*rest->base))
        *rest = sheaf_str(rest->base + 1, rest->len - 1);
}

static char take(sheaf_str_t *rest)
{
    char c = *rest->base;

    *rest = sheaf_str(rest->base + 1, rest->len - 1);
    return c;
}

static void add_to_value(preference_t *one, char c)
{
    if (one->value_len < VALUE_MAX)
        one->value[one->value_len++] = c;
    else
        one->is_too_long = true;
}

/* After the opening quote (RFC 9110 5.6.4); `one` may be NULL. A missing closing quote ends with the field. */
static void take_quoted(sheaf_str_t *rest, preference_t *one)
{
    while (rest->len > 0) {
        char c = take(rest);

        if (c == '"')
            return;
        if (c == '\\' && rest->len > 0)
            c = take(rest);
        if (one != NULL)
            add_to_value(one, c);
    }
}

static void take_value(sheaf_str_t *rest, preference_t *one)
{
    one->has_value = true;
    skip_spaces(rest);
    if (rest->len > 0 && *rest->base == '"') {
        take(rest);
        take_quoted(rest, one);
        return;
    }
    while (rest->len > 0 && *rest->base != ',' && *rest->base != ';' && !is_space(*rest->base))
        add_to_value(one, take(rest));
}

/* Parameters, or what makes no sense, up to the comma; commas in quotes are none. Is there anything but parameters? */
static bool skip_to_comma(sheaf_str_t *rest)
{
    bool is_clean;

    skip_spaces(rest);
    is_clean = rest->len == 0 || *rest->base == ',' || *rest->base == ';';
    while (rest->len > 0) {
        char c = take(rest);

        if (c == ',')
            break;
        if (c == '"')
            take_quoted(rest, NULL);
    }
    return is_clean;
}

/* Cuts the next preference off `*rest`; false when it is malformed. */
static bool take_preference(sheaf_str_t *rest, preference_t *one)
{
    size_t len = 0;

    *one = (preference_t){0};
    skip_spaces(rest);
    while (len < rest->len && memchr(",;= \t\"", rest->base[len], 6) == NULL)
        len++;
    one->name = sheaf_str(rest->base, len);
    *rest = sheaf_str(rest->base + len, rest->len - len);
    skip_spaces(rest);
    if (rest->len > 0 && *rest->base == '=') {
        take(rest);
        take_value(rest, one);
    }
    return skip_to_comma(rest) && len > 0 && !one->is_too_long;
}

/* --- what they mean --- */

static bool is_value(const preference_t *one, const char *value)
{
    return sheaf_str_eq(sheaf_str(one->value, one->value_len), sheaf_str_of(value));
}

static void take_continue(sheaf_prefer_t *prefer, const preference_t *one, bool is_odata)
{
    bool is_yes = one->value_len == 0 || is_value(one, "true"); /* an empty value is none (RFC 7240 section 2) */

    if (prefer->continues != SHEAF_CONTINUE_UNSAID || (!is_yes && !is_value(one, "false")))
        return;
    prefer->continues = is_yes ? SHEAF_CONTINUE_YES : SHEAF_CONTINUE_NO;
    prefer->continue_is_odata = is_odata;
}

static void take_wait(sheaf_prefer_t *prefer, const preference_t *one)
{
    uint64_t seconds;

    if (prefer->has_wait || !sheaf_str_to_u64(sheaf_str(one->value, one->value_len), &seconds) || seconds == 0)
        return;
    prefer->has_wait = true;
    prefer->wait_s = seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

static void take_return(sheaf_prefer_t *prefer, const preference_t *one)
{
    if (prefer->returns != SHEAF_RETURN_UNSAID)
        return;
    if (is_value(one, "minimal"))
        prefer->returns = SHEAF_RETURN_MINIMAL;
    else if (is_value(one, "representation"))
        prefer->returns = SHEAF_RETURN_REPRESENTATION;
}

static void take_handling(sheaf_prefer_t *prefer, const preference_t *one)
{
    if (prefer->handling != SHEAF_HANDLING_UNSAID)
        return;
    if (is_value(one, "strict"))
        prefer->handling = SHEAF_HANDLING_STRICT;
    else if (is_value(one, "lenient"))
        prefer->handling = SHEAF_HANDLING_LENIENT;
}

static void take_one(sheaf_prefer_t *prefer, const preference_t *one)
{
    sheaf_str_t prefix = SHEAF_STR("odata."), name = one->name;
    bool is_odata = name.len > prefix.len && sheaf_str_ieq(sheaf_str(name.base, prefix.len), prefix);

    if (is_odata)
        name = sheaf_str(name.base + prefix.len, name.len - prefix.len);
    if (sheaf_str_ieq(name, SHEAF_STR("continue-on-error")))
        take_continue(prefer, one, is_odata);
    if (is_odata)
        return; /* the others are RFC 7240's own */
    if (sheaf_str_ieq(name, SHEAF_STR("wait")))
        take_wait(prefer, one);
    if (sheaf_str_ieq(name, SHEAF_STR("return")))
        take_return(prefer, one);
    if (sheaf_str_ieq(name, SHEAF_STR("handling")))
        take_handling(prefer, one);
}

void sheaf_prefer_add(sheaf_prefer_t *prefer, sheaf_str_t field)
{
    preference_t one;

    while (field.len > 0)
        if (take_preference(&field, &one))
            take_one(prefer, &one);
}

/* --- back --- */

static size_t put(char *dst, size_t len, const char *text)
{
    int written = snprintf(dst + len, SHEAF_PREFER_MAX - len, "%s%s", len == 0 ? "" : ", ", text);

    return len + (size_t)written;
}

size_t sheaf_prefer_write(const sheaf_prefer_t *prefer, char *dst)
{
    static const char *const returns[] = {NULL, "return=minimal", "return=representation"};
    static const char *const handling[] = {NULL, "handling=strict", "handling=lenient"};
    char text[48];
    size_t len = 0;

    if (prefer->returns != SHEAF_RETURN_UNSAID)
        len = put(dst, len, returns[prefer->returns]);
    if (prefer->continues != SHEAF_CONTINUE_UNSAID) {
        snprintf(text, sizeof(text), "%scontinue-on-error%s", prefer->continue_is_odata ? "odata." : "",
                 prefer->continues == SHEAF_CONTINUE_YES ? "" : "=false");
        len = put(dst, len, text);
    }
    if (prefer->has_wait) {
        snprintf(text, sizeof(text), "wait=%u", prefer->wait_s);
        len = put(dst, len, text);
    }
    if (prefer->handling != SHEAF_HANDLING_UNSAID)
        len = put(dst, len, handling[prefer->handling]);
    return len;
}
