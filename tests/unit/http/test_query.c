#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/http/query.h"

typedef struct row {
    const char *query, *name, *want; /* want NULL: there is none */
} row_t;

static void the_first_value_of_a_name_is_found_however_it_is_encoded(void **state)
{
    static const row_t rows[] = {
        {"a=1&b=2&a=3", "a", "1"}, {"a=1&b=2&a=3", "b", "2"}, {"a=1&b=2", "c", NULL},
        {"ab=1&a=2", "a", "2"},    {"a=1&ab=2", "ab", "2"},   {"a", "a", ""},
        {"a=", "a", ""},           {"a=b=c", "a", "b=c"},     {"", "a", NULL},
        {"&&=x&a=1", "a", "1"},    {"%61%2d=x", "a-", "x"},   {"a+b=x", "a b", "x"},
        {"a%2=x&a=y", "a", "y"},   {"a%zz=x", "a", NULL},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_str_t got = SHEAF_STR_NONE;
        bool found = sheaf_query_find(sheaf_str_of(rows[i].query), sheaf_str_of(rows[i].name), &got);

        assert_int_equal(found, rows[i].want != NULL);
        if (found)
            assert_true(sheaf_str_eq(got, sheaf_str_of(rows[i].want)));
    }
    assert_false(sheaf_query_find(SHEAF_STR_NONE, SHEAF_STR("a"), &(sheaf_str_t){0}));
}

static void escapes_are_resolved_and_a_malformed_one_is_told(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t text, plain = SHEAF_STR("a-b");

    (void)state;
    assert_true(sheaf_query_decode(plain, true, pool, &text));
    assert_ptr_equal(text.base, plain.base);
    assert_true(sheaf_query_decode(SHEAF_STR("a+b%20%C3%a9%2B"), true, pool, &text));
    assert_true(sheaf_str_eq(text, SHEAF_STR("a b \xc3\xa9+")));
    assert_true(sheaf_query_decode(SHEAF_STR("a+b%00"), false, pool, &text));
    assert_true(sheaf_str_eq(text, SHEAF_STR("a+b\0")));
    assert_true(sheaf_query_decode(SHEAF_STR(""), true, pool, &text));
    assert_int_equal(text.len, 0);
    assert_false(sheaf_query_decode(SHEAF_STR("%"), true, pool, &text));
    assert_false(sheaf_query_decode(SHEAF_STR("a%4"), true, pool, &text));
    assert_false(sheaf_query_decode(SHEAF_STR("a%g0"), true, pool, &text));
    sheaf_pool_free(pool);
}

static void a_parameter_is_dropped_wherever_it_stands_and_however_it_is_encoded(void **state)
{
    static const struct {
        const char *target, *want;
        uint32_t count;
    } drops[] = {
        {"/a?key=1", "/a", 1},
        {"/a?key=1&b=2", "/a?b=2", 1},
        {"/a?b=2&key=1", "/a?b=2", 1},
        {"/a?b&key&c=", "/a?b&c=", 1},
        {"/a?key=1&b=2&key", "/a?b=2", 2},
        {"/a?k%65y=1&b=%65", "/a?b=%65", 1},
        {"/a?keys=1", "/a?keys=1", 0},
        {"/a", "/a", 0},
        {"/a?", "/a?", 0},
        {"/key=1?&", "/key=1?&", 0},
        {"/a?b=key=1", "/a?b=key=1", 0},
        {"/a?&key=1&&b", "/a?&&b", 1},
    };
    sheaf_pool_t *pool = sheaf_pool_new();

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(drops); i++) {
        sheaf_str_t got;

        assert_int_equal(sheaf_query_drop(sheaf_str_of(drops[i].target), SHEAF_STR("key"), pool, &got), drops[i].count);
        assert_true(sheaf_str_eq(got, sheaf_str_of(drops[i].want)));
    }
    sheaf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_value_of_a_name_is_found_however_it_is_encoded),
        cmocka_unit_test(escapes_are_resolved_and_a_malformed_one_is_told),
        cmocka_unit_test(a_parameter_is_dropped_wherever_it_stands_and_however_it_is_encoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
