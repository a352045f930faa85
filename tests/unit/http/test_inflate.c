#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "gateway/http/inflate.h"

#define LIMIT (8u << 20)

typedef struct sink {
    char *bytes;
    size_t len, most;
} sink_t;

static bool take(void *data, const char *bytes, size_t len)
{
    sink_t *sink = data;

    if (sink->len + len > sink->most)
        return false;
    sink->bytes = realloc(sink->bytes, sink->len + len);
    memcpy(sink->bytes + sink->len, bytes, len);
    sink->len += len;
    return true;
}

typedef struct coded {
    char bytes[4096];
    size_t len;
} coded_t;

/* bits: 31 gzip, 15 zlib, -15 raw */
static void add(coded_t *coded, int bits, const char *text, size_t len)
{
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)coded->bytes + coded->len;
    z.avail_out = (uInt)(sizeof(coded->bytes) - coded->len);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    coded->len = sizeof(coded->bytes) - z.avail_out;
    deflateEnd(&z);
}

static coded_t made(int bits, const char *text)
{
    coded_t coded = {.len = 0};

    add(&coded, bits, text, strlen(text));
    return coded;
}

/* In two pieces, cut at `cut`, and what it said. */
static sheaf_err_t inflate_cut(sheaf_coding_t coding, const char *bytes, size_t len, size_t cut, sink_t *sink)
{
    sheaf_inflate_t *inflate = sheaf_inflate_new(coding, LIMIT, take, sink);
    sheaf_err_t err = sheaf_inflate_feed(inflate, bytes, cut), end;

    if (err == SHEAF_OK)
        err = sheaf_inflate_feed(inflate, bytes + cut, len - cut);
    end = sheaf_inflate_end(inflate);
    assert_true(err == SHEAF_OK || err == end);
    assert_int_equal(sheaf_inflate_has_failed(inflate), end != SHEAF_OK);
    assert_int_equal(sheaf_inflate_why(inflate)[0] != '\0', end != SHEAF_OK);
    sheaf_inflate_free(inflate);
    return end;
}

static void assert_becomes(sheaf_coding_t coding, const coded_t *coded, const char *text)
{
    for (size_t cut = 0; cut <= coded->len; cut++) {
        sink_t sink = {.most = SIZE_MAX};

        assert_int_equal(inflate_cut(coding, coded->bytes, coded->len, cut, &sink), SHEAF_OK);
        assert_int_equal(sink.len, strlen(text));
        assert_memory_equal(sink.bytes, text, sink.len);
        free(sink.bytes);
    }
}

static void assert_malformed(sheaf_coding_t coding, const char *bytes, size_t len)
{
    for (size_t cut = 0; cut <= len; cut++) {
        sink_t sink = {.most = SIZE_MAX};

        assert_int_equal(inflate_cut(coding, bytes, len, cut, &sink), SHEAF_ERR_MALFORMED);
        free(sink.bytes);
    }
}

static const char text[] = "{\"name\":\"name name name\",\"id\":12345678901234567890}";

static void every_form_is_made_plain_wherever_it_is_cut(void **state)
{
    coded_t gzip = made(31, text), zlib = made(15, text), raw = made(-15, text);

    assert_becomes(SHEAF_CODING_GZIP, &gzip, text);
    assert_becomes(SHEAF_CODING_DEFLATE, &zlib, text);
    assert_becomes(SHEAF_CODING_DEFLATE, &raw, text);
}

static void byte_by_byte_is_the_same(void **state)
{
    coded_t gzip = made(31, text);
    sink_t sink = {.most = SIZE_MAX};
    sheaf_inflate_t *inflate = sheaf_inflate_new(SHEAF_CODING_GZIP, LIMIT, take, &sink);

    for (size_t i = 0; i < gzip.len; i++)
        assert_int_equal(sheaf_inflate_feed(inflate, gzip.bytes + i, 1), SHEAF_OK);
    assert_int_equal(sheaf_inflate_end(inflate), SHEAF_OK);
    sheaf_inflate_free(inflate);
    assert_int_equal(sink.len, strlen(text));
    free(sink.bytes);
}

static void members_follow_each_other_and_zeros_the_last(void **state)
{
    coded_t coded = made(31, "one ");

    add(&coded, 31, "", 0);
    add(&coded, 31, "two", 3);
    assert_becomes(SHEAF_CODING_GZIP, &coded, "one two");
    memset(coded.bytes + coded.len, 0, 7);
    coded.len += 7;
    assert_becomes(SHEAF_CODING_GZIP, &coded, "one two");
}

