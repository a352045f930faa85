#include "plugins/cache/cache_rules.h"
#include "plugins/cache/cache_text.h"

/* Final, whole, and with requirements that are met here. 206 is part of an answer, 304 none of its own. */
static int is_understood(uint32_t status)
{
    static const uint16_t known[] = {200, 203, 204, 300, 301, 302, 307, 308, 404, 405, 410, 414, 451, 501};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i] == status)
            return 1;
    return 0;
}

/* Can it ever be answered with? */
static int is_useful(const cache_facts_t *facts)
{
    if (facts->lifetime_s < 0)
        return 0;
    if (facts->has_validator)
        return 1;
    return !(facts->control.said & CACHE_NO_CACHE) && cache_rules_worth_s(facts) > 0;
}

const char *cache_rules_refusal(uint32_t status, const cache_head_t *answer, const cache_facts_t *facts,
                                int is_personal)
{
    uint32_t said = facts->control.said;

    if (!is_understood(status))
        return "status";
    if (said & CACHE_MALFORMED)
        return "malformed";
    /* 5.2.2.3: beside must-understand, no-store is for caches that do not know the status */
    if ((said & CACHE_NO_STORE) && !(said & CACHE_MUST_UNDERSTAND))
        return "no-store";
    if (said & CACHE_PRIVATE)
        return "private";
    if (cache_head_has(answer, "set-cookie") || cache_head_has(answer, "set-cookie2"))
        return "set-cookie";
    if (cache_head_has(answer, "content-range"))
        return "content-range";
    if (is_personal && !cache_rules_is_for_all(facts))
        return "personal";
    if (facts->lifetime_s < 0 && (said & CACHE_NO_CACHE) && facts->has_validator)
        return NULL; /* asked for each time, but with a validator */
    return is_useful(facts) ? NULL : "lifetime";
}

int cache_rules_is_for_all(const cache_facts_t *facts)
{
    return (facts->control.said & CACHE_PUBLIC) || facts->control.s_maxage >= 0;
}

static int64_t lifetime(const cache_facts_t *facts)
{
    return facts->lifetime_s < 0 ? 0 : facts->lifetime_s;
}

/* 4.2.4: these forbid to answer with what is stale. s-maxage forbids it too (5.2.2.10), but for what the same answer permits
 * itself: `s-maxage=60, stale-while-revalidate=30` could mean nothing else. */
static int never_stale(const cache_facts_t *facts)
{
    return (facts->control.said & (CACHE_NO_CACHE | CACHE_MUST_REVALIDATE | CACHE_PROXY_REVALIDATE)) != 0;
}

cache_use_t cache_rules_use(const cache_facts_t *facts, int64_t age_s, const cache_control_t *question)
{
    int64_t over = age_s - lifetime(facts), min_fresh = question->min_fresh < 0 ? 0 : question->min_fresh;

    if ((facts->control.said | question->said) & CACHE_NO_CACHE)
        return CACHE_USE_REVALIDATE;
    if (question->max_age >= 0 && age_s > question->max_age)
        return CACHE_USE_REVALIDATE;
    if (over + min_fresh < 0)
        return CACHE_USE_FRESH;
    if (never_stale(facts) || question->min_fresh >= 0)
        return CACHE_USE_REVALIDATE;
    if (question->max_stale >= 0 && over <= question->max_stale && facts->control.s_maxage < 0)
        return CACHE_USE_STALE;
    if (facts->control.stale_while_revalidate >= 0 && over <= facts->control.stale_while_revalidate)
        return CACHE_USE_WHILE;
    return CACHE_USE_REVALIDATE;
}

int cache_rules_stands_in(const cache_facts_t *facts, int64_t age_s)
{
    return !never_stale(facts) && facts->control.stale_if_error >= 0 &&
           age_s - lifetime(facts) <= facts->control.stale_if_error;
}

int64_t cache_rules_worth_s(const cache_facts_t *facts)
{
    int64_t grace = facts->control.stale_while_revalidate > facts->control.stale_if_error
                        ? facts->control.stale_while_revalidate
                        : facts->control.stale_if_error;
    int64_t worth = lifetime(facts) - facts->age_s + (grace > 0 && !never_stale(facts) ? grace : 0);

    if (facts->has_validator)
        worth = (worth > 0 ? worth : 0) + 24 * 3600;
    return worth;
}

int cache_rules_is_safe(sheaf_p_str_t method)
{
    static const char *const safe[] = {"GET",    "HEAD",   "OPTIONS", "TRACE", "PROPFIND",
                                       "REPORT", "SEARCH", "QUERY",   NULL};

    return cache_text_is_one_of(method, safe);
}

int cache_rules_invalidates(sheaf_p_str_t method, int64_t status)
{
    return !cache_rules_is_safe(method) && status >= 200 && status < 400;
}
