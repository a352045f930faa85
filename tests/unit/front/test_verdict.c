#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/front/verdict.h"

static sheaf_verdict_t after(const uint16_t *statuses)
{
    sheaf_verdict_t verdict = {0};

    for (; *statuses != 0; statuses++)
        sheaf_verdict_add(&verdict, *statuses);
    return verdict;
}

#define AFTER(...) after((const uint16_t[]){__VA_ARGS__, 0})

static void a_common_status_that_may_speak_for_all_is_the_answers(void **state)
{
    static const uint16_t common[] = {200, 400, 404, 409, 424, 429, 500, 502, 503, 504};

    for (size_t i = 0; i < SHEAF_COUNT(common); i++) {
        sheaf_verdict_t verdict = AFTER(common[i], common[i], common[i]);

        assert_true(sheaf_verdict_is_open(&verdict, SHEAF_STATUS_MIXED));
        assert_int_equal(sheaf_verdict_status(&verdict, SHEAF_STATUS_MIXED, true), common[i]);
        assert_int_equal(sheaf_verdict_status(&verdict, SHEAF_STATUS_MIXED, false), 207);
    }
}

static void others_make_a_207_at_once(void **state)
{
    static const uint16_t others[] = {201, 204, 206, 301, 304, 401, 405, 407};

    for (size_t i = 0; i < SHEAF_COUNT(others); i++) {
        sheaf_verdict_t verdict = AFTER(others[i], others[i]);

        assert_false(sheaf_verdict_is_open(&verdict, SHEAF_STATUS_MIXED));
        assert_int_equal(sheaf_verdict_status(&verdict, SHEAF_STATUS_MIXED, true), 207);
    }
}

static void two_that_differ_make_a_207_whatever_follows(void **state)
{
    sheaf_verdict_t verdict = AFTER(200, 404, 404, 404);

    assert_false(sheaf_verdict_is_open(&verdict, SHEAF_STATUS_MIXED));
    assert_int_equal(sheaf_verdict_status(&verdict, SHEAF_STATUS_MIXED, true), 207);
}

static void an_empty_batch_is_a_207(void **state)
{
    sheaf_verdict_t verdict = {0};

    assert_true(sheaf_verdict_is_open(&verdict, SHEAF_STATUS_MIXED));
    assert_int_equal(sheaf_verdict_status(&verdict, SHEAF_STATUS_MIXED, true), 207);
}

static void other_policies_do_not_look_at_the_items(void **state)
{
    sheaf_verdict_t verdict = AFTER(404, 404);

    assert_int_equal(sheaf_verdict_status(&verdict, SHEAF_STATUS_ALWAYS, true), 207);
    assert_int_equal(sheaf_verdict_status(&verdict, SHEAF_STATUS_200, false), 200);
    assert_int_equal(sheaf_verdict_status(&verdict, SHEAF_STATUS_202, true), 202);
    assert_false(sheaf_verdict_is_open(&verdict, SHEAF_STATUS_ALWAYS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_common_status_that_may_speak_for_all_is_the_answers),
        cmocka_unit_test(others_make_a_207_at_once),
        cmocka_unit_test(two_that_differ_make_a_207_whatever_follows),
        cmocka_unit_test(an_empty_batch_is_a_207),
        cmocka_unit_test(other_policies_do_not_look_at_the_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
