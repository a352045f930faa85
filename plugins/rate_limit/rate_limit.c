#include "plugins/sheaf_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rate_limit_conf.h"
#include "rate_limit_key.h"
#include "rate_limit_redis.h"
#include "rate_limit_table.h"
#include "rate_limit_words.h"

enum { COUNT_ALLOWED, COUNT_REFUSED, COUNT_UNDECIDED, COUNT_EVICTED, COUNT_REDIS_LOST };

static const sheaf_p_counter_t counters[] = {
    {.name = "allowed", .manual = "Items or batches that were charged."},
    {.name = "refused", .manual = "Items or batches over a limit."},
    {.name = "undecided", .manual = "Decisions that Redis did not make in time."},
    {.name = "evicted",
     .manual = "Keys that were forgotten while something of their limit was used: more `entries` are needed."},
    {.name = "redis_lost", .manual = "Connections to Redis that were lost or could not be made."},
    {.name = NULL},
};

typedef struct limiter {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    rate_limit_conf_t conf;
    char attribute[RATE_LIMIT_POLICY_MAX + 16], paid[40];
    char policy_words[RATE_LIMIT_WORDS_MAX];
    rate_limit_table_t table;
    rate_limit_redis_t *redis; /* NULL: not asked */
} limiter_t;

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
static void say(const limiter_t *limiter, sheaf_p_ref_t ref, uint64_t cost, const rate_limit_outcome_t *outcome)
{
    char words[RATE_LIMIT_WORDS_MAX];
    const size_t len = rate_limit_state_words(limiter->conf.policy, outcome, cost, limiter->conf.rule_count, words);

    if (!limiter->conf.says)
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
    limiter->api->problem(ref, limiter->conf.status, "rate-limited",
                          is_never ? "costs more than the limit ever allows at once" : "over the rate limit");
    if (is_never)
        return;
    snprintf(after, sizeof(after), "%llu", (unsigned long long)rate_limit_seconds(outcome->retry_ms));
    limiter->api->header_set(ref, part_of(limiter, ref), "retry-after", sheaf_p_str(after, strlen(after)));
}

static sheaf_p_verdict_t act_on(limiter_t *limiter, sheaf_p_ref_t ref, uint64_t cost,
                                const rate_limit_outcome_t *outcome)
{
    if (outcome->evicted > 0)
        limiter->api->count(limiter->worker, COUNT_EVICTED, outcome->evicted);
    say(limiter, ref, cost, outcome);
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

    rate_limit_key(limiter->api, ref, &limiter->conf.by, limiter->table.secret, hash);
    rate_limit_table_charge(&limiter->table, hash, limiter->api->now_ms(limiter->worker), cost, &outcome);
    return act_on(limiter, ref, cost, &outcome);
}

/* Redis has not said anything. While it is there that may be for nothing but a flood of the client, which must not open the way
 * it wants: such decisions are made here even if all may pass without Redis. */
static sheaf_p_verdict_t decide_without(limiter_t *limiter, sheaf_p_ref_t ref, uint64_t cost)
{
    limiter->api->count(limiter->worker, COUNT_UNDECIDED, 1);
    if (limiter->conf.on_error == RATE_LIMIT_ON_ERROR_LOCAL ||
        (limiter->conf.on_error == RATE_LIMIT_ON_ERROR_ALLOW && rate_limit_redis_is_there(limiter->redis)))
        return decide_here(limiter, ref, cost);
    if (limiter->conf.on_error == RATE_LIMIT_ON_ERROR_ALLOW)
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
        act_on(limiter, ref, cost, outcome);
    else
        decide_without(limiter, ref, cost);
    limiter->api->resume(ref);
}

static sheaf_p_verdict_t decide(limiter_t *limiter, sheaf_p_ref_t ref, uint64_t cost)
{
    uint64_t hash[2];

    if (limiter->redis == NULL)
        return decide_here(limiter, ref, cost);
    rate_limit_key(limiter->api, ref, &limiter->conf.by, NULL, hash);
    return rate_limit_redis_ask(limiter->redis, ref, hash, cost) ? SHEAF_P_LATER : decide_without(limiter, ref, cost);
}

/* --- hooks --- */

