/* What is sent again, when, and how often at most: retry and its tally under a hand-wound clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/upstream/retry.h"
#include "gateway/upstream/tally.h"

#define START 1000000 /* any time will do; a slot of every window begins here */

static void a_tally_forgets_what_is_older_than_its_window_one_slot_at_a_time(void **state)
{
    sheaf_tally_t tally;

    sheaf_tally_init(&tally, 10000);
    for (uint64_t s = 0; s < 10; s++)
        sheaf_tally_add(&tally, START + s * 1000);
    sheaf_tally_mark(&tally, START + 9999);
    assert_int_equal(tally.all, 10);
    sheaf_tally_turn(&tally, START + 10000);
    assert_int_equal(tally.all, 9);
    sheaf_tally_turn(&tally, START + 18999);
    assert_int_equal(tally.all, 1);
    assert_int_equal(tally.marked, 1);
    sheaf_tally_turn(&tally, START + 19000);
    assert_int_equal(tally.all + tally.marked, 0);
}

static void a_tally_that_slept_for_long_is_empty_and_counts_on(void **state)
{
    sheaf_tally_t tally;

    sheaf_tally_init(&tally, 100);
    for (int i = 0; i < 1000; i++)
        sheaf_tally_add(&tally, START + (uint64_t)i);
    sheaf_tally_add(&tally, START * 1000000ull);
    assert_int_equal(tally.all, 1);
    sheaf_tally_add(&tally, START * 1000000ull + 99);
    assert_int_equal(tally.all, 2);
    sheaf_tally_turn(&tally, START * 1000000ull + 100);
    assert_int_equal(tally.all, 1);
}

static sheaf_retry_conf_t retry_conf(void)
{
    return (sheaf_retry_conf_t){.attempts = 3, .on = 0x3f, .budget_percent = 20, .backoff_ms = 100};
}

static sheaf_exchange_t get(void)
{
    return (sheaf_exchange_t){
        .method = SHEAF_STR("GET"), .is_idempotent = true, .is_repeatable = true, .sends = 1, .end_ms = START + 100000};
}

static sheaf_failure_t status(uint16_t status)
{
    return (sheaf_failure_t){.status = status, .was_sent = true};
}

static sheaf_failure_t error(sheaf_err_t err, bool was_sent)
{
    return (sheaf_failure_t){.err = err, .was_sent = was_sent};
}

static sheaf_retry_verdict_t ask(const sheaf_retry_conf_t *conf, sheaf_exchange_t exchange, sheaf_failure_t failure)
{
    sheaf_retry_t retry;
    uint64_t at_ms;

    sheaf_retry_init(&retry, conf, 7);
    return sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms);
}

static void only_what_is_listed_is_retried(void **state)
{
    static const uint16_t statuses[] = {502, 503, 504, 429};
    static const sheaf_err_t never[] = {SHEAF_ERR_MALFORMED, SHEAF_ERR_ANSWER_TOO_LARGE, SHEAF_ERR_OVERLOADED,
                                        SHEAF_ERR_QUEUE_FULL};
    sheaf_retry_conf_t conf = retry_conf();

    for (uint32_t i = 0; i < 4; i++) {
        conf.on = 1u << (SHEAF_RETRY_ON_502 + i);
        assert_int_equal(ask(&conf, get(), status(statuses[i])), SHEAF_RETRY_YES);
        conf.on = 0x3f & ~conf.on;
        assert_int_equal(ask(&conf, get(), status(statuses[i])), SHEAF_RETRY_NO);
    }
    conf.on = 1u << SHEAF_RETRY_ON_CONNECT;
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_REFUSED, false)), SHEAF_RETRY_YES);
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_CONNECT_TIMEOUT, false)), SHEAF_RETRY_YES);
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_RESET, true)), SHEAF_RETRY_NO);
    conf.on = 1u << SHEAF_RETRY_ON_RESET;
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_RESET, true)), SHEAF_RETRY_YES);
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_REFUSED, false)), SHEAF_RETRY_NO);
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_TIMEOUT, true)), SHEAF_RETRY_NO);
    conf.on = 1u << SHEAF_RETRY_ON_TIMEOUT;
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_TIMEOUT, true)), SHEAF_RETRY_YES);
    conf.on = 1u << SHEAF_RETRY_ON_504; /* the gateway's own 504 is one, too */
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_TIMEOUT, true)), SHEAF_RETRY_YES);
    assert_int_equal(ask(&conf, get(), (sheaf_failure_t){.err = SHEAF_ERR_TIMEOUT, .status = 200, .was_sent = true}),
                     SHEAF_RETRY_NO);
    conf.on = 0x3f;
    for (size_t i = 0; i < SHEAF_COUNT(never); i++)
        assert_int_equal(ask(&conf, get(), error(never[i], true)), SHEAF_RETRY_NO);
    assert_int_equal(ask(&conf, get(), status(500)), SHEAF_RETRY_NO);
    assert_int_equal(ask(&conf, get(), status(404)), SHEAF_RETRY_NO);
}

