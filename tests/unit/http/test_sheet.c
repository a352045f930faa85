#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/http/sheet.h"

static void assert_text(const sheaf_sheet_t *sheet, const char *want)
{
    assert_int_equal(sheet->len, strlen(want));
    if (sheet->len > 0)
        assert_memory_equal(sheet->base, want, sheet->len);
}

static void each_way_of_writing_keeps_a_value_in_its_place(void **state)
{
    sheaf_sheet_t sheet = {0};

    (void)state;
    sheaf_sheet_begin(&sheet, 1000);
    sheaf_sheet_put(&sheet, SHEAF_STR("a/b "));
    sheaf_sheet_put_encoded(&sheet, SHEAF_STR("a-._~Z9/?#&=+%\xff"));
    assert_text(&sheet, "a/b a-._~Z9%2F%3F%23%26%3D%2B%25%FF");
    sheaf_sheet_begin(&sheet, 1000);
    sheaf_sheet_put_quoted(&sheet, SHEAF_STR("\"\\\n\x1f\xc3\xa9"));
    sheaf_sheet_put_escaped(&sheet, SHEAF_STR("\xe9"));
    assert_text(&sheet, "\"\\\"\\\\\\u000a\\u001f\xc3\xa9\"\xc3\xa9");
    assert_false(sheet.is_over);
    sheaf_sheet_fini(&sheet);
}

static void what_comes_beyond_the_limit_is_left_out_for_good(void **state)
{
    sheaf_sheet_t sheet = {0};

    (void)state;
    sheaf_sheet_begin(&sheet, 4);
    sheaf_sheet_put(&sheet, SHEAF_STR("abcd"));
    sheaf_sheet_put(&sheet, SHEAF_STR(""));
    assert_false(sheet.is_over);
    sheaf_sheet_begin(&sheet, 4);
    sheaf_sheet_put(&sheet, SHEAF_STR("abc"));
    sheaf_sheet_put_encoded(&sheet, SHEAF_STR("/"));
    assert_true(sheet.is_over);
    sheaf_sheet_put(&sheet, SHEAF_STR("d"));
    assert_text(&sheet, "abc");
    sheaf_sheet_begin(&sheet, 1);
    assert_false(sheet.is_over);
    assert_text(&sheet, "");
    sheaf_sheet_fini(&sheet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_of_writing_keeps_a_value_in_its_place),
        cmocka_unit_test(what_comes_beyond_the_limit_is_left_out_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
