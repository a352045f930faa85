/* Multipart: where parts begin and end, what header fields are, and that no body breaks an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/codec/multipart.h"
#include "tests/unit/codec/results.h"

/* The parts of `text` joined by `|`, then the verdict: `.` closed, `!` not. */
static const char *cut(const char *text, const char *boundary)
{
    static char got[512];
    sheaf_multipart_t multipart = {.text = sheaf_str_of(text), .boundary = sheaf_str_of(boundary)};
    sheaf_str_t part;
    size_t len = 0;
    int more;

    while ((more = sheaf_multipart_next(&multipart, &part)) > 0)
        len += (size_t)snprintf(got + len, sizeof(got) - len, "%.*s|", SHEAF_STR_ARG(part));
    snprintf(got + len, sizeof(got) - len, "%s", more == 0 ? "." : "!");
    return got;
}

static void parts_are_cut_at_delimiters_and_nowhere_else(void **state)
{
    (void)state;
    assert_string_equal(cut("--b\r\none\r\n--b\r\ntwo\r\n--b--", "b"), "one|two|.");
    assert_string_equal(cut("before\n--b \t\none\n\n--b\ntwo\n--b--behind\n--b\n", "b"), "one\n|two|.");
    assert_string_equal(cut("--b\r\n--b\r\n\r\n--b--", "b"), "||.");
    assert_string_equal(cut("--b\r\n--bb\r\nx--b\r\n --b\r\n--b-\r\n--b--", "b"), "--bb\r\nx--b\r\n --b\r\n--b-|.");
    assert_string_equal(cut("--b--", "b"), ".");
    assert_string_equal(cut("--b\r\none\r\n--b", "b"), "!");
    assert_string_equal(cut("--b\r\none\r\n", "b"), "!");
    assert_string_equal(cut("-b\r\nb--b--", "b"), "!");
    assert_string_equal(cut("", "b"), "!");
}

static void fields_end_at_a_blank_line_or_the_end_and_may_be_folded(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_headers_t fields = {0};
    sheaf_str_t rest = SHEAF_STR("Content-ID: <a +\r\n\t b>\r\nX:1\n\nbody");
    const char *why;

    (void)state;
    assert_true(sheaf_multipart_fields(pool, &rest, &fields, &why));
    assert_int_equal(fields.count, 2);
    assert_true(sheaf_str_eq(fields.entries[0].name, SHEAF_STR("content-id")));
    assert_true(sheaf_str_eq(fields.entries[0].value, SHEAF_STR("<a + b>")));
    assert_true(sheaf_str_eq(fields.entries[1].value, SHEAF_STR("1")));
    assert_true(sheaf_str_eq(rest, SHEAF_STR("body")));

    rest = SHEAF_STR("X: 1");
    assert_true(sheaf_multipart_fields(pool, &rest, &fields, &why));
    assert_int_equal(fields.count, 3);
    rest = SHEAF_STR("X: 1\nno field\n");
    assert_false(sheaf_multipart_fields(pool, &rest, &fields, &why));
    assert_true(sheaf_str_starts(rest, SHEAF_STR("no field")));
    sheaf_pool_free(pool);
}

static void there_is_a_bound_on_fields(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_headers_t fields = {0};
    char text[(SHEAF_MULTIPART_FIELDS_MAX + 1) * 5 + 1], *at = text;
    sheaf_str_t rest;
    const char *why;

    (void)state;
    for (uint32_t i = 0; i <= SHEAF_MULTIPART_FIELDS_MAX; i++)
        at = stpcpy(at, "a: b\n");
    rest = sheaf_str_of(text + 5);
    assert_true(sheaf_multipart_fields(pool, &rest, &fields, &why));
    rest = sheaf_str_of(text);
    fields.count = 0;
    assert_false(sheaf_multipart_fields(pool, &rest, &fields, &why));
    assert_string_equal(why, "there are too many header fields");
    sheaf_pool_free(pool);
}

/* A megabyte of folded lines is one value of that length, not the sum of all its beginnings. */
static void a_folded_value_is_copied_once(void **state)
{
    enum { LINES = 250, LINE = 4096 };
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_headers_t fields = {0};
    char *text = malloc(2 + LINES * LINE);
    sheaf_str_t rest = {text, 2 + LINES * LINE};
    const char *why;

    (void)state;
    memset(text, 'x', rest.len);
    memcpy(text, "a:", 2);
    for (size_t i = 0; i < LINES; i++)
        memcpy(text + 2 + i * LINE, "\r\n ", 3);
    assert_true(sheaf_multipart_fields(pool, &rest, &fields, &why));
    assert_int_equal(fields.entries[0].value.len, LINES * (LINE - 2) - 1);
    assert_true(sheaf_pool_bytes(pool) < 3 * LINES * LINE);
    free(text);
    sheaf_pool_free(pool);
}

/* Parts to the very end, each a head, a blank line and a whole request. */
static bool is_multipart(const char *text, size_t len)
{
    static const char type[] = "Content-Type: application/http\r\n";
    sheaf_multipart_t multipart = {.text = sheaf_str(text, len),
                                   .boundary = SHEAF_STR("batchresponse_00000000000000000000000000000000")};
    sheaf_str_t part;
    int more;

    while ((more = sheaf_multipart_next(&multipart, &part)) > 0)
        if (!sheaf_str_starts(part, sheaf_str_of(type)) || memmem(part.base, part.len, "\r\n\r\nHTTP/1.1 ", 13) == NULL)
            return false;
    return more == 0 && multipart.at + 2 == len;
}

static void a_hostile_body_never_breaks_the_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(hostile_types); i++)
        for (size_t step = 1; step <= 64; step *= 4)
            assert_true(result_survives(&sheaf_multipart_out, hostile_types[i], step, is_multipart));
}

static bool is_encoded_as_written(const char *folder)
{
    size_t len;
    char *text = result_encode(folder, &sheaf_multipart_out, &len);
    bool is_same = kit_is_golden(folder, "want", text, len);

    free(text);
    return is_same;
}

static void every_case_is_encoded_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("multipart_out", is_encoded_as_written), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_cut_at_delimiters_and_nowhere_else),
        cmocka_unit_test(fields_end_at_a_blank_line_or_the_end_and_may_be_folded),
        cmocka_unit_test(there_is_a_bound_on_fields),
        cmocka_unit_test(a_folded_value_is_copied_once),
        cmocka_unit_test(a_hostile_body_never_breaks_the_answer),
        cmocka_unit_test(every_case_is_encoded_as_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
