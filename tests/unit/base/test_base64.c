/* base64: strict in, the same for every cut out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/base64.h"

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
        sheaf_base64_feed(&coder, &"0123456789"[cut], 10 - cut, &out);
        sheaf_base64_finish(&coder, &out);
        assert_int_equal(sheaf_out_peek(&out, &iovec, 1, 100), 1);
        assert_int_equal(iovec.len, 16);
        assert_memory_equal(iovec.base, "MDEyMzQ1Njc4OQ==", 16);
        sheaf_out_fini(&out);
    }
    sheaf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_strict_in_and_the_same_for_every_cut_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
