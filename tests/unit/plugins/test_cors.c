#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/plugins/host.h"

extern const sheaf_plugin_t sheaf_plugin_cors;

static host_t *with_origins(const char *origins)
{
    host_t *host = host_new(&sheaf_plugin_cors);

    host_set(host, "origins", origins);
    return host;
}

static sheaf_p_ref_t asked(host_t *host, const char *method, const char *origin)
{
    sheaf_p_ref_t request;

    request = host_request(host, method, "/batch");
    if (origin != NULL)
        host_header(request, SHEAF_P_CLIENT, "Origin", origin);
    return request;
}

static const char *reply(sheaf_p_ref_t request, const char *name)
{
    return host_field(request, SHEAF_P_REPLY, name);
}

static void a_preflight_is_answered_here(void **state)
{
    host_t *host = with_origins("https://app.example, *.example.com");
    sheaf_p_ref_t request;

    (void)state;
    host_set(host, "headers", "content-type, authorization");
    host_set(host, "credentials", "true");
    host_set(host, "max_age", "2h");
    assert_null(host_open(host));
    request = asked(host, "OPTIONS", "https://app.example");
    host_header(request, SHEAF_P_CLIENT, "access-control-request-method", "POST");

    assert_int_equal(host_ask_request(request), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(request).status, 204);
    assert_string_equal(reply(request, "access-control-allow-origin"), "https://app.example");
    assert_string_equal(reply(request, "access-control-allow-credentials"), "true");
    assert_string_equal(reply(request, "access-control-allow-methods"), "GET, HEAD, POST, PUT, PATCH, DELETE");
    assert_string_equal(reply(request, "access-control-allow-headers"), "content-type, authorization");
    assert_string_equal(reply(request, "access-control-max-age"), "7200");
    assert_string_equal(reply(request, "vary"), "Origin");
    assert_int_equal(host_counted(host, "preflights"), 1);
    host_free(host);
}

static void a_preflight_of_another_origin_gets_no_permission(void **state)
{
    static const char *const others[] = {"https://evil.example", "null", "https://app.example.evil.example", "",
                                         "https://app.example/", "*"};
    host_t *host = with_origins("https://app.example");

    (void)state;
    assert_null(host_open(host));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        sheaf_p_ref_t request = asked(host, "OPTIONS", others[i]);

        host_header(request, SHEAF_P_CLIENT, "access-control-request-method", "POST");
        assert_int_equal(host_ask_request(request), SHEAF_P_ANSWER);
        assert_int_equal(host_outcome(request).status, 204);
        assert_string_equal(reply(request, "access-control-allow-origin"), "");
        assert_string_equal(reply(request, "access-control-allow-methods"), "");
        assert_string_equal(reply(request, "vary"), "Origin");
    }
    assert_int_equal(host_counted(host, "unknown_origins"), 6);
    host_free(host);
}

static void options_that_are_no_preflight_pass(void **state)
{
    host_t *host = with_origins("https://app.example");
    sheaf_p_ref_t request;

    (void)state;
    assert_null(host_open(host));
    assert_int_equal(host_ask_request(asked(host, "OPTIONS", "https://app.example")), SHEAF_P_PASS);
    request = asked(host, "OPTIONS", NULL);
    host_header(request, SHEAF_P_CLIENT, "access-control-request-method", "POST");
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    request = asked(host, "POST", "https://app.example");
    host_header(request, SHEAF_P_CLIENT, "access-control-request-method", "POST");
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    host_free(host);
}

static void an_actual_request_says_who_may_read_it(void **state)
{
    host_t *host = with_origins("https://app.example");
    sheaf_p_ref_t allowed, other, none, two;

    (void)state;
    host_set(host, "expose", "etag, x-total");
    assert_null(host_open(host));
    allowed = asked(host, "POST", "https://app.example");
    other = asked(host, "POST", "https://evil.example");
    none = asked(host, "POST", NULL);
    two = asked(host, "POST", "https://app.example");
    host_header(two, SHEAF_P_CLIENT, "origin", "https://evil.example");

    assert_int_equal(host_ask_request(allowed), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(other), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(none), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(two), SHEAF_P_PASS);

    assert_string_equal(reply(allowed, "access-control-allow-origin"), "https://app.example");
    assert_string_equal(reply(allowed, "access-control-expose-headers"), "etag, x-total");
    assert_string_equal(reply(allowed, "access-control-allow-credentials"), "");
    assert_string_equal(reply(other, "access-control-allow-origin"), "");
    assert_string_equal(reply(other, "access-control-expose-headers"), "");
    assert_string_equal(reply(two, "access-control-allow-origin"), "");
    assert_string_equal(reply(allowed, "vary"), "Origin");
    assert_string_equal(reply(other, "vary"), "Origin");
    assert_string_equal(reply(none, "vary"), "Origin");
    host_free(host);
}

