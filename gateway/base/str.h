/* base/str.h - a borrowed run of bytes.
 *
 * A sheaf_str_t never owns: it points into a pool, a literal or a caller's buffer and lives as long as the header
 * that handed it out says. It is not NUL-terminated. {NULL, 0} means absent where a header says "may be absent". */
#ifndef SHEAF_BASE_STR_H
#define SHEAF_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct sheaf_str {
    const char *base;
    size_t len;
} sheaf_str_t;

#define SHEAF_STR(literal) ((sheaf_str_t){"" literal, sizeof(literal) - 1})
#define SHEAF_STR_NONE     ((sheaf_str_t){NULL, 0})
#define SHEAF_STR_ARG(s)   (int)(s).len, (s).base /* for "%.*s" */

/* The struct of type `type` whose member `member` lives at `ptr`. */
#define SHEAF_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define SHEAF_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline sheaf_str_t sheaf_str(const char *base, size_t len)
{
    return (sheaf_str_t){base, len};
}

static inline sheaf_str_t sheaf_str_of(const char *cstr)
{
    return (sheaf_str_t){cstr, strlen(cstr)};
}

static inline bool sheaf_str_eq(sheaf_str_t a, sheaf_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

/* ASCII lower case of one byte; other bytes as they are (locale-free). */
static inline char sheaf_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* What a hexadecimal digit, in any case, is worth; -1 when it is none. */
static inline int sheaf_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = sheaf_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Equal without regard to ASCII case. */
bool sheaf_str_ieq(sheaf_str_t a, sheaf_str_t b);
bool sheaf_str_starts(sheaf_str_t s, sheaf_str_t prefix);
bool sheaf_str_ends(sheaf_str_t s, sheaf_str_t suffix);

/* `s` without leading and trailing spaces and tabs (OWS, RFC 9110 5.6.3). */
sheaf_str_t sheaf_str_trim(sheaf_str_t s);

/* Cuts the text before the first `sep` off `*rest` and returns it; `*rest` becomes what follows the separator.
 * Without a separator all of `*rest` is returned and `*rest` becomes absent (base NULL). */
sheaf_str_t sheaf_str_cut(sheaf_str_t *rest, char sep);

/* Decimal digits only, no sign, the whole of `s`; false on overflow, emptiness or any other byte. */
bool sheaf_str_to_u64(sheaf_str_t s, uint64_t *ret_value);

/* Writes `value` in decimal at `dst` (room for 20 bytes), returns the number of bytes written. No NUL. */
size_t sheaf_u64_to_dec(uint64_t value, char *dst);

/* Edit distance of two short names, for "did you mean" (bounded: names over 64 bytes give UINT32_MAX). */
uint32_t sheaf_str_distance(sheaf_str_t a, sheaf_str_t b);

/* Length (1 to 4) of the valid UTF-8 character at `bytes`, which is before `end`; 0 when it is none or cut off. */
size_t sheaf_utf8_sequence(const char *bytes, const char *end);

/* Number of bytes of the longest prefix of `s` that is valid UTF-8 (RFC 3629: no overlongs, no surrogates). */
size_t sheaf_utf8_valid_prefix(sheaf_str_t s);

#endif
