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

/* Where a walk is: in a container whose end is only known by its closing bracket, so that nothing on the way to a deep value is
 * read once for each level. */
typedef struct walk {
    sheaf_json_iter_t iter;
    uint64_t *steps;
} walk_t;

static bool pay(walk_t *walk, size_t bytes)
{
    uint64_t cost = 1 + (bytes >> 8);

    *walk->steps -= cost < *walk->steps ? cost : *walk->steps;
    return *walk->steps > 0;
}

/* Stands before the value of that name. */
static bool find_member(walk_t *walk, sheaf_str_t name)
{
    sheaf_json_t source, value;

    while (sheaf_json_next_element(&walk->iter, &source)) { /* the name and its colon */
        if (sheaf_json_string_is(source, name))
            return true;
        sheaf_json_next_element(&walk->iter, &value);
        if (!pay(walk, source.len + value.len))
            return false;
    }
    return false;
}

/* Stands before the element. An index has no sign and no leading zero; "-" names what is behind the last element: nothing. */
static bool find_element(walk_t *walk, sheaf_str_t token)
{
    sheaf_json_t value;
    uint64_t index;

    if (!sheaf_str_to_u64(token, &index) || (token.len > 1 && token.base[0] == '0'))
        return false;
    while (index-- > 0)
        if (!sheaf_json_next_element(&walk->iter, &value) || !pay(walk, value.len))
            return false;
    return true;
}

static bool step_into(walk_t *walk, sheaf_json_t container, sheaf_str_t token)
{
    sheaf_json_type_t type = sheaf_json_type(container);

    if (type != SHEAF_JSON_OBJECT && type != SHEAF_JSON_ARRAY)
        return false;
    walk->iter = sheaf_json_iter(container);
    return type == SHEAF_JSON_OBJECT ? find_member(walk, token) : find_element(walk, token);
}

bool sheaf_pointer_walk(sheaf_json_t root, sheaf_str_t pointer, sheaf_pool_t *scratch, uint64_t *steps,
                        sheaf_json_t *ret_value)
{
    walk_t walk = {.steps = steps};
    sheaf_json_t at = root;
    sheaf_str_t rest = pointer;

    if (rest.len == 0) {
        *ret_value = root;
        return true;
    }
    sheaf_str_cut(&rest, '/');
    do {
        sheaf_str_t token = unescape(sheaf_str_cut(&rest, '/'), scratch);

        if (!step_into(&walk, at, token) || !sheaf_json_open_element(&walk.iter, &at))
            return false;
    } while (rest.base != NULL);
    return sheaf_json_next_element(&walk.iter, ret_value) && pay(&walk, ret_value->len);
}

bool sheaf_pointer_find(sheaf_json_t root, sheaf_str_t pointer, sheaf_pool_t *scratch, sheaf_json_t *ret_value)
{
    uint64_t steps = UINT64_MAX;

    return sheaf_pointer_walk(root, pointer, scratch, &steps, ret_value);
}
