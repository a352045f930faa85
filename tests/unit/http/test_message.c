#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/http/message.h"
#include "gateway/http/problem.h"

static void methods_come_out_in_upper_case(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } rows[] = {
        {"get", "GET"},
        {"Patch", "PATCH"},
        {"DELETE", "DELETE"},
        {"options", "OPTIONS"},
        {"m-search", "M-SEARCH"},
        {"", NULL},
        {"GE T", NULL},
        {"GET\r", NULL},
        {"G\xc3", NULL},
        {"a/b", NULL},
        {"abcdefghijklmnopqrstuvwxyzabcdefg", NULL},
    };
    sheaf_pool_t *pool = sheaf_pool_new();

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_str_t method = SHEAF_STR_NONE;

        assert_int_equal(sheaf_method_normalise(pool, sheaf_str_of(rows[i].text), &method), rows[i].want != NULL);
        if (rows[i].want != NULL)
            assert_true(sheaf_str_eq(method, sheaf_str_of(rows[i].want)));
    }
    sheaf_pool_free(pool);
}

static void methods_have_their_properties(void **state)
{
    (void)state;
    assert_true(sheaf_method_is_safe(SHEAF_STR("GET")) && sheaf_method_is_safe(SHEAF_STR("OPTIONS")));
    assert_false(sheaf_method_is_safe(SHEAF_STR("PUT")) || sheaf_method_is_safe(SHEAF_STR("get")));
    assert_true(sheaf_method_is_idempotent(SHEAF_STR("PUT")) && sheaf_method_is_idempotent(SHEAF_STR("HEAD")));
    assert_false(sheaf_method_is_idempotent(SHEAF_STR("POST")) || sheaf_method_is_idempotent(SHEAF_STR("PATCH")));
    assert_true(sheaf_method_takes_body(SHEAF_STR("DELETE")));
    assert_false(sheaf_method_takes_body(SHEAF_STR("GET")) || sheaf_method_takes_body(SHEAF_STR("HEAD")));
}

static void statuses_have_reasons(void **state)
{
    (void)state;
    assert_string_equal(sheaf_status_reason(207), "Multi-Status");
    assert_string_equal(sheaf_status_reason(424), "Failed Dependency");
    assert_string_equal(sheaf_status_reason(299), "Unknown");
    assert_string_equal(sheaf_status_reason(65535), "Unknown");
    assert_true(sheaf_status_has_no_body(204) && sheaf_status_has_no_body(205) && sheaf_status_has_no_body(304));
    assert_false(sheaf_status_has_no_body(200));
}

static void media_types_have_kinds(void **state)
{
    static const struct {
        const char *type;
        sheaf_media_kind_t want;
    } rows[] = {
        {"application/json", SHEAF_MEDIA_JSON},
        {"Application/JSON; charset=UTF-8", SHEAF_MEDIA_JSON},
        {"application/json;charset=\"utf-8\"", SHEAF_MEDIA_JSON},
        {"application/json; charset=iso-8859-1", SHEAF_MEDIA_BINARY},
        {"application/json;", SHEAF_MEDIA_JSON},
        {"text/json", SHEAF_MEDIA_JSON},
        {"application/problem+json", SHEAF_MEDIA_JSON},
        {"application/vnd.api+JSON; ext=\"a;b\"", SHEAF_MEDIA_JSON},
        {"application/x-ndjson", SHEAF_MEDIA_BINARY},
        {"application/xml", SHEAF_MEDIA_XML},
        {"text/xml; charset=us-ascii", SHEAF_MEDIA_XML},
        {"image/svg+xml", SHEAF_MEDIA_XML},
        {"text/html", SHEAF_MEDIA_TEXT},
        {"text/html; charset=latin1", SHEAF_MEDIA_BINARY},
        {"text/javascript", SHEAF_MEDIA_TEXT},
        {"application/javascript", SHEAF_MEDIA_TEXT},
        {"application/x-www-form-urlencoded", SHEAF_MEDIA_TEXT},
        {"application/octet-stream", SHEAF_MEDIA_BINARY},
        {"image/png", SHEAF_MEDIA_BINARY},
        {"json", SHEAF_MEDIA_BINARY},
        {"text/", SHEAF_MEDIA_BINARY},
        {"text/plain; charset", SHEAF_MEDIA_BINARY},
        {"text/plain; charset=\"utf-8", SHEAF_MEDIA_BINARY},
        {"", SHEAF_MEDIA_BINARY},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        if (sheaf_media_kind(sheaf_str_of(rows[i].type)) != rows[i].want)
            fail_msg("%s is of kind %d", rows[i].type, sheaf_media_kind(sheaf_str_of(rows[i].type)));
    }
    assert_int_equal(sheaf_media_kind(SHEAF_STR_NONE), SHEAF_MEDIA_BINARY);
}

