/* str, pool, buf, out, base64: bytes go in and come out the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/base64.h"
#include "gateway/base/out.h"
#include "gateway/base/pool.h"

static void a_buf_keeps_its_ceiling_and_its_bytes(void **state)
{
    sheaf_buf_t *buf = sheaf_buf_new(100000, 10);
    char piece[777], copy[100000];

    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = (char)i;
    while (buf->len + sizeof(piece) <= 100000)
        assert_true(sheaf_buf_append(buf, piece, sizeof(piece)));
    assert_false(sheaf_buf_append(buf, piece, sizeof(piece)));
    assert_int_equal(buf->len, 100000 / 777 * 777);
    sheaf_buf_copy(buf, copy);
    for (size_t i = 0; i < buf->len; i += sizeof(piece))
        assert_memory_equal(copy + i, piece, sizeof(piece));
    sheaf_buf_drop(buf);
}

static void an_out_gives_back_in_order_whatever_the_size_of_the_bites(void **state)
{
    sheaf_buf_t *large = sheaf_buf_new(50000, 0), *small = sheaf_buf_new(100, 0);
    char want[200000], got[200000];
    size_t want_len = 0, got_len = 0, bite = 1;
    sheaf_iovec_t iovecs[4];
    sheaf_out_t out;

    sheaf_out_init(&out);
    for (int i = 0; i < 50000; i++)
        sheaf_buf_append(large, "0123456789" + i % 10, 1);
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

static void base64_is_strict_in_and_the_same_for_every_cut_out(void **state)
{
    static const struct {
        const char *text, *bytes;
    } good[] = {{"", ""},        {"Zg==", "f"},          {"Zg", "f"},         {"Zm8=", "fo"},
                {"Zm9v", "foo"}, {"Zm9vYmFy", "foobar"}, {"-_8", "\xfb\xff"}, {"+/8=", "\xfb\xff"}};
    static const char *const bad[] = {"Z", "Zg=", "Zh==", "Zm9v=", "Zm 9v", "+_8=", "====", "Zm9vYg===", "\xc3\xa9=="};
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t bytes;

    for (size_t i = 0; i < SHEAF_COUNT(good); i++) {
        assert_true(sheaf_base64_decode(pool, sheaf_str_of(good[i].text), &bytes));
        assert_true(sheaf_str_eq(bytes, sheaf_str_of(good[i].bytes)));
    }
    for (size_t i = 0; i < SHEAF_COUNT(bad); i++)
        assert_false(sheaf_base64_decode(pool, sheaf_str_of(bad[i]), &bytes));
    for (size_t cut = 0; cut <= 10; cut++) {
        sheaf_base64_t coder = {.count = 0};
        sheaf_iovec_t iovec;
        sheaf_out_t out;

        sheaf_out_init(&out);
        sheaf_base64_feed(&coder, "0123456789", cut, &out);
        sheaf_base64_feed(&coder, "0123456789" + cut, 10 - cut, &out);
        sheaf_base64_finish(&coder, &out);
        assert_int_equal(sheaf_out_peek(&out, &iovec, 1, 100), 1);
        assert_int_equal(iovec.len, 16);
        assert_memory_equal(iovec.base, "MDEyMzQ1Njc4OQ==", 16);
        sheaf_out_fini(&out);
    }
    sheaf_pool_free(pool);
}

static void words_are_cut_trimmed_and_compared(void **state)
{
    sheaf_str_t rest = SHEAF_STR("a, b ,,c"), part;
    const char *want[] = {"a", "b", "", "c"};
    uint64_t number;

    for (int i = 0; i < 4; i++) {
        assert_non_null(rest.base);
        part = sheaf_str_trim(sheaf_str_cut(&rest, ','));
        assert_true(sheaf_str_eq(part, sheaf_str_of(want[i])));
    }
    assert_null(rest.base);
    assert_true(sheaf_str_to_u64(SHEAF_STR("18446744073709551615"), &number));
    assert_false(sheaf_str_to_u64(SHEAF_STR("18446744073709551616"), &number));
    assert_false(sheaf_str_to_u64(SHEAF_STR("-1"), &number));
    assert_int_equal(sheaf_str_distance(SHEAF_STR("upstraem"), SHEAF_STR("upstream")), 2);
    assert_int_equal(sheaf_utf8_valid_prefix(SHEAF_STR("ab\xc3\xa9\xed\xa0\x80")), 4); /* a surrogate is none */
    assert_int_equal(sheaf_utf8_valid_prefix(SHEAF_STR("0123456789\xc0\xaf")), 10);    /* nor is an overlong slash */
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buf_keeps_its_ceiling_and_its_bytes),
        cmocka_unit_test(an_out_gives_back_in_order_whatever_the_size_of_the_bites),
        cmocka_unit_test(base64_is_strict_in_and_the_same_for_every_cut_out),
        cmocka_unit_test(words_are_cut_trimmed_and_compared),
        cmocka_unit_test(a_pool_hands_out_memory_that_does_not_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
