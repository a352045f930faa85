/* buf: bytes under a ceiling, held and dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/buf.h"

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

static void the_last_byte_under_the_ceiling_fits(void **state)
{
    sheaf_buf_t *buf = sheaf_buf_new(3, 1 << 30);

    assert_false(sheaf_buf_append(buf, "abcd", 4));
    assert_int_equal(buf->len, 0); /* nothing, not a part */
    assert_true(sheaf_buf_append(buf, "abc", 3));
    assert_true(sheaf_buf_append(buf, "", 0));
    assert_false(sheaf_buf_append(buf, "d", 1));
    assert_int_equal(buf->len, 3);
    sheaf_buf_drop(buf);
}

static void bytes_never_move_and_live_until_the_last_drop(void **state)
{
    sheaf_buf_t *buf = sheaf_buf_new(1 << 20, 0), *held = sheaf_buf_hold(buf);
    const char *first;

    sheaf_buf_append(buf, "first", 5);
    first = buf->first.bytes;
    for (int i = 0; i < 10000; i++)
        sheaf_buf_append(buf, "and more", 8);
    assert_ptr_equal(buf->first.bytes, first);
    sheaf_buf_drop(buf);
    assert_memory_equal(held->first.bytes, "first", 5);
    sheaf_buf_drop(held);
    sheaf_buf_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buf_keeps_its_ceiling_and_its_bytes),
        cmocka_unit_test(the_last_byte_under_the_ceiling_fits),
        cmocka_unit_test(bytes_never_move_and_live_until_the_last_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
