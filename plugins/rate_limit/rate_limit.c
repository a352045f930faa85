#include "plugins/sheaf_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rate_limit_key.h"
#include "rate_limit_redis.h"
#include "rate_limit_script.h"
#include "rate_limit_table.h"
#include "rate_limit_words.h"

#define POLICY_MAX 32

/* in the order of limit_keys, redis_keys, keys */
enum { LIMIT_RATE, LIMIT_PER, LIMIT_BURST };
enum {
    REDIS_ADDRESS,
    REDIS_USERNAME,
    REDIS_PASSWORD,
    REDIS_PASSWORD_FILE,
    REDIS_DATABASE,
    REDIS_PREFIX,
    REDIS_TIMEOUT,
    REDIS_ON_ERROR
};
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

enum { COUNT_ALLOWED, COUNT_REFUSED, COUNT_UNDECIDED, COUNT_EVICTED, COUNT_REDIS_LOST };
enum { ON_ERROR_ALLOW, ON_ERROR_DENY, ON_ERROR_LOCAL };

typedef struct limiter {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    rate_limit_rule_t rules[RATE_LIMIT_RULES_MAX];
    uint32_t rule_count;
    rate_limit_by_t by;
    bool is_per_batch, says;
    uint64_t cost;
    uint32_t status;
    int64_t on_error;
    char policy[POLICY_MAX + 1], attribute[POLICY_MAX + 16], paid[40], prefix[RATE_LIMIT_PREFIX_MAX];
    char policy_words[RATE_LIMIT_WORDS_MAX];
    rate_limit_table_t table;
    rate_limit_redis_t *redis; /* NULL: not asked */
} limiter_t;

/* --- configuration --- */

static const sheaf_p_key_t limit_keys[] = {
    {.name = "rate",
     .type = SHEAF_P_NUMBER,
     .required = 1,
     .min = 1,
     .max = 1000000000,
     .manual = "How many, in the time of `per`."},
    {.name = "per",
     .type = SHEAF_P_DURATION,
     .required = 1,
     .min = 1000,
     .max = 2678400000,
     .manual = "The time `rate` is for."},
    {.name = "burst",
     .type = SHEAF_P_NUMBER,
     .min = 1,
     .max = 1000000000,
     .manual = "How many may come at once (token_bucket). Default: as many as `rate`."},
    {.name = NULL},
};

static const sheaf_p_key_t redis_keys[] = {
    {.name = "address",
     .type = SHEAF_P_TEXT,
     .required = 1,
     .manual = "10.0.0.7:6379, [2001:db8::7]:6379 or unix:/run/redis.sock."},
    {.name = "username", .type = SHEAF_P_TEXT, .manual = "Of an ACL."},
    {.name = "password", .type = SHEAF_P_TEXT, .manual = "Sent on every connection."},
    {.name = "password_file", .type = SHEAF_P_FILE, .manual = "The password, in a file."},
    {.name = "database",
     .type = SHEAF_P_NUMBER,
     .preset = "0",
     .min = 0,
     .max = 65535,
     .manual = "Number of the database."},
    {.name = "prefix",
     .type = SHEAF_P_TEXT,
     .preset = "sheaf:rl:",
     .manual = "What its keys begin with; `policy` follows."},
    {.name = "timeout",
     .type = SHEAF_P_DURATION,
     .preset = "50ms",
     .min = 1,
     .max = 10000,
     .manual = "How long a decision is waited for."},
    {.name = "on_error",
     .type = SHEAF_P_WORD,
     .preset = "allow",
     .words = "allow|deny|local",
     .manual = "What becomes of a request while Redis does not answer: it passes, gets 503, or is counted by this "
               "machine alone. What a Redis that is there answers too late is counted so instead of passing."},
    {.name = NULL},
};

