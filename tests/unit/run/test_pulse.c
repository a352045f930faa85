#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/run/pulse.h"

static void signs_of_life_are_taken_often_enough_to_tell(void **state)
{
    (void)state;
    assert_int_equal(sheaf_pulse_interval_ms(10000), 1000);
    assert_int_equal(sheaf_pulse_interval_ms(3600000), 1000);
    assert_int_equal(sheaf_pulse_interval_ms(1000), 250);
    assert_int_equal(sheaf_pulse_interval_ms(1), 50);
}

static void silence_adds_up_until_the_next_beat(void **state)
{
    sheaf_pulse_t pulse;

    (void)state;
    sheaf_pulse_init(&pulse, 5000, 5000);
    assert_int_equal(sheaf_pulse_look(&pulse, 5000, 6000, 1000), 1000);
    assert_int_equal(sheaf_pulse_look(&pulse, 5000, 6001, 1000), 1001); /* looks may come as often as they like */
    assert_int_equal(sheaf_pulse_look(&pulse, 5000, 7500, 1000), 2500);
    assert_int_equal(sheaf_pulse_look(&pulse, 7400, 8500, 1000), 0);
    assert_int_equal(sheaf_pulse_look(&pulse, 7400, 9500, 1000), 1000);
}

static void a_supervisor_that_slept_blames_nobody(void **state)
{
    sheaf_pulse_t pulse;

    (void)state;
    sheaf_pulse_init(&pulse, 0, 0);
    assert_int_equal(sheaf_pulse_look(&pulse, 0, 3600000, 1000), 2000);
    assert_int_equal(sheaf_pulse_look(&pulse, 3600000, 3600010, 1000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_of_life_are_taken_often_enough_to_tell),
        cmocka_unit_test(silence_adds_up_until_the_next_beat),
        cmocka_unit_test(a_supervisor_that_slept_blames_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
