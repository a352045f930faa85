#include "plugins/jwt/jwt_text.h"

#include <stdlib.h>
#include <string.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

bool jwt_base64_decode(sheaf_p_str_t text, uint8_t *dst, size_t *ret_len)
{
    uint32_t bits = 0, count = 0;
    size_t len = 0;

    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.base[i]);

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        dst[len++] = (uint8_t)(bits >> count);
        bits &= (1u << count) - 1;
    }
    *ret_len = len;
    return bits == 0;
}

/* jansson bounds the depth at 2048, which a token of a few KiB can reach; nobody's claims are that deep. */
static bool is_shallow(const char *bytes, size_t len)
{
    bool is_text = false;
    int depth = 0;

    for (size_t i = 0; i < len; i++) {
        if (is_text && bytes[i] == '\\')
            i++;
        else if (bytes[i] == '"')
            is_text = !is_text;
        else if (!is_text && (bytes[i] == '{' || bytes[i] == '['))
            depth++;
        else if (!is_text && (bytes[i] == '}' || bytes[i] == ']'))
            depth--;
        if (depth > JWT_DEPTH_MAX)
            return false;
    }
    return true;
}

json_t *jwt_json_read(const char *bytes, size_t len)
{
    json_t *json = is_shallow(bytes, len) ? json_loadb(bytes, len, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

json_t *jwt_json_decode(sheaf_p_str_t text)
{
    uint8_t *bytes = malloc(text.len / 4 * 3 + 3);
    json_t *json = NULL;
    size_t len;

    if (bytes != NULL && jwt_base64_decode(text, bytes, &len))
        json = jwt_json_read((const char *)bytes, len);
    free(bytes);
    return json;
}