static const sheaf_p_key_t keys[] = {
    {.name = "limits",
     .type = SHEAF_P_LIST,
     .required = 1,
     .keys = limit_keys,
     .manual = "One to eight limits; what one of them refuses is charged to none."},
    {.name = "by",
     .type = SHEAF_P_TEXTS,
     .manual = "Whom the limits count, all parts together: client_ip, `attribute NAME` (what a plugin has verified), "
               "`header NAME` (what the "
               "client says), route. Where it is missing the client's address stands in. Default: client_ip."},
    {.name = "algorithm",
     .type = SHEAF_P_WORD,
     .preset = "token_bucket",
     .words = "token_bucket|sliding_window",
     .manual = "How time gives back what was used."},
    {.name = "charge",
     .type = SHEAF_P_WORD,
     .preset = "item",
     .words = "item|batch",
     .manual = "item: every item is charged before it is sent, and refused by itself. batch: a request is charged for "
               "all its items at once, and refused as a whole; elements of a forEach pay for themselves."},
    {.name = "cost", .type = SHEAF_P_NUMBER, .preset = "1", .min = 1, .max = 1000000, .manual = "What an item costs."},
    {.name = "status",
     .type = SHEAF_P_NUMBER,
     .preset = "429",
     .min = 400,
     .max = 599,
     .manual = "Of what is refused."},
    {.name = "policy",
     .type = SHEAF_P_TEXT,
     .preset = "default",
     .manual = "Its name in RateLimit fields: at most 32 of a-z, 0-9, _ and -. Give each place its own."},
    {.name = "headers",
     .type = SHEAF_P_BOOL,
     .preset = "true",
     .manual = "Whether RateLimit and RateLimit-Policy are sent."},
    {.name = "ipv6_prefix",
     .type = SHEAF_P_NUMBER,
     .preset = "64",
     .min = 16,
     .max = 128,
     .manual = "Bits of an IPv6 address that count."},
    {.name = "entries",
     .type = SHEAF_P_NUMBER,
     .preset = "65536",
     .min = 1024,
     .max = 16777216,
     .manual = "How many keys are known at once, times the number of limits; 16 bytes each, shared by all workers."},
    {.name = "redis",
     .type = SHEAF_P_SECTION,
     .keys = redis_keys,
     .manual = "Counts in Redis, for all machines together."},
    {.name = NULL},
};

static const sheaf_p_counter_t counters[] = {
    {.name = "allowed", .manual = "Items or batches that were charged."},
    {.name = "refused", .manual = "Items or batches over a limit."},
    {.name = "undecided", .manual = "Decisions that Redis did not make in time."},
    {.name = "evicted",
     .manual = "Keys that were forgotten while something of their limit was used: more `entries` are needed."},
    {.name = "redis_lost", .manual = "Connections to Redis that were lost or could not be made."},
    {.name = NULL},
};

static int failed(sheaf_p_fail_t *fail, const char *key, const char *why)
{
    snprintf(fail->key, sizeof(fail->key), "%s", key);
    snprintf(fail->why, sizeof(fail->why), "%s", why);
    return -1;
}

static void read_rules(const sheaf_p_value_t *values, limiter_t *limiter)
{
    limiter->rule_count =
        values[KEY_LIMITS].count < RATE_LIMIT_RULES_MAX ? values[KEY_LIMITS].count : RATE_LIMIT_RULES_MAX;
    for (uint32_t i = 0; i < limiter->rule_count; i++) {
        const sheaf_p_value_t *limit = values[KEY_LIMITS].sections[i];
        rate_limit_rule_t *rule = &limiter->rules[i];

        rule->is_sliding = values[KEY_ALGORITHM].number == 1;
        rule->rate = (uint64_t)limit[LIMIT_RATE].number;
        rule->period_ms = (uint64_t)limit[LIMIT_PER].number;
        rule->burst = limit[LIMIT_BURST].is_set && !rule->is_sliding ? (uint64_t)limit[LIMIT_BURST].number : rule->rate;
    }
}

static int check_limits(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    limiter_t limiter = {0};
    char key[64];

    if (values[KEY_LIMITS].count == 0 || values[KEY_LIMITS].count > RATE_LIMIT_RULES_MAX)
        return failed(fail, "limits", "must be 1 to 8 limits");
    read_rules(values, &limiter);
    for (uint32_t i = 0; i < limiter.rule_count; i++) {
        snprintf(key, sizeof(key), "limits[%u]", i);
        if (values[KEY_ALGORITHM].number == 1 && values[KEY_LIMITS].sections[i][LIMIT_BURST].is_set)
            return failed(fail, key, "a sliding_window has no burst");
        if (!rate_limit_rule_fits(&limiter.rules[i]))
            return failed(fail, key,
                          limiter.rules[i].is_sliding ? "rate of a sliding_window is at most 1048575"
                                                      : "burst would take more than 100 years to come back");
    }
    return 0;
}

static int check_by(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    rate_limit_part_t part;
    const int is_per_batch = values[KEY_CHARGE].number == 1;

    if (values[KEY_BY].count > RATE_LIMIT_PARTS_MAX)
        return failed(fail, "by", "must be 1 to 4 parts");
    for (uint32_t i = 0; i < values[KEY_BY].count; i++) {
        if (!rate_limit_part_read(values[KEY_BY].texts[i], &part))
            return failed(fail, "by", "must be client_ip, `attribute NAME`, `header NAME` or route");
        if (part.kind == RATE_LIMIT_BY_ROUTE && is_per_batch)
            return failed(fail, "by", "a batch has no route: charge its items");
    }
    return 0;
}

