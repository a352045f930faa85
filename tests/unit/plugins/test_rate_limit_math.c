#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/rate_limit/rate_limit_sip.h"
#include "plugins/rate_limit/rate_limit_table.h"
#include "plugins/rate_limit/rate_limit_words.h"

static const rate_limit_rule_t bucket_5_60 = {.rate = 60, .period_ms = 60000, .burst = 5};
static const rate_limit_rule_t window_10 = {.is_sliding = true, .rate = 10, .period_ms = 10000, .burst = 10};

/* Steps until it refuses; how many passed. */
static uint64_t passes(const rate_limit_rule_t *rule, uint64_t *state, uint64_t now_ms, rate_limit_verdict_t *last)
{
    uint64_t count = 0;

    for (;; count++) {
        *state = rate_limit_step(rule, *state, now_ms, 1, last);
        if (!last->is_allowed)
            return count;
    }
}

static void a_bucket_gives_its_burst_and_then_its_rate(void **unused)
{
    uint64_t state = 0;
    rate_limit_verdict_t last;

    assert_int_equal(passes(&bucket_5_60, &state, 1000, &last), 5);
    assert_int_equal(last.remaining, 0);
    assert_int_equal(last.retry_ms, 1000);
    assert_int_equal(last.reset_ms, 5000);
    assert_int_equal(passes(&bucket_5_60, &state, 1999, &last), 0);
    assert_int_equal(last.retry_ms, 1);
    assert_int_equal(passes(&bucket_5_60, &state, 2000, &last), 1);
    assert_int_equal(passes(&bucket_5_60, &state, 1000000, &last), 5);
}

static void a_retry_that_waited_as_told_passes(void **unused)
{
    const rate_limit_rule_t *const rules[] = {&bucket_5_60, &window_10};
    rate_limit_verdict_t v;

    srand(7);
    for (int r = 0; r < 2; r++) {
        uint64_t state = 0, now = 12345;

        for (int i = 0; i < 20000; i++, now += (uint64_t)(rand() % 700)) {
            const uint64_t cost = 1 + (uint64_t)(rand() % 3), before = state;

            state = rate_limit_step(rules[r], state, now, cost, &v);
            if (v.is_allowed)
                continue;
            assert_int_equal(state, before);
            rate_limit_step(rules[r], state, now + v.retry_ms, cost, &v);
            assert_true(v.is_allowed);
        }
    }
}

static void what_costs_more_than_there_ever_is_never_passes(void **unused)
{
    rate_limit_verdict_t v;

    assert_int_equal(rate_limit_step(&bucket_5_60, 0, 1000, 6, &v), 0);
    assert_false(v.is_allowed);
    assert_true(v.retry_ms == RATE_LIMIT_NEVER);
    assert_int_equal(rate_limit_step(&window_10, 0, 1000, UINT64_MAX, &v), 0);
    assert_true(v.retry_ms == RATE_LIMIT_NEVER);
}

static void a_window_slides_and_does_not_jump(void **unused)
{
    uint64_t state = 0;
    rate_limit_verdict_t last;

    assert_int_equal(passes(&window_10, &state, 19999, &last), 10); /* at the end of a window */
    assert_int_equal(passes(&window_10, &state, 20000, &last), 0);  /* the next one is not empty */
    assert_int_equal(passes(&window_10, &state, 21000, &last), 1);
    assert_int_equal(passes(&window_10, &state, 25000, &last), 4);
    assert_int_equal(passes(&window_10, &state, 60000, &last), 10);
}

static void who_never_stops_gets_nearly_what_the_window_allows(void **unused)
{
    uint64_t state = 0, passed = 0;
    rate_limit_verdict_t v;

    for (uint64_t now = 0; now < 1000000; now += 100) {
        state = rate_limit_step(&window_10, state, now, 1, &v);
        passed += v.is_allowed;
    }
    assert_in_range(passed, 880, 1000);
}

static void time_that_goes_back_gives_nothing_back(void **unused)
{
    uint64_t state = 0;
    rate_limit_verdict_t last;

    passes(&window_10, &state, 30000, &last);
    assert_int_equal(passes(&window_10, &state, 29990, &last), 0);
    state = 0;
    passes(&bucket_5_60, &state, 30000, &last);
    assert_int_equal(passes(&bucket_5_60, &state, 29990, &last), 0);
}

static void an_undone_step_never_was(void **unused)
{
    rate_limit_verdict_t v;
    uint64_t bucket = rate_limit_step(&bucket_5_60, 0, 5000, 2, &v),
             window = rate_limit_step(&window_10, 0, 5000, 2, &v);

    assert_int_equal(rate_limit_used(&bucket_5_60, rate_limit_undo(&bucket_5_60, bucket, 5000, 2), 5000), 0);
    assert_int_equal(rate_limit_used(&window_10, rate_limit_undo(&window_10, window, 5000, 2), 5000), 0);
}

