/* Which servers are left out, and for how long, under a hand-wound clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/upstream/outlier.h"

#define START 1000000 /* any time will do; a slot of every window begins here */

static sheaf_outlier_conf_t outlier_conf(void)
{
    return (sheaf_outlier_conf_t){
        .errors = 3, .interval_ms = 4000, .eject_ms = 1000, .max_eject_ms = 5000, .max_ejected_percent = 50};
}

static bool fail_times(sheaf_outliers_t *all, sheaf_outlier_t *one, int times, uint64_t now_ms)
{
    bool is_ejected = false;

    for (int i = 0; i < times; i++)
        is_ejected |= sheaf_outlier_note(all, one, false, now_ms);
    return is_ejected;
}

static void errors_in_a_row_eject_and_a_success_between_forgives(void **state)
{
    sheaf_outlier_conf_t conf = outlier_conf();
    sheaf_outlier_t one = {0};
    sheaf_outliers_t all;

    sheaf_outliers_init(&all, &conf, 4, 7);
    assert_false(fail_times(&all, &one, 2, START));
    assert_false(sheaf_outlier_note(&all, &one, true, START));
    assert_false(fail_times(&all, &one, 2, START));
    assert_true(fail_times(&all, &one, 1, START));
    assert_true(one.is_ejected);
    assert_int_equal(all.ejected_count, 1);
    assert_false(fail_times(&all, &one, 10, START)); /* what flew before */
    assert_int_equal(all.ejected_count, 1);
}

static void ejection_doubles_with_each_failed_trial_and_a_success_starts_over(void **state)
{
    static const uint64_t expected[] = {1000, 2000, 4000, 5000, 5000};
    sheaf_outlier_conf_t conf = outlier_conf();
    sheaf_outlier_t one = {0};
    uint64_t now_ms = START;
    sheaf_outliers_t all;

    sheaf_outliers_init(&all, &conf, 4, 7);
    assert_true(fail_times(&all, &one, 3, now_ms));
    for (size_t i = 0; i < SHEAF_COUNT(expected); i++) {
        assert_in_range(one.until_ms - now_ms, expected[i], expected[i] + expected[i] / 10);
        assert_false(sheaf_outlier_readmit(&all, &one, one.until_ms - 1));
        now_ms = one.until_ms;
        assert_true(sheaf_outlier_readmit(&all, &one, now_ms));
        assert_int_equal(all.ejected_count, 0);
        assert_true(fail_times(&all, &one, 1, now_ms)); /* on trial one error is enough */
    }
    now_ms = one.until_ms;
    assert_true(sheaf_outlier_readmit(&all, &one, now_ms));
    assert_false(sheaf_outlier_note(&all, &one, true, now_ms));
    assert_false(fail_times(&all, &one, 2, now_ms));
    assert_true(fail_times(&all, &one, 1, now_ms));
    assert_in_range(one.until_ms - now_ms, 1000, 1100);
}

static void ejection_is_jittered(void **state)
{
    sheaf_outlier_conf_t conf = outlier_conf();
    uint64_t least = UINT64_MAX, most = 0;

    for (uint64_t seed = 0; seed < 1000; seed++) {
        sheaf_outlier_t one = {0};
        sheaf_outliers_t all;
        uint64_t ms;

        sheaf_outliers_init(&all, &conf, 4, seed);
        assert_true(fail_times(&all, &one, 3, START));
        ms = one.until_ms - START;
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_in_range(least, 1000, 1005);
    assert_in_range(most, 1095, 1100);
}

static uint32_t ejected_of(uint32_t count, uint64_t percent)
{
    sheaf_outlier_conf_t conf = outlier_conf();
    sheaf_outlier_t servers[16] = {0};
    sheaf_outliers_t all;

    conf.max_ejected_percent = percent;
    sheaf_outliers_init(&all, &conf, count, 7);
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < count; i++)
            fail_times(&all, &servers[i], 3, START);
    return all.ejected_count;
}

static void no_more_than_their_share_are_ejected_and_never_the_last(void **state)
{
    assert_int_equal(ejected_of(1, 100), 0);
    assert_int_equal(ejected_of(2, 50), 1);
    assert_int_equal(ejected_of(2, 100), 1);
    assert_int_equal(ejected_of(3, 50), 1);
    assert_int_equal(ejected_of(4, 50), 2);
    assert_int_equal(ejected_of(4, 100), 3);
    assert_int_equal(ejected_of(4, 24), 0);
    assert_int_equal(ejected_of(4, 0), 0);
    assert_int_equal(ejected_of(16, 50), 8);
}

static void a_share_of_errors_ejects_once_there_are_enough(void **state)
{
    sheaf_outlier_conf_t conf = outlier_conf();
    sheaf_outlier_t one = {0}, two = {0};
    sheaf_outliers_t all;

    conf.errors = 0;
    conf.ratio_percent = 50;
    sheaf_outliers_init(&all, &conf, 4, 7);
    assert_false(fail_times(&all, &one, SHEAF_OUTLIER_LEAST - 1, START));
    assert_true(fail_times(&all, &one, 1, START));
    for (int i = 0; i < 100; i++) {
        assert_false(sheaf_outlier_note(&all, &two, true, START));
        assert_false(sheaf_outlier_note(&all, &two, i % 2 == 0, START)); /* a quarter */
    }
    assert_false(fail_times(&all, &two, SHEAF_OUTLIER_LEAST - 1, START + 4000)); /* an interval of its own */
    assert_true(fail_times(&all, &two, 1, START + 4000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_in_a_row_eject_and_a_success_between_forgives),
        cmocka_unit_test(ejection_doubles_with_each_failed_trial_and_a_success_starts_over),
        cmocka_unit_test(ejection_is_jittered),
        cmocka_unit_test(no_more_than_their_share_are_ejected_and_never_the_last),
        cmocka_unit_test(a_share_of_errors_ejects_once_there_are_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
