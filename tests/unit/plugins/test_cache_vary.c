/* What an answer depends on (RFC 9111 4.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cache/cache_text.h"
#include "plugins/cache/cache_vary.h"

/* "name: value" lines, parted by |. */
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

/* 1: an answer to `first` suits `second`; 0: it does not; -1: it is not stored. */
static int suits(const char *answer, const char *first, const char *second)
{
    cache_head_t a = head_of(answer), f = head_of(first), s = head_of(second), selecting = {0};
    int result = cache_vary_select(&a, &f, &selecting);

    if (result == 0) {
        assert_true(cache_vary_matches(&selecting, &f));
        result = cache_vary_matches(&selecting, &s);
    }
    cache_head_free(&a);
    cache_head_free(&f);
    cache_head_free(&s);
    cache_head_free(&selecting);
    return result;
}

static void rfc9111_4_1_named_fields_must_be_the_same(void **state)
{
    (void)state;
    assert_int_equal(suits("vary: X-A, x-b", "x-a: 1|x-b: 2|x-c: 3", "X-B: 2|X-A: 1|x-c: 4"), 1);
    assert_int_equal(suits("vary: x-a|vary: x-b", "x-a: 1|x-b: 2", "x-a: 1|x-b: 3"), 0);
    assert_int_equal(suits("etag: a", "x-a: 1", "x-a: 2"), 1);
    assert_int_equal(suits("vary: x-a", "x-a: a", "x-a: A"), 0);
}

static void rfc9111_4_1_what_is_not_there_matches_only_what_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(suits("vary: x-a", "", ""), 1);
    assert_int_equal(suits("vary: x-a", "", "x-a: "), 0);
    assert_int_equal(suits("vary: x-a", "x-a: 1", ""), 0);
    assert_int_equal(suits("vary: x-a", "", "x-a: -"), 0);
}

static void rfc9111_4_1_values_are_normalised(void **state)
{
    (void)state;
    assert_int_equal(suits("vary: accept", "accept: text/html;q=0.5,  a/b", "accept: TEXT/html ; q=0.5|accept: a/b"),
                     1);
    assert_int_equal(suits("vary: x-a", "x-a: a ,b", "x-a: a,b"), 1);
    assert_int_equal(suits("vary: x-a", "x-a: a   b", "x-a: a b"), 1);
    assert_int_equal(suits("vary: x-a", "x-a: a b", "x-a: ab"), 0);
    assert_int_equal(suits("vary: x-a", "x-a: \"a , b\"", "x-a: \"a,b\""), 0);
    assert_int_equal(suits("vary: x-a", "x-a: a,b", "x-a: b,a"), 0);
}

static void rfc9111_4_1_a_star_is_never_stored(void **state)
{
    (void)state;
    assert_int_equal(suits("vary: *", "", ""), -1);
    assert_int_equal(suits("vary: x-a, *", "", ""), -1);
    assert_int_equal(suits("vary: x-a|vary: *", "", ""), -1);
}

static void what_sheaf_writes_itself_cannot_be_compared_and_is_not_stored(void **state)
{
    (void)state;
    assert_int_equal(suits("vary: X-Forwarded-For", "", ""), -1);
    assert_int_equal(suits("vary: Forwarded", "", ""), -1);
    assert_int_equal(suits("vary: If-None-Match", "", ""), -1);
    assert_int_equal(suits("vary: Host", "", "host: x"), 1); /* part of every key */
}

static void credentials_are_not_kept_to_compare_with(void **state)
{
    (void)state;
    assert_int_equal(suits("vary: cookie", "cookie: a=1", ""), -1);
    assert_int_equal(suits("vary: authorization", "authorization: x", ""), -1);
    assert_int_equal(suits("vary: x_api_key", "x_api_key: x", ""), -1);
    assert_int_equal(suits("vary: x-api-key", "x_api_key: x", ""), -1);
    assert_int_equal(suits("vary: x_api-key", "x-api_key: x", ""), -1);
    assert_int_equal(suits("vary: cookie", "", ""), 1);
    assert_int_equal(suits("vary: cookie", "", "cookie: a=1"), 0);
}

