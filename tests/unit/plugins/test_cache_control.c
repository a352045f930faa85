/* Cache-Control (RFC 9111 5.2, RFC 5861), read strictly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cache/cache_control.h"
#include "plugins/cache/cache_text.h"

static cache_control_t read_fields(const char *first, const char *second)
{
    cache_control_t control;

    cache_control_init(&control);
    cache_control_read(sheaf_p_str(first, strlen(first)), &control);
    if (second != NULL)
        cache_control_read(sheaf_p_str(second, strlen(second)), &control);
    return control;
}

static void nothing_said_is_nothing_known(void **state)
{
    cache_control_t control = read_fields("", " , ,");

    (void)state;
    assert_int_equal(control.said, 0);
    assert_int_equal(control.max_age, -1);
    assert_int_equal(control.stale_if_error, -1);
}

static void directives_are_read_in_any_case_and_over_several_fields(void **state)
{
    cache_control_t control = read_fields("Public, MAX-age=60 ,s-maxage=\"120\"", "must-revalidate, x=\"a, no-store\"");

    (void)state;
    assert_int_equal(control.said, CACHE_PUBLIC | CACHE_MUST_REVALIDATE);
    assert_int_equal(control.max_age, 60);
    assert_int_equal(control.s_maxage, 120);
}

static void every_flag_is_known(void **state)
{
    (void)state;
    assert_int_equal(read_fields("no-store", NULL).said, CACHE_NO_STORE);
    assert_int_equal(read_fields("no-cache", NULL).said, CACHE_NO_CACHE);
    assert_int_equal(read_fields("private", NULL).said, CACHE_PRIVATE);
    assert_int_equal(read_fields("proxy-revalidate", NULL).said, CACHE_PROXY_REVALIDATE);
    assert_int_equal(read_fields("must-understand", NULL).said, CACHE_MUST_UNDERSTAND);
    assert_int_equal(read_fields("only-if-cached", NULL).said, CACHE_ONLY_IF_CACHED);
}

static void rfc9111_5_2_2_4_fields_named_by_no_cache_and_private_count_for_the_whole(void **state)
{
    (void)state;
    assert_int_equal(read_fields("no-cache=\"set-cookie, x\"", NULL).said, CACHE_NO_CACHE);
    assert_int_equal(read_fields("private=x", NULL).said, CACHE_PRIVATE);
}

static void rfc9111_4_2_1_lifetimes_that_contradict_are_0(void **state)
{
    (void)state;
    assert_int_equal(read_fields("max-age=60, max-age=60", NULL).max_age, 60);
    assert_int_equal(read_fields("max-age=60, max-age=61", NULL).max_age, 0);
    assert_int_equal(read_fields("s-maxage=60", "s-maxage=5").s_maxage, 0);
    assert_int_equal(read_fields("min-fresh=5, min-fresh=9", NULL).min_fresh, 9);
}

static void rfc9111_4_2_1_lifetimes_that_are_no_numbers_are_0(void **state)
{
    static const char *const wrong[] = {"max-age",     "max-age=",   "max-age=-1",     "max-age=1.5",
                                        "max-age=0x5", "max-age=5s", "max-age=\"5 \"", "max-age=\"\""};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_true(read_fields(wrong[i], NULL).max_age == 0 || (read_fields(wrong[i], NULL).said & CACHE_MALFORMED));
}

static void rfc9111_1_2_2_more_seconds_than_count_are_the_most_that_do(void **state)
{
    (void)state;
    assert_int_equal(read_fields("max-age=99999999999999999999999999", NULL).max_age, CACHE_SECONDS_MAX);
    assert_int_equal(read_fields("max-age=2147483648", NULL).max_age, CACHE_SECONDS_MAX);
}

static void rfc5861_grace_and_questions_are_read(void **state)
{
    cache_control_t control =
        read_fields("stale-while-revalidate=30, stale-if-error=600", "min-fresh=5, max-stale=7, only-if-cached");

    (void)state;
    assert_int_equal(control.stale_while_revalidate, 30);
    assert_int_equal(control.stale_if_error, 600);
    assert_int_equal(control.min_fresh, 5);
    assert_int_equal(control.max_stale, 7);
    assert_int_equal(read_fields("max-stale", NULL).max_stale, CACHE_SECONDS_MAX);
}

static void what_is_no_list_of_directives_is_malformed(void **state)
{
    static const char *const wrong[] = {"max-age =5", "max age=5", "=5",    "\"no-store\"", "a=\"b",
                                        "a=\"b\"c",   "a=\"\\",    "a=b c", "no-store;",    "a=@"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_true(read_fields(wrong[i], NULL).said & CACHE_MALFORMED);
    assert_false(read_fields("a=\"b\\\"c\", max-age=1", NULL).said & CACHE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_nothing_known),
        cmocka_unit_test(directives_are_read_in_any_case_and_over_several_fields),
        cmocka_unit_test(every_flag_is_known),
        cmocka_unit_test(rfc9111_5_2_2_4_fields_named_by_no_cache_and_private_count_for_the_whole),
        cmocka_unit_test(rfc9111_4_2_1_lifetimes_that_contradict_are_0),
        cmocka_unit_test(rfc9111_4_2_1_lifetimes_that_are_no_numbers_are_0),
        cmocka_unit_test(rfc9111_1_2_2_more_seconds_than_count_are_the_most_that_do),
        cmocka_unit_test(rfc5861_grace_and_questions_are_read),
        cmocka_unit_test(what_is_no_list_of_directives_is_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
