/* base/json_cursor.c - walking a document that passed sheaf_json_check: nothing here checks anything again. */
#include "gateway/base/json.h"
#include "gateway/base/json_step.h"

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && sheaf_json_is_space(*at))
        at++;
    return at;
}

sheaf_json_t sheaf_json_root(sheaf_str_t doc)
{
    const char *at = skip_space(doc.base, doc.base + doc.len), *end = doc.base + doc.len;

    while (end > at && sheaf_json_is_space(end[-1]))
        end--;
    return sheaf_str(at, (size_t)(end - at));
}

sheaf_json_type_t sheaf_json_type(sheaf_json_t value)
{
    switch (value.base[0]) {
    case '{':
        return SHEAF_JSON_OBJECT;
    case '[':
        return SHEAF_JSON_ARRAY;
    case '"':
        return SHEAF_JSON_STRING;
    case 't':
        return SHEAF_JSON_TRUE;
    case 'f':
        return SHEAF_JSON_FALSE;
    case 'n':
        return SHEAF_JSON_NULL;
    default:
        return SHEAF_JSON_NUMBER;
    }
}

static inline const char *quote_or_slash(const char *at, const char *end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        __m128i word = sheaf_sixteen_at(at);
        unsigned bits = sheaf_sixteen_bits(sheaf_sixteen_equal(word, '"') | sheaf_sixteen_equal(word, '\\'));

        if (bits != 0)
            return at + __builtin_ctz(bits);
    }
#endif
    for (; end - at >= 8; at += 8) {
        uint64_t word = sheaf_eight_at(at);
        uint64_t marks = sheaf_eight_equal(word, '"') | sheaf_eight_equal(word, '\\');

        if (marks != 0)
            return at + sheaf_eight_first(marks);
    }
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

const char *sheaf_json_quote(const char *at, const char *end)
{
    while ((at = quote_or_slash(at, end)) < end && *at == '\\') {
        if (end - at < 2)
            return end;
        at += 2; /* over what is escaped */
    }
    return at;
}

static inline const char *skip_string(const char *at, const char *end)
{
    const char *quote = sheaf_json_near_quote(at + 1, end);

    if (quote == NULL)
        quote = sheaf_json_quote(at + 1, end);
    return quote < end ? quote + 1 : end;
}

/* Adds up what is open; a backslash, which only a string holds, is none of its business. */
typedef struct {
    int depth;
    bool in_string;
} nest_t;

/* Whether this byte, a quote or none that counts in a string, closes the value. */
static inline bool nest(nest_t *nest, char c)
{
    if (c == '"')
        nest->in_string = !nest->in_string;
    else if (!nest->in_string && (c | 0x20) == '{')
        nest->depth++;
    else if (!nest->in_string && (c | 0x20) == '}')
        return --nest->depth == 0;
    return false;
}

#ifdef __SSE2__
/* Quotes, backslashes and brackets; a square one differs from a curly one by one bit. */
static inline unsigned marks_at(const char *at)
{
    __m128i word = sheaf_sixteen_at(at), curly = _mm_or_si128(word, _mm_set1_epi8(0x20));

    return sheaf_sixteen_bits(sheaf_sixteen_equal(word, '"') | sheaf_sixteen_equal(word, '\\') |
                              sheaf_sixteen_equal(curly, '{') | sheaf_sixteen_equal(curly, '}'));
}
#endif

static const char *skip_nested(const char *at, const char *end)
{
    nest_t open = {0};

#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        for (unsigned bits = marks_at(at); bits != 0; bits &= bits - 1) {
            const char *mark = at + __builtin_ctz(bits);

            if (*mark == '\\') {
                at = mark + 2 - 16; /* on behind what it escapes */
                break;
            }
            if (nest(&open, *mark))
                return mark + 1;
        }
    }
#endif
    for (; at < end; at++) {
        if (*at == '\\')
            at++;
        else if (nest(&open, *at))
            return at + 1;
    }
    return at;
}

static const char *skip_value(const char *at, const char *end)
{
    if (*at == '{' || *at == '[')
        return skip_nested(at, end);
    if (*at == '"')
        return skip_string(at, end);
    while (at < end && *at != ',' && *at != '}' && *at != ']' && !sheaf_json_is_space(*at))
        at++;
    return at;
}

sheaf_json_iter_t sheaf_json_iter(sheaf_json_t value)
{
    return (sheaf_json_iter_t){value.base + 1, value.base + value.len - 1};
}

/* The next value; leaves the iterator behind it and the comma that may follow. */
static sheaf_json_t take_value(sheaf_json_iter_t *iter)
{
    const char *start = skip_space(iter->at, iter->end);

    iter->at = skip_value(start, iter->end);
    sheaf_json_t value = sheaf_str(start, (size_t)(iter->at - start));
    iter->at = skip_space(iter->at, iter->end);
    if (iter->at < iter->end && (*iter->at == ',' || *iter->at == ':'))
        iter->at++;
    return value;
}

/* Where a value may begin a bracket that closes ends all; it differs from the other by one bit. */
static bool is_over(const sheaf_json_iter_t *iter)
{
    return iter->at == iter->end || (*iter->at | 0x20) == '}';
}

