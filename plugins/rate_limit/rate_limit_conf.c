#include "rate_limit_conf.h"

#include <stdio.h>
#include <string.h>

/* Numbers of the keys, in their order. */
enum { LIMIT_RATE, LIMIT_PER, LIMIT_BURST };
enum { REDIS_ON_ERROR = REDIS_OWN };
enum {
    KEY_LIMITS,
    KEY_BY,
    KEY_ALGORITHM,
    KEY_CHARGE,
    KEY_COST,
    KEY_STATUS,
    KEY_POLICY,
    KEY_HEADERS,
    KEY_IPV6_PREFIX,
    KEY_ENTRIES,
    KEY_REDIS
};

static const sheaf_p_key_t limit_keys[] = {
    [LIMIT_RATE] = {.name = "rate",
                    .type = SHEAF_P_NUMBER,
                    .required = 1,
                    .min = 1,
                    .max = 1000000000,
                    .manual = "How many, in the time of `per`."},
    [LIMIT_PER] = {.name = "per",
                   .type = SHEAF_P_DURATION,
                   .required = 1,
                   .min = 1000,
                   .max = 2678400000,
                   .manual = "The time `rate` is for."},
    [LIMIT_BURST] = {.name = "burst",
                     .type = SHEAF_P_NUMBER,
                     .min = 1,
                     .max = 1000000000,
                     .manual = "How many may come at once (token_bucket). Default: as many as `rate`."},
    {.name = NULL},
};

static const sheaf_p_key_t redis_keys[] = {
    REDIS_KEYS("sheaf:rl:", "What its keys begin with; `policy` follows.", "50ms"),
    [REDIS_ON_ERROR] =
        {.name = "on_error",
         .type = SHEAF_P_WORD,
         .preset = "allow",
         .words = "allow|deny|local",
         .manual = "What becomes of a request while Redis does not answer: it passes, gets 503, or is counted by this "
                   "machine alone. What a Redis that is there answers too late is counted so instead of passing."},
    {.name = NULL},
};

const sheaf_p_key_t rate_limit_conf_keys[] = {
    [KEY_LIMITS] = {.name = "limits",
                    .type = SHEAF_P_LIST,
                    .required = 1,
                    .keys = limit_keys,
                    .manual = "One to eight limits; what one of them refuses is charged to none."},
    [KEY_BY] =
        {.name = "by",
         .type = SHEAF_P_TEXTS,
         .manual =
             "Whom the limits count, all parts together: client_ip, `attribute NAME` (what a plugin has verified), "
             "`header NAME` (what the "
             "client says), route. Where it is missing the client's address stands in. Default: client_ip."},
    [KEY_ALGORITHM] = {.name = "algorithm",
                       .type = SHEAF_P_WORD,
                       .preset = "token_bucket",
                       .words = "token_bucket|sliding_window",
                       .manual = "How time gives back what was used."},
    [KEY_CHARGE] =
        {.name = "charge",
         .type = SHEAF_P_WORD,
         .preset = "item",
         .words = "item|batch",
         .manual =
             "item: every item is charged before it is sent, and refused by itself. batch: a request is charged for "
             "all its items at once, and refused as a whole; elements of a forEach pay for themselves."},
    [KEY_COST] = {.name = "cost",
                  .type = SHEAF_P_NUMBER,
                  .preset = "1",
                  .min = 1,
                  .max = 1000000,
                  .manual = "What an item costs."},
    [KEY_STATUS] = {.name = "status",
                    .type = SHEAF_P_NUMBER,
                    .preset = "429",
                    .min = 400,
                    .max = 599,
                    .manual = "Of what is refused."},
    [KEY_POLICY] = {.name = "policy",
                    .type = SHEAF_P_TEXT,
                    .preset = "default",
                    .manual =
                        "Its name in RateLimit fields: at most 32 of a-z, 0-9, _ and -. Give each place its own."},
    [KEY_HEADERS] = {.name = "headers",
                     .type = SHEAF_P_BOOL,
                     .preset = "true",
                     .manual = "Whether RateLimit and RateLimit-Policy are sent."},
    [KEY_IPV6_PREFIX] = {.name = "ipv6_prefix",
                         .type = SHEAF_P_NUMBER,
                         .preset = "64",
                         .min = 16,
                         .max = 128,
                         .manual = "Bits of an IPv6 address that count."},
    [KEY_ENTRIES] =
        {.name = "entries",
         .type = SHEAF_P_NUMBER,
         .preset = "65536",
         .min = 1024,
         .max = 16777216,
         .manual =
             "How many keys are known at once, times the number of limits; 16 bytes each, shared by all workers."},
    [KEY_REDIS] = {.name = "redis",
                   .type = SHEAF_P_SECTION,
                   .keys = redis_keys,
                   .manual = "Counts in Redis, for all machines together."},
    {.name = NULL},
};

static int refuse(sheaf_p_fail_t *fail, const char *key, const char *why)
{
    snprintf(fail->key, sizeof(fail->key), "%s", key);
    snprintf(fail->why, sizeof(fail->why), "%s", why);
    return -1;
}

