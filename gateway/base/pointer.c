#include "gateway/base/pointer.h"

bool sheaf_pointer_is_valid(sheaf_str_t pointer)
{
    if (pointer.len == 0)
        return true;
    if (pointer.base[0] != '/')
        return false;
    for (size_t i = 0; i < pointer.len; i++)
        if (pointer.base[i] == '~' &&
            (i + 1 == pointer.len || (pointer.base[i + 1] != '0' && pointer.base[i + 1] != '1')))
            return false;
    return true;
}

/* ~1 is '/', ~0 is '~' (RFC 6901 section 4). */
static sheaf_str_t unescape(sheaf_str_t token, sheaf_pool_t *scratch)
{
    char *text;
    size_t len = 0;

    if (token.len == 0 || memchr(token.base, '~', token.len) == NULL)
        return token;
    text = sheaf_pool_alloc(scratch, token.len);
    for (size_t i = 0; i < token.len; i++) {
        if (token.base[i] == '~')
            text[len++] = token.base[++i] == '1' ? '/' : '~';
        else
            text[len++] = token.base[i];
    }
    return sheaf_str(text, len);
}

static bool find_member(sheaf_json_t object, sheaf_str_t name, sheaf_json_t *ret_value)
{
    sheaf_json_iter_t iter = sheaf_json_iter(object);
    sheaf_json_t source, value;

    while (sheaf_json_next_member(&iter, &source, &value)) {
        if (!sheaf_json_string_is(source, name))
            continue;
        *ret_value = value;
        return true;
    }
    return false;
}

/* An index has no sign and no leading zero; "-" names what is behind the last element: nothing. */
static bool find_element(sheaf_json_t array, sheaf_str_t token, sheaf_json_t *ret_value)
{
    sheaf_json_iter_t iter = sheaf_json_iter(array);
    uint64_t index;

    if (!sheaf_str_to_u64(token, &index) || (token.len > 1 && token.base[0] == '0'))
        return false;
    while (sheaf_json_next_element(&iter, ret_value))
        if (index-- == 0)
            return true;
    return false;
}

bool sheaf_pointer_find(sheaf_json_t root, sheaf_str_t pointer, sheaf_pool_t *scratch, sheaf_json_t *ret_value)
{
    sheaf_json_t at = root;
    sheaf_str_t rest = pointer;

    if (rest.len > 0)
        sheaf_str_cut(&rest, '/');
    else
        rest = SHEAF_STR_NONE;
    while (rest.base != NULL) {
        sheaf_str_t token = unescape(sheaf_str_cut(&rest, '/'), scratch);
        sheaf_json_type_t type = sheaf_json_type(at);
        bool found = type == SHEAF_JSON_OBJECT  ? find_member(at, token, &at)
                     : type == SHEAF_JSON_ARRAY ? find_element(at, token, &at)
                                                : false;

        if (!found)
            return false;
    }
    *ret_value = at;
    return true;
}
