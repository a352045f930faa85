#include "rate_limit_math.h"

#define NS_OF_MS     1000000u
#define YEARS_100_NS (100ull * 366 * 24 * 3600 * 1000 * NS_OF_MS)

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What one takes of the bucket, in the time it takes to come back. */
static uint64_t token_ns(const rate_limit_rule_t *rule)
{
    uint64_t ns = rule->period_ms * NS_OF_MS / rule->rate;

    return ns == 0 ? 1 : ns;
}

bool rate_limit_rule_fits(const rate_limit_rule_t *rule)
{
    if (rule->rate == 0 || rule->burst == 0 || rule->period_ms == 0 || rule->period_ms > YEARS_100_NS / NS_OF_MS)
        return false;
    if (rule->is_sliding)
        return rule->rate <= RATE_LIMIT_SLIDING_MAX;
    return rule->burst <= YEARS_100_NS / token_ns(rule);
}

/* How far the bucket is from being full, in the time that takes. A state from beyond "empty" is of another configuration. */
static uint64_t bucket_debt(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ns)
{
    return state <= now_ns ? 0 : at_most(state - now_ns, rule->burst * token_ns(rule));
}

static uint64_t bucket_step(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms, uint64_t cost,
                            rate_limit_verdict_t *verdict)
{
    const uint64_t now_ns = now_ms * NS_OF_MS, token = token_ns(rule), all = rule->burst * token;
    uint64_t debt = bucket_debt(rule, state, now_ns);

    verdict->is_allowed = cost <= rule->burst && debt + cost * token <= all;
    if (verdict->is_allowed)
        debt += cost * token;
    else if (cost <= rule->burst)
        verdict->retry_ms = (debt + cost * token - all + NS_OF_MS - 1) / NS_OF_MS;
    verdict->remaining = (all - debt) / token;
    verdict->reset_ms = (debt + NS_OF_MS - 1) / NS_OF_MS;
    /* A state from beyond "empty" does not stay: it would refuse until the old limit is over. */
    return verdict->is_allowed || state > now_ns + all ? now_ns + debt : state;
}

/* --- sliding window --- */

typedef struct window {
    uint64_t number, elapsed_ms, now, before; /* used now and before */
} window_t;

static window_t window_at(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms)
{
    window_t w = {.number = now_ms / rule->period_ms & 0xffffff, .elapsed_ms = now_ms % rule->period_ms};
    const uint64_t was = state >> 40, now = state >> 20 & RATE_LIMIT_SLIDING_MAX,
                   before = state & RATE_LIMIT_SLIDING_MAX;

    if (was == w.number || was == ((w.number + 1) & 0xffffff)) { /* time went back a little: nothing slides */
        w.elapsed_ms = was == w.number ? w.elapsed_ms : 0;
        w.number = was;
        w.now = now;
        w.before = before;
    } else if (((was + 1) & 0xffffff) == w.number) {
        w.before = now;
    }
    return w;
}

static uint64_t window_state(const window_t *w)
{
    return w->number << 40 | w->now << 20 | w->before;
}

static uint64_t window_used(const rate_limit_rule_t *rule, const window_t *w)
{
    const uint64_t left_ms = rule->period_ms - w->elapsed_ms;

    return w->now + (w->before * left_ms + rule->period_ms - 1) / rule->period_ms;
}

/* Of `used` in a window: how far into the next one until no more than `fits` of it still count. */
static uint64_t slid_ms(const rate_limit_rule_t *rule, uint64_t used, uint64_t fits)
{
    return used <= fits ? 0 : ((used - fits) * rule->period_ms + used - 1) / used;
}

static uint64_t window_retry_ms(const rate_limit_rule_t *rule, const window_t *w, uint64_t cost)
{
    const uint64_t room = rule->rate - cost;

    if (w->now > room) /* this window alone is too full: in the next one it slides away */
        return rule->period_ms - w->elapsed_ms + slid_ms(rule, w->now, room);
    return slid_ms(rule, w->before, room - w->now) - w->elapsed_ms;
}

static uint64_t window_step(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms, uint64_t cost,
                            rate_limit_verdict_t *verdict)
{
    window_t w = window_at(rule, state, now_ms);
    uint64_t used = window_used(rule, &w);

    verdict->is_allowed = cost <= rule->rate && used + cost <= rule->rate;
    if (verdict->is_allowed) {
        w.now += cost;
        used += cost;
    } else if (cost <= rule->rate) {
        verdict->retry_ms = window_retry_ms(rule, &w, cost);
    }
    verdict->remaining = rule->rate - at_most(used, rule->rate);
    verdict->reset_ms = w.now > 0      ? 2 * rule->period_ms - w.elapsed_ms
                        : w.before > 0 ? rule->period_ms - w.elapsed_ms
                                       : 0;
    return verdict->is_allowed ? window_state(&w) : state;
}

uint64_t rate_limit_step(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms, uint64_t cost,
                         rate_limit_verdict_t *ret_verdict)
{
    *ret_verdict = (rate_limit_verdict_t){.retry_ms = RATE_LIMIT_NEVER};
    return rule->is_sliding ? window_step(rule, state, now_ms, cost, ret_verdict)
                            : bucket_step(rule, state, now_ms, cost, ret_verdict);
}

uint64_t rate_limit_undo(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms, uint64_t cost)
{
    window_t w;

    if (!rule->is_sliding)
        return state - at_most(state, cost * token_ns(rule));
    w = window_at(rule, state, now_ms);
    w.now -= at_most(w.now, cost);
    return window_state(&w);
}

uint32_t rate_limit_used(const rate_limit_rule_t *rule, uint64_t state, uint64_t now_ms)
{
    window_t w;
    double share;

    if (rule->is_sliding) {
        w = window_at(rule, state, now_ms);
        share = (double)window_used(rule, &w) / (double)rule->rate;
    } else {
        share = (double)bucket_debt(rule, state, now_ms * NS_OF_MS) / ((double)rule->burst * (double)token_ns(rule));
    }
    return share <= 0 ? 0 : share >= 1 ? 65536 : 1 + (uint32_t)(share * 65535); /* what is used at all is not 0 */
}
