#include "gateway/base/str.h"

#include "gateway/base/eight.h"

bool sheaf_str_ieq(sheaf_str_t a, sheaf_str_t b)
{
    if (a.len != b.len)
        return false;
    if (sheaf_str_eq(a, b)) /* nearly always written the same way */
        return true;
    for (size_t i = 0; i < a.len; i++) {
        if (sheaf_lower(a.base[i]) != sheaf_lower(b.base[i]))
            return false;
    }
    return true;
}

bool sheaf_str_starts(sheaf_str_t s, sheaf_str_t prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.base, prefix.base, prefix.len) == 0);
}

bool sheaf_str_ends(sheaf_str_t s, sheaf_str_t suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.base + s.len - suffix.len, suffix.base, suffix.len) == 0);
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
    const char *at = rest->len > 0 ? memchr(rest->base, sep, rest->len) : NULL;
    sheaf_str_t head = *rest;

    if (at == NULL) {
        *rest = SHEAF_STR_NONE;
        return head;
    }
    head.len = (size_t)(at - head.base);
    rest->base = at + 1;
    rest->len -= head.len + 1;
    return head;
}

bool sheaf_str_to_u64(sheaf_str_t s, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.base[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

size_t sheaf_u64_to_dec(uint64_t value, char *dst)
{
    char reversed[20];
    size_t len = 0;

    do {
        reversed[len++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < len; i++)
        dst[i] = reversed[len - 1 - i];
    return len;
}

uint32_t sheaf_str_distance(sheaf_str_t a, sheaf_str_t b)
{
    uint32_t row[65], corner, above;

    if (a.len > 64 || b.len > 64)
        return UINT32_MAX;
    for (uint32_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (uint32_t i = 1; i <= a.len; i++) {
        corner = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= b.len; j++) {
            uint32_t swap = corner + (a.base[i - 1] != b.base[j - 1]);
            above = row[j];
            row[j] = above + 1 < row[j - 1] + 1 ? above + 1 : row[j - 1] + 1;
            if (swap < row[j])
                row[j] = swap;
            corner = above;
        }
    }
    return row[b.len];
}

/* RFC 3629 section 4: what the second byte may be depends on the first, which rules out overlongs and surrogates. */
size_t sheaf_utf8_sequence(const char *bytes, const char *end)
{
    const unsigned char *at = (const unsigned char *)bytes;
    unsigned char lead = at[0], low = 0x80, high = 0xbf;
    size_t len = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead <= 0xf4 ? 4 : 0;

    if (len < 2 || len > (size_t)(end - bytes))
        return len < 2 ? len : 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

size_t sheaf_utf8_valid_prefix(sheaf_str_t s)
{
    size_t at = 0;

    while (at < s.len) {
        size_t len;

        while (s.len - at >= 8 && (sheaf_eight_at(s.base + at) & SHEAF_EIGHT_HIGH) == 0)
            at += 8;
        if (at == s.len)
            break;
        len = sheaf_utf8_sequence(s.base + at, s.base + s.len);
        if (len == 0)
            break;
        at += len;
    }
    return at;
}
