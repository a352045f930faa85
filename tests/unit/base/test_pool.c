/* pool: many pieces, one free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/pool.h"

static void a_pool_hands_out_memory_that_does_not_overlap(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    char *pieces[500];

    for (int i = 0; i < 500; i++) {
        pieces[i] = sheaf_pool_alloc(pool, (size_t)i * 37 % 5000);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], i, (size_t)i * 37 % 5000);
    }
    for (int i = 0; i < 500; i++)
        for (size_t k = 0; k < (size_t)i * 37 % 5000; k++)
            assert_int_equal((unsigned char)pieces[i][k], i % 256);
    sheaf_pool_free(pool);
}

static void copies_are_their_own(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    char text[] = "borrowed";
    sheaf_str_t copy = sheaf_pool_dup(pool, sheaf_str_of(text)), none;
    char *cstr = sheaf_pool_cstr(pool, sheaf_str(text, 6));

    memset(text, 'x', sizeof(text) - 1);
    assert_true(sheaf_str_eq(copy, SHEAF_STR("borrowed")));
    assert_string_equal(cstr, "borrow");
    none = sheaf_pool_dup(pool, SHEAF_STR_NONE);
    assert_int_equal(none.len, 0);
    assert_string_equal(sheaf_pool_cstr(pool, none), "");
    sheaf_pool_free(pool);
}

static void printf_takes_what_it_needs(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t text = sheaf_pool_printf(pool, "%s=%09999d", "n", 7);

    assert_int_equal(text.len, 2 + 9999);
    assert_memory_equal(text.base, "n=0", 3);
    assert_int_equal(text.base[text.len - 1], '7');
    sheaf_pool_free(pool);
}

static void bytes_grow_with_what_was_taken_and_zalloc_is_clean(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    size_t before = sheaf_pool_bytes(pool);
    char *piece;

    memset(sheaf_pool_alloc(pool, 1000), 'x', 1000);
    assert_int_equal(sheaf_pool_bytes(pool), before); /* from the first block */
    piece = sheaf_pool_zalloc(pool, 100000);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(piece[i], 0);
    assert_in_range(sheaf_pool_bytes(pool), before + 100000, before + 100000 + 64);
    sheaf_pool_free(pool);
    sheaf_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_hands_out_memory_that_does_not_overlap),
        cmocka_unit_test(copies_are_their_own),
        cmocka_unit_test(printf_takes_what_it_needs),
        cmocka_unit_test(bytes_grow_with_what_was_taken_and_zalloc_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
