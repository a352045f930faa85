/* out: what was queued comes out in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/out.h"

static void an_out_gives_back_in_order_whatever_the_size_of_the_bites(void **state)
{
    sheaf_buf_t *large = sheaf_buf_new(50000, 0), *small = sheaf_buf_new(100, 0);
    char want[200000], got[200000];
    size_t want_len = 0, got_len = 0, bite = 1;
    sheaf_iovec_t iovecs[4];
    sheaf_out_t out;

    sheaf_out_init(&out);
    for (int i = 0; i < 50000; i++)
        sheaf_buf_append(large, &"0123456789"[i % 10], 1);
    sheaf_buf_append(small, "small", 5);
    for (int i = 0; i < 3; i++) {
        sheaf_out_str(&out, SHEAF_STR("head "));
        sheaf_out_u64(&out, 18446744073709551615u);
        sheaf_out_buf(&out, i == 1 ? small : large);
        want_len += (size_t)sprintf(want + want_len, "head 18446744073709551615");
        sheaf_buf_copy(i == 1 ? small : large, want + want_len);
        want_len += (i == 1 ? small : large)->len;
    }
    sheaf_buf_drop(large); /* the out holds it */
    sheaf_buf_drop(small);
    assert_int_equal(out.len, want_len);
    while (out.len > 0) {
        size_t count = sheaf_out_peek(&out, iovecs, 4, bite), len = 0;

        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            memcpy(got + got_len + len, iovecs[i].base, iovecs[i].len);
            len += iovecs[i].len;
        }
        assert_true(len <= bite);
        sheaf_out_consume(&out, len);
        got_len += len;
        bite = bite * 2 + 1;
    }
    assert_int_equal(got_len, want_len);
    assert_memory_equal(got, want, want_len);
    sheaf_out_fini(&out);
}

static void what_is_reserved_counts_only_once_committed(void **state)
{
    sheaf_iovec_t iovec;
    sheaf_out_t out;

    sheaf_out_init(&out);
    memcpy(sheaf_out_reserve(&out, 4096), "abcdef", 6);
    assert_int_equal(out.len, 0);
    sheaf_out_commit(&out, 3);
    sheaf_out_str(&out, SHEAF_STR("!"));
    assert_int_equal(sheaf_out_peek(&out, &iovec, 1, 100), 1);
    assert_int_equal(iovec.len, 4);
    assert_memory_equal(iovec.base, "abc!", 4);
    sheaf_out_fini(&out);
    assert_int_equal(out.len, 0);
}

static void a_small_buf_is_copied_and_a_large_one_held(void **state)
{
    sheaf_buf_t *small = sheaf_buf_new(10, 0), *large = sheaf_buf_new(5000, 0);
    char bytes[5000] = {0};
    sheaf_out_t out;

    sheaf_buf_append(small, bytes, 10);
    sheaf_buf_append(large, bytes, 5000);
    sheaf_out_init(&out);
    sheaf_out_buf(&out, small);
    sheaf_out_buf(&out, large);
    sheaf_out_buf(&out, NULL);
    assert_int_equal(out.len, 5010);
    assert_int_equal(small->holds, 1);
    assert_int_equal(large->holds, 2);
    sheaf_out_consume(&out, 5009);
    assert_int_equal(large->holds, 2);
    sheaf_out_consume(&out, 1);
    assert_int_equal(large->holds, 1); /* given back with its last byte */
    sheaf_out_fini(&out);
    sheaf_buf_drop(small);
    sheaf_buf_drop(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_out_gives_back_in_order_whatever_the_size_of_the_bites),
        cmocka_unit_test(what_is_reserved_counts_only_once_committed),
        cmocka_unit_test(a_small_buf_is_copied_and_a_large_one_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
