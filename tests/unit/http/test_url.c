#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/http/url.h"

#define NO_QUERY NULL

typedef struct row {
    const char *text, *base, *path, *query; /* path: or the sentence of the refusal */
    bool has_encoded_slash;
} row_t;

static void is_query(const sheaf_url_t *url, const char *want, const char *text)
{
    if (want == NO_QUERY ? url->query.base != NULL
                         : url->query.base == NULL || !sheaf_str_eq(url->query, sheaf_str_of(want)))
        fail_msg("%s: query %.*s", text, SHEAF_STR_ARG(url->query));
}

static void accepted_urls_come_out_normalised(void **state)
{
    static const row_t rows[] = {
        {"/", "/", "/", NO_QUERY, false},
        {"/users/42", "/", "/users/42", NO_QUERY, false},
        {"/users?a=b&c=/?:@", "/", "/users", "a=b&c=/?:@", false},
        {"/users?", "/", "/users", "", false},
        {"/a//b", "/", "/a//b", NO_QUERY, false},
        {"/a/", "/", "/a/", NO_QUERY, false},
        {"/a:b", "/", "/a:b", NO_QUERY, false},
        {"/a;b/..a;b/...;a/.a;", "/", "/a;b/..a;b/...;a/.a;", NO_QUERY, false},
        {"/a/./b/../c", "/", "/a/c", NO_QUERY, false},
        {"/../../a", "/", "/a", NO_QUERY, false},
        {"/a/..", "/", "/", NO_QUERY, false},
        {"/a/b/.", "/", "/a/b/", NO_QUERY, false},
        {"/a/%2e%2E/b", "/", "/b", NO_QUERY, false},
        {"/a/.%2e/b", "/", "/b", NO_QUERY, false},
        {"/a//../b", "/", "/a/b", NO_QUERY, false},
        {"/.../..a/.b", "/", "/.../..a/.b", NO_QUERY, false},
        {"/%7Euser/%41", "/", "/~user/A", NO_QUERY, false},
        {"/a%3ab", "/", "/a%3Ab", NO_QUERY, false},
        {"/a%20b?c%20d", "/", "/a%20b", "c%20d", false},
        {"/a b?c d", "/", "/a%20b", "c%20d", false},
        {"/caf\xc3\xa9", "/", "/caf%C3%A9", NO_QUERY, false},
        {"/a?x[]=1&y={|}^`\"<>", "/", "/a", "x%5B%5D=1&y=%7B%7C%7D%5E%60%22%3C%3E", false},
        {"/a?../b", "/", "/a", "../b", false},
        {"/a%2Fb", "/", "/a%2Fb", NO_QUERY, true},
        {"/a%5cb", "/", "/a%5Cb", NO_QUERY, true},
        {"/a?b%2Fc", "/", "/a", "b%2Fc", false},
        {"/a%2fb/../c", "/", "/c", NO_QUERY, false},
        {"/%252e%252e/x", "/", "/%252e%252e/x", NO_QUERY, false},
        {"/a%0d%0a", "/", "/a%0D%0A", NO_QUERY, false},
        {"users", "/odata/", "/odata/users", NO_QUERY, false},
        {"users/1?x", "/odata/v4/", "/odata/v4/users/1", "x", false},
        {"../x", "/a/b/", "/a/x", NO_QUERY, false},
        {"../../../x", "/a/b/", "/x", NO_QUERY, false},
        {".", "/a/b/", "/a/b/", NO_QUERY, false},
        {"..", "/a/b/", "/a/", NO_QUERY, false},
        {"?q", "/a/b/", "/a/b/", "q", false},
        {"./a:b", "/", "/a:b", NO_QUERY, false},
        {"a/b:c", "/", "/a/b:c", NO_QUERY, false},
        {"a?b:c", "/", "/a", "b:c", false},
    };
    sheaf_pool_t *pool = sheaf_pool_new();

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        const row_t *row = &rows[i];
        sheaf_fail_t fail = {.detail = ""};
        sheaf_url_t url;

        if (sheaf_url_normalise(pool, sheaf_str_of(row->text), sheaf_str_of(row->base), 8192, &url, &fail) != SHEAF_OK)
            fail_msg("%s was refused: %s", row->text, fail.detail);
        if (!sheaf_str_eq(url.path, sheaf_str_of(row->path)))
            fail_msg("%s: path %.*s", row->text, SHEAF_STR_ARG(url.path));
        is_query(&url, row->query, row->text);
        assert_int_equal(url.has_encoded_slash, row->has_encoded_slash);
    }
    sheaf_pool_free(pool);
}