static void nothing_is_nothing(void **state)
{
    coded_t none = {.len = 0}, empty = made(31, "");

    assert_becomes(SHEAF_CODING_GZIP, &none, "");
    assert_becomes(SHEAF_CODING_DEFLATE, &none, "");
    assert_becomes(SHEAF_CODING_GZIP, &empty, "");
}

static void what_is_cut_short_anywhere_is_malformed(void **state)
{
    coded_t gzip = made(31, text), zlib = made(15, text), raw = made(-15, text);

    for (size_t len = 1; len < gzip.len; len++)
        assert_malformed(SHEAF_CODING_GZIP, gzip.bytes, len);
    for (size_t len = 1; len < zlib.len; len++)
        assert_malformed(SHEAF_CODING_DEFLATE, zlib.bytes, len);
    for (size_t len = 1; len < raw.len; len++)
        assert_malformed(SHEAF_CODING_DEFLATE, raw.bytes, len);
}

static void what_stands_behind_the_end_is_malformed(void **state)
{
    coded_t gzip = made(31, text), zlib = made(15, text);

    gzip.bytes[gzip.len] = 'x';
    assert_malformed(SHEAF_CODING_GZIP, gzip.bytes, gzip.len + 1);
    gzip.bytes[gzip.len] = '\0';
    gzip.bytes[gzip.len + 1] = '\x1f';
    assert_malformed(SHEAF_CODING_GZIP, gzip.bytes, gzip.len + 2);
    gzip.bytes[gzip.len] = '\x1f';
    assert_malformed(SHEAF_CODING_GZIP, gzip.bytes, gzip.len + 1);
    zlib.bytes[zlib.len] = '\0';
    assert_malformed(SHEAF_CODING_DEFLATE, zlib.bytes, zlib.len + 1);
}

static void a_wrong_checksum_or_length_is_malformed(void **state)
{
    for (size_t i = 1; i <= 8; i++) {
        coded_t gzip = made(31, text);

        gzip.bytes[gzip.len - i] ^= 1;
        assert_malformed(SHEAF_CODING_GZIP, gzip.bytes, gzip.len);
    }
    assert_malformed(SHEAF_CODING_GZIP, text, strlen(text));
    assert_malformed(SHEAF_CODING_GZIP, "\x1f\x8b\x07\0\0\0\0\0\0\0", 10);
}

/* `members` of a million zeros each. */
static sheaf_err_t feed_bomb(unsigned members, sink_t *sink, uint64_t limit, const char **ret_why)
{
    static char zeros[1u << 20];
    coded_t coded = {.len = 0};
    sheaf_inflate_t *inflate = sheaf_inflate_new(SHEAF_CODING_GZIP, limit, take, sink);
    sheaf_err_t err = SHEAF_OK;

    add(&coded, 31, zeros, sizeof(zeros));
    for (unsigned i = 0; i < members && err == SHEAF_OK; i++)
        err = sheaf_inflate_feed(inflate, coded.bytes, coded.len);
    *ret_why = sheaf_inflate_why(inflate);
    assert_int_equal(sheaf_inflate_feed(inflate, "", 0), err);
    assert_int_equal(sheaf_inflate_end(inflate), err);
    sheaf_inflate_free(inflate);
    return err;
}

