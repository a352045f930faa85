#include "plugins/cache/cache_head.h"
#include "plugins/cache/cache_text.h"

#include <stdlib.h>
#include <string.h>

void cache_head_free(cache_head_t *head)
{
    free(head->bytes);
    memset(head, 0, sizeof(*head));
}

static int grow(cache_head_t *head, size_t more)
{
    size_t room = head->len + more;
    char *bytes;

    if (room <= head->room)
        return 0;
    if (room > CACHE_HEAD_BYTES)
        return -1;
    if (room < head->room * 2)
        room = head->room * 2;
    bytes = realloc(head->bytes, room);
    if (bytes == NULL)
        return -1;
    head->bytes = bytes;
    head->room = room;
    return 0;
}

void cache_head_reserve(cache_head_t *head, size_t room)
{
    if (room > head->room)
        grow(head, room - head->len);
}

static int has_nul(sheaf_p_str_t text)
{
    return text.len > 0 && memchr(text.base, '\0', text.len) != NULL;
}

int cache_head_add(cache_head_t *head, sheaf_p_str_t name, sheaf_p_str_t value)
{
    char *dst;

    if (name.len > CACHE_HEAD_BYTES || value.len > CACHE_HEAD_BYTES || has_nul(name) || has_nul(value) ||
        grow(head, name.len + value.len + 2) != 0)
        return -1;
    dst = head->bytes + head->len;
    for (size_t i = 0; i < name.len; i++)
        *dst++ = cache_text_lower(name.base[i]);
    *dst++ = '\0';
    if (value.len > 0)
        memcpy(dst, value.base, value.len);
    dst[value.len] = '\0';
    head->len += name.len + value.len + 2;
    return 0;
}

int cache_head_set(cache_head_t *head, const char *name, const char *value)
{
    cache_head_remove(head, name);
    return cache_head_add(head, sheaf_p_str(name, strlen(name)), sheaf_p_str(value, strlen(value)));
}

int cache_head_next(const cache_head_t *head, size_t *at, const char **ret_name, sheaf_p_str_t *ret_value)
{
    if (*at >= head->len)
        return 0;
    *ret_name = head->bytes + *at;
    *at += strlen(*ret_name) + 1;
    *ret_value = sheaf_p_str(head->bytes + *at, strlen(head->bytes + *at));
    *at += ret_value->len + 1;
    return 1;
}

void cache_head_remove(cache_head_t *head, const char *name)
{
    size_t from = 0, at = 0;
    sheaf_p_str_t value;
    const char *found;

    while (cache_head_next(head, &at, &found, &value)) {
        if (strcmp(found, name) == 0) {
            memmove(head->bytes + from, head->bytes + at, head->len - at);
            head->len -= at - from;
            at = from;
        }
        from = at;
    }
}

int cache_head_find(const cache_head_t *head, const char *name, uint32_t nth, sheaf_p_str_t *ret_value)
{
    const char *found;
    size_t at = 0;

    while (cache_head_next(head, &at, &found, ret_value))
        if (strcmp(found, name) == 0 && nth-- == 0)
            return 1;
    *ret_value = sheaf_p_str(NULL, 0);
    return 0;
}

int cache_head_has(const cache_head_t *head, const char *name)
{
    sheaf_p_str_t value;

    return cache_head_find(head, name, 0, &value);
}

int cache_head_has_alias(const cache_head_t *head, const char *name)
{
    sheaf_p_str_t value;
    const char *found;
    size_t at = 0;

    while (cache_head_next(head, &at, &found, &value))
        if (strcmp(found, name) != 0 && cache_text_is_alike(sheaf_p_str(found, strlen(found)), name))
            return 1;
    return 0;
}

void cache_head_take(cache_head_t *head, cache_head_t *from)
{
    cache_head_free(head);
    *head = *from;
    memset(from, 0, sizeof(*from));
}
