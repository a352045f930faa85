/* Any bytes as Vary (first line), the head of a question (up to an empty line) and that of another one: what an answer was stored
 * for suits the question it was stored for, and who has the same fields gets the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/cache/cache_text.h"
#include "plugins/cache/cache_validate.h"
#include "plugins/cache/cache_vary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int claim)
{
    if (!claim)
        abort();
}

static sheaf_p_str_t take_line(sheaf_p_str_t *rest)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->base, '\n', rest->len);
    sheaf_p_str_t line = {rest->base, end == NULL ? rest->len : (size_t)(end - rest->base)};
    size_t skip = end == NULL ? line.len : line.len + 1;

    rest->base += skip;
    rest->len -= skip;
    return line;
}

static void read_head(sheaf_p_str_t *rest, cache_head_t *head)
{
    for (;;) {
        sheaf_p_str_t line = take_line(rest);
        const char *colon = line.len == 0 ? NULL : memchr(line.base, ':', line.len);
        size_t name;

        if (colon == NULL)
            return;
        name = (size_t)(colon - line.base);
        cache_head_add(head, sheaf_p_str(line.base, name),
                       cache_text_trim(sheaf_p_str(colon + 1, line.len - name - 1)));
    }
}

static void check(const cache_head_t *answer, const cache_head_t *first, const cache_head_t *second)
{
    cache_head_t of_first = {0}, of_second = {0};

    if (cache_vary_select(answer, first, &of_first) != 0)
        return;
    require(cache_vary_matches(&of_first, first));
    if (cache_vary_matches(&of_first, second) && cache_vary_select(answer, second, &of_second) == 0) {
        require(of_first.len == of_second.len);
        require(of_first.len == 0 || memcmp(of_first.bytes, of_second.bytes, of_first.len) == 0);
    }
    cache_head_free(&of_first);
    cache_head_free(&of_second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_p_str_t rest = {(const char *)data, size}, vary = take_line(&rest);
    cache_head_t answer = {0}, first = {0}, second = {0};

    cache_head_add(&answer, sheaf_p_str("vary", 4), vary);
    read_head(&rest, &first);
    read_head(&rest, &second);
    check(&answer, &first, &second);
    if (cache_validate_refresh(&first, &second) == 0)
        cache_validate_is_not_modified(&second, &first, 0);
    cache_head_free(&answer);
    cache_head_free(&first);
    cache_head_free(&second);
    return 0;
}
