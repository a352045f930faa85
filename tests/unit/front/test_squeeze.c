#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/front/squeeze.h"
#include "gateway/http/inflate.h"

typedef struct reader {
    char bytes[1u << 20];
    size_t len;
} reader_t;

static bool take(void *data, const char *bytes, size_t len)
{
    reader_t *reader = data;

    assert_true(reader->len + len <= sizeof(reader->bytes));
    memcpy(reader->bytes + reader->len, bytes, len);
    reader->len += len;
    return true;
}

typedef struct pair {
    sheaf_squeeze_t *squeeze;
    sheaf_inflate_t *inflate;
    reader_t *reader;
} pair_t;

static pair_t pair_new(void)
{
    reader_t *reader = calloc(1, sizeof(*reader));

    return (pair_t){sheaf_squeeze_new(), sheaf_inflate_new(SHEAF_CODING_GZIP, UINT64_MAX, take, reader), reader};
}

static void pair_free(pair_t *pair)
{
    sheaf_squeeze_free(pair->squeeze);
    sheaf_inflate_free(pair->inflate);
    free(pair->reader);
}

/* Sends a piece through both; returns how many bytes it took on the wire. */
static size_t pass(pair_t *pair, const sheaf_iovec_t *iovecs, size_t count, bool is_last)
{
    sheaf_iovec_t piece = sheaf_squeeze_piece(pair->squeeze, iovecs, count, is_last);

    assert_int_equal(sheaf_inflate_feed(pair->inflate, piece.base, piece.len), SHEAF_OK);
    return piece.len;
}

static sheaf_iovec_t of(const char *text)
{
    return (sheaf_iovec_t){(char *)(uintptr_t)text, strlen(text)};
}

static void all_of_a_piece_can_be_read_before_the_next_is_made(void **state)
{
    sheaf_iovec_t first[] = {of("{\"id\":"), of("1}")}, second[] = {of("\n{\"id\":2}")};
    pair_t pair = pair_new();

    pass(&pair, first, 2, false);
    assert_int_equal(pair.reader->len, strlen("{\"id\":1}"));
    pass(&pair, second, 1, false);
    assert_memory_equal(pair.reader->bytes, "{\"id\":1}\n{\"id\":2}", strlen("{\"id\":1}\n{\"id\":2}"));
    assert_int_equal(sheaf_inflate_end(pair.inflate), SHEAF_ERR_MALFORMED); /* a client sees that it is not whole */
    pair_free(&pair);
}

static void the_last_piece_ends_the_stream_also_when_it_is_empty(void **state)
{
    sheaf_iovec_t first[] = {of("text")};
    pair_t pair = pair_new();

    pass(&pair, first, 1, false);
    assert_true(pass(&pair, NULL, 0, true) > 0);
    assert_int_equal(sheaf_inflate_end(pair.inflate), SHEAF_OK);
    assert_int_equal(pair.reader->len, 4);
    pair_free(&pair);
}

static void what_does_not_compress_passes_whole_whatever_its_size(void **state)
{
    static char noise[300000];
    uint32_t seed = 7;
    size_t size = 0;
    pair_t pair = pair_new();

    for (size_t i = 0; i < sizeof(noise); i++) {
        seed = seed * 1664525u + 1013904223u;
        noise[i] = (char)(seed >> 24);
    }
    for (size_t at = 0; at < sizeof(noise); at += size) {
        size = size * 3 + 1 < sizeof(noise) - at ? size * 3 + 1 : sizeof(noise) - at;
        sheaf_iovec_t halves[] = {{noise + at, size / 2}, {noise + at + size / 2, size - size / 2}};

        pass(&pair, halves, 2, at + size == sizeof(noise));
    }
    assert_int_equal(sheaf_inflate_end(pair.inflate), SHEAF_OK);
    assert_int_equal(pair.reader->len, sizeof(noise));
    assert_memory_equal(pair.reader->bytes, noise, sizeof(noise));
    pair_free(&pair);
}

static void json_becomes_a_fraction_of_itself(void **state)
{
    sheaf_iovec_t result[] = {
        of("{\"id\":\"7\",\"status\":200,\"headers\":{\"content-type\":\"application/json\"},\"body\":{\"n\":7}},")};
    pair_t pair = pair_new();
    size_t sent = 0;

    for (int i = 0; i < 100; i++)
        sent += pass(&pair, result, 1, i == 99);
    assert_true(sent * 3 < pair.reader->len);
    pair_free(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_a_piece_can_be_read_before_the_next_is_made),
        cmocka_unit_test(the_last_piece_ends_the_stream_also_when_it_is_empty),
        cmocka_unit_test(what_does_not_compress_passes_whole_whatever_its_size),
        cmocka_unit_test(json_becomes_a_fraction_of_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