static int read_limit(const sheaf_p_value_t *limit, bool is_sliding, const char *key, rate_limit_rule_t *ret_rule,
                      sheaf_p_fail_t *fail)
{
    rate_limit_rule_t rule = {
        .is_sliding = is_sliding,
        .rate = (uint64_t)limit[LIMIT_RATE].number,
        .period_ms = (uint64_t)limit[LIMIT_PER].number,
    };

    if (is_sliding && limit[LIMIT_BURST].is_set)
        return refuse(fail, key, "a sliding_window has no burst");
    rule.burst = limit[LIMIT_BURST].is_set ? (uint64_t)limit[LIMIT_BURST].number : rule.rate;
    if (!rate_limit_rule_fits(&rule))
        return refuse(fail, key,
                      is_sliding ? "rate of a sliding_window is at most 1048575"
                                 : "burst would take more than 100 years to come back");
    *ret_rule = rule;
    return 0;
}

static int read_limits(const sheaf_p_value_t *limits, bool is_sliding, rate_limit_conf_t *conf, sheaf_p_fail_t *fail)
{
    char key[64];

    if (limits->count == 0 || limits->count > RATE_LIMIT_RULES_MAX)
        return refuse(fail, "limits", "must be 1 to 8 limits");
    for (uint32_t i = 0; i < limits->count; i++) {
        snprintf(key, sizeof(key), "limits[%u]", i);
        if (read_limit(limits->sections[i], is_sliding, key, &conf->rules[i], fail) != 0)
            return -1;
    }
    conf->rule_count = limits->count;
    return 0;
}

static int read_by(const sheaf_p_value_t *value, bool is_per_batch, rate_limit_by_t *by, sheaf_p_fail_t *fail)
{
    if (value->count > RATE_LIMIT_PARTS_MAX)
        return refuse(fail, "by", "must be 1 to 4 parts");
    for (uint32_t i = 0; i < value->count; i++) {
        if (!rate_limit_part_read(value->texts[i], &by->parts[i]))
            return refuse(fail, "by", "must be client_ip, `attribute NAME`, `header NAME` or route");
        if (by->parts[i].kind == RATE_LIMIT_BY_ROUTE && is_per_batch)
            return refuse(fail, "by", "a batch has no route: charge its items");
    }
    by->count = value->count;
    if (by->count == 0)
        by->parts[by->count++].kind = RATE_LIMIT_BY_IP;
    return 0;
}

static bool is_policy(sheaf_p_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] == 0 || strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", text.base[i]) == NULL)
            return false;
    return text.len > 0 && text.len <= RATE_LIMIT_POLICY_MAX;
}

static int read_policy(sheaf_p_str_t text, rate_limit_conf_t *conf, sheaf_p_fail_t *fail)
{
    if (!is_policy(text))
        return refuse(fail, "policy", "must be 1 to 32 of a-z, 0-9, _ and -");
    snprintf(conf->policy, sizeof(conf->policy), "%.*s", (int)text.len, text.base);
    return 0;
}

static int read_redis(const sheaf_p_value_t *redis, rate_limit_conf_t *conf, sheaf_p_fail_t *fail)
{
    const sheaf_p_str_t prefix = redis[REDIS_PREFIX].text;

    if (redis_conf_read(redis, RATE_LIMIT_POLICY_MAX + 1, &conf->redis, fail) != 0)
        return -1;
    snprintf(conf->prefix, sizeof(conf->prefix), "%.*s%s:", (int)prefix.len, prefix.base, conf->policy);
    conf->on_error = (rate_limit_on_error_t)redis[REDIS_ON_ERROR].number;
    conf->asks_redis = true;
    return 0;
}

static const sheaf_p_value_t *redis_of(const sheaf_p_value_t *values)
{
    return values[KEY_REDIS].is_set && values[KEY_REDIS].sections != NULL ? values[KEY_REDIS].sections[0] : NULL;
}

int rate_limit_conf_read(const sheaf_p_value_t *values, rate_limit_conf_t *ret_conf, sheaf_p_fail_t *fail)
{
    rate_limit_conf_t *conf = ret_conf;
    const sheaf_p_value_t *redis = redis_of(values);
    const bool is_sliding = values[KEY_ALGORITHM].number == 1;

    *conf = (rate_limit_conf_t){
        .by = {.ipv6_bits = (uint32_t)values[KEY_IPV6_PREFIX].number},
        .is_per_batch = values[KEY_CHARGE].number == 1,
        .says = values[KEY_HEADERS].number == 1,
        .cost = (uint64_t)values[KEY_COST].number,
        .status = (uint32_t)values[KEY_STATUS].number,
    };
    if (read_limits(&values[KEY_LIMITS], is_sliding, conf, fail) != 0 ||
        read_by(&values[KEY_BY], conf->is_per_batch, &conf->by, fail) != 0 ||
        read_policy(values[KEY_POLICY].text, conf, fail) != 0)
        return -1;
    return redis == NULL ? 0 : read_redis(redis, conf, fail);
}

uint64_t rate_limit_conf_entries(const sheaf_p_value_t *values)
{
    return (uint64_t)values[KEY_ENTRIES].number;
}
