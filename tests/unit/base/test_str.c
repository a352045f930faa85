/* str: runs of bytes, compared, cut and read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/str.h"

static void words_are_cut_and_trimmed(void **state)
{
    sheaf_str_t rest = SHEAF_STR("a, b ,,c"), part;
    const char *want[] = {"a", "b", "", "c"};

    for (int i = 0; i < 4; i++) {
        assert_non_null(rest.base);
        part = sheaf_str_trim(sheaf_str_cut(&rest, ','));
        assert_true(sheaf_str_eq(part, sheaf_str_of(want[i])));
    }
    assert_null(rest.base);
    assert_int_equal(sheaf_str_trim(SHEAF_STR(" \t ")).len, 0);
    assert_true(sheaf_str_eq(sheaf_str_trim(SHEAF_STR("\ta b\n ")), SHEAF_STR("a b\n"))); /* OWS is no line end */
}

static void words_are_compared_with_and_without_case(void **state)
{
    sheaf_str_t none = SHEAF_STR_NONE;

    assert_true(sheaf_str_ieq(SHEAF_STR("Content-TYPE"), SHEAF_STR("content-type")));
    assert_false(sheaf_str_eq(SHEAF_STR("A"), SHEAF_STR("a")));
    assert_false(sheaf_str_ieq(SHEAF_STR("["), SHEAF_STR("{"))); /* one bit apart, like a letter and its capital */
    assert_false(sheaf_str_ieq(SHEAF_STR("\xc3\x89"), SHEAF_STR("\xc3\xa9")));
    assert_true(sheaf_str_eq(none, SHEAF_STR("")));
    assert_true(sheaf_str_starts(SHEAF_STR("/batch"), SHEAF_STR("/b")));
    assert_true(sheaf_str_starts(none, none));
    assert_false(sheaf_str_starts(SHEAF_STR("/"), SHEAF_STR("/b")));
    assert_true(sheaf_str_ends(SHEAF_STR("/odata/$batch"), SHEAF_STR("/$batch")));
    assert_false(sheaf_str_ends(SHEAF_STR("batch"), SHEAF_STR("/$batch")));
}

static void numbers_are_digits_and_nothing_else(void **state)
{
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "1e3", "18446744073709551616", "99999999999999999999"};
    static const uint64_t values[] = {0, 9, 10, 4294967296, UINT64_MAX};
    uint64_t number = 7;
    char digits[20];

    for (size_t i = 0; i < SHEAF_COUNT(bad); i++)
        assert_false(sheaf_str_to_u64(sheaf_str_of(bad[i]), &number));
    assert_int_equal(number, 7);
    for (size_t i = 0; i < SHEAF_COUNT(values); i++) {
        size_t len = sheaf_u64_to_dec(values[i], digits);

        assert_true(sheaf_str_to_u64(sheaf_str(digits, len), &number));
        assert_true(number == values[i]);
    }
    assert_int_equal(sheaf_u64_to_dec(UINT64_MAX, digits), 20);
    assert_true(sheaf_str_to_u64(SHEAF_STR("007"), &number));
    assert_int_equal(number, 7);
}

static void a_misspelt_name_is_near_its_right_one(void **state)
{
    char name[65];

    memset(name, 'n', sizeof(name));
    assert_int_equal(sheaf_str_distance(SHEAF_STR("upstraem"), SHEAF_STR("upstream")), 2);
    assert_int_equal(sheaf_str_distance(SHEAF_STR("timeout"), SHEAF_STR("timeout")), 0);
    assert_int_equal(sheaf_str_distance(SHEAF_STR(""), SHEAF_STR("path")), 4);
    assert_int_equal(sheaf_str_distance(sheaf_str(name, 64), SHEAF_STR("")), 64);
    assert_int_equal(sheaf_str_distance(sheaf_str(name, 65), SHEAF_STR("")), UINT32_MAX);
}

static void utf8_is_checked_up_to_the_first_bad_byte(void **state)
{
    static const struct {
        const char *text;
        size_t prefix;
    } texts[] = {
        {"", 0},
        {"ab\xc3\xa9\xed\xa0\x80", 4}, /* a surrogate is none */
        {"0123456789\xc0\xaf", 10},    /* nor is an overlong slash */
        {"\xe0\x9f\xbf", 0},           /* nor any other overlong */
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x8f\xbf\xbf", 4}, /* U+10FFFF is the last */
        {"\xf4\x90\x80\x80", 0},
        {"0123456\xe2\x82\xac"
         "01",
         12},                    /* across the words that are read at once */
        {"01234567\xe2\x82", 8}, /* cut off */
        {"a\x80", 1},
    };

    for (size_t i = 0; i < SHEAF_COUNT(texts); i++)
        assert_int_equal(sheaf_utf8_valid_prefix(sheaf_str_of(texts[i].text)), texts[i].prefix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut_and_trimmed),
        cmocka_unit_test(words_are_compared_with_and_without_case),
        cmocka_unit_test(numbers_are_digits_and_nothing_else),
        cmocka_unit_test(a_misspelt_name_is_near_its_right_one),
        cmocka_unit_test(utf8_is_checked_up_to_the_first_bad_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
