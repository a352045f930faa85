#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/batch/ids.h"

static void ten_thousand_ids_are_found_again(void **state)
{
    static char texts[10000][8];
    sheaf_ids_t *ids = sheaf_ids_new();

    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(texts[i], sizeof(texts[i]), "i%u", i);
        assert_true(sheaf_ids_add(ids, sheaf_str_of(texts[i]), i));
    }
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(sheaf_ids_find(ids, sheaf_str_of(texts[i])), i);
    assert_int_equal(sheaf_ids_find(ids, SHEAF_STR("i10000")), SHEAF_IDS_NONE);
    assert_false(sheaf_ids_add(ids, SHEAF_STR("i77"), 1));
    sheaf_ids_free(ids);
}

static void odd_ids_are_refused_and_unusual_ones_are_not(void **state)
{
    char longest[4 * 129];

    assert_null(sheaf_ids_refusal(SHEAF_STR("a")));
    assert_null(sheaf_ids_refusal(SHEAF_STR("b]")));
    assert_null(sheaf_ids_refusal(SHEAF_STR("[]")));
    assert_null(sheaf_ids_refusal(SHEAF_STR("1]")));
    assert_null(sheaf_ids_refusal(SHEAF_STR("\xc3\xa9t\xc3\xa9 \xf0\x9f\x8c\xbe")));
    assert_string_equal(sheaf_ids_refusal(SHEAF_STR("")), "is empty");
    assert_string_equal(sheaf_ids_refusal(SHEAF_STR("a\nb")), "holds a control character");
    assert_string_equal(sheaf_ids_refusal(SHEAF_STR("a\x7f")), "holds a control character");
    assert_string_equal(sheaf_ids_refusal(SHEAF_STR("a\xc2\x85")), "holds a control character");
    assert_string_equal(sheaf_ids_refusal(SHEAF_STR("\xff")), "is not valid UTF-8");

    for (size_t i = 0; i < 129; i++)
        memcpy(longest + 4 * i, "\xf0\x9f\x8c\xbe", 4);
    assert_null(sheaf_ids_refusal(sheaf_str(longest, 4 * 128))); /* characters, not bytes */
    assert_string_equal(sheaf_ids_refusal(sheaf_str(longest, 4 * 129)), "is longer than 128 characters");
}

static void an_id_of_an_element_ends_in_its_number(void **state)
{
    assert_true(sheaf_ids_is_of_element(SHEAF_STR("a[0]")));
    assert_true(sheaf_ids_is_of_element(SHEAF_STR("[12]")));
    for (const char *const *id = (const char *const[]){"", "a", "]", "[]", "1]", "a[0", "a[x]", "a[0]b", NULL}; *id;
         id++)
        assert_false(sheaf_ids_is_of_element(sheaf_str_of(*id)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_ids_are_found_again),
        cmocka_unit_test(odd_ids_are_refused_and_unusual_ones_are_not),
        cmocka_unit_test(an_id_of_an_element_ends_in_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
