/* A request that a plugin holds, on a hand-wound clock; how it was ended is in `visit` before anybody says more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/front/asking.h"
#include "gateway/front/inside.h"

#define TIMEOUT_MS 1000

static sheaf_clock_t wall;
static sheaf_deadlines_t deadlines;
static sheaf_front_t front;
static sheaf_epoch_t epoch;
static sheaf_batch_t batch;
static h2o_req_t req;
static sheaf_visit_t visit;
static int asked, passed;

static sheaf_say_t on_request(sheaf_hooks_t *self, sheaf_caller_t *caller)
{
    (void)self;
    assert_ptr_equal(caller, &visit.caller);
    return ++asked == 1 ? SHEAF_SAY_LATER : SHEAF_SAY_PASS;
}

static void go_on(sheaf_visit_t *on)
{
    assert_ptr_equal(on, &visit);
    passed++;
}

static int hold_one(void **state)
{
    static sheaf_hooks_t hooks = {.on_request = on_request};

    (void)state;
    asked = passed = 0;
    wall = (sheaf_clock_t){.now_ms = 5000};
    sheaf_deadlines_init(&deadlines, &wall);
    front.env.clock = &wall;
    front.env.deadlines = &deadlines;
    epoch.env.hooks = &hooks;
    batch.timeout_ms = TIMEOUT_MS;
    visit = (sheaf_visit_t){.front = &front, .epoch = &epoch, .batch = &batch, .req = &req};
    visit.outer.is_http2 = true; /* nobody watches its connection */
    sheaf_asking_request(&visit, go_on);
    assert_true(visit.is_held);
    return 0;
}

static int let_go(void **state)
{
    (void)state;
    sheaf_deadline_clear(&deadlines, &visit.hold);
    sheaf_deadlines_fini(&deadlines);
    return 0;
}

static void time_passes(uint64_t ms)
{
    wall.now_ms += ms;
    sheaf_deadlines_run(&deadlines);
}

static void who_held_it_says_more_and_it_goes_on(void **state)
{
    (void)state;
    visit.caller.on_go(&visit.caller);
    assert_int_equal(asked, 2);
    assert_int_equal(passed, 1);
    assert_false(sheaf_deadline_is_set(&visit.hold));
}

static void nobody_is_asked_about_one_whose_answer_has_begun(void **state)
{
    (void)state;
    visit.is_started = true; /* ended: a drain is over, or memory was short, and libh2o is not done with it yet */
    visit.caller.on_go(&visit.caller);
    assert_int_equal(asked, 1);
    assert_int_equal(passed, 0);
}

static void nor_about_one_that_is_gone(void **state)
{
    (void)state;
    visit.req = NULL;
    visit.caller.on_go(&visit.caller);
    assert_int_equal(asked, 1);
}

static void the_end_of_its_time_gives_no_second_answer(void **state)
{
    (void)state;
    visit.is_started = true;
    time_passes(TIMEOUT_MS - 1);
    assert_true(visit.is_held);
    time_passes(1);
    assert_false(visit.is_held);
    assert_int_equal(visit.status, 0);
    assert_null(visit.caller.error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_held_it_says_more_and_it_goes_on, hold_one, let_go),
        cmocka_unit_test_setup_teardown(nobody_is_asked_about_one_whose_answer_has_begun, hold_one, let_go),
        cmocka_unit_test_setup_teardown(nor_about_one_that_is_gone, hold_one, let_go),
        cmocka_unit_test_setup_teardown(the_end_of_its_time_gives_no_second_answer, hold_one, let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
