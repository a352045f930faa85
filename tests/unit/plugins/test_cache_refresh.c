/* The cache on a host: what is stale is validated, or answered as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/plugins/cache_host.h"

/* --- validating --- */

static void rfc9111_4_3_what_is_stale_is_validated_and_holds_again(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a?b"), other = item_of(host, "GET", "/a?b");

    (void)state;
    fill(host, "/a?b", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    assert_string_equal(ask(item), "...");
    assert_string_equal(ask(other), "...");
    assert_int_equal(host_calls(host), 1);
    assert_int_equal(host_call(host)->upstream, -1);
    assert_true(host_call(host)->like.value == item.value);
    assert_string_equal(host_call(host)->target.base, "/a?b");
    assert_string_equal(host_call_field(host, "If-None-Match"), "\"a\"");
    host_call_answer(host, 304, "ETag: \"a\"\nCache-Control: max-age=30\nX-New: 1", "");
    assert_string_equal(host_outcome(item).body, "x");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "X-New"), "1");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "Age"), "0");
    assert_string_equal(status_of(item), "sheaf; fwd=stale; fwd-status=304");
    assert_string_equal(host_outcome(other).body, "x");
    host_wind(host, 29000);
    assert_string_equal(get(host, "/a?b"), "x");
    assert_int_equal(host_counted(host, "validated"), 1);
    host_free(host);
}

static void validating_takes_no_longer_than_the_item_has_time(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=1, stale-if-error=60", "\"a\"", "x");
    host_wind(host, 2000);
    host_number(item, SHEAF_P_LEFT_MS, 1600);
    assert_string_equal(ask(item), "...");
    assert_int_equal(host_call(host)->timeout_ms, 1500);
    host_call_answer(host, 0, NULL, "timeout");
    assert_string_equal(host_outcome(item).body, "x");
    assert_string_equal(status_of(item), "sheaf; fwd=stale; detail=error");
    item = item_of(host, "GET", "/a");
    host_number(item, SHEAF_P_LEFT_MS, 1);
    ask(item);
    assert_int_equal(host_call(host)->timeout_ms, 1); /* 0 would be as long as the upstream has */
    host_free(host);
}

static void a_new_answer_takes_the_place_of_the_stale_one(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    ask(item);
    host_call_answer(host, 200, "ETag: \"b\"\nCache-Control: max-age=60", "y");
    assert_string_equal(host_outcome(item).body, "y");
    assert_string_equal(status_of(item), "sheaf; fwd=stale; fwd-status=200; stored");
    assert_string_equal(get(host, "/a"), "y");
    host_free(host);
}

static void an_answer_to_validation_that_is_not_for_all_is_asked_for_again_by_each(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a"), other = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    ask(item);
    ask(other);
    host_call_answer(host, 200, "Set-Cookie: s=1\nCache-Control: max-age=60", "y");
    assert_true(host_outcome(item).is_resumed);
    assert_false(host_outcome(item).is_answered);
    answer(item, 200, "private", "z");
    assert_true(host_outcome(other).is_resumed);
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void credentials_never_go_into_a_call_of_the_cache(void **state)
{
    host_t *host = opened(NULL, NULL);

    (void)state;
    fill(host, "/a", "max-age=60, public, stale-while-revalidate=60", "\"a\"", "x");
    host_wind(host, 61000);
    assert_string_equal(get_with(host, "/a", "Authorization", "ann"), "-");
    assert_int_equal(host_calls(host), 0);
    host_free(host);
}

static void without_an_upstream_that_can_be_called_the_backend_is_asked_in_full(void **state)
{
    host_t *host = opened("validate", "false");
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    assert_string_equal(ask(item), "-");
    answer(item, 200, "max-age=60", "y");
    assert_string_equal(status_of(item), "sheaf; fwd=stale; stored");
    assert_string_equal(get(host, "/a"), "y");
    host_free(host);
}

static void a_call_goes_on_when_he_is_gone_who_waited_for_it(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    assert_string_equal(ask(item), "...");
    host_done(item);
    host_call_answer(host, 304, NULL, "");
    assert_string_equal(get(host, "/a"), "x");
    host_free(host);
}

/* --- stale --- */

static void rfc5861_3_stale_is_answered_while_one_call_revalidates(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60, stale-while-revalidate=30", NULL, "x");
    host_wind(host, 70000);
    assert_string_equal(ask(item), "x");
    assert_string_equal(status_of(item), "sheaf; hit; ttl=-10");
    assert_string_equal(get(host, "/a"), "x");
    assert_int_equal(host_calls(host), 1);
    host_call_answer(host, 200, "Cache-Control: max-age=60", "y");
    assert_string_equal(get(host, "/a"), "y");
    assert_int_equal(host_counted(host, "stale"), 2);
    host_wind(host, 100000);
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void rfc5861_3_without_calls_one_goes_and_the_others_get_what_is_stale(void **state)
{
    host_t *host = opened("validate", "false");
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60, stale-while-revalidate=30", NULL, "x");
    host_wind(host, 70000);
    assert_string_equal(ask(item), "-");
    assert_string_equal(get(host, "/a"), "x");
    assert_string_equal(get(host, "/a"), "x");
    answer(item, 200, "max-age=60", "y");
    assert_string_equal(get(host, "/a"), "y");
    host_free(host);
}

static void rfc5861_4_stale_stands_in_for_a_backend_that_fails(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a"), other = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60, stale-if-error=600", "\"a\"", "x");
    host_wind(host, 70000);
    assert_string_equal(ask(item), "...");
    assert_string_equal(ask(other), "...");
    host_call_answer(host, 0, NULL, "timeout");
    assert_string_equal(host_outcome(item).body, "x");
    assert_string_equal(host_outcome(other).body, "x");
    assert_string_equal(ask(third), "...");
    host_call_answer(host, 503, NULL, "no");
    assert_string_equal(host_outcome(third).body, "x");
    assert_string_equal(status_of(third), "sheaf; fwd=stale; fwd-status=503");
    host_free(host);
}

static void rfc9111_4_2_4_must_revalidate_is_never_stale(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60, must-revalidate, stale-if-error=600", "\"a\"", "x");
    host_wind(host, 70000);
    assert_string_equal(ask(item), "...");
    host_call_answer(host, 0, NULL, "timeout");
    assert_false(host_outcome(item).is_answered);
    assert_true(host_outcome(item).is_resumed);
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9111_4_3_what_is_stale_is_validated_and_holds_again),
        cmocka_unit_test(validating_takes_no_longer_than_the_item_has_time),
        cmocka_unit_test(a_new_answer_takes_the_place_of_the_stale_one),
        cmocka_unit_test(an_answer_to_validation_that_is_not_for_all_is_asked_for_again_by_each),
        cmocka_unit_test(credentials_never_go_into_a_call_of_the_cache),
        cmocka_unit_test(without_an_upstream_that_can_be_called_the_backend_is_asked_in_full),
        cmocka_unit_test(a_call_goes_on_when_he_is_gone_who_waited_for_it),
        cmocka_unit_test(rfc5861_3_stale_is_answered_while_one_call_revalidates),
        cmocka_unit_test(rfc5861_3_without_calls_one_goes_and_the_others_get_what_is_stale),
        cmocka_unit_test(rfc5861_4_stale_stands_in_for_a_backend_that_fails),
        cmocka_unit_test(rfc9111_4_2_4_must_revalidate_is_never_stale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