static int is_policy(sheaf_p_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] == 0 || strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", text.base[i]) == NULL)
            return 0;
    return text.len > 0 && text.len <= POLICY_MAX;
}

static int check_redis(const sheaf_p_value_t *redis, sheaf_p_fail_t *fail)
{
    rate_limit_address_t address;

    if (!rate_limit_address_read(redis[REDIS_ADDRESS].text, &address))
        return failed(fail, "redis.address", "must be a numeric address with a port, or unix:/PATH");
    if (redis[REDIS_PASSWORD].is_set && redis[REDIS_PASSWORD_FILE].is_set)
        return failed(fail, "redis.password", "stands beside password_file: one of the two");
    if (redis[REDIS_PREFIX].text.len + POLICY_MAX + 2 > RATE_LIMIT_PREFIX_MAX)
        return failed(fail, "redis.prefix", "is too long");
    return 0;
}

static const sheaf_p_value_t *redis_of(const sheaf_p_value_t *values)
{
    return values[KEY_REDIS].is_set && values[KEY_REDIS].sections != NULL ? values[KEY_REDIS].sections[0] : NULL;
}

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    if (check_limits(values, fail) != 0 || check_by(values, fail) != 0)
        return -1;
    if (!is_policy(values[KEY_POLICY].text))
        return failed(fail, "policy", "must be 1 to 32 of a-z, 0-9, _ and -");
    return redis_of(values) == NULL ? 0 : check_redis(redis_of(values), fail);
}

static uint64_t shared_bytes(const sheaf_p_value_t *values)
{
    return rate_limit_table_bytes((uint64_t)values[KEY_ENTRIES].number);
}

/* --- decisions --- */

static void add_field(const limiter_t *limiter, sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name,
                      const char *value)
{
    limiter->api->header_add(ref, part, name, sheaf_p_str(value, strlen(value)));
}

static bool is_item(const limiter_t *limiter, sheaf_p_ref_t ref)
{
    return limiter->api->request_of(ref).value != ref.value;
}

/* An item's are put on its result when that is there: until then they are an attribute of it. */
static void say(const limiter_t *limiter, sheaf_p_ref_t ref, const rate_limit_outcome_t *outcome)
{
    char words[RATE_LIMIT_WORDS_MAX];
    const size_t len = rate_limit_state_words(limiter->policy, outcome->verdicts, limiter->rule_count, words);

    if (!limiter->says)
        return;
    if (is_item(limiter, ref)) {
        limiter->api->set(ref, limiter->attribute, sheaf_p_str(words, len));
        return;
    }
    add_field(limiter, ref, SHEAF_P_REPLY, "ratelimit-policy", limiter->policy_words);
    add_field(limiter, ref, SHEAF_P_REPLY, "ratelimit", words);
}

static sheaf_p_part_t part_of(const limiter_t *limiter, sheaf_p_ref_t ref)
{
    return is_item(limiter, ref) ? SHEAF_P_RESULT : SHEAF_P_REPLY;
}

static void refuse(limiter_t *limiter, sheaf_p_ref_t ref, const rate_limit_outcome_t *outcome)
{
    const bool is_never = outcome->retry_ms == RATE_LIMIT_NEVER;
    char after[24];

    limiter->api->count(limiter->worker, COUNT_REFUSED, 1);
    limiter->api->problem(ref, limiter->status, "rate-limited",
                          is_never ? "costs more than the limit ever allows at once" : "over the rate limit");
    if (is_never)
        return;
    snprintf(after, sizeof(after), "%llu", (unsigned long long)rate_limit_seconds(outcome->retry_ms));
    limiter->api->header_set(ref, part_of(limiter, ref), "retry-after", sheaf_p_str(after, strlen(after)));
}

static sheaf_p_verdict_t act_on(limiter_t *limiter, sheaf_p_ref_t ref, const rate_limit_outcome_t *outcome)
{
    if (outcome->evicted > 0)
        limiter->api->count(limiter->worker, COUNT_EVICTED, outcome->evicted);
    say(limiter, ref, outcome);
    if (!outcome->is_allowed) {
        refuse(limiter, ref, outcome);
        return SHEAF_P_ANSWER;
    }
    limiter->api->count(limiter->worker, COUNT_ALLOWED, 1);
    return SHEAF_P_PASS;
}

