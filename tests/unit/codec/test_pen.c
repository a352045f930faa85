/* Escaping looks at eight bytes at once: every byte must be found at every place among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/codec/pen.h"

#define LEN 19 /* two words and a piece of one */

/* What `text` becomes, in `dst`. */
static size_t written(const char *text, size_t len, sheaf_pen_place_t place, char *dst)
{
    sheaf_iovec_t iovecs[4];
    sheaf_out_t out;
    sheaf_pen_t pen;
    size_t count, at = 0;

    sheaf_out_init(&out);
    sheaf_pen_open(&pen, &out, 256);
    sheaf_pen_xml(&pen, sheaf_str(text, len), place);
    sheaf_pen_close(&pen);
    count = sheaf_out_peek(&out, iovecs, 4, SIZE_MAX);
    for (size_t i = 0; i < count; at += iovecs[i++].len)
        memcpy(dst + at, iovecs[i].base, iovecs[i].len);
    sheaf_out_fini(&out);
    return at;
}

/* What stands for a byte, "" when it stands for itself. */
static const char *wanted(unsigned char c, sheaf_pen_place_t place)
{
    bool is_attribute = place == SHEAF_PEN_ATTRIBUTE;

    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\r':
        return "&#13;";
    case '"':
        return is_attribute ? "&quot;" : "";
    case '\t':
        return is_attribute ? "&#9;" : "";
    case '\n':
        return is_attribute ? "&#10;" : "";
    default:
        return c < 0x20 ? "\xef\xbf\xbd" : "";
    }
}

static void assert_escaped(unsigned char c, size_t at, char around, sheaf_pen_place_t place)
{
    char text[LEN], want[64], got[256];
    const char *escape = wanted(c, place);
    size_t len = *escape == '\0' ? 1 : strlen(escape);

    memset(text, around, LEN);
    text[at] = (char)c;
    memset(want, around, LEN + len - 1);
    memcpy(want + at, *escape == '\0' ? &text[at] : escape, len);
    assert_int_equal(written(text, LEN, place, got), LEN + len - 1);
    assert_memory_equal(got, want, LEN + len - 1);
}

static void every_byte_is_escaped_in_xml_wherever_it_stands(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++)
        for (size_t at = 0; at < LEN; at++) {
            assert_escaped((unsigned char)c, at, 'a', SHEAF_PEN_TEXT);
            assert_escaped((unsigned char)c, at, 'a', SHEAF_PEN_ATTRIBUTE);
            assert_escaped((unsigned char)c, at, '\xa9', SHEAF_PEN_TEXT);   /* among bytes that are not ASCII */
            assert_escaped((unsigned char)c, at, '=', SHEAF_PEN_ATTRIBUTE); /* between `<` and `>` */
        }
}

static void text_that_is_all_escapes_is_whole(void **state)
{
    char got[256];

    (void)state;
    assert_int_equal(written("<<<<<<<<>>>>>>>>&", 17, SHEAF_PEN_TEXT, got), 16 * 4 + 5);
    assert_memory_equal(got, "&lt;&lt;", 8);
    assert_memory_equal(got + 16 * 4 - 4, "&gt;&amp;", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_escaped_in_xml_wherever_it_stands),
        cmocka_unit_test(text_that_is_all_escapes_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
