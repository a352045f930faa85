#include "gateway/base/str.h"

bool sheaf_str_ieq(sheaf_str_t a, sheaf_str_t b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (sheaf_lower(a.base[i]) != sheaf_lower(b.base[i]))
            return false;
    return true;
}

bool sheaf_str_starts(sheaf_str_t s, sheaf_str_t prefix)
{
    return prefix.len == 0 || (s.len >= prefix.len && memcmp(s.base, prefix.base, prefix.len) == 0);
}

bool sheaf_str_ends(sheaf_str_t s, sheaf_str_t suffix)
{
    return suffix.len == 0 ||
           (s.len >= suffix.len && memcmp(s.base + s.len - suffix.len, suffix.base, suffix.len) == 0);
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

sheaf_str_t sheaf_str_trim(sheaf_str_t s)
{
    while (s.len > 0 && is_ows(s.base[0])) {
        s.base++;
        s.len--;
    }
    while (s.len > 0 && is_ows(s.base[s.len - 1]))
        s.len--;
    return s;
}

sheaf_str_t sheaf_str_cut(sheaf_str_t *rest, char sep)
{
    sheaf_str_t whole = *rest;
    const char *at = whole.len == 0 ? NULL : memchr(whole.base, sep, whole.len);

    if (at == NULL) {
        *rest = SHEAF_STR_NONE;
        return whole;
    }
    size_t before = (size_t)(at - whole.base);
    *rest = sheaf_str(at + 1, whole.len - before - 1);
    return sheaf_str(whole.base, before);
}

bool sheaf_str_to_u64(sheaf_str_t s, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.base[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

size_t sheaf_u64_to_dec(uint64_t value, char *dst)
{
    char digits[20];
    size_t len = 0;

    do {
        digits[sizeof(digits) - ++len] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    memcpy(dst, digits + sizeof(digits) - len, len);
    return len;
}

#define DISTANCE_MAX 64

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Two rows suffice for insertions, deletions and substitutions; the third serves swapped neighbours, the
 * commonest slip of a typing hand. */
uint32_t sheaf_str_distance(sheaf_str_t a, sheaf_str_t b)
{
    uint32_t rows[3][DISTANCE_MAX + 1];

    if (a.len > DISTANCE_MAX || b.len > DISTANCE_MAX)
        return UINT32_MAX;
    for (uint32_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (uint32_t i = 1; i <= a.len; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b.len; j++) {
            uint32_t swap = above[j - 1] + (a.base[i - 1] != b.base[j - 1]);
            row[j] = least(swap, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.base[i - 1] == b.base[j - 2] && a.base[i - 2] == b.base[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

static bool is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* The second byte's range does the work: it rules out overlongs (E0, F0), surrogates (ED) and what lies beyond
 * U+10FFFF (F4); RFC 3629 section 4. */
size_t sheaf_utf8_sequence(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t left = (size_t)(end - at);

    if (left == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4 || left < 2)
        return 0;
    if (p[0] < 0xE0)
        return is_tail(p[1]) ? 2 : 0;
    if (p[0] < 0xF0) {
        unsigned char low = p[0] == 0xE0 ? 0xA0 : 0x80, high = p[0] == 0xED ? 0x9F : 0xBF;
        return left >= 3 && p[1] >= low && p[1] <= high && is_tail(p[2]) ? 3 : 0;
    }
    unsigned char low = p[0] == 0xF0 ? 0x90 : 0x80, high = p[0] == 0xF4 ? 0x8F : 0xBF;
    return left >= 4 && p[1] >= low && p[1] <= high && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
}

size_t sheaf_utf8_valid_prefix(sheaf_str_t s)
{
    size_t at = 0;

    while (at < s.len) {
        uint64_t word;
        while (at + sizeof(word) <= s.len) {
            memcpy(&word, s.base + at, sizeof(word));
            if ((word & 0x8080808080808080u) != 0)
                break;
            at += sizeof(word);
        }
        if (at == s.len)
            break;
        size_t step = sheaf_utf8_sequence(s.base + at, s.base + s.len);
        if (step == 0)
            break;
        at += step;
    }
    return at;
}
