/* The bytes before the first line feed as a pattern, those behind as an origin. An origin that is read can be said back: it holds
 * no byte that ends a field, and it is whole; one that a pattern of a name matches ends with that name. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugins/cors/cors_origin.h"
#include "plugins/cors/cors_text.h"

static void check_origin(sheaf_p_str_t text, const cors_origin_t *origin)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] <= ' ' || text.base[i] > '~' || memchr("/,@*?#\\", text.base[i], 7) != NULL)
            if (text.base[i] != '/' || i > origin->scheme.len + 2)
                abort();
    if (!origin->is_null && (origin->host.len == 0 || origin->scheme.len == 0 || origin->port > 65535))
        abort();
}

static void check_match(const cors_pattern_t *pattern, const cors_origin_t *origin)
{
    sheaf_p_str_t want = pattern->origin.host, host = origin->host;

    if (!cors_pattern_matches(pattern, origin) || pattern->is_any || pattern->origin.is_null)
        return;
    if (host.len < want.len || strncasecmp(host.base + host.len - want.len, want.base, want.len) != 0)
        abort();
    if (!pattern->is_suffix && host.len != want.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    char *feed = size > 0 ? memchr(memcpy(copy, data, size), '\n', size) : NULL;
    sheaf_p_str_t first = {copy, feed == NULL ? size : (size_t)(feed - copy)}, second = {copy, 0};
    cors_pattern_t pattern;
    cors_origin_t origin;

    if (feed != NULL)
        second = sheaf_p_str(feed + 1, size - first.len - 1);
    cors_is_list(second);
    if (cors_origin_read(second, &origin)) {
        check_origin(second, &origin);
        if (cors_pattern_read(first, &pattern) == NULL)
            check_match(&pattern, &origin);
    }
    free(copy);
    return 0;
}
