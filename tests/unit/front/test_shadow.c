/* The second reader of header blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/front/guard/shadow.h"

#define GET "\x82\x86\x84" /* :method GET, :scheme http, :path / */

static bool read_bytes(sheaf_shadow_t *shadow, const char *block, size_t len, sheaf_shadow_seen_t *ret_seen)
{
    return sheaf_shadow_read(shadow, (const uint8_t *)block, len, ret_seen);
}

#define READ(shadow, block, seen) read_bytes(shadow, block, sizeof(block) - 1, seen)

static void it_sees_scheme_host_and_content_length(void **state)
{
    sheaf_shadow_t shadow = {NULL};
    sheaf_shadow_seen_t seen;

    (void)state;
    assert_true(READ(&shadow, GET, &seen));
    assert_true(seen.is_http);
    assert_int_equal(seen.hosts + seen.content_lengths, 0);
    assert_true(READ(&shadow, "\0\7:scheme\3ftp", &seen));
    assert_false(seen.is_http);
    assert_true(READ(&shadow, "\0\7:scheme\5HTTPS", &seen));
    assert_true(seen.is_http);
    assert_true(READ(&shadow,
                     GET "\0\4host\1a\0\4host\1b\0\16content-length\1"
                         "3",
                     &seen));
    assert_int_equal(seen.hosts, 2);
    assert_int_equal(seen.content_lengths, 1);
    assert_int_equal(seen.host_len, 1);
    assert_int_equal(seen.host[0], 'b');
    sheaf_shadow_fini(&shadow);
}

static void its_table_goes_from_block_to_block(void **state)
{
    sheaf_shadow_t shadow = {NULL};
    sheaf_shadow_seen_t seen;

    (void)state;
    assert_true(READ(&shadow, GET "\x40\4host\5h.net", &seen)); /* into the table */
    assert_true(READ(&shadow, GET "\xbe", &seen));              /* out of it */
    assert_int_equal(seen.hosts, 1);
    assert_memory_equal(seen.host, "h.net", seen.host_len);
    assert_false(READ(&shadow, GET "\xbf", &seen)); /* there is no second one */
    sheaf_shadow_fini(&shadow);
}

static void a_host_that_is_too_long_is_none(void **state)
{
    sheaf_shadow_t shadow = {NULL};
    sheaf_shadow_seen_t seen;
    char block[9 + 257] = "\0\4host\x7f\x82\1"; /* 127 + 2 + 128 = 257 bytes */

    (void)state;
    memset(block + 9, 'a', 257);
    assert_true(read_bytes(&shadow, block, sizeof(block), &seen));
    assert_int_equal(seen.hosts, 1);
    assert_int_equal(seen.host_len, 0);
    sheaf_shadow_fini(&shadow);
}

static void what_is_malformed_ends_it(void **state)
{
    static const struct {
        const char *block;
        size_t len;
    } rows[] = {
        {"\x80", 1}, {"\0\x7f", 2}, {"\0\4ho", 4}, {"\x3f\xff\xff\xff\x7f", 5}, {"\xff\xff\xff\xff\xff\xff", 6}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sheaf_shadow_t shadow = {NULL};
        sheaf_shadow_seen_t seen;

        assert_false(read_bytes(&shadow, rows[i].block, rows[i].len, &seen));
        sheaf_shadow_fini(&shadow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_sees_scheme_host_and_content_length),
        cmocka_unit_test(its_table_goes_from_block_to_block),
        cmocka_unit_test(a_host_that_is_too_long_is_none),
        cmocka_unit_test(what_is_malformed_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
