/* shared: places of a table, each taken once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/base/shared.h"

static void a_place_is_taken_once_and_known_for_good(void **state)
{
    sheaf_claim_t claim = 0;

    assert_true(sheaf_claim_take(&claim));
    assert_false(sheaf_claim_take(&claim));
    assert_false(sheaf_claim_is_known(&claim));
    assert_true(sheaf_claim_settle(&claim));
    assert_true(sheaf_claim_is_known(&claim));
    assert_true(sheaf_claim_wait(&claim));
    assert_false(sheaf_claim_take(&claim));
}

/* Else the two would know the same words in two places. */
static void who_was_waited_for_in_vain_does_not_get_the_place(void **state)
{
    sheaf_claim_t claim = 0;

    assert_true(sheaf_claim_take(&claim));
    assert_false(sheaf_claim_wait(&claim));
    assert_false(sheaf_claim_settle(&claim));
    assert_false(sheaf_claim_is_known(&claim));
    assert_false(sheaf_claim_wait(&claim));
    assert_false(sheaf_claim_take(&claim));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_is_taken_once_and_known_for_good),
        cmocka_unit_test(who_was_waited_for_in_vain_does_not_get_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