bool sheaf_json_next_element(sheaf_json_iter_t *iter, sheaf_json_t *ret_value)
{
    iter->at = skip_space(iter->at, iter->end);
    if (is_over(iter))
        return false;
    *ret_value = take_value(iter);
    return true;
}

bool sheaf_json_open_element(sheaf_json_iter_t *iter, sheaf_json_t *ret_value)
{
    iter->at = skip_space(iter->at, iter->end);
    if (is_over(iter))
        return false;
    *ret_value = sheaf_str(iter->at, (size_t)(iter->end - iter->at));
    return true;
}

void sheaf_json_close_element(sheaf_json_iter_t *iter, const sheaf_json_iter_t *inner)
{
    iter->at = skip_space(inner->at + 1, iter->end);
    iter->at += iter->at < iter->end && *iter->at == ',';
}

bool sheaf_json_next_member(sheaf_json_iter_t *iter, sheaf_json_t *ret_name, sheaf_json_t *ret_value)
{
    if (!sheaf_json_next_element(iter, ret_name))
        return false;
    *ret_value = take_value(iter);
    return true;
}

static unsigned hex4(const char *at)
{
    unsigned unit = 0;

    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (at[i] <= '9' ? (unsigned)at[i] - '0' : ((unsigned)at[i] | 0x20) - 'a' + 10);
    return unit;
}

static char *put_utf8(char *dst, unsigned code)
{
    if (code < 0x80) {
        *dst++ = (char)code;
    } else if (code < 0x800) {
        *dst++ = (char)(0xc0 | code >> 6);
        *dst++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *dst++ = (char)(0xe0 | code >> 12);
        *dst++ = (char)(0x80 | (code >> 6 & 0x3f));
        *dst++ = (char)(0x80 | (code & 0x3f));
    } else {
        *dst++ = (char)(0xf0 | code >> 18);
        *dst++ = (char)(0x80 | (code >> 12 & 0x3f));
        *dst++ = (char)(0x80 | (code >> 6 & 0x3f));
        *dst++ = (char)(0x80 | (code & 0x3f));
    }
    return dst;
}

/* `at` is behind the u; returns what follows the escape, which is two of them for a surrogate pair. */
static const char *decode_unicode(const char *at, char **dst)
{
    unsigned unit = hex4(at);

    at += 4;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + (hex4(at + 2) - 0xdc00);
        at += 6;
    }
    *dst = put_utf8(*dst, unit);
    return at;
}

static char unescape(char c)
{
    return c == 'b' ? '\b' : c == 'f' ? '\f' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
}

/* One byte, or one escape with what belongs to it; returns what follows. */
static const char *decode_next(const char *at, char **dst)
{
    if (*at != '\\') {
        *(*dst)++ = *at++;
        return at;
    }
    if (at[1] == 'u')
        return decode_unicode(at + 2, dst);
    *(*dst)++ = unescape(at[1]);
    return at + 2;
}

sheaf_str_t sheaf_json_string(sheaf_json_t value, sheaf_pool_t *pool)
{
    const char *at = value.base + 1, *end = value.base + value.len - 1;
    char *text, *dst;

    if (at == end || memchr(at, '\\', (size_t)(end - at)) == NULL)
        return sheaf_str(at, (size_t)(end - at));
    text = dst = sheaf_pool_alloc(pool, (size_t)(end - at)); /* an escape is never shorter than what it means */
    while (at < end)
        at = decode_next(at, &dst);
    return sheaf_str(text, (size_t)(dst - text));
}

bool sheaf_json_string_is(sheaf_json_t value, sheaf_str_t text)
{
    const char *at = value.base + 1, *end = value.base + value.len - 1;
    size_t done = 0;

    if (at == end || memchr(at, '\\', (size_t)(end - at)) == NULL)
        return sheaf_str_eq(sheaf_str(at, (size_t)(end - at)), text);
    while (at < end) {
        char part[4], *dst = part;
        size_t len;

        at = decode_next(at, &dst);
        len = (size_t)(dst - part);
        if (len > text.len - done || memcmp(part, text.base + done, len) != 0)
            return false;
        done += len;
    }
    return done == text.len;
}

bool sheaf_json_u64(sheaf_json_t value, uint64_t *ret_value)
{
    return sheaf_json_type(value) == SHEAF_JSON_NUMBER && sheaf_str_to_u64(value, ret_value);
}

const char *sheaf_json_scalar(sheaf_json_t value, sheaf_pool_t *pool, sheaf_str_t *ret_text)
{
    switch (sheaf_json_type(value)) {
    case SHEAF_JSON_STRING:
        *ret_text = sheaf_json_string(value, pool);
        return NULL;
    case SHEAF_JSON_NULL:
        return "found null";
    case SHEAF_JSON_ARRAY:
        return "found an array where a plain value is wanted";
    case SHEAF_JSON_OBJECT:
        return "found an object where a plain value is wanted";
    default:
        *ret_text = value;
        return NULL;
    }
}