static void a_bomb_ends_at_the_limit_or_when_the_receiver_says_so(void **state)
{
    sink_t sink = {.most = SIZE_MAX};
    const char *why;

    assert_int_equal(feed_bomb(1, &sink, 500000, &why), SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_true(sink.len <= 500000);
    sink.len = 0;
    sink.most = 100000;
    assert_int_equal(feed_bomb(1, &sink, UINT64_MAX, &why), SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_true(sink.len <= 100000);
    free(sink.bytes);
}

/* Deflate itself cannot do more than 1,032 to 1; gzip of a mebibyte of zeros is just under the bound, the longer the run
 * the nearer to deflate's own. */
static void a_long_run_of_one_byte_is_too_large_whatever_the_limit(void **state)
{
    static char zeros[4u << 20];
    coded_t *coded = calloc(1, sizeof(*coded) * 4);
    sink_t sink = {.most = SIZE_MAX};
    z_stream z = {0};
    sheaf_inflate_t *inflate = sheaf_inflate_new(SHEAF_CODING_GZIP, UINT64_MAX, take, &sink);
    sheaf_err_t err = SHEAF_OK;
    size_t sent = 0;

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    for (int i = 0; i < 16 && err == SHEAF_OK; i++) {
        z.next_in = (Bytef *)zeros;
        z.avail_in = sizeof(zeros);
        while (z.avail_in > 0) {
            z.next_out = (Bytef *)coded->bytes;
            z.avail_out = sizeof(coded->bytes);
            deflate(&z, Z_NO_FLUSH);
            sent += sizeof(coded->bytes) - z.avail_out;
            err = sheaf_inflate_feed(inflate, coded->bytes, sizeof(coded->bytes) - z.avail_out);
            if (err != SHEAF_OK)
                break;
        }
    }
    assert_int_equal(err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_non_null(strstr(sheaf_inflate_why(inflate), "1,000 times"));
    assert_true(sink.len <= (sent + 1) * 1000 + 65536);
    deflateEnd(&z);
    sheaf_inflate_free(inflate);
    free(sink.bytes);
    free(coded);
}

static void members_of_nothing_do_not_go_on_for_ever(void **state)
{
    coded_t empty = made(31, "");
    sink_t sink = {.most = SIZE_MAX};
    sheaf_inflate_t *inflate = sheaf_inflate_new(SHEAF_CODING_GZIP, 1000, take, &sink);
    sheaf_err_t err = SHEAF_OK;
    size_t sent = 0;

    for (; err == SHEAF_OK && sent < 1000000; sent += empty.len)
        err = sheaf_inflate_feed(inflate, empty.bytes, empty.len);
    assert_int_equal(err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_true(sent < 70000);
    sheaf_inflate_free(inflate);
}

static void codings_are_told_apart(void **state)
{
    assert_int_equal(sheaf_coding_of(SHEAF_STR("")), SHEAF_CODING_IDENTITY);
    assert_int_equal(sheaf_coding_of(SHEAF_STR("Identity")), SHEAF_CODING_IDENTITY);
    assert_int_equal(sheaf_coding_of(SHEAF_STR(" GZip ")), SHEAF_CODING_GZIP);
    assert_int_equal(sheaf_coding_of(SHEAF_STR("x-gzip")), SHEAF_CODING_GZIP);
    assert_int_equal(sheaf_coding_of(SHEAF_STR("deflate")), SHEAF_CODING_DEFLATE);
    assert_int_equal(sheaf_coding_of(SHEAF_STR("br")), SHEAF_CODING_OTHER);
    assert_int_equal(sheaf_coding_of(SHEAF_STR("gzip, gzip")), SHEAF_CODING_OTHER);
    assert_int_equal(sheaf_coding_of(SHEAF_STR("br, gzip")), SHEAF_CODING_OTHER);
}

static void elements_that_say_nothing_count_for_nothing(void **state)
{
    assert_int_equal(sheaf_coding_of(SHEAF_STR(", gzip ,,")), SHEAF_CODING_GZIP);
    assert_int_equal(sheaf_coding_of(SHEAF_STR("deflate, identity")), SHEAF_CODING_DEFLATE);
    assert_int_equal(sheaf_coding_of(SHEAF_STR("identity, br,")), SHEAF_CODING_OTHER);
    assert_int_equal(sheaf_coding_of(SHEAF_STR(",")), SHEAF_CODING_IDENTITY);
}

static void accept_encoding_is_read_with_its_weights(void **state)
{
    static const char *const wanted[] = {"gzip",        "br, gzip",       "x-gzip",     "*",
                                         "*;q=0, gzip", "gzip ; q=0.001", "GZIP;Q=1.0", "deflate,gzip;q=1.0,*;q=0.5"};
    static const char *const refused[] = {"",      "identity", "br",      "gzip;q=0", "gzip;q=0.000, *",
                                          "*;q=0", "gzipped",  "gzip;q=", ",,;",      "gzip; q=0"};

    for (size_t i = 0; i < SHEAF_COUNT(wanted); i++)
        assert_true(sheaf_coding_accepts_gzip(sheaf_str_of(wanted[i])));
    for (size_t i = 0; i < SHEAF_COUNT(refused); i++)
        assert_false(sheaf_coding_accepts_gzip(sheaf_str_of(refused[i])));
    assert_false(sheaf_coding_accepts_gzip(SHEAF_STR_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_made_plain_wherever_it_is_cut),
        cmocka_unit_test(byte_by_byte_is_the_same),
        cmocka_unit_test(members_follow_each_other_and_zeros_the_last),
        cmocka_unit_test(nothing_is_nothing),
        cmocka_unit_test(what_is_cut_short_anywhere_is_malformed),
        cmocka_unit_test(what_stands_behind_the_end_is_malformed),
        cmocka_unit_test(a_wrong_checksum_or_length_is_malformed),
        cmocka_unit_test(a_bomb_ends_at_the_limit_or_when_the_receiver_says_so),
        cmocka_unit_test(a_long_run_of_one_byte_is_too_large_whatever_the_limit),
        cmocka_unit_test(members_of_nothing_do_not_go_on_for_ever),
        cmocka_unit_test(codings_are_told_apart),
        cmocka_unit_test(elements_that_say_nothing_count_for_nothing),
        cmocka_unit_test(accept_encoding_is_read_with_its_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