static sheaf_p_verdict_t on_batch(void *self, sheaf_p_ref_t request)
{
    limiter_t *limiter = self;
    int64_t items = 1;
    char paid[24];

    if (!limiter->conf.is_per_batch)
        return SHEAF_P_PASS;
    limiter->api->number(request, SHEAF_P_ITEMS, &items);
    snprintf(paid, sizeof(paid), "%lld", (long long)items);
    limiter->api->set(request, limiter->paid, sheaf_p_str(paid, strlen(paid)));
    return items <= 0 ? SHEAF_P_PASS : decide(limiter, request, (uint64_t)items * limiter->conf.cost);
}

/* Its request has paid for the items that it had then. Elements of a forEach come later, with the indexes behind those. */
static bool is_paid(const limiter_t *limiter, sheaf_p_ref_t item)
{
    int64_t index = 0;
    sheaf_p_str_t paid;
    char items[24];

    if (!limiter->conf.is_per_batch || limiter->api->get(item, limiter->paid, &paid) != 1)
        return false;
    limiter->api->number(item, SHEAF_P_INDEX, &index);
    snprintf(items, sizeof(items), "%.*s", (int)paid.len, paid.base);
    return index < strtoll(items, NULL, 10);
}

/* Of a batch the plugins of a route hear nothing but its items: those pay for themselves. */
static sheaf_p_verdict_t on_item(void *self, sheaf_p_ref_t item)
{
    limiter_t *limiter = self;

    return is_paid(limiter, item) ? SHEAF_P_PASS : decide(limiter, item, limiter->conf.cost);
}

static void on_result(void *self, sheaf_p_ref_t item)
{
    limiter_t *limiter = self;
    sheaf_p_str_t words;

    if (!limiter->conf.says || limiter->api->get(item, limiter->attribute, &words) != 1)
        return;
    add_field(limiter, item, SHEAF_P_RESULT, "ratelimit-policy", limiter->policy_words);
    limiter->api->header_add(item, SHEAF_P_RESULT, "ratelimit", words);
}

/* --- life --- */

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    rate_limit_conf_t conf;

    return rate_limit_conf_read(values, &conf, fail);
}

static uint64_t shared_bytes(const sheaf_p_value_t *values)
{
    return rate_limit_table_bytes(rate_limit_conf_entries(values));
}

static bool open_redis(limiter_t *limiter)
{
    const rate_limit_redis_events_t events = {on_outcome, limiter, COUNT_REDIS_LOST};

    limiter->redis = rate_limit_redis_new(limiter->api, limiter->worker, &limiter->conf, &events);
    return limiter->redis != NULL;
}

static void open_table(limiter_t *limiter, const sheaf_p_open_t *open)
{
    uint64_t random[2];

    open->api->random(random, sizeof(random));
    snprintf(limiter->paid, sizeof(limiter->paid), "rate_limit.paid.%016llx", (unsigned long long)random[0]);
    open->api->random(random, sizeof(random)); /* the other is no secret any more */
    rate_limit_table_init(&limiter->table, open->shared, rate_limit_conf_entries(open->values), random,
                          limiter->conf.rules, limiter->conf.rule_count);
}

static void write_words(limiter_t *limiter)
{
    const rate_limit_conf_t *conf = &limiter->conf;

    snprintf(limiter->attribute, sizeof(limiter->attribute), "rate_limit.%s", conf->policy);
    rate_limit_policy_words(conf->policy, conf->rules, conf->rule_count, limiter->policy_words);
}

static void *no_memory(limiter_t *limiter, const char *key, sheaf_p_fail_t *fail)
{
    snprintf(fail->key, sizeof(fail->key), "%s", key);
    snprintf(fail->why, sizeof(fail->why), "no memory");
    free(limiter);
    return NULL;
}

static void *open_limiter(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    limiter_t *limiter = calloc(1, sizeof(*limiter));

    if (limiter == NULL)
        return no_memory(limiter, "", fail);
    limiter->api = open->api;
    limiter->worker = open->worker;
    if (rate_limit_conf_read(open->values, &limiter->conf, fail) != 0) {
        free(limiter);
        return NULL;
    }
    write_words(limiter);
    open_table(limiter, open);
    if (limiter->conf.asks_redis && !open_redis(limiter))
        return no_memory(limiter, "redis", fail);
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
    .keys = rate_limit_conf_keys,
    .counters = counters,
    .check = check,
    .shared_bytes = shared_bytes,
    .open = open_limiter,
    .close = close_limiter,
    .on_batch = on_batch,
    .on_item = on_item,
    .on_result = on_result,
};