static void any_origin_is_a_star_for_all_and_nothing_varies(void **state)
{
    host_t *host = with_origins("*");
    sheaf_p_ref_t request, none;

    (void)state;
    assert_null(host_open(host));
    request = asked(host, "GET", "https://any.example");
    none = asked(host, "GET", NULL);
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(none), SHEAF_P_PASS);
    assert_string_equal(reply(request, "access-control-allow-origin"), "*");
    assert_string_equal(reply(none, "access-control-allow-origin"), "*");
    assert_string_equal(reply(request, "vary"), "");
    host_free(host);
}

static void a_null_origin_is_allowed_where_it_is_listed(void **state)
{
    host_t *host = with_origins("https://app.example, null");
    sheaf_p_ref_t request;

    (void)state;
    assert_null(host_open(host));
    request = asked(host, "GET", "null");
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_string_equal(reply(request, "access-control-allow-origin"), "null");
    host_free(host);
}

static void headers_that_are_asked_for_are_said_back_where_any_are_allowed(void **state)
{
    host_t *host = with_origins("https://app.example");
    sheaf_p_ref_t request;

    (void)state;
    host_set(host, "headers", "*");
    assert_null(host_open(host));
    request = asked(host, "OPTIONS", "https://app.example");
    host_header(request, SHEAF_P_CLIENT, "access-control-request-method", "POST");
    host_header(request, SHEAF_P_CLIENT, "access-control-request-headers", "x-a,x-b");
    assert_int_equal(host_ask_request(request), SHEAF_P_ANSWER);
    assert_string_equal(reply(request, "access-control-allow-headers"), "x-a,x-b");
    assert_string_equal(reply(request, "vary"), "Origin, Access-Control-Request-Headers");

    request = asked(host, "OPTIONS", "https://app.example");
    host_header(request, SHEAF_P_CLIENT, "access-control-request-method", "POST");
    host_header(request, SHEAF_P_CLIENT, "access-control-request-headers", "x-a<script>");
    assert_int_equal(host_ask_request(request), SHEAF_P_ANSWER);
    assert_string_equal(reply(request, "access-control-allow-headers"), "");
    host_free(host);
}

static void a_backends_fields_do_not_stand_beside(void **state)
{
    host_t *host = with_origins("https://app.example");
    sheaf_p_ref_t request, item, batch, element;

    (void)state;
    assert_null(host_open(host));
    request = host_direct(host, "GET", "/a", &item);
    host_header(request, SHEAF_P_CLIENT, "origin", "https://app.example");
    host_header(item, SHEAF_P_RESULT, "Access-Control-Allow-Origin", "*");
    host_header(item, SHEAF_P_RESULT, "access-control-allow-credentials", "true");
    host_header(item, SHEAF_P_RESULT, "x-kept", "1");
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    host_result(item, 200);
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "access-control-allow-origin"), "");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "access-control-allow-credentials"), "");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "x-kept"), "1");
    assert_string_equal(reply(request, "access-control-allow-origin"), "https://app.example");

    batch = host_request(host, "POST", "/batch");
    element = host_item(host, batch, "GET", "/a");
    host_header(element, SHEAF_P_RESULT, "access-control-allow-origin", "*");
    host_result(element, 200);
    assert_string_equal(host_field(element, SHEAF_P_RESULT, "access-control-allow-origin"), "*");
    assert_string_equal(reply(batch, "access-control-allow-origin"), "");
    host_free(host);
}

static void what_would_open_all_doors_is_refused(void **state)
{
    static const char *const refused[][4] = {
        {"*", "credentials", "true", "origins: * with credentials would let every site act for its visitors"},
        {"null", "credentials", "true", "origins: null with credentials: every site can make a frame of that origin"},
        {"https://app.example/", "credentials", "false",
         "origins: https://app.example/ has no valid host; a path does not belong here"},
        {"https://a.example", "methods", "G ET", "methods: G ET is no name"},
        {"", "credentials", "false", "origins: a list of 1 to 256 is needed"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        host_t *host = with_origins(refused[i][0]);

        host_set(host, refused[i][1], refused[i][2]);
        assert_string_equal(host_open(host), refused[i][3]);
        host_free(host);
    }
}

static void stars_that_mean_nothing_with_credentials_are_refused(void **state)
{
    host_t *host = with_origins("https://a.example");

    (void)state;
    host_set(host, "credentials", "true");
    host_set(host, "expose", "*");
    assert_string_equal(host_open(host), "expose: * means nothing to a browser when credentials come along");
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preflight_is_answered_here),
        cmocka_unit_test(a_preflight_of_another_origin_gets_no_permission),
        cmocka_unit_test(options_that_are_no_preflight_pass),
        cmocka_unit_test(an_actual_request_says_who_may_read_it),
        cmocka_unit_test(any_origin_is_a_star_for_all_and_nothing_varies),
        cmocka_unit_test(a_null_origin_is_allowed_where_it_is_listed),
        cmocka_unit_test(headers_that_are_asked_for_are_said_back_where_any_are_allowed),
        cmocka_unit_test(a_backends_fields_do_not_stand_beside),
        cmocka_unit_test(what_would_open_all_doors_is_refused),
        cmocka_unit_test(stars_that_mean_nothing_with_credentials_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
