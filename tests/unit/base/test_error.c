/* error: what went wrong, where and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/error.h"

static void every_error_has_a_slug_of_its_own_a_title_and_a_status(void **state)
{
    for (int i = 1; i < SHEAF_ERR_COUNT; i++) {
        const char *slug = sheaf_err_slug((sheaf_err_t)i);
        uint16_t status = sheaf_err_status((sheaf_err_t)i);

        assert_true(slug[0] != '\0');
        assert_int_equal(strspn(slug, "abcdefghijklmnopqrstuvwxyz-"), strlen(slug)); /* part of a URN and a label */
        assert_true(sheaf_err_title((sheaf_err_t)i)[0] != '\0');
        assert_true(status == 0 || (status >= 400 && status < 600));
        for (int k = 1; k < i; k++)
            assert_string_not_equal(slug, sheaf_err_slug((sheaf_err_t)k));
    }
    assert_int_equal(sheaf_err_status(SHEAF_ERR_BATCH_TIMEOUT), 504);
    assert_string_equal(sheaf_err_slug(SHEAF_ERR_BATCH_TIMEOUT), "batch-timeout");
}

static void a_failure_starts_without_a_place_and_returns_its_error(void **state)
{
    sheaf_fail_t fail = {.pointer = "/old", .has_pointer = true, .line = 3, .column = 4};

    assert_int_equal(sheaf_fail(&fail, SHEAF_ERR_ID, "the id \"%s\" stands twice", "a"), SHEAF_ERR_ID);
    assert_int_equal(fail.err, SHEAF_ERR_ID);
    assert_string_equal(fail.detail, "the id \"a\" stands twice");
    assert_string_equal(fail.pointer, "");
    assert_false(fail.has_pointer);
    assert_int_equal(fail.line + fail.column, 0);
    assert_int_equal(sheaf_fail(NULL, SHEAF_ERR_VALUE, "nobody asks why"), SHEAF_ERR_VALUE);
}

static void a_sentence_that_is_cut_ends_in_a_whole_character(void **state)
{
    char text[400];
    sheaf_fail_t fail;

    for (size_t i = 0; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    for (size_t shift = 0; shift < 2; shift++) {
        sheaf_fail(&fail, SHEAF_ERR_VALUE, "%s%s", shift > 0 ? "x" : "", text);
        assert_int_equal(strlen(fail.detail), 254 + shift);
        assert_int_equal(sheaf_utf8_valid_prefix(sheaf_str_of(fail.detail)), 254 + shift);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_slug_of_its_own_a_title_and_a_status),
        cmocka_unit_test(a_failure_starts_without_a_place_and_returns_its_error),
        cmocka_unit_test(a_sentence_that_is_cut_ends_in_a_whole_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
