/* eight: the first mark is where the first such byte is, whatever stands beside it; sixteen marks all and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/eight.h"

static size_t first_below(const char *bytes, uint8_t bound)
{
    size_t at = 0;

    while (at < 8 && (uint8_t)bytes[at] >= bound)
        at++;
    return at;
}

static size_t first_of(uint64_t marks)
{
    return marks == 0 ? 8 : sheaf_eight_first(marks);
}

static void the_first_byte_below_a_bound_is_found_among_its_neighbours(void **state)
{
    static const uint8_t near[] = {0, 1, 0x1f, 0x20, 0x21, 0x7f, 0x80, 0x81, 0xa0, 0xff};

    (void)state;
    for (size_t at = 0; at < 8; at++) {
        for (size_t one = 0; one < sizeof(near); one++) {
            for (size_t other = 0; other < sizeof(near); other++) {
                char bytes[8];

                memset(bytes, near[other], sizeof(bytes));
                bytes[at] = (char)near[one];
                assert_int_equal(first_of(sheaf_eight_below(sheaf_eight_at(bytes), 0x20)), first_below(bytes, 0x20));
            }
        }
    }
}

static void the_first_byte_that_is_equal_is_found_among_its_neighbours(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (unsigned other = 0; other < 256; other++) {
            char bytes[8];
            size_t wanted = byte == other ? 0 : 5;

            memset(bytes, (int)other, sizeof(bytes));
            bytes[5] = (char)byte;
            assert_int_equal(first_of(sheaf_eight_equal(sheaf_eight_at(bytes), (char)byte)), wanted);
        }
    }
}

static void the_first_of_several_is_found(void **state)
{
    (void)state;
    assert_int_equal(first_of(sheaf_eight_equal(sheaf_eight_at("ab\"\"#\"cd"), '"')), 2);
    assert_int_equal(first_of(sheaf_eight_equal(sheaf_eight_at("abcdefgh"), '"')), 8);
}

#ifdef __SSE2__
static void sixteen_bytes_are_each_marked_for_what_they_are(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char bytes[16];

        memset(bytes, 'x', sizeof(bytes));
        bytes[9] = (char)byte;
        __m128i word = sheaf_sixteen_at(bytes);
        assert_int_equal(sheaf_sixteen_bits(sheaf_sixteen_not_printable(word)),
                         byte < 0x20 || byte > 0x7f ? 1 << 9 : 0);
        assert_int_equal(sheaf_sixteen_bits(sheaf_sixteen_below(word, 0x20)), byte < 0x20 ? 1 << 9 : 0);
        assert_int_equal(sheaf_sixteen_bits(sheaf_sixteen_within(word, 'A', 'Z')),
                         byte >= 'A' && byte <= 'Z' ? 1 << 9 : 0);
        assert_int_equal(sheaf_sixteen_bits(sheaf_sixteen_equal(word, (char)byte)), byte == 'x' ? 0xffff : 1 << 9);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_byte_below_a_bound_is_found_among_its_neighbours),
        cmocka_unit_test(the_first_byte_that_is_equal_is_found_among_its_neighbours),
        cmocka_unit_test(the_first_of_several_is_found),
#ifdef __SSE2__
        cmocka_unit_test(sixteen_bytes_are_each_marked_for_what_they_are),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