static void refused_urls_say_why(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "the url is empty"},
        {"http://host/x", "the url is absolute: a path is wanted, not a host"},
        {"HTTPS:/x", "the url is absolute: a path is wanted, not a host"},
        {"mailto:ada@example.org", "the url is absolute: a path is wanted, not a host"},
        {"a:b", "the url is absolute: a path is wanted, not a host"},
        {"//host/x", "the url begins with //: it may not name a host"},
        {"/.//host", "the url's path begins with //"},
        {"/a/..//host", "the url's path begins with //"},
        {".//host", "the url's path begins with //"},
        {"/a/..;/b", "the url holds a dot segment with parameters"},
        {"/a/%2e.;x=1/b", "the url holds a dot segment with parameters"},
        {"/a/.;x/b", "the url holds a dot segment with parameters"},
        {"/a/..%3b/b", "the url holds a dot segment with parameters"},
        {"/..;", "the url holds a dot segment with parameters"},
        {"..;/b?c", "the url holds a dot segment with parameters"},
        {"/a#b", "the url holds a fragment"},
        {"#b", "the url holds a fragment"},
        {"/a?b#c", "the url holds a fragment"},
        {"/a\\b", "the url holds a backslash"},
        {"/a?b\\c", "the url holds a backslash"},
        {"/a\r\nX: y", "the url holds a control character"},
        {"/a\tb", "the url holds a control character"},
        {"/a?b\x7f", "the url holds a control character"},
        {"/a%00", "the url holds a percent-encoded NUL"},
        {"/a?b%00", "the url holds a percent-encoded NUL"},
        {"/a%", "the url holds a malformed percent-encoding"},
        {"/a%4", "the url holds a malformed percent-encoding"},
        {"/a%4g", "the url holds a malformed percent-encoding"},
        {"/a?%zz", "the url holds a malformed percent-encoding"},
        {"/%C0%AE%C0%AE/x", "the url holds an overlong UTF-8 sequence"},
        {"/a%c0%afb", "the url holds an overlong UTF-8 sequence"},
        {"/a%E0%80%AFb", "the url holds an overlong UTF-8 sequence"},
        {"/a\xc0\xaf", "the url holds an overlong UTF-8 sequence"},
    };
    sheaf_pool_t *pool = sheaf_pool_new();

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_fail_t fail = {.detail = ""};
        sheaf_url_t url;

        assert_int_equal(sheaf_url_normalise(pool, sheaf_str_of(rows[i].text), SHEAF_STR("/"), 8192, &url, &fail),
                         SHEAF_ERR_ITEM_URL);
        assert_string_equal(fail.detail, rows[i].why);
    }
    assert_int_equal(sheaf_url_normalise(pool, SHEAF_STR("/a\0b"), SHEAF_STR("/"), 99, &(sheaf_url_t){0}, NULL),
                     SHEAF_ERR_ITEM_URL);
    sheaf_pool_free(pool);
}

static void parameters_and_empty_segments_are_ornament(void **state)
{
    static const char *const rows[][2] = {
        {"/", "/"},          {"/a/b", "/a/b"},         {"/a//b", "/a/b"},   {"/a///b//", "/a/b/"}, {"/a;x/b", "/a/b"},
        {"/a/;x/b", "/a/b"}, {"/a;x=1;y/b;z", "/a/b"}, {"/a/b/;", "/a/b/"}, {"/a%3Bx", "/a%3Bx"},  {"/;a//;b/c", "/c"},
    };
    sheaf_pool_t *pool = sheaf_pool_new();

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++)
        assert_true(sheaf_str_eq(sheaf_url_bare(pool, sheaf_str_of(rows[i][0])), sheaf_str_of(rows[i][1])));
    sheaf_pool_free(pool);
}

static void a_url_is_held_to_its_limit(void **state)
{
    sheaf_fail_t fail;
    sheaf_url_t url;

    (void)state;
    assert_int_equal(sheaf_url_normalise(NULL, SHEAF_STR("/1234567"), SHEAF_STR("/"), 8, &url, &fail), SHEAF_OK);
    assert_int_equal(sheaf_url_normalise(NULL, SHEAF_STR("/12345678"), SHEAF_STR("/"), 8, &url, &fail),
                     SHEAF_ERR_ITEM_URL);
    assert_string_equal(fail.detail, "the url is longer than 8 bytes");
}

static void a_normalised_url_is_passed_through_without_a_copy(void **state)
{
    sheaf_str_t text = SHEAF_STR("/orders/7%20b?for=ada&x=%2F");
    sheaf_url_t url;

    (void)state;
    assert_int_equal(sheaf_url_normalise(NULL, text, SHEAF_STR("/"), 8192, &url, NULL), SHEAF_OK); /* no pool to use */
    assert_ptr_equal(url.path.base, text.base);
    assert_ptr_equal(url.query.base, text.base + 14);
}

static void dots_beside_an_encoded_slash_are_found(void **state)
{
    static const char *const hiding[] = {"/a/..%2Fb",   "/a%2F..", "/a%5C..%2Fb/c", "/..;x%2Fb",
                                         "/a%2F..%3Bx", "/.%2F",   "/a%2F."};
    static const char *const open[] = {"/", "/a%2Fb", "/..a%2Fb", "/a..%2F...", "/a%2F", "/%2F%2F", "/;..%2Fb"};

    (void)state;
    for (size_t i = 0; i < sizeof(hiding) / sizeof(hiding[0]); i++)
        assert_true(sheaf_url_hides_dots(sheaf_str_of(hiding[i])));
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        assert_false(sheaf_url_hides_dots(sheaf_str_of(open[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_urls_come_out_normalised),
        cmocka_unit_test(refused_urls_say_why),
        cmocka_unit_test(parameters_and_empty_segments_are_ornament),
        cmocka_unit_test(a_url_is_held_to_its_limit),
        cmocka_unit_test(dots_beside_an_encoded_slash_are_found),
        cmocka_unit_test(a_normalised_url_is_passed_through_without_a_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