static sheaf_p_verdict_t decide_here(limiter_t *limiter, sheaf_p_ref_t ref, uint64_t cost)
{
    rate_limit_outcome_t outcome;
    uint64_t hash[2];

    rate_limit_key(limiter->api, ref, &limiter->by, limiter->table.secret, hash);
    rate_limit_table_charge(&limiter->table, hash, limiter->api->now_ms(limiter->worker), cost, &outcome);
    return act_on(limiter, ref, &outcome);
}

/* Redis has not said anything. While it is there that may be for nothing but a flood of the client, which must not open the way
 * it wants: such decisions are made here even if all may pass without Redis. */
static sheaf_p_verdict_t decide_without(limiter_t *limiter, sheaf_p_ref_t ref, uint64_t cost)
{
    limiter->api->count(limiter->worker, COUNT_UNDECIDED, 1);
    if (limiter->on_error == ON_ERROR_LOCAL ||
        (limiter->on_error == ON_ERROR_ALLOW && rate_limit_redis_is_there(limiter->redis)))
        return decide_here(limiter, ref, cost);
    if (limiter->on_error == ON_ERROR_ALLOW)
        return SHEAF_P_PASS;
    limiter->api->problem(ref, 503, "rate-limit-unavailable", "the rate limit cannot be asked");
    limiter->api->header_set(ref, part_of(limiter, ref), "retry-after", sheaf_p_str("1", 1));
    return SHEAF_P_ANSWER;
}

static void on_outcome(void *owner, sheaf_p_ref_t ref, uint64_t cost, const rate_limit_outcome_t *outcome)
{
    limiter_t *limiter = owner;

    if (limiter->api->request_of(ref).value == 0) /* ended meanwhile */
        return;
    if (outcome != NULL)
        act_on(limiter, ref, outcome);
    else
        decide_without(limiter, ref, cost);
    limiter->api->resume(ref);
}

static sheaf_p_verdict_t decide(limiter_t *limiter, sheaf_p_ref_t ref, uint64_t cost)
{
    uint64_t hash[2];

    if (limiter->redis == NULL)
        return decide_here(limiter, ref, cost);
    rate_limit_key(limiter->api, ref, &limiter->by, NULL, hash);
    return rate_limit_redis_ask(limiter->redis, ref, hash, cost) ? SHEAF_P_LATER : decide_without(limiter, ref, cost);
}

/* --- hooks --- */

static sheaf_p_verdict_t on_batch(void *self, sheaf_p_ref_t request)
{
    limiter_t *limiter = self;
    int64_t items = 1;
    char paid[24];

    if (!limiter->is_per_batch)
        return SHEAF_P_PASS;
    limiter->api->number(request, SHEAF_P_ITEMS, &items);
    snprintf(paid, sizeof(paid), "%lld", (long long)items);
    limiter->api->set(request, limiter->paid, sheaf_p_str(paid, strlen(paid)));
    return items <= 0 ? SHEAF_P_PASS : decide(limiter, request, (uint64_t)items * limiter->cost);
}

/* Its request has paid for the items that it had then. Elements of a forEach come later, with the indexes behind those. */
static bool is_paid(const limiter_t *limiter, sheaf_p_ref_t item)
{
    int64_t index = 0;
    sheaf_p_str_t paid;
    char items[24];

    if (!limiter->is_per_batch || limiter->api->get(item, limiter->paid, &paid) != 1)
        return false;
    limiter->api->number(item, SHEAF_P_INDEX, &index);
    snprintf(items, sizeof(items), "%.*s", (int)paid.len, paid.base);
    return index < strtoll(items, NULL, 10);
}

/* Of a batch the plugins of a route hear nothing but its items: those pay for themselves. */
static sheaf_p_verdict_t on_item(void *self, sheaf_p_ref_t item)
{
    limiter_t *limiter = self;

    return is_paid(limiter, item) ? SHEAF_P_PASS : decide(limiter, item, limiter->cost);
}

static void on_result(void *self, sheaf_p_ref_t item)
{
    limiter_t *limiter = self;
    sheaf_p_str_t words;

    if (!limiter->says || limiter->api->get(item, limiter->attribute, &words) != 1)
        return;
    add_field(limiter, item, SHEAF_P_RESULT, "ratelimit-policy", limiter->policy_words);
    limiter->api->header_add(item, SHEAF_P_RESULT, "ratelimit", words);
}