static void rules_that_overflow_do_not_fit(void **unused)
{
    rate_limit_rule_t rule = {.rate = 1, .period_ms = 2678400000, .burst = 1000000000};

    assert_false(rate_limit_rule_fits(&rule));
    rule.burst = 1000;
    assert_true(rate_limit_rule_fits(&rule));
    rule = (rate_limit_rule_t){.is_sliding = true, .rate = 1 << 20, .period_ms = 1000, .burst = 1 << 20};
    assert_false(rate_limit_rule_fits(&rule));
}

static void sip_is_what_its_authors_say(void **unused)
{
    static const uint8_t none[] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                   0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    static const uint8_t one[] = {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44,
                                  0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45};
    static const uint8_t sixty_three[] = {0x51, 0x50, 0xd1, 0x77, 0x2f, 0x50, 0x83, 0x4a,
                                          0x50, 0x3e, 0x06, 0x9a, 0x97, 0x3f, 0xbd, 0x7c};
    const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t bytes[63];
    uint64_t hash[2];

    for (uint8_t i = 0; i < 63; i++)
        bytes[i] = i;
    rate_limit_sip(key, bytes, 0, hash);
    assert_memory_equal(hash, none, 16);
    rate_limit_sip(key, bytes, 1, hash);
    assert_memory_equal(hash, one, 16);
    rate_limit_sip(key, bytes, 63, hash);
    assert_memory_equal(hash, sixty_three, 16);
}

/* --- the table --- */

typedef struct memory {
    void *bytes;
    rate_limit_table_t table;
} memory_t;

static memory_t table_of(uint64_t entries, const rate_limit_rule_t *rules, uint32_t count)
{
    const uint64_t random[2] = {17, 4};
    memory_t memory = {.bytes = calloc(1, rate_limit_table_bytes(entries))};

    rate_limit_table_init(&memory.table, memory.bytes, entries, random, rules, count);
    return memory;
}

static bool charge(memory_t *memory, uint64_t key, uint64_t now_ms)
{
    rate_limit_outcome_t outcome;
    uint64_t hash[2];

    rate_limit_sip(memory->table.secret, &key, sizeof(key), hash);
    rate_limit_table_charge(&memory->table, hash, now_ms, 1, &outcome);
    return outcome.is_allowed;
}

static void the_secret_of_the_first_stands(void **unused)
{
    const uint64_t other[2] = {99, 98};
    memory_t memory = table_of(1024, &bucket_5_60, 1);
    rate_limit_table_t second;

    rate_limit_table_init(&second, memory.bytes, 1024, other, &bucket_5_60, 1);
    assert_memory_equal(second.secret, memory.table.secret, sizeof(second.secret));
    free(memory.bytes);
}

static void every_key_has_a_limit_of_its_own(void **unused)
{
    memory_t memory = table_of(4096, &bucket_5_60, 1);

    for (uint64_t key = 0; key < 500; key++)
        for (int i = 0; i < 6; i++)
            assert_int_equal(charge(&memory, key, 1000), i < 5);
    free(memory.bytes);
}

static void a_flood_of_fresh_keys_does_not_free_one_that_is_used_up(void **unused)
{
    memory_t memory = table_of(1024, &bucket_5_60, 1);

    for (int i = 0; i < 5; i++)
        charge(&memory, 42, 1000);
    for (uint64_t key = 1000; key < 1000000; key++)
        charge(&memory, key, 1000 + key / 1000); /* a thousand times as many as fit, within the second */
    assert_false(charge(&memory, 42, 1999));
    free(memory.bytes);
}

static void what_one_limit_refuses_is_charged_to_none(void **unused)
{
    const rate_limit_rule_t rules[] = {{.rate = 100, .period_ms = 60000, .burst = 100},
                                       {.rate = 2, .period_ms = 60000, .burst = 2}};
    memory_t memory = table_of(1024, rules, 2);
    rate_limit_outcome_t outcome;
    uint64_t hash[2] = {1, 2};

    for (int i = 0; i < 20; i++)
        rate_limit_table_charge(&memory.table, hash, 1000, 1, &outcome);
    assert_false(outcome.is_allowed);
    assert_int_equal(outcome.retry_ms, 30000);
    assert_int_equal(outcome.verdicts[0].remaining, 98);
    assert_int_equal(outcome.verdicts[1].remaining, 0);
    free(memory.bytes);
}