static void what_is_not_repeatable_is_retried_only_when_nothing_was_sent(void **state)
{
    sheaf_retry_conf_t conf = retry_conf();
    sheaf_exchange_t post = get();

    post.method = SHEAF_STR("POST");
    post.is_idempotent = post.is_repeatable = false;
    assert_int_equal(ask(&conf, post, error(SHEAF_ERR_REFUSED, false)), SHEAF_RETRY_YES);
    assert_int_equal(ask(&conf, post, error(SHEAF_ERR_RESET, false)), SHEAF_RETRY_YES);
    assert_int_equal(ask(&conf, post, error(SHEAF_ERR_RESET, true)), SHEAF_RETRY_NO);
    assert_int_equal(ask(&conf, post, status(503)), SHEAF_RETRY_NO);
    post.is_repeatable = true;
    assert_int_equal(ask(&conf, post, status(503)), SHEAF_RETRY_YES);
}

static void methods_narrow_what_is_retried(void **state)
{
    sheaf_str_t methods[] = {SHEAF_STR("PUT"), SHEAF_STR("GET")};
    sheaf_retry_conf_t conf = retry_conf();

    conf.methods.items = methods;
    conf.methods.count = 1;
    assert_int_equal(ask(&conf, get(), status(503)), SHEAF_RETRY_NO);
    assert_int_equal(ask(&conf, get(), error(SHEAF_ERR_REFUSED, false)), SHEAF_RETRY_NO);
    conf.methods.count = 2;
    assert_int_equal(ask(&conf, get(), status(503)), SHEAF_RETRY_YES);
}

static void a_reset_behind_the_head_of_an_answer_is_final(void **state)
{
    sheaf_retry_conf_t conf = retry_conf();
    sheaf_failure_t failure = error(SHEAF_ERR_RESET, true);

    failure.status = 200;
    assert_int_equal(ask(&conf, get(), failure), SHEAF_RETRY_NO);
}

static void attempts_are_counted_and_end(void **state)
{
    sheaf_retry_conf_t conf = retry_conf();
    sheaf_exchange_t exchange = get();
    sheaf_failure_t failure = status(503);
    sheaf_retry_t retry;
    uint64_t at_ms;

    sheaf_retry_init(&retry, &conf, 7);
    assert_int_equal(sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms), SHEAF_RETRY_YES);
    assert_int_equal(sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms), SHEAF_RETRY_YES);
    assert_int_equal(exchange.sends, 3);
    assert_int_equal(sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms), SHEAF_RETRY_NO);
    assert_int_equal(exchange.sends, 3);
}

/* The shortest and the longest wait before attempt `sends` + 1, over many dice. */
static void waits(uint64_t backoff_ms, uint8_t sends, uint64_t *least, uint64_t *most)
{
    sheaf_retry_conf_t conf = retry_conf();
    sheaf_failure_t failure = status(503);
    uint64_t at_ms;

    conf.backoff_ms = backoff_ms;
    conf.attempts = 10;
    *least = UINT64_MAX;
    *most = 0;
    for (uint64_t seed = 0; seed < 4000; seed++) {
        sheaf_exchange_t exchange = get();
        sheaf_retry_t retry;

        exchange.sends = sends;
        sheaf_retry_init(&retry, &conf, seed);
        assert_int_equal(sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms), SHEAF_RETRY_YES);
        *least = at_ms - START < *least ? at_ms - START : *least;
        *most = at_ms - START > *most ? at_ms - START : *most;
    }
}

static void backoff_doubles_up_to_a_second_and_falls_between_half_and_all_of_it(void **state)
{
    static const struct {
        uint64_t backoff;
        uint8_t sends;
        uint64_t least, most;
    } cases[] = {{100, 1, 50, 100}, {100, 2, 100, 200}, {100, 3, 200, 400},  {100, 9, 500, 1000},
                 {1, 1, 1, 1},      {0, 5, 0, 0},       {999, 9, 500, 1000}, {5000, 4, 2500, 5000}};

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        uint64_t least, most, span = cases[i].most - cases[i].least;

        waits(cases[i].backoff, cases[i].sends, &least, &most);
        assert_in_range(least, cases[i].least, cases[i].least + span / 20);
        assert_in_range(most, cases[i].most - span / 20, cases[i].most);
    }
}

static void retry_after_is_waited_for_but_never_beyond_the_end(void **state)
{
    sheaf_retry_conf_t conf = retry_conf();
    sheaf_exchange_t exchange = get();
    sheaf_failure_t failure = status(503);
    sheaf_retry_t retry;
    uint64_t at_ms;

    sheaf_retry_init(&retry, &conf, 7);
    failure.retry_after_ms = 2000;
    assert_int_equal(sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms), SHEAF_RETRY_YES);
    assert_in_range(at_ms, START + 2050, START + 2100);
    exchange = get();
    exchange.end_ms = START + 2050;
    assert_int_equal(sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms), SHEAF_RETRY_NO);
    failure.retry_after_ms = UINT64_MAX;
    assert_int_equal(sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms), SHEAF_RETRY_NO);
    failure.retry_after_ms = 0;
    exchange.end_ms = START;
    assert_int_equal(sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms), SHEAF_RETRY_NO);
    assert_int_equal(exchange.sends, 1);
}

