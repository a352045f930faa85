/* Started with the guard in place, and, as front_unguarded, linked so that libh2o does not see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/front/guard/check.h"

#ifdef UNGUARDED
static void a_binary_whose_functions_are_not_called_is_found_out(void **state)
{
    sheaf_fail_t fail;

    (void)state;
    assert_int_equal(sheaf_guard_check(&fail), SHEAF_ERR_SYSTEM);
    assert_non_null(strstr(fail.detail, "libh2o does not call our "));
}
#else
static void a_binary_as_it_is_built_is_guarded(void **state)
{
    sheaf_fail_t fail = {.detail = ""};

    (void)state;
    if (sheaf_guard_check(&fail) != SHEAF_OK)
        fail_msg("%s", fail.detail);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef UNGUARDED
        cmocka_unit_test(a_binary_whose_functions_are_not_called_is_found_out),
#else
        cmocka_unit_test(a_binary_as_it_is_built_is_guarded),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
