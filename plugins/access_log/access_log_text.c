#include "access_log_text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 64

void access_log_put(access_log_out_t *out, const char *base, size_t len)
{
    if (out->is_cut || len > out->room - out->len) {
        out->is_cut = true;
        return;
    }
    memcpy(out->base + out->len, base, len);
    out->len += len;
}

static void put_code(access_log_out_t *out, bool is_json, unsigned code)
{
    char text[16];
    const int len =
        is_json ? snprintf(text, sizeof(text), "\\u%04x", code) : snprintf(text, sizeof(text), "\\x%02X", code);

    access_log_put(out, text, (size_t)len);
}

/* Length of the UTF-8 sequence at `at`, and what it stands for; 0: it is none (RFC 3629). */
static size_t utf8_at(const uint8_t *at, size_t left, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    uint32_t code;

    if (len == 0 || len > left)
        return 0;
    code = len == 1 ? at[0] : at[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *ret_code = code;
    return len;
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}

static size_t bounded(sheaf_p_str_t value)
{
    return value.len < ACCESS_LOG_VALUE_MAX ? value.len : ACCESS_LOG_VALUE_MAX;
}

/* How many bytes from `from` on are printable ASCII and stand for themselves: nearly all of nearly all values. */
static size_t plain_run(const char *base, size_t from, size_t end)
{
    size_t at = from;

    while (at < end && base[at] >= 0x20 && base[at] <= 0x7e && base[at] != '"' && base[at] != '\\')
        at++;
    return at - from;
}

void access_log_put_json(access_log_out_t *out, sheaf_p_str_t value)
{
    const uint8_t *bytes = (const uint8_t *)value.base;
    const size_t end = bounded(value);
    uint32_t code = 0;
    size_t len;

    for (size_t i = 0; i < end; i += len) {
        len = plain_run(value.base, i, end);
        if (len > 0) {
            access_log_put(out, value.base + i, len);
            continue;
        }
        len = utf8_at(bytes + i, value.len - i, &code);
        if (len == 0) {
            access_log_put(out, "\\ufffd", 6);
            len = 1;
        } else if (is_control(code)) {
            put_code(out, true, code);
        } else if (code == '"' || code == '\\') {
            access_log_put(out, code == '"' ? "\\\"" : "\\\\", 2);
        } else {
            access_log_put(out, value.base + i, len);
        }
    }
    if (end < value.len)
        access_log_put(out, "...", 3);
}

void access_log_put_text(access_log_out_t *out, sheaf_p_str_t value)
{
    const size_t end = bounded(value);

    for (size_t i = 0; i < end;) {
        const size_t len = plain_run(value.base, i, end);

        if (len > 0)
            access_log_put(out, value.base + i, len);
        else
            put_code(out, false, (uint8_t)value.base[i]);
        i += len > 0 ? len : 1;
    }
    if (end < value.len)
        access_log_put(out, "...", 3);
}

/* --- masks --- */

typedef struct cutting {
    char *base;
    size_t len, room;
} cutting_t;

static void copy(cutting_t *to, const char *base, size_t len)
{
    if (len > to->room - to->len)
        len = to->room - to->len;
    if (len > 0)
        memcpy(to->base + to->len, base, len);
    to->len += len;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* A name as a server decodes it. One that is longer than any that is masked comes out cut, which is no match. */
static size_t decoded(const char *base, size_t len, char *ret_name)
{
    size_t out = 0;

    for (size_t i = 0; i < len && out < NAME_MAX_BYTES; i++, out++) {
        const bool is_code = base[i] == '%' && len - i > 2 && hex(base[i + 1]) >= 0 && hex(base[i + 2]) >= 0;

        ret_name[out] = is_code ? (char)(hex(base[i + 1]) * 16 + hex(base[i + 2])) : base[i] == '+' ? ' ' : base[i];
        i += is_code ? 2 : 0;
    }
    return out;
}

/* PHP makes the same variable of "a.b", "a b" and "a_b". */
static char folded(char c)
{
    return c == '.' || c == ' ' || c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

static bool is_one_of(sheaf_p_str_t name, const sheaf_p_str_t *names, uint32_t name_count)
{
    for (uint32_t i = 0; i < name_count; i++) {
        size_t at = 0;

        while (names[i].len == name.len && at < name.len && folded(names[i].base[at]) == folded(name.base[at]))
            at++;
        if (names[i].len == name.len && at == name.len)
            return true;
    }
    return false;
}

/* "token[]" and "user[password]" are lists and members to Rails and PHP: each part of a name is looked at by itself. */
static bool is_masked(const char *base, size_t len, const sheaf_p_str_t *names, uint32_t name_count)
{
    char name[NAME_MAX_BYTES];
    const size_t end = decoded(base, len, name);
    size_t from = 0;

    while (from < end && name[from] == ' ')
        from++;
    if (is_one_of(sheaf_p_str(name + from, end - from), names, name_count))
        return true;
    for (size_t at = from; at <= end; from = ++at) {
        const char close = from > 0 && name[from - 1] == '[' ? ']' : '[';

        while (at < end && name[at] != '[' && name[at] != close)
            at++;
        if (at > from && is_one_of(sheaf_p_str(name + from, at - from), names, name_count))
            return true;
        while (at < end && name[at] != '[')
            at++;
    }
    return false;
}

static size_t parameter_end(const char *base, size_t from, size_t len)
{
    while (from < len && base[from] != '&' && base[from] != ';')
        from++;
    return from;
}

static void copy_masked(cutting_t *to, const char *base, size_t len, const sheaf_p_str_t *names, uint32_t name_count)
{
    for (size_t at = 0, end; at < len; at = end + 1) {
        const char *equals;

        end = parameter_end(base, at, len);
        equals = memchr(base + at, '=', end - at);
        if (equals != NULL && is_masked(base + at, (size_t)(equals - base) - at, names, name_count)) {
            copy(to, base + at, (size_t)(equals - base) - at + 1);
            copy(to, ACCESS_LOG_MASK, strlen(ACCESS_LOG_MASK));
        } else {
            copy(to, base + at, end - at);
        }
        if (end < len)
            copy(to, base + end, 1);
    }
}

size_t access_log_mask_query(sheaf_p_str_t query, const sheaf_p_str_t *names, uint32_t name_count, char *buffer,
                             size_t room)
{
    cutting_t to = {buffer, 0, room};

    copy_masked(&to, query.base, query.len, names, name_count);
    return to.len;
}

/* Where the authority of a URL begins and its userinfo ends (behind the '@'); 0: it has none. */
static size_t userinfo_end(const char *base, size_t len, size_t *ret_begin)
{
    const char *slashes = len < 3 ? NULL : memmem(base, len, "//", 2), *at;
    size_t end;

    if (slashes == NULL)
        return 0;
    *ret_begin = (size_t)(slashes - base) + 2;
    for (end = *ret_begin; end < len && strchr("/?#", base[end]) == NULL; end++)
        continue;
    at = memrchr(base + *ret_begin, '@', end - *ret_begin);
    return at == NULL ? 0 : (size_t)(at - base) + 1;
}

size_t access_log_mask_url(sheaf_p_str_t url, const sheaf_p_str_t *names, uint32_t name_count, char *buffer,
                           size_t room)
{
    const char *question = url.len == 0 ? NULL : memchr(url.base, '?', url.len), *hash;
    const size_t path_len = question == NULL ? url.len : (size_t)(question - url.base) + 1;
    cutting_t to = {buffer, 0, room};
    size_t begin = 0, end = userinfo_end(url.base, path_len, &begin), query_len;

    copy(&to, url.base, end == 0 ? path_len : begin);
    if (end != 0) {
        copy(&to, ACCESS_LOG_MASK "@", strlen(ACCESS_LOG_MASK) + 1);
        copy(&to, url.base + end, path_len - end);
    }
    if (question == NULL)
        return to.len;
    hash = memchr(question, '#', url.len - path_len + 1);
    query_len = (hash == NULL ? url.len : (size_t)(hash - url.base)) - path_len;
    copy_masked(&to, question + 1, query_len, names, name_count);
    return to.len; /* a fragment is never sent, and says nothing that a log needs */
}