static uint64_t after(const char *text)
{
    return sheaf_retry_after_ms(sheaf_str_of(text), 784111777); /* Sun, 06 Nov 1994 08:49:37 GMT */
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    assert_int_equal(after("0"), 0);
    assert_int_equal(after("120"), 120000);
    assert_int_equal(after("18446744073709551615"), 4294967295000u);
    assert_int_equal(after("Sun, 06 Nov 1994 08:49:39 GMT"), 2000);
    assert_int_equal(after("Sun, 06 Nov 1994 08:49:36 GMT"), 0);
    assert_int_equal(after("Mon, 07 Nov 1994 08:49:37 GMT"), 86400000);
    assert_int_equal(after(""), 0);
    assert_int_equal(after("-1"), 0);
    assert_int_equal(after("1.5"), 0);
    assert_int_equal(after("soon"), 0);
    assert_int_equal(after("Sun, 06 Nov 1994 08:49:39 CET"), 0);
    assert_int_equal(after("Sun, 06 Nov 1994 08:49:39 GMT+"), 0);
}

/* `per_s` exchanges a second for `seconds`, all of which fail; the retries that were allowed. */
static uint64_t allowed(uint64_t percent, uint64_t per_s, uint64_t seconds, uint64_t *ret_refused)
{
    sheaf_retry_conf_t conf = retry_conf();
    sheaf_failure_t failure = status(503);
    uint64_t at_ms, yes = 0;
    sheaf_retry_t retry;

    conf.budget_percent = percent;
    *ret_refused = 0;
    sheaf_retry_init(&retry, &conf, 7);
    for (uint64_t i = 0; i < per_s * seconds; i++) {
        uint64_t now_ms = START + i * 1000 / per_s;
        sheaf_exchange_t exchange = get();

        sheaf_retry_earn(&retry, now_ms);
        if (sheaf_retry_ask(&retry, &exchange, &failure, now_ms, &at_ms) == SHEAF_RETRY_YES)
            yes++;
        else
            ++*ret_refused;
    }
    return yes;
}

static void a_backend_that_is_down_gets_its_share_of_retries_and_no_more(void **state)
{
    uint64_t refused;

    assert_in_range(allowed(20, 100, 60, &refused), 6000 * 18 / 100, 6000 * 20 / 100 + SHEAF_RETRY_FLOOR);
    assert_true(refused >= 6000 * 80 / 100 - SHEAF_RETRY_FLOOR);
    assert_int_equal(allowed(0, 100, 60, &refused), 60 * SHEAF_RETRY_FLOOR);
    assert_int_equal(allowed(100, 100, 60, &refused), 6000);
}

static void three_retries_a_second_are_always_allowed(void **state)
{
    uint64_t refused;

    assert_int_equal(allowed(20, 3, 60, &refused), 180);
    assert_int_equal(allowed(20, 10, 60, &refused), 180); /* a fifth would be 120 */
}

static void a_burst_earns_no_more_than_its_share(void **state)
{
    sheaf_retry_conf_t conf = retry_conf();
    sheaf_failure_t failure = status(503);
    uint64_t at_ms, yes = 0;
    sheaf_retry_t retry;

    sheaf_retry_init(&retry, &conf, 7);
    for (int i = 0; i < 1000; i++)
        sheaf_retry_earn(&retry, START);
    for (int i = 0; i < 1000; i++) {
        sheaf_exchange_t exchange = get();

        yes += sheaf_retry_ask(&retry, &exchange, &failure, START, &at_ms) == SHEAF_RETRY_YES;
    }
    assert_int_equal(yes, 200);
    for (int i = 0; i < 10; i++) { /* ten seconds later nothing of it is left, but the floor is */
        sheaf_exchange_t exchange = get();

        yes += sheaf_retry_ask(&retry, &exchange, &failure, START + 10000, &at_ms) == SHEAF_RETRY_YES;
    }
    assert_int_equal(yes, 200 + SHEAF_RETRY_FLOOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tally_forgets_what_is_older_than_its_window_one_slot_at_a_time),
        cmocka_unit_test(a_tally_that_slept_for_long_is_empty_and_counts_on),
        cmocka_unit_test(only_what_is_listed_is_retried),
        cmocka_unit_test(what_is_not_repeatable_is_retried_only_when_nothing_was_sent),
        cmocka_unit_test(methods_narrow_what_is_retried),
        cmocka_unit_test(a_reset_behind_the_head_of_an_answer_is_final),
        cmocka_unit_test(attempts_are_counted_and_end),
        cmocka_unit_test(backoff_doubles_up_to_a_second_and_falls_between_half_and_all_of_it),
        cmocka_unit_test(retry_after_is_waited_for_but_never_beyond_the_end),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(a_backend_that_is_down_gets_its_share_of_retries_and_no_more),
        cmocka_unit_test(three_retries_a_second_are_always_allowed),
        cmocka_unit_test(a_burst_earns_no_more_than_its_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
