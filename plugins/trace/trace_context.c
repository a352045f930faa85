#include "plugins/trace/trace_context.h"

#include <string.h>

#define WHOLE ((int64_t)1 << 56)

/* Lower-case only, as the standard wants it (2.2.2). */
static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 1: all of it is hex; `*ret_any`: and not all of it is 0. */
static int is_hex(const char *text, size_t len, int *ret_any)
{
    *ret_any = 0;
    for (size_t i = 0; i < len; i++) {
        if (digit_value(text[i]) < 0)
            return 0;
        *ret_any |= text[i] != '0';
    }
    return 1;
}

static int has_dashes(const char *text)
{
    return text[2] == '-' && text[35] == '-' && text[52] == '-';
}

int trace_context_read(sheaf_p_str_t text, trace_context_t *ret_context)
{
    const char *at = text.base;
    int any, has_trace, has_span;

    if (text.len < TRACE_PARENT_BYTES || !has_dashes(at) || !is_hex(at, 2, &any) || memcmp(at, "ff", 2) == 0)
        return 0;
    if (text.len > TRACE_PARENT_BYTES && (!any || at[TRACE_PARENT_BYTES] != '-'))
        return 0;
    if (!is_hex(at + 3, 32, &has_trace) || !is_hex(at + 36, 16, &has_span) || !is_hex(at + 53, 2, &any))
        return 0;
    if (!has_trace || !has_span)
        return 0;
    memcpy(ret_context->trace_id, at + 3, 32);
    memcpy(ret_context->span_id, at + 36, 16);
    ret_context->is_sampled = digit_value(at[54]) & 1;
    return 1;
}

void trace_context_write(const trace_context_t *context, char ret_text[TRACE_PARENT_BYTES])
{
    memcpy(ret_text, "00-", 3);
    memcpy(ret_text + 3, context->trace_id, 32);
    ret_text[35] = '-';
    memcpy(ret_text + 36, context->span_id, 16);
    memcpy(ret_text + 52, context->is_sampled ? "-01" : "-00", 3);
}

/* --- tracestate --- */

static int is_key(const char *key, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = key[i];
        int is_alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (!is_alnum && (i == 0 || (c != '_' && c != '-' && c != '*' && c != '/' && c != '@')))
            return 0;
    }
    return len > 0 && len <= 256;
}

static int is_value(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (value[i] < ' ' || value[i] > '~' || value[i] == '=')
            return 0;
    return len > 0 && len <= 256 && value[len - 1] != ' ';
}

static int is_member(const char *text, size_t len)
{
    const char *equals;

    while (len > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        len--;
    }
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    if (len == 0)
        return 1; /* empty members may be there */
    equals = memchr(text, '=', len);
    return equals != NULL && is_key(text, (size_t)(equals - text)) &&
           is_value(equals + 1, len - (size_t)(equals - text) - 1);
}

int trace_state_is_valid(sheaf_p_str_t text)
{
    size_t members = 0, from = 0;

    if (text.len == 0 || text.len > TRACE_STATE_MAX)
        return 0;
    while (from <= text.len) {
        const char *comma = from == text.len ? NULL : memchr(text.base + from, ',', text.len - from);
        size_t len = comma == NULL ? text.len - from : (size_t)(comma - text.base) - from;

        if (!is_member(text.base + from, len) || ++members > TRACE_STATE_LIST)
            return 0;
        from += len + 1;
    }
    return 1;
}

/* --- ids and shares --- */

void trace_hex(const uint8_t *bytes, size_t count, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
}

int64_t trace_share_read(sheaf_p_str_t text)
{
    double value = 0, place = 1;
    size_t i = 0;

    if (text.len == 0 || text.len > 16 || (text.base[0] != '0' && text.base[0] != '1'))
        return -1;
    value = text.base[i++] - '0';
    if (i < text.len && (text.base[i++] != '.' || i == text.len))
        return -1;
    for (; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return -1;
        place /= 10;
        value += place * (text.base[i] - '0');
    }
    return value > 1 ? -1 : (int64_t)(value * (double)WHOLE);
}

int trace_is_chosen(const char trace_id[32], int64_t share)
{
    int64_t chance = 0;

    for (size_t i = 18; i < 32; i++)
        chance = chance * 16 + digit_value(trace_id[i]);
    return chance < share;
}
