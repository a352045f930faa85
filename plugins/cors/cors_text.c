#include "plugins/cors/cors_text.h"

#include <stdlib.h>
#include <string.h>

static int is_tchar(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return 1;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

int cors_is_token(sheaf_p_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_tchar(text.base[i]))
            return 0;
    return text.len > 0;
}

int cors_is_list(sheaf_p_str_t text)
{
    if (text.len == 0 || text.len > CORS_LIST_MAX)
        return 0;
    for (size_t i = 0; i < text.len; i++)
        if (!is_tchar(text.base[i]) && text.base[i] != ',' && text.base[i] != ' ')
            return 0;
    return 1;
}

char *cors_join(const sheaf_p_str_t *texts, uint32_t count)
{
    size_t len = 0, room = 1;
    char *list;

    for (uint32_t i = 0; i < count; i++)
        room += texts[i].len + 2;
    list = malloc(room);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        if (i > 0) {
            memcpy(list + len, ", ", 2);
            len += 2;
        }
        memcpy(list + len, texts[i].base, texts[i].len);
        len += texts[i].len;
    }
    if (list != NULL)
        list[len] = '\0';
    return list;
}
