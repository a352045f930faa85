#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http/hpack.h"

#define COUNT(bytes) sheaf_hpack_count((const uint8_t *)(bytes), sizeof(bytes) - 1)

static void every_representation_is_one_field(void **state)
{
    (void)state;
    assert_int_equal(COUNT(""), 0);
    assert_int_equal(COUNT("\x82"), 1);         /* indexed */
    assert_int_equal(COUNT("\xff\x80\x01"), 1); /* indexed, long */
    assert_int_equal(COUNT("\x40\x01"
                           "a\x01"
                           "b"),
                     1);                     /* literal, indexed, new name */
    assert_int_equal(COUNT("\x44\x01/"), 1); /* literal, indexed, known name */
    assert_int_equal(COUNT("\x00\x01"
                           "a\x00"),
                     1); /* literal, not indexed */
    assert_int_equal(COUNT("\x10\x81\xff\x01"
                           "b"),
                     1); /* never indexed, Huffman name */
    assert_int_equal(COUNT("\x0f\x0d\x01"
                           "5"),
                     1);                                    /* literal, long index */
    assert_int_equal(COUNT("\x20\x3f\xe1\x1f\x82\x84"), 2); /* two changes of size, two fields */
}

static void a_thousand_bytes_are_a_thousand_fields(void **state)
{
    uint8_t block[1000];

    (void)state;
    memset(block, 0xbe, sizeof(block));
    assert_int_equal(sheaf_hpack_count(block, sizeof(block)), sizeof(block));
}

/* RFC 7541 C.4.3: a whole request with Huffman codes */
static void a_real_request_is_counted(void **state)
{
    (void)state;
    assert_int_equal(
        COUNT("\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"), 5);
}

static void what_is_cut_ends_the_count(void **state)
{
    (void)state;
    assert_int_equal(COUNT("\x82\xff"), 2);
    assert_int_equal(COUNT("\x82\xff\xff\xff\xff\xff\xff\xff\x82\x82"), 2);
    assert_int_equal(COUNT("\x40\x05"
                           "ab"),
                     1);
    assert_int_equal(COUNT("\x40\x7f\xff\xff\xff\xff"), 1);
    assert_int_equal(COUNT("\x3f"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_representation_is_one_field),
        cmocka_unit_test(a_thousand_bytes_are_a_thousand_fields),
        cmocka_unit_test(a_real_request_is_counted),
        cmocka_unit_test(what_is_cut_ends_the_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