/* --- life --- */

static void read_by(const sheaf_p_value_t *values, rate_limit_by_t *by)
{
    by->ipv6_bits = (uint32_t)values[KEY_IPV6_PREFIX].number;
    for (uint32_t i = 0; i < values[KEY_BY].count && i < RATE_LIMIT_PARTS_MAX; i++)
        if (rate_limit_part_read(values[KEY_BY].texts[i], &by->parts[by->count]))
            by->count++;
    if (by->count == 0)
        by->parts[by->count++].kind = RATE_LIMIT_BY_IP;
}

static sheaf_p_str_t password_of(const sheaf_p_value_t *redis)
{
    sheaf_p_str_t password =
        redis[REDIS_PASSWORD].is_set ? redis[REDIS_PASSWORD].text : redis[REDIS_PASSWORD_FILE].text;

    while (password.len > 0 && (password.base[password.len - 1] == '\n' || password.base[password.len - 1] == '\r'))
        password.len--;
    return password;
}

static bool open_redis(limiter_t *limiter, const sheaf_p_value_t *redis)
{
    const sheaf_p_str_t prefix = redis[REDIS_PREFIX].text;
    rate_limit_redis_conf_t conf = {
        .user = redis[REDIS_USERNAME].text,
        .password = password_of(redis),
        .database = redis[REDIS_DATABASE].number,
        .prefix = limiter->prefix,
        .timeout_ms = (uint64_t)redis[REDIS_TIMEOUT].number,
        .rules = limiter->rules,
        .rule_count = limiter->rule_count,
        .lost_counter = COUNT_REDIS_LOST,
        .on_outcome = on_outcome,
        .owner = limiter,
    };

    snprintf(limiter->prefix, sizeof(limiter->prefix), "%.*s%s:", (int)prefix.len, prefix.base, limiter->policy);
    limiter->on_error = redis[REDIS_ON_ERROR].number;
    if (!rate_limit_address_read(redis[REDIS_ADDRESS].text, &conf.address))
        return false;
    limiter->redis = rate_limit_redis_new(limiter->api, limiter->worker, &conf);
    return limiter->redis != NULL;
}

static void read_values(const sheaf_p_value_t *values, limiter_t *limiter)
{
    const sheaf_p_str_t policy = values[KEY_POLICY].text;

    read_rules(values, limiter);
    read_by(values, &limiter->by);
    limiter->is_per_batch = values[KEY_CHARGE].number == 1;
    limiter->says = values[KEY_HEADERS].number == 1;
    limiter->cost = (uint64_t)values[KEY_COST].number;
    limiter->status = (uint32_t)values[KEY_STATUS].number;
    snprintf(limiter->policy, sizeof(limiter->policy), "%.*s", (int)policy.len, policy.base);
    snprintf(limiter->attribute, sizeof(limiter->attribute), "rate_limit.%s", limiter->policy);
    rate_limit_policy_words(limiter->policy, limiter->rules, limiter->rule_count, limiter->policy_words);
}

static void *open_limiter(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    limiter_t *limiter = calloc(1, sizeof(*limiter));
    uint64_t random[2];

    if (limiter == NULL) {
        failed(fail, "", "no memory");
        return NULL;
    }
    limiter->api = open->api;
    limiter->worker = open->worker;
    read_values(open->values, limiter);
    open->api->random(random, sizeof(random));
    snprintf(limiter->paid, sizeof(limiter->paid), "rate_limit.paid.%016llx", (unsigned long long)random[0]);
    open->api->random(random, sizeof(random)); /* the other is no secret any more */
    rate_limit_table_init(&limiter->table, open->shared, (uint64_t)open->values[KEY_ENTRIES].number, random,
                          limiter->rules, limiter->rule_count);
    if (redis_of(open->values) != NULL && !open_redis(limiter, redis_of(open->values))) {
        failed(fail, "redis", "no memory");
        free(limiter);
        return NULL;
    }
    return limiter;
}

static void close_limiter(void *self)
{
    limiter_t *limiter = self;

    rate_limit_redis_free(limiter->redis);
    free(limiter);
}

SHEAF_PLUGIN(rate_limit) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "rate_limit",
    .version = "1.0",
    .manual = "Limits how many requests and items a client may send, in this machine or over several through Redis.",
    .keys = keys,
    .counters = counters,
    .check = check,
    .shared_bytes = shared_bytes,
    .open = open_limiter,
    .close = close_limiter,
    .on_batch = on_batch,
    .on_item = on_item,
    .on_result = on_result,
};
