/* Conditions (RFC 9110 13.1), and what a 304 changes (RFC 9111 3.2, 4.3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cache/cache_text.h"
#include "plugins/cache/cache_validate.h"

static cache_head_t head_of(const char *text)
{
    cache_head_t head = {0};

    while (*text != '\0') {
        size_t line = strcspn(text, "|"), name = strcspn(text, ":");

        assert_int_equal(cache_head_add(&head, sheaf_p_str(text, name),
                                        cache_text_trim(sheaf_p_str(text + name + 1, line - name - 1))),
                         0);
        text += line + (text[line] == '|');
    }
    return head;
}

static int is_304(const char *question, const char *stored)
{
    cache_head_t q = head_of(question), s = head_of(stored);
    int result = cache_validate_is_not_modified(&q, &s, 784111777);

    cache_head_free(&q);
    cache_head_free(&s);
    return result;
}

static void rfc9110_13_1_2_if_none_match_compares_weakly(void **state)
{
    (void)state;
    assert_true(is_304("if-none-match: \"a\"", "etag: \"a\""));
    assert_true(is_304("if-none-match: W/\"a\"", "etag: \"a\""));
    assert_true(is_304("if-none-match: \"x, y\", \"a\"", "etag: W/\"a\""));
    assert_true(is_304("if-none-match: \"x\"|if-none-match: \"a\"", "etag: \"a\""));
    assert_true(is_304("if-none-match: *", ""));
    assert_false(is_304("if-none-match: \"b\"", "etag: \"a\""));
    assert_false(is_304("if-none-match: a", "etag: a"));
    assert_false(is_304("if-none-match: \"a", "etag: \"a\""));
    assert_false(is_304("if-none-match: \"a\"", ""));
    assert_false(is_304("", "etag: \"a\""));
}

static void rfc9110_13_1_3_if_modified_since_counts_without_if_none_match(void **state)
{
    (void)state;
    assert_true(
        is_304("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", "last-modified: Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_false(
        is_304("if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT", "last-modified: Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_false(is_304("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT|if-none-match: \"b\"",
                        "last-modified: Sun, 06 Nov 1994 08:49:37 GMT|etag: \"a\""));
    assert_true(is_304("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", "")); /* the date stands for it */
    assert_false(is_304("if-modified-since: 0", ""));
}

static void parts_and_conditions_on_writing_are_beyond_the_store(void **state)
{
    static const char *const beyond[] = {"range: bytes=0-1", "if-match: *", "if-unmodified-since: x", "if-range: x"};
    cache_head_t head = head_of("if-none-match: *");

    (void)state;
    assert_false(cache_validate_is_beyond(&head));
    cache_head_free(&head);
    for (size_t i = 0; i < 4; i++) {
        head = head_of(beyond[i]);
        assert_true(cache_validate_is_beyond(&head));
        cache_head_free(&head);
    }
}

static int about(const char *not_modified, const char *stored)
{
    cache_head_t n = head_of(not_modified), s = head_of(stored);
    int result = cache_validate_is_about(&n, &s);

    cache_head_free(&n);
    cache_head_free(&s);
    return result;
}

static void rfc9111_4_3_4_a_304_is_about_what_has_its_validator(void **state)
{
    (void)state;
    assert_true(about("etag: \"a\"", "etag: \"a\"|last-modified: x"));
    assert_false(about("etag: \"b\"", "etag: \"a\""));
    assert_false(about("etag: \"b\"", "last-modified: x"));
    assert_true(about("last-modified: x", "last-modified: x"));
    assert_false(about("last-modified: y", "last-modified: x"));
    assert_true(about("date: x", "etag: \"a\""));
}

static void rfc9111_3_2_a_304_replaces_fields_but_not_those_of_the_body_or_of_one_question(void **state)
{
    cache_head_t stored = head_of("x-a: 1|x-a: 2|content-type: text/a|etag: \"a\"|x-b: 3"),
                 fresh =
                     head_of("x-a: 9|content-type: text/b|set-cookie: s=1|x-hop: 1|connection: x-hop|content-length: 0"
                             "|etag: W/\"a\"|cache-control: max-age=5");
    sheaf_p_str_t value;

    (void)state;
    assert_int_equal(cache_validate_refresh(&stored, &fresh), 0);
    assert_true(cache_head_find(&stored, "x-a", 0, &value));
    assert_string_equal(value.base, "9");
    assert_false(cache_head_find(&stored, "x-a", 1, &value));
    assert_true(cache_head_find(&stored, "content-type", 0, &value));
    assert_string_equal(value.base, "text/a");
    assert_true(cache_head_find(&stored, "etag", 0, &value));
    assert_string_equal(value.base, "\"a\"");
    assert_true(cache_head_has(&stored, "x-b"));
    assert_true(cache_head_has(&stored, "cache-control"));
    assert_false(cache_head_has(&stored, "set-cookie"));
    assert_false(cache_head_has(&stored, "x-hop"));
    assert_false(cache_head_has(&stored, "content-length"));
    cache_head_free(&stored);
    cache_head_free(&fresh);
}

static void rfc9111_3_1_fields_between_two_hops_are_not_kept(void **state)
{
    cache_head_t answer = head_of("connection: close, X-Hop");

    (void)state;
    assert_false(cache_validate_is_kept(sheaf_p_str("x-hop", 5), &answer));
    assert_false(cache_validate_is_kept(sheaf_p_str("Connection", 10), &answer));
    assert_false(cache_validate_is_kept(sheaf_p_str("Set-Cookie", 10), &answer));
    assert_false(cache_validate_is_kept(sheaf_p_str("age", 3), &answer));
    assert_true(cache_validate_is_kept(sheaf_p_str("x-other", 7), &answer));
    cache_head_free(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9110_13_1_2_if_none_match_compares_weakly),
        cmocka_unit_test(rfc9110_13_1_3_if_modified_since_counts_without_if_none_match),
        cmocka_unit_test(parts_and_conditions_on_writing_are_beyond_the_store),
        cmocka_unit_test(rfc9111_4_3_4_a_304_is_about_what_has_its_validator),
        cmocka_unit_test(rfc9111_3_2_a_304_replaces_fields_but_not_those_of_the_body_or_of_one_question),
        cmocka_unit_test(rfc9111_3_1_fields_between_two_hops_are_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