static void a_media_type_is_taken_apart(void **state)
{
    sheaf_media_t media;

    (void)state;
    assert_true(sheaf_media_parse(SHEAF_STR("Multipart/Mixed ; boundary=x; Charset=utf-8"), &media));
    assert_true(sheaf_media_is(&media, "multipart/mixed"));
    assert_false(sheaf_media_is(&media, "multipart/form-data"));
    assert_true(sheaf_str_eq(media.charset, SHEAF_STR("utf-8")));
}

static void accept_weighs_types(void **state)
{
    static const struct {
        const char *accept;
        uint32_t want; /* of application/json */
    } rows[] = {
        {"", 1000},
        {"application/json", 1000},
        {"*/*", 1000},
        {"text/html", 0},
        {"application/*;q=0.5", 500},
        {"application/json;q=0", 0},
        {"application/json;q=0, */*", 0},
        {"*/*;q=0.1, application/json ; Q=0.25", 250},
        {"application/json;q=0.123, application/*;q=0.9", 123},
        {"application/json;odata.metadata=minimal", 1000},
        {"application/json;odata.metadata=minimal;q=0.4, text/html", 400},
        {"APPLICATION/Json", 1000},
        {"application/json;q=1.000", 1000},
        {"application/json;q=1.001", 0},
        {"application/json;q=0.1234", 0},
        {"application/json;q=2", 0},
        {"application/json;q=x, */*;q=0.3", 300},
        {"text/html, image/gif, *; q=.2, */*; q=.2", 200},
        {"text/html;p=\"a,application/json\"", 0},
        {"text/html;p=\"\\\"\", application/json;q=0.7", 700},
        {",, application/json ,", 1000},
        {"*/json", 0},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        uint32_t quality = sheaf_accept_quality(sheaf_str_of(rows[i].accept), "application/json");

        if (quality != rows[i].want)
            fail_msg("Accept: %s gives %u", rows[i].accept, quality);
    }
    assert_int_equal(sheaf_accept_quality(SHEAF_STR_NONE, "application/json"), 1000);
}

static void a_problem_says_what_is_known(void **state)
{
    sheaf_fail_t fail = {.err = SHEAF_ERR_CYCLE, .detail = "\"a\" waits\n for itself\xff", .line = 3, .column = 14};
    char text[SHEAF_PROBLEM_MAX + 1];

    (void)state;
    text[sheaf_problem_write(&fail, text)] = 0;
    assert_string_equal(text, "{\"type\":\"urn:sheaf:problem:cycle\",\"title\":\"The items depend on each other in a "
                              "circle\",\"status\":400,\"detail\":\"\\\"a\\\" waits\\u000a for itself\xef\xbf\xbd\","
                              "\"line\":3,\"column\":14}");
    fail = (sheaf_fail_t){.err = SHEAF_ERR_NO_ROUTE, .has_pointer = true};
    text[sheaf_problem_write(&fail, text)] = 0;
    assert_string_equal(text, "{\"type\":\"urn:sheaf:problem:no-route\",\"title\":\"No route matches the item\","
                              "\"status\":404,\"pointer\":\"\"}");
}

static void any_problem_fits_its_room(void **state)
{
    static const char fills[] = {'\x01', '\xff', 'a', '"'};
    char text[SHEAF_PROBLEM_MAX];
    sheaf_fail_t fail = {.has_pointer = true, .line = UINT32_MAX, .column = UINT32_MAX};

    (void)state;
    for (int err = 1; err < SHEAF_ERR_COUNT; err++) {
        for (size_t i = 0; i < sizeof(fills); i++) {
            memset(fail.detail, fills[i], sizeof(fail.detail) - 1);
            memset(fail.pointer, fills[i], sizeof(fail.pointer) - 1);
            fail.err = (sheaf_err_t)err;
            assert_true(sheaf_problem_write(&fail, text) <= SHEAF_PROBLEM_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_come_out_in_upper_case), cmocka_unit_test(methods_have_their_properties),
        cmocka_unit_test(statuses_have_reasons),          cmocka_unit_test(media_types_have_kinds),
        cmocka_unit_test(a_media_type_is_taken_apart),    cmocka_unit_test(accept_weighs_types),
        cmocka_unit_test(a_problem_says_what_is_known),   cmocka_unit_test(any_problem_fits_its_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
