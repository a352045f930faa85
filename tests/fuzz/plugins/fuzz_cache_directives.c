/* Any bytes as a head, "name: value" a line: what the cache reads out of it is within its bounds, and what forbids storing in any
 * field forbids it whatever stands around it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/cache/cache_rules.h"
#include "plugins/cache/cache_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int claim)
{
    if (!claim)
        abort();
}

static void read_head(const char *text, size_t size, cache_head_t *head)
{
    while (size > 0) {
        const char *end = memchr(text, '\n', size), *colon;
        size_t len = end == NULL ? size : (size_t)(end - text);

        colon = memchr(text, ':', len);
        if (colon != NULL)
            cache_head_add(head, sheaf_p_str(text, (size_t)(colon - text)),
                           cache_text_trim(sheaf_p_str(colon + 1, len - (size_t)(colon - text) - 1)));
        else
            cache_head_add(head, sheaf_p_str("cache-control", 13), sheaf_p_str(text, len));
        size -= end == NULL ? len : len + 1;
        text += end == NULL ? len : len + 1;
    }
}

static void in_bounds(int64_t span)
{
    require(span >= -1 && span <= CACHE_SECONDS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cache_head_t head = {0};
    cache_facts_t facts, more;
    cache_use_t use;

    read_head((const char *)data, size, &head);
    cache_facts_read(&head, 1800000000, 1800000002, 10, &facts);
    in_bounds(facts.lifetime_s);
    in_bounds(facts.control.max_age);
    in_bounds(facts.control.s_maxage);
    in_bounds(facts.control.stale_if_error);
    in_bounds(facts.control.stale_while_revalidate);
    require(facts.age_s >= 0);
    use = cache_rules_use(&facts, facts.age_s, &facts.control);
    require(use != CACHE_USE_FRESH || facts.lifetime_s > facts.age_s);
    require(!(facts.control.said & CACHE_NO_CACHE) || use == CACHE_USE_REVALIDATE);

    if (cache_head_add(&head, sheaf_p_str("cache-control", 13), sheaf_p_str("private", 7)) == 0) {
        cache_facts_read(&head, 1800000000, 1800000002, 10, &more);
        require(cache_rules_refusal(200, &head, &more, 0) != NULL);
        require(more.lifetime_s == facts.lifetime_s);
    }
    cache_head_free(&head);
    return 0;
}
