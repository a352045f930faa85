/* The cache on a host: those who ask the same, who of them leads and how long the others wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/plugins/cache_host.h"

static void those_who_ask_the_same_wait_for_one_answer(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a"), other = item_of(host, "GET", "/b");

    (void)state;
    assert_string_equal(ask(first), "-");
    assert_string_equal(ask(second), "...");
    assert_string_equal(ask(third), "...");
    assert_string_equal(ask(other), "-");
    answer(first, 200, "max-age=60", "x");
    assert_string_equal(host_outcome(second).body, "x");
    assert_string_equal(host_outcome(third).body, "x");
    assert_string_equal(status_of(second), "sheaf; fwd=uri-miss; collapsed; ttl=60");
    assert_int_equal(host_counted(host, "collapsed"), 2);
    assert_int_equal(host_outcome(second).faults, 0);
    assert_int_equal(host_timers(host), 0);
    host_free(host);
}

static void an_answer_that_is_private_is_nobodys_but_his_who_led(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    assert_string_equal(ask(second), "...");
    answer(first, 200, "private, max-age=60", "x");
    assert_true(host_outcome(second).is_resumed);
    assert_false(host_outcome(second).is_answered);
    assert_string_equal(ask(third), "-"); /* nobody waits for such a thing twice */
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void those_who_say_who_they_are_neither_lead_nor_wait(void **state)
{
    host_t *host = opened(NULL, NULL);

    (void)state;
    assert_string_equal(get_with(host, "/a", "Authorization", "x"), "-");
    assert_string_equal(get(host, "/a"), "-");
    assert_string_equal(get_with(host, "/a", "Authorization", "y"), "-");
    host_free(host);
}

static void waiting_is_bounded_by_time_and_by_number(void **state)
{
    host_t *host = opened("max_waiting", "1");
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    assert_string_equal(ask(second), "...");
    assert_string_equal(get(host, "/a"), "-");
    host_wind(host, 4999);
    assert_false(host_outcome(second).is_resumed);
    host_wind(host, 1);
    assert_true(host_outcome(second).is_resumed);
    answer(first, 200, "max-age=60", "x");
    assert_false(host_outcome(second).is_answered);
    host_free(host);
}

static void one_who_waits_keeps_time_for_a_question_of_its_own(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  late = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    host_number(second, SHEAF_P_LEFT_MS, 1000);
    assert_string_equal(ask(second), "...");
    host_number(late, SHEAF_P_LEFT_MS, 0);
    assert_string_equal(ask(late), "-");
    host_wind(host, 749);
    assert_false(host_outcome(second).is_resumed);
    host_wind(host, 1);
    assert_true(host_outcome(second).is_resumed);
    host_free(host);
}

static void one_who_leads_and_is_cancelled_lets_the_others_go(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    ask(second);
    ask(third);
    host_done(third); /* one that waits may go, too */
    host_done(first);
    assert_true(host_outcome(second).is_resumed);
    assert_int_equal(host_timers(host), 0);
    host_free(host);
}

static void a_variant_that_does_not_suit_is_not_given_to_those_who_waited(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a");

    (void)state;
    host_header(first, SHEAF_P_QUESTION, "Accept-Language", "de");
    host_header(second, SHEAF_P_QUESTION, "Accept-Language", "en");
    ask(first);
    assert_string_equal(ask(second), "...");
    host_header(first, SHEAF_P_RESULT, "Vary", "Accept-Language");
    answer(first, 200, "max-age=60", "deutsch");
    assert_true(host_outcome(second).is_resumed);
    assert_false(host_outcome(second).is_answered);
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_ask_the_same_wait_for_one_answer),
        cmocka_unit_test(an_answer_that_is_private_is_nobodys_but_his_who_led),
        cmocka_unit_test(those_who_say_who_they_are_neither_lead_nor_wait),
        cmocka_unit_test(waiting_is_bounded_by_time_and_by_number),
        cmocka_unit_test(one_who_waits_keeps_time_for_a_question_of_its_own),
        cmocka_unit_test(one_who_leads_and_is_cancelled_lets_the_others_go),
        cmocka_unit_test(a_variant_that_does_not_suit_is_not_given_to_those_who_waited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
