/* How long an answer waits for its client: looks by a hand-wound clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/front/patience.h"

#define TIMEOUT_MS 30000
#define HALF_MS    (TIMEOUT_MS / 2)
#define RATE       1024

static sheaf_patience_t patience;

static int set_up(void **state)
{
    sheaf_patience_init(&patience, TIMEOUT_MS);
    return 0;
}

static bool lasts(uint64_t taken_bytes, uint64_t waited_ms)
{
    return sheaf_patience_spend(&patience, TIMEOUT_MS, RATE, taken_bytes, waited_ms);
}

/* How many looks, each after half a timeout of waiting in which `bytes` were taken, until it is given up. */
static uint32_t looks_at(uint64_t bytes)
{
    uint32_t looks = 1;

    while (looks < 10000 && lasts(bytes, HALF_MS))
        looks++;
    return looks;
}

static void who_takes_nothing_has_the_timeout(void **state)
{
    assert_true(lasts(0, HALF_MS));
    assert_false(lasts(0, HALF_MS));
}

static void a_byte_now_and_then_gains_no_time(void **state)
{
    assert_int_equal(looks_at(1), 2);
}

static void the_least_rate_goes_on_for_ever(void **state)
{
    assert_int_equal(looks_at(RATE * HALF_MS / 1000), 10000);
}

static void a_little_less_does_not(void **state)
{
    uint32_t looks = looks_at(RATE * HALF_MS / 1000 * 9 / 10);

    assert_in_range(looks, 19, 21); /* a tenth of the time is missing each time */
}

static void lumps_within_the_timeout_are_as_good(void **state)
{
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(lasts(RATE * TIMEOUT_MS / 1000, HALF_MS));
        assert_true(lasts(0, HALF_MS));
    }
}

static void nobody_saves_up(void **state)
{
    assert_true(lasts((uint64_t)10 << 30, HALF_MS)); /* ten gigabytes at once */
    assert_true(lasts(0, HALF_MS));
    assert_false(lasts(0, HALF_MS));
}

static void what_was_lost_is_earned_again(void **state)
{
    assert_true(lasts(0, TIMEOUT_MS - 1));
    assert_true(lasts(RATE * 20, 0));
    assert_true(lasts(0, 20000));
    assert_false(lasts(0, 1));
}

static void nothing_overflows(void **state)
{
    assert_true(sheaf_patience_spend(&patience, TIMEOUT_MS, 1, UINT64_MAX, HALF_MS));
    assert_int_equal(patience.left_ms, TIMEOUT_MS);
    assert_true(sheaf_patience_spend(&patience, TIMEOUT_MS, 1, UINT64_MAX / 1000 + 1, HALF_MS));
    assert_int_equal(patience.left_ms, TIMEOUT_MS);
    assert_false(sheaf_patience_spend(&patience, TIMEOUT_MS, (uint64_t)1 << 30, 1000, TIMEOUT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_takes_nothing_has_the_timeout, set_up),
        cmocka_unit_test_setup(a_byte_now_and_then_gains_no_time, set_up),
        cmocka_unit_test_setup(the_least_rate_goes_on_for_ever, set_up),
        cmocka_unit_test_setup(a_little_less_does_not, set_up),
        cmocka_unit_test_setup(lumps_within_the_timeout_are_as_good, set_up),
        cmocka_unit_test_setup(nobody_saves_up, set_up),
        cmocka_unit_test_setup(what_was_lost_is_earned_again, set_up),
        cmocka_unit_test_setup(nothing_overflows, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
