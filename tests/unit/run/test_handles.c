#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/run/handles.h"

static void a_handle_finds_its_thing_and_nothing_once_that_is_gone(void **state)
{
    sheaf_handles_t handles;
    uint64_t first, second;
    int a, b;

    (void)state;
    sheaf_handles_init(&handles);
    first = sheaf_handles_take(&handles, SHEAF_HANDLE_TIMER, &a);
    assert_ptr_equal(sheaf_handles_find(&handles, SHEAF_HANDLE_TIMER, first), &a);
    sheaf_handles_drop(&handles, first);
    assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_TIMER, first));

    second = sheaf_handles_take(&handles, SHEAF_HANDLE_TIMER, &b); /* in the same place */
    assert_int_equal((uint32_t)second, (uint32_t)first);
    assert_true(second != first);
    assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_TIMER, first));
    assert_ptr_equal(sheaf_handles_find(&handles, SHEAF_HANDLE_TIMER, second), &b);
    sheaf_handles_fini(&handles);
}

static void numbers_that_are_no_handles_find_nothing(void **state)
{
    sheaf_handles_t handles;
    uint64_t handle;
    int a;

    (void)state;
    sheaf_handles_init(&handles);
    assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_CALL, 0));
    handle = sheaf_handles_take(&handles, SHEAF_HANDLE_CALL, &a);
    assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_WATCH, handle)); /* another kind */
    assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_CALL, 0));
    assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_CALL, handle + 1));
    assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_CALL, UINT64_MAX));
    assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_CALL, handle ^ (UINT64_C(1) << 40)));
    sheaf_handles_fini(&handles);
}

static void many_come_and_go_and_none_is_taken_for_another(void **state)
{
    enum { MANY = 1000 };
    static uint64_t kept[MANY], gone[MANY];
    static int things[MANY];
    sheaf_handles_t handles;

    (void)state;
    sheaf_handles_init(&handles);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < MANY; i++)
            kept[i] = sheaf_handles_take(&handles, SHEAF_HANDLE_ASKED, &things[i]);
        for (int i = 0; i < MANY; i++) {
            assert_ptr_equal(sheaf_handles_find(&handles, SHEAF_HANDLE_ASKED, kept[i]), &things[i]);
            assert_null(sheaf_handles_find(&handles, SHEAF_HANDLE_ASKED, gone[i]));
        }
        for (int i = 0; i < MANY; i++) {
            sheaf_handles_drop(&handles, kept[i]);
            gone[i] = kept[i];
        }
    }
    assert_int_equal(handles.count, MANY);
    sheaf_handles_fini(&handles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_finds_its_thing_and_nothing_once_that_is_gone),
        cmocka_unit_test(numbers_that_are_no_handles_find_nothing),
        cmocka_unit_test(many_come_and_go_and_none_is_taken_for_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
