#include "gateway/http/query.h"

/* The byte that begins at `*at`, which moves behind it; -1 when it is no escape. */
static int next_byte(sheaf_str_t encoded, bool plus_is_space, size_t *at)
{
    char c = encoded.base[*at];
    int high, low;

    *at += 1;
    if (c == '+' && plus_is_space)
        return ' ';
    if (c != '%')
        return (unsigned char)c;
    if (*at + 2 > encoded.len)
        return -1;
    high = sheaf_hex_value(encoded.base[*at]);
    low = sheaf_hex_value(encoded.base[*at + 1]);
    *at += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_plain(sheaf_str_t encoded, bool plus_is_space)
{
    for (size_t i = 0; i < encoded.len; i++)
        if (encoded.base[i] == '%' || (encoded.base[i] == '+' && plus_is_space))
            return false;
    return true;
}

bool sheaf_query_decode(sheaf_str_t encoded, bool plus_is_space, sheaf_pool_t *pool, sheaf_str_t *ret_text)
{
    size_t len = 0;
    char *text;

    if (is_plain(encoded, plus_is_space)) {
        *ret_text = encoded;
        return true;
    }
    text = sheaf_pool_alloc(pool, encoded.len);
    for (size_t at = 0; at < encoded.len;) {
        int byte = next_byte(encoded, plus_is_space, &at);

        if (byte < 0)
            return false;
        text[len++] = (char)byte;
    }
    *ret_text = sheaf_str(text, len);
    return true;
}

static bool is_name(sheaf_str_t encoded, sheaf_str_t name)
{
    size_t len = 0;

    for (size_t at = 0; at < encoded.len; len++)
        if (len == name.len || next_byte(encoded, true, &at) != (unsigned char)name.base[len])
            return false;
    return len == name.len;
}

bool sheaf_query_find(sheaf_str_t query, sheaf_str_t name, sheaf_str_t *ret_encoded)
{
    while (query.base != NULL) {
        sheaf_str_t value = sheaf_str_cut(&query, '&');
        sheaf_str_t key = sheaf_str_cut(&value, '=');

        if (!is_name(key, name))
            continue;
        *ret_encoded = value.base != NULL ? value : SHEAF_STR("");
        return true;
    }
    return false;
}

static uint32_t count_of(sheaf_str_t query, sheaf_str_t name)
{
    uint32_t count = 0;

    while (query.base != NULL) {
        sheaf_str_t piece = sheaf_str_cut(&query, '&');

        count += is_name(sheaf_str_cut(&piece, '='), name);
    }
    return count;
}

uint32_t sheaf_query_drop(sheaf_str_t target, sheaf_str_t name, sheaf_pool_t *pool, sheaf_str_t *ret_target)
{
    sheaf_str_t query = target, path = sheaf_str_cut(&query, '?');
    uint32_t count = count_of(query, name);
    char *text, *at;

    *ret_target = target;
    if (count == 0)
        return 0;
    text = sheaf_pool_alloc(pool, target.len);
    memcpy(text, path.base, path.len);
    at = text + path.len;
    while (query.base != NULL) {
        sheaf_str_t piece = sheaf_str_cut(&query, '&'), value = piece;

        if (is_name(sheaf_str_cut(&value, '='), name))
            continue;
        *at = at == text + path.len ? '?' : '&';
        memcpy(at + 1, piece.base, piece.len);
        at += 1 + piece.len;
    }
    *ret_target = sheaf_str(text, (size_t)(at - text));
    return count;
}
