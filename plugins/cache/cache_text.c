#include "plugins/cache/cache_text.h"

#include <string.h>

char cache_text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

int cache_text_is(sheaf_p_str_t text, const char *word)
{
    if (strlen(word) != text.len)
        return 0;
    for (size_t i = 0; i < text.len; i++)
        if (cache_text_lower(text.base[i]) != cache_text_lower(word[i]))
            return 0;
    return 1;
}

int cache_text_is_one_of(sheaf_p_str_t text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (cache_text_is(text, *words))
            return 1;
    return 0;
}

static char folded(char c)
{
    return c == '_' ? '-' : cache_text_lower(c);
}

int cache_text_is_alike(sheaf_p_str_t name, const char *other)
{
    if (strlen(other) != name.len)
        return 0;
    for (size_t i = 0; i < name.len; i++)
        if (folded(name.base[i]) != folded(other[i]))
            return 0;
    return 1;
}

int cache_text_is_alike_one_of(sheaf_p_str_t name, const char *const *others)
{
    for (; *others != NULL; others++)
        if (cache_text_is_alike(name, *others))
            return 1;
    return 0;
}

int cache_text_eq(sheaf_p_str_t a, sheaf_p_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

static int is_space(char c)
{
    return c == ' ' || c == '\t';
}

sheaf_p_str_t cache_text_trim(sheaf_p_str_t text)
{
    while (text.len > 0 && is_space(text.base[0])) {
        text.base++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.base[text.len - 1]))
        text.len--;
    return text;
}

/* How far the first element goes: up to a comma outside of quotes. */
static size_t element_len(sheaf_p_str_t text)
{
    int is_quoted = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (is_quoted && text.base[i] == '\\')
            i++;
        else if (text.base[i] == '"')
            is_quoted = !is_quoted;
        else if (text.base[i] == ',' && !is_quoted)
            return i;
    }
    return text.len;
}

int cache_text_element(sheaf_p_str_t *rest, sheaf_p_str_t *ret_element)
{
    while (rest->len > 0) {
        size_t len = element_len(*rest), skip = len < rest->len ? len + 1 : len;
        sheaf_p_str_t element = cache_text_trim(sheaf_p_str(rest->base, len));

        rest->base += skip;
        rest->len -= skip;
        if (element.len > 0) {
            *ret_element = element;
            return 1;
        }
    }
    return 0;
}

int cache_text_is_token(sheaf_p_str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = cache_text_lower(text.base[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return 0;
    }
    return text.len > 0;
}

int64_t cache_text_seconds(sheaf_p_str_t text)
{
    int64_t seconds = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return -1;
        seconds = seconds * 10 + (text.base[i] - '0');
        if (seconds > CACHE_SECONDS_MAX)
            seconds = CACHE_SECONDS_MAX;
    }
    return text.len > 0 ? seconds : -1;
}
