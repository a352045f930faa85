#include "plugins/cache/cache_facts.h"
#include "plugins/cache/cache_date.h"
#include "plugins/cache/cache_text.h"

#define HEURISTIC_MAX_S (24 * 3600)

static void read_control(const cache_head_t *head, cache_control_t *control)
{
    sheaf_p_str_t value;

    cache_control_init(control);
    for (uint32_t i = 0; cache_head_find(head, "cache-control", i, &value); i++)
        cache_control_read(value, control);
}

static int date_of(const cache_head_t *head, const char *name, int64_t now_s, int64_t *ret_s)
{
    sheaf_p_str_t value;

    return cache_head_find(head, name, 0, &value) && cache_date_read(cache_text_trim(value), now_s, ret_s);
}

/* 4.2.3. Of an Age that is a list the first counts (5.1), of what is no number none. */
static int64_t age_of(const cache_head_t *head, int64_t date_s, int64_t asked_s, int64_t came_s)
{
    int64_t apparent = came_s > date_s ? came_s - date_s : 0, said = 0, delay = came_s > asked_s ? came_s - asked_s : 0;
    sheaf_p_str_t value, first;

    if (cache_head_find(head, "age", 0, &value) && cache_text_element(&value, &first))
        said = cache_text_seconds(first);
    said = (said < 0 ? 0 : said) + delay;
    return apparent > said ? apparent : said;
}

static int64_t expires_in(const cache_head_t *head, const cache_facts_t *facts, int64_t came_s)
{
    sheaf_p_str_t second;
    int64_t expires_s;

    /* 5.3: what is no date, above all "0", is in the past; 4.2.1: so is what stands there twice */
    if (cache_head_find(head, "expires", 1, &second) || !date_of(head, "expires", came_s, &expires_s) ||
        expires_s <= facts->date_s)
        return 0;
    return expires_s - facts->date_s > CACHE_SECONDS_MAX ? CACHE_SECONDS_MAX : expires_s - facts->date_s;
}

static int64_t guessed(const cache_head_t *head, const cache_facts_t *facts, uint32_t heuristic)
{
    int64_t modified_s, span;

    if (heuristic == 0 || !date_of(head, "last-modified", facts->date_s, &modified_s) || modified_s >= facts->date_s)
        return -1;
    span = (facts->date_s - modified_s) / 100 * heuristic;
    return span > HEURISTIC_MAX_S ? HEURISTIC_MAX_S : span;
}

static int64_t lifetime_of(const cache_head_t *head, const cache_facts_t *facts, int64_t came_s, uint32_t heuristic)
{
    if (facts->control.s_maxage >= 0)
        return facts->control.s_maxage;
    if (facts->control.max_age >= 0)
        return facts->control.max_age;
    if (cache_head_has(head, "expires"))
        return expires_in(head, facts, came_s);
    return guessed(head, facts, heuristic);
}

void cache_facts_read(const cache_head_t *head, int64_t asked_s, int64_t came_s, uint32_t heuristic,
                      cache_facts_t *ret_facts)
{
    read_control(head, &ret_facts->control);
    if (!date_of(head, "date", came_s, &ret_facts->date_s))
        ret_facts->date_s = came_s;
    ret_facts->age_s = age_of(head, ret_facts->date_s, asked_s, came_s);
    ret_facts->lifetime_s = lifetime_of(head, ret_facts, came_s, heuristic);
    ret_facts->has_validator = cache_head_has(head, "etag") || cache_head_has(head, "last-modified");
}