/* Backends that make variables of names take x_tenant for x-tenant: nobody else may be told what that one was. */
static void a_field_by_another_spelling_is_not_taken_for_none(void **state)
{
    (void)state;
    assert_int_equal(suits("vary: x-tenant", "x_tenant: evil", ""), -1);
    assert_int_equal(suits("vary: x-tenant", "x-tenant: a|X_Tenant: evil", "x-tenant: a"), -1);
    assert_int_equal(suits("vary: x_tenant", "x-tenant: evil", ""), -1);
    assert_int_equal(suits("vary: x-tenant", "", "x_tenant: a"), 0);
    assert_int_equal(suits("content-encoding: gzip", "accept_encoding: gzip", ""), -1);
    assert_int_equal(suits("vary: x-tenant", "x_tenants: a", ""), 1);
}

static void an_encoded_answer_depends_on_accept_encoding_without_a_word(void **state)
{
    (void)state;
    assert_int_equal(suits("content-encoding: gzip", "accept-encoding: gzip", ""), 0);
    assert_int_equal(suits("content-encoding: gzip", "accept-encoding: gzip", "accept-encoding: GZIP"), 1);
    assert_int_equal(suits("content-encoding: identity", "accept-encoding: gzip", ""), 1);
}

static void an_answer_for_an_origin_depends_on_it_without_a_word(void **state)
{
    (void)state;
    assert_int_equal(suits("access-control-allow-origin: https://a", "origin: https://a", "origin: https://b"), 0);
    assert_int_equal(suits("access-control-allow-origin: *", "origin: https://a", "origin: https://b"), 1);
}

static void oversized_vary_is_not_stored(void **state)
{
    char many[1200] = "vary: ", value[1400] = "x-a: ";

    (void)state;
    assert_int_equal(suits("vary: a, b, c, d, e, f, g, h", "", ""), 1);
    assert_int_equal(suits("vary: a, b, c, d, e, f, g, h, i", "", ""), -1);
    memset(many + 6, 'x', 513);
    assert_int_equal(suits(many, "", ""), -1);
    many[6 + 512] = '\0';
    assert_int_equal(suits(many, "", ""), 1);
    memset(value + 5, 'y', 1024); /* a sign stands before it */
    assert_int_equal(suits("vary: x-a", value, ""), -1);
    assert_int_equal(suits("vary: x-a", "x-a: y", value), 0);
    value[5 + 1023] = '\0';
    assert_int_equal(suits("vary: x-a", value, value), 1);
}

static void what_is_no_name_is_not_stored(void **state)
{
    (void)state;
    assert_int_equal(suits("vary: a b", "", ""), -1);
    assert_int_equal(suits("vary: \"a\"", "", ""), -1);
    assert_int_equal(suits("vary: ,, ,", "x: 1", ""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9111_4_1_named_fields_must_be_the_same),
        cmocka_unit_test(rfc9111_4_1_what_is_not_there_matches_only_what_is_not_there),
        cmocka_unit_test(rfc9111_4_1_values_are_normalised),
        cmocka_unit_test(rfc9111_4_1_a_star_is_never_stored),
        cmocka_unit_test(what_sheaf_writes_itself_cannot_be_compared_and_is_not_stored),
        cmocka_unit_test(credentials_are_not_kept_to_compare_with),
        cmocka_unit_test(a_field_by_another_spelling_is_not_taken_for_none),
        cmocka_unit_test(an_encoded_answer_depends_on_accept_encoding_without_a_word),
        cmocka_unit_test(an_answer_for_an_origin_depends_on_it_without_a_word),
        cmocka_unit_test(oversized_vary_is_not_stored),
        cmocka_unit_test(what_is_no_name_is_not_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
