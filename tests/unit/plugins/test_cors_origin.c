#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "plugins/cors/cors_origin.h"
#include "plugins/cors/cors_text.h"

static sheaf_p_str_t text_of(const char *text)
{
    return sheaf_p_str(text, strlen(text));
}

typedef struct row {
    const char *pattern, *origin;
    int matches;
} row_t;

static const row_t rows[] = {
    {"https://app.example", "https://app.example", 1},
    {"https://app.example", "https://APP.example", 1},
    {"https://app.example:443", "https://app.example", 1},
    {"https://app.example", "https://app.example:443", 1},
    {"https://app.example", "https://app.example:8443", 0},
    {"https://app.example", "http://app.example", 0},
    {"https://app.example", "https://app.example.evil.example", 0},
    {"https://app.example", "https://evil.example", 0},
    {"https://app.example", "https://app-example", 0},
    {"https://app.example", "https://app.example.", 0},
    {"https://app.example", "https://sub.app.example", 0},
    {"http://localhost:*", "http://localhost:5173", 1},
    {"http://localhost:*", "http://localhost", 1},
    {"http://localhost:*", "https://localhost:5173", 0},
    {"http://[::1]:8080", "http://[::1]:8080", 1},
    {"http://[::1]:8080", "http://[::1]:8081", 0},
    {"https://*.example.com", "https://a.example.com", 1},
    {"https://*.example.com", "https://a.b.example.com", 1},
    {"https://*.example.com", "https://example.com", 0},
    {"https://*.example.com", "https://evilexample.com", 0},
    {"https://*.example.com", "https://example.com.evil.example", 0},
    {"https://*.example.com", "http://a.example.com", 0},
    {"*.example.com", "https://a.example.com", 1},
    {"*.example.com", "http://a.example.com", 0},
    {"*.example.com", "https://a.example.com:8443", 0},
    {"https://*.example.com:*", "https://a.example.com:8443", 1},
    {"*", "https://any.example", 1},
    {"null", "null", 1},
    {"https://app.example", "null", 0},
    {"*.example.com", "null", 0},
    {"capacitor://localhost", "capacitor://localhost", 1},
};

static void an_origin_matches_what_was_meant(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cors_pattern_t pattern;
        cors_origin_t origin;
        int matches = 0;

        assert_null(cors_pattern_read(text_of(rows[i].pattern), &pattern));
        if (cors_origin_read(text_of(rows[i].origin), &origin))
            matches = cors_pattern_matches(&pattern, &origin);
        if (matches != rows[i].matches)
            fail_msg("%s and %s", rows[i].pattern, rows[i].origin);
    }
}

static void what_is_no_origin_is_none(void **state)
{
    static const char *const none[] = {"",
                                       "app.example",
                                       "https://",
                                       "https:app.example",
                                       "https:/app.example",
                                       "://app.example",
                                       "https://app.example/",
                                       "https://app.example/path",
                                       "https://app.example?q",
                                       "https://app.example#f",
                                       "https://u@app.example",
                                       "https://u:p@app.example",
                                       "https://app.example:",
                                       "https://app.example:0",
                                       "https://app.example:080",
                                       "https://app.example:65536",
                                       "https://app.example:99999999999",
                                       "https://app.example:8x",
                                       "https://a..b",
                                       "https://.example.com",
                                       "https://*.example.com",
                                       "*",
                                       "Null",
                                       "NULL",
                                       "null ",
                                       "https://a.example https://b.example",
                                       "https://a.example,https://b.example",
                                       "https://a.example\t",
                                       "https://a%2eexample",
                                       "https://a\\example",
                                       "https://\xc3\xa9.example",
                                       "https://[::1",
                                       "https://[::1]x",
                                       "https://[::1]x:80",
                                       "https://::1",
                                       "1http://a.example"};
    cors_origin_t origin;
    char longest[400] = "https://";

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        if (cors_origin_read(text_of(none[i]), &origin))
            fail_msg("%s", none[i]);
    assert_false(cors_origin_read(sheaf_p_str("https://a\0.example", 18), &origin));
    memset(longest + 8, 'a', 300);
    assert_false(cors_origin_read(text_of(longest), &origin));
    assert_true(cors_origin_read(sheaf_p_str(longest, 8 + 253), &origin));
    assert_false(cors_origin_read(sheaf_p_str(longest, 8 + 254), &origin));
}

static void a_pattern_that_would_mean_too_much_or_nothing_is_refused(void **state)
{
    static const char *const refused[] = {"",
                                          "app.example",
                                          "https://*",
                                          "*.",
                                          "**",
                                          "*example.com",
                                          "https://a.*.com",
                                          "https://*.*.com",
                                          "*.a/b",
                                          "https://a.example/",
                                          "https://a:b",
                                          "https://a:**",
                                          "*..com",
                                          "https://*.example.com:0"};
    cors_pattern_t pattern;

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (cors_pattern_read(text_of(refused[i]), &pattern) == NULL)
            fail_msg("%s", refused[i]);
}

static void a_list_of_names_is_one_that_can_be_said_back(void **state)
{
    char longest[CORS_LIST_MAX + 1];

    (void)state;
    memset(longest, 'a', sizeof(longest));
    assert_true(cors_is_list(text_of("x-a,content-type, x-b")));
    assert_false(cors_is_list(text_of("")));
    assert_false(cors_is_list(text_of("a\r\nset-cookie: x")));
    assert_false(cors_is_list(text_of("a;b")));
    assert_true(cors_is_list(sheaf_p_str(longest, CORS_LIST_MAX)));
    assert_false(cors_is_list(sheaf_p_str(longest, CORS_LIST_MAX + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_matches_what_was_meant),
        cmocka_unit_test(what_is_no_origin_is_none),
        cmocka_unit_test(a_pattern_that_would_mean_too_much_or_nothing_is_refused),
        cmocka_unit_test(a_list_of_names_is_one_that_can_be_said_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
