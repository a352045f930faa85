/* Copies of direct answers that are given up because memory is short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/front/inside.h"
#include "gateway/front/visit.h"

static sheaf_front_t front;
static sheaf_batch_t batch;
static sheaf_item_t item;
static sheaf_visit_t visit;
static int told;

static void on_body(sheaf_hooks_t *self, sheaf_item_t *of)
{
    (void)self;
    assert_ptr_equal(of, &item);
    assert_int_equal(visit.caller.kept.state, SHEAF_KEPT_LOST);
    told++;
}

static int serve_one(void **state)
{
    static sheaf_hooks_t hooks = {.on_body = on_body};

    (void)state;
    told = 0;
    sheaf_list_init(&front.visits);
    visit = (sheaf_visit_t){.front = &front, .batch = &batch, .is_direct = true};
    batch = (sheaf_batch_t){.items = &item, .count = 1, .caller = &visit.caller, .env = {.hooks = &hooks}};
    item = (sheaf_item_t){.batch = &batch};
    sheaf_list_push_back(&front.visits, &visit.link);
    return 0;
}

static void who_wants_a_copy_that_is_given_up_hears_of_it_at_once(void **state)
{
    (void)state;
    sheaf_kept_ask(&visit.caller.kept, 16);
    sheaf_kept_put(&visit.caller.kept, "half", 4);
    assert_true(sheaf_visit_lose_kept(&front));
    assert_int_equal(told, 1);
    assert_null(visit.caller.kept.body);
    assert_false(sheaf_visit_lose_kept(&front));
    assert_int_equal(told, 1);
}

static void where_nothing_is_kept_nobody_is_told(void **state)
{
    (void)state;
    assert_false(sheaf_visit_lose_kept(&front));
    assert_int_equal(told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_wants_a_copy_that_is_given_up_hears_of_it_at_once, serve_one),
        cmocka_unit_test_setup(where_nothing_is_kept_nobody_is_told, serve_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
