/* soon: tasks run once each, in order, later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/soon.h"

static sheaf_soon_t soon;
static char order[16];
static sheaf_task_t task_a, task_b;

static void run_a(sheaf_task_t *task)
{
    strcat(order, "a");
    sheaf_soon(&soon, &task_b);
}

static void run_b(sheaf_task_t *task)
{
    strcat(order, "b");
}

static void tasks_run_once_each_in_order_and_may_queue_others(void **state)
{
    sheaf_soon_init(&soon);
    task_a.run = run_a;
    task_b.run = run_b;
    sheaf_soon(&soon, &task_a);
    sheaf_soon(&soon, &task_a);
    assert_int_equal(sheaf_soon_drain(&soon, 10), 2);
    assert_string_equal(order, "ab");

    sheaf_soon(&soon, &task_b);
    sheaf_soon_cancel(&task_b);
    sheaf_soon_cancel(&task_b);
    assert_true(sheaf_soon_is_empty(&soon));
    sheaf_soon(&soon, &task_a);
    assert_int_equal(sheaf_soon_drain(&soon, 1), 1); /* the bound leaves what a queued */
    assert_false(sheaf_soon_is_empty(&soon));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_once_each_in_order_and_may_queue_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