static void a_limit_that_was_relaxed_holds_nobody_to_the_old_one(void **unused)
{
    const rate_limit_rule_t strict = {.rate = 1, .period_ms = 3600000, .burst = 1};
    rate_limit_verdict_t v;
    uint64_t state = rate_limit_step(&strict, 0, 1000, 1, &v);

    state = rate_limit_step(&bucket_5_60, state, 2000, 1, &v);
    assert_false(v.is_allowed);
    assert_int_equal(v.retry_ms, 1000);
    rate_limit_step(&bucket_5_60, state, 3000, 1, &v);
    assert_true(v.is_allowed);
}

static void what_another_algorithm_left_in_the_table_is_nothing(void **unused)
{
    const rate_limit_rule_t *const orders[][2] = {{&bucket_5_60, &window_10}, {&window_10, &bucket_5_60}};

    for (int i = 0; i < 2; i++) {
        memory_t memory = table_of(1024, orders[i][0], 1);

        for (uint64_t key = 0; key < 5000; key++)
            for (int n = 0; n < 20; n++)
                charge(&memory, key, 1000);
        memory.table.rules = orders[i][1]; /* as after a reload */
        for (uint64_t key = 0; key < 100; key++)
            assert_true(charge(&memory, key, 1001));
        for (uint64_t key = 20000; key < 21000; key++)
            charge(&memory, key, 1001);
        assert_true(charge(&memory, 0, 1001)); /* none of it stays and takes the place of others */
        free(memory.bytes);
    }
}

static void the_words_are_structured_fields(void **unused)
{
    const rate_limit_rule_t rules[] = {{.rate = 100, .period_ms = 60000, .burst = 20}, window_10};
    rate_limit_outcome_t outcome = {.is_allowed = true,
                                    .verdicts = {{.remaining = 19, .reset_ms = 600}, {.remaining = 10}}};
    char words[RATE_LIMIT_WORDS_MAX];

    rate_limit_policy_words("logins", rules, 2, words);
    assert_string_equal(words, "\"logins\";q=100;w=60;sheaf-burst=20, \"logins-1\";q=10;w=10");
    rate_limit_state_words("logins", &outcome, 1, 2, words);
    assert_string_equal(words, "\"logins\";r=19;t=1, \"logins-1\";r=10;t=0");
    outcome.is_allowed = false;
    outcome.retry_ms = 4001;
    rate_limit_state_words("logins", &outcome, 11, 2, words);
    assert_string_equal(words, "\"logins\";r=19;t=1, \"logins-1\";r=10;t=5");
    outcome.retry_ms = RATE_LIMIT_NEVER;
    rate_limit_state_words("logins", &outcome, 20, 2, words);
    assert_string_equal(words, "\"logins\";r=19;t=1, \"logins-1\";r=10;t=0");
}

static void the_longest_words_fit(void **unused)
{
    rate_limit_rule_t rules[RATE_LIMIT_RULES_MAX];
    rate_limit_outcome_t outcome = {.is_allowed = true};
    char words[RATE_LIMIT_WORDS_MAX];

    for (int i = 0; i < RATE_LIMIT_RULES_MAX; i++) {
        rules[i] = (rate_limit_rule_t){.rate = UINT64_MAX, .period_ms = UINT64_MAX, .burst = UINT64_MAX - 1};
        outcome.verdicts[i] = (rate_limit_verdict_t){.remaining = UINT64_MAX, .reset_ms = UINT64_MAX};
    }
    assert_true(rate_limit_policy_words("abcdefghijabcdefghijabcdefghijab", rules, 8, words) < sizeof(words));
    assert_true(rate_limit_state_words("abcdefghijabcdefghijabcdefghijab", &outcome, 1, 8, words) < sizeof(words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_gives_its_burst_and_then_its_rate),
        cmocka_unit_test(a_retry_that_waited_as_told_passes),
        cmocka_unit_test(what_costs_more_than_there_ever_is_never_passes),
        cmocka_unit_test(a_window_slides_and_does_not_jump),
        cmocka_unit_test(who_never_stops_gets_nearly_what_the_window_allows),
        cmocka_unit_test(time_that_goes_back_gives_nothing_back),
        cmocka_unit_test(an_undone_step_never_was),
        cmocka_unit_test(rules_that_overflow_do_not_fit),
        cmocka_unit_test(sip_is_what_its_authors_say),
        cmocka_unit_test(the_secret_of_the_first_stands),
        cmocka_unit_test(every_key_has_a_limit_of_its_own),
        cmocka_unit_test(a_flood_of_fresh_keys_does_not_free_one_that_is_used_up),
        cmocka_unit_test(what_one_limit_refuses_is_charged_to_none),
        cmocka_unit_test(a_limit_that_was_relaxed_holds_nobody_to_the_old_one),
        cmocka_unit_test(what_another_algorithm_left_in_the_table_is_nothing),
        cmocka_unit_test(the_words_are_structured_fields),
        cmocka_unit_test(the_longest_words_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
