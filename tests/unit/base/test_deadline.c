/* deadline: who fires when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/deadline.h"

static sheaf_clock_t hand_wound;
static sheaf_deadlines_t all;
static uint64_t fired[4096];
static uint32_t fired_count;

static void on_expired(sheaf_deadline_t *node)
{
    fired[fired_count++] = node->at_ms;
}

static void on_expired_again(sheaf_deadline_t *node)
{
    on_expired(node);
    if (fired_count < 3)
        sheaf_deadline_set(&all, node, hand_wound.now_ms + 1);
}

static void deadlines_fire_in_order_of_time_and_only_when_due(void **state)
{
    static sheaf_deadline_t nodes[1000];
    uint32_t cleared = 0;

    fired_count = 0;
    hand_wound.now_ms = 0;
    sheaf_deadlines_init(&all, &hand_wound);
    for (uint32_t i = 0; i < 1000; i++) {
        nodes[i].on_expired = on_expired;
        sheaf_deadline_set(&all, &nodes[i], 1 + i * 7919 % 1000);
    }
    for (uint32_t i = 0; i < 1000; i += 3, cleared++)
        sheaf_deadline_clear(&all, &nodes[i]);
    for (uint32_t i = 1; i < 1000; i += 3)
        sheaf_deadline_set(&all, &nodes[i], 2000 + i); /* moved */

    hand_wound.now_ms = 1500;
    sheaf_deadlines_run(&all);
    assert_int_equal(fired_count, 333);
    for (uint32_t i = 1; i < fired_count; i++)
        assert_true(fired[i - 1] <= fired[i]);
    assert_int_equal(sheaf_deadlines_next(&all), 2001);
    hand_wound.now_ms = 4000;
    sheaf_deadlines_run(&all);
    assert_int_equal(fired_count, 1000 - cleared);
    assert_true(sheaf_deadlines_next(&all) == SHEAF_NEVER);
    sheaf_deadlines_fini(&all);
}

static void a_deadline_may_be_set_again_from_its_own_callback(void **state)
{
    sheaf_deadline_t node = {.on_expired = on_expired_again};

    fired_count = 0;
    hand_wound.now_ms = 10;
    sheaf_deadlines_init(&all, &hand_wound);
    sheaf_deadline_set(&all, &node, 10);
    for (int i = 0; i < 5; i++, hand_wound.now_ms++)
        sheaf_deadlines_run(&all);
    assert_int_equal(fired_count, 3);
    assert_false(sheaf_deadline_is_set(&node));
    sheaf_deadlines_fini(&all);
}

static void on_expired_for_ever(sheaf_deadline_t *node)
{
    assert_true(++fired_count < 10);
    sheaf_deadline_set(&all, node, hand_wound.now_ms);
}

static void a_deadline_that_is_always_over_does_not_hold_the_loop(void **state)
{
    sheaf_deadline_t node = {.on_expired = on_expired_for_ever};

    fired_count = 0;
    sheaf_deadlines_init(&all, &hand_wound);
    sheaf_deadline_set(&all, &node, hand_wound.now_ms);
    sheaf_deadlines_run(&all);
    assert_int_equal(fired_count, 1);
    assert_int_equal(sheaf_deadlines_next(&all), hand_wound.now_ms); /* due again at once */
    sheaf_deadlines_fini(&all);
}

static void never_clears_and_clearing_twice_is_harmless(void **state)
{
    sheaf_deadline_t node = {.on_expired = on_expired};

    fired_count = 0;
    hand_wound.now_ms = 100;
    sheaf_deadlines_init(&all, &hand_wound);
    sheaf_deadline_clear(&all, &node); /* idle from birth */
    sheaf_deadline_set(&all, &node, 50);
    assert_true(sheaf_deadline_is_set(&node));
    sheaf_deadline_set(&all, &node, SHEAF_NEVER);
    assert_false(sheaf_deadline_is_set(&node));
    sheaf_deadline_clear(&all, &node);
    sheaf_deadlines_run(&all);
    assert_int_equal(fired_count, 0);
    assert_true(sheaf_deadlines_next(&all) == SHEAF_NEVER);
    sheaf_deadlines_fini(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_fire_in_order_of_time_and_only_when_due),
        cmocka_unit_test(a_deadline_may_be_set_again_from_its_own_callback),
        cmocka_unit_test(a_deadline_that_is_always_over_does_not_hold_the_loop),
        cmocka_unit_test(never_clears_and_clearing_twice_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
