#include "rate_limit_words.h"

#include <inttypes.h>
#include <stdio.h>

#define YEAR_S      (366u * 24 * 3600)
#define INTEGER_MAX 999999999999999u /* of a structured field */

/* `"name"`, and `"name-1"` for the second limit. */
static size_t member(char *words, size_t len, const char *name, uint32_t index)
{
    const size_t room = RATE_LIMIT_WORDS_MAX - len;

    if (index == 0)
        return len + (size_t)snprintf(words + len, room, "\"%s\"", name);
    return len + (size_t)snprintf(words + len, room, ", \"%s-%u\"", name, index);
}

static uint64_t bounded(uint64_t n)
{
    return n < INTEGER_MAX ? n : INTEGER_MAX;
}

size_t rate_limit_policy_words(const char *name, const rate_limit_rule_t *rules, uint32_t count, char *ret_words)
{
    size_t len = 0;

    for (uint32_t i = 0; i < count; i++) {
        len = member(ret_words, len, name, i);
        len += (size_t)snprintf(ret_words + len, RATE_LIMIT_WORDS_MAX - len, ";q=%" PRIu64 ";w=%" PRIu64,
                                bounded(rules[i].rate), rate_limit_seconds(rules[i].period_ms));
        if (rules[i].burst != rules[i].rate)
            len += (size_t)snprintf(ret_words + len, RATE_LIMIT_WORDS_MAX - len, ";sheaf-burst=%" PRIu64,
                                    bounded(rules[i].burst));
    }
    return len;
}

size_t rate_limit_state_words(const char *name, const rate_limit_outcome_t *outcome, uint64_t cost, uint32_t count,
                              char *ret_words)
{
    const bool is_refusal = !outcome->is_allowed && outcome->retry_ms != RATE_LIMIT_NEVER;
    size_t len = 0;

    for (uint32_t i = 0; i < count; i++) {
        const rate_limit_verdict_t *verdict = &outcome->verdicts[i];
        const uint64_t reset_ms = is_refusal && verdict->remaining < cost ? outcome->retry_ms : verdict->reset_ms;

        len = member(ret_words, len, name, i);
        len += (size_t)snprintf(ret_words + len, RATE_LIMIT_WORDS_MAX - len, ";r=%" PRIu64 ";t=%" PRIu64,
                                bounded(verdict->remaining), reset_ms == 0 ? 0 : rate_limit_seconds(reset_ms));
    }
    return len;
}

uint64_t rate_limit_seconds(uint64_t ms)
{
    const uint64_t s = ms / 1000 + (ms % 1000 != 0);

    return s == 0 ? 1 : s > YEAR_S ? YEAR_S : s;
}
