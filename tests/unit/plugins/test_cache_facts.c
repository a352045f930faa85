/* How old an answer is and how long it is fresh (RFC 9111 4.2), and dates (RFC 9110 5.6.7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cache/cache_date.h"
#include "plugins/cache/cache_facts.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static int64_t date(const char *text)
{
    int64_t seconds = -1;

    return cache_date_read(sheaf_p_str(text, strlen(text)), 1800000000, &seconds) ? seconds : -1;
}

static void rfc9110_5_6_7_dates_are_read_in_three_forms(void **state)
{
    (void)state;
    assert_int_equal(date("Sun, 06 Nov 1994 08:49:37 GMT"), NOW);
    assert_int_equal(date("Sunday, 06-Nov-94 08:49:37 GMT"), NOW);
    assert_int_equal(date("Sun Nov  6 08:49:37 1994"), NOW);
    assert_int_equal(date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert_int_equal(date("Thu, 29 Feb 2024 12:00:00 GMT"), 1709208000);
    assert_int_equal(date("Fri, 01 Mar 2024 00:00:00 GMT"), 1709251200);
}

static void rfc9110_5_6_7_two_digits_mean_at_most_50_years_from_now(void **state)
{
    (void)state;
    assert_int_equal(date("Saturday, 01-Jan-77 00:00:00 GMT"), 3376684800);
    assert_int_equal(date("Saturday, 01-Jan-78 00:00:00 GMT"), 252460800);
}

static void what_is_no_date_is_none(void **state)
{
    static const char *const wrong[] = {"",
                                        "0",
                                        "-1",
                                        "Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 6 Nov 1994 08:49:37 GMT",
                                        "Sun, 31 Feb 1994 08:49:37 GMT",
                                        "Sun, 29 Feb 2023 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 24:00:00 GMT",
                                        "Sun, 06 nov 1994 08:49:37 GMT",
                                        "Sun, 00 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:37 UTC",
                                        "Sun, 06 Nov 1994 08:49:37 GMT "};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(date(wrong[i]), -1);
}

/* "name: value" lines; asked and answered at NOW + 10 and NOW + 12. */
static cache_facts_t facts_of(uint32_t heuristic, const char *const *lines)
{
    cache_head_t head = {0};
    cache_facts_t facts;

    for (; *lines != NULL; lines++) {
        size_t name = strcspn(*lines, ":");

        cache_head_add(&head, sheaf_p_str(*lines, name), sheaf_p_str(*lines + name + 2, strlen(*lines + name + 2)));
    }
    cache_facts_read(&head, NOW + 10, NOW + 12, heuristic, &facts);
    cache_head_free(&head);
    return facts;
}

#define FACTS(...) facts_of(0, (const char *const[]){__VA_ARGS__, NULL})
#define DATE       "Date: Sun, 06 Nov 1994 08:49:37 GMT"

static void rfc9111_4_2_3_age_is_the_larger_of_what_date_and_age_say(void **state)
{
    (void)state;
    assert_int_equal(FACTS(DATE).age_s, 12);
    assert_int_equal(FACTS(DATE, "Age: 5").age_s, 12); /* 5 and a delay of 2 */
    assert_int_equal(FACTS(DATE, "Age: 100").age_s, 102);
    assert_int_equal(FACTS("Age: 100").age_s, 102);
    assert_int_equal(FACTS("Date: no").age_s, 2);
    assert_int_equal(FACTS("Date: Sun, 06 Nov 1994 09:49:37 GMT").age_s, 2); /* a clock that is fast */
}

static void rfc9111_5_1_of_several_ages_the_first_counts_and_none_that_is_no_number(void **state)
{
    (void)state;
    assert_int_equal(FACTS("Age: 7, 900").age_s, 9);
    assert_int_equal(FACTS("Age: -7").age_s, 2);
}

static void rfc9111_4_2_1_s_maxage_goes_before_max_age_before_expires(void **state)
{
    static const char expires[] = "Expires: Sun, 06 Nov 1994 08:50:37 GMT";

    (void)state;
    assert_int_equal(FACTS(DATE, expires).lifetime_s, 60);
    assert_int_equal(FACTS(DATE, expires, "Cache-Control: max-age=5").lifetime_s, 5);
    assert_int_equal(FACTS(DATE, expires, "Cache-Control: max-age=5", "Cache-Control: s-maxage=7").lifetime_s, 7);
    assert_int_equal(FACTS(DATE, "Cache-Control: public").lifetime_s, -1);
}

static void rfc9111_5_3_expires_that_is_no_date_or_is_there_twice_is_past(void **state)
{
    (void)state;
    assert_int_equal(FACTS(DATE, "Expires: 0").lifetime_s, 0);
    assert_int_equal(FACTS(DATE, "Expires: Sun, 06 Nov 1994 08:49:36 GMT").lifetime_s, 0);
    assert_int_equal(
        FACTS("Expires: Sun, 06 Nov 1994 08:50:37 GMT", "Expires: Sun, 06 Nov 1994 08:51:37 GMT").lifetime_s, 0);
}

static void rfc9111_4_2_2_a_guess_is_made_only_where_it_is_wanted(void **state)
{
    const char *const lines[] = {DATE, "Last-Modified: Sun, 06 Nov 1994 07:49:37 GMT", NULL};
    const char *const old[] = {DATE, "Last-Modified: Sun Nov  6 08:49:37 1974", NULL};

    (void)state;
    assert_int_equal(facts_of(0, lines).lifetime_s, -1);
    assert_int_equal(facts_of(10, lines).lifetime_s, 360);
    assert_int_equal(facts_of(10, old).lifetime_s, 24 * 3600);
    assert_true(facts_of(0, lines).has_validator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9110_5_6_7_dates_are_read_in_three_forms),
        cmocka_unit_test(rfc9110_5_6_7_two_digits_mean_at_most_50_years_from_now),
        cmocka_unit_test(what_is_no_date_is_none),
        cmocka_unit_test(rfc9111_4_2_3_age_is_the_larger_of_what_date_and_age_say),
        cmocka_unit_test(rfc9111_5_1_of_several_ages_the_first_counts_and_none_that_is_no_number),
        cmocka_unit_test(rfc9111_4_2_1_s_maxage_goes_before_max_age_before_expires),
        cmocka_unit_test(rfc9111_5_3_expires_that_is_no_date_or_is_there_twice_is_past),
        cmocka_unit_test(rfc9111_4_2_2_a_guess_is_made_only_where_it_is_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
