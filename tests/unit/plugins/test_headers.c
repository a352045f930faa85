#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "plugins/field/field_name.h"
#include "tests/plugins/host.h"

extern const sheaf_plugin_t sheaf_plugin_headers;

static host_t *opened(const char *key, const char *text)
{
    host_t *host = host_new(&sheaf_plugin_headers);

    host_set(host, key, text);
    assert_null(host_open(host));
    return host;
}

static void an_item_is_sent_with_what_is_configured(void **state)
{
    host_t *host = host_new(&sheaf_plugin_headers);
    sheaf_p_ref_t request, item;

    (void)state;
    host_set(host, "request.remove", "X-Debug");
    host_set(host, "request.rename", "X-Old: X-New");
    host_set(host, "request.set", "X-Client: ${client_ip}\nX-Path: <${path}>");
    host_set(host, "request.add", "X-Tag: b");
    assert_null(host_open(host));
    request = host_request(host, "POST", "/batch");
    item = host_item(host, request, "GET", "/a?b");
    host_header(item, SHEAF_P_QUESTION, "x-debug", "1");
    host_header(item, SHEAF_P_QUESTION, "X-DEBUG", "2");
    host_header(item, SHEAF_P_QUESTION, "x-old", "one");
    host_header(item, SHEAF_P_QUESTION, "x-old", "two");
    host_header(item, SHEAF_P_QUESTION, "x-new", "mine");
    host_header(item, SHEAF_P_QUESTION, "x-client", "10.0.0.1");
    host_header(item, SHEAF_P_QUESTION, "x-tag", "a");

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);

    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-debug"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-old"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-new"), "one, two");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-client"), "192.0.2.1");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-path"), "</a>");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-tag"), "a, b");
    host_free(host);
}

static void a_field_that_cannot_be_filled_in_is_never_the_clients(void **state)
{
    host_t *host = opened("request.set", "X-User: ${attr.user}\nX-Agent: ${header.user-agent}");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), a = host_item(host, request, "GET", "/a"),
                  b = host_item(host, request, "GET", "/b");

    (void)state;
    host_header(request, SHEAF_P_CLIENT, "user-agent",
                "bad\x01"
                "agent");
    host_header(a, SHEAF_P_QUESTION, "x-user", "root");
    host_header(b, SHEAF_P_QUESTION, "x-user", "root");
    host_header(a, SHEAF_P_QUESTION, "x-agent", "mine");
    host_attribute(b, "user", "bob");
    assert_int_equal(host_ask_item(a), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(b), SHEAF_P_PASS);
    assert_string_equal(host_field(a, SHEAF_P_QUESTION, "x-user"), "");
    assert_string_equal(host_field(b, SHEAF_P_QUESTION, "x-user"), "bob");
    assert_string_equal(host_field(a, SHEAF_P_QUESTION, "x-agent"), "");
    host_free(host);
}

static void what_is_set_or_removed_does_not_come_in_under_another_spelling(void **state)
{
    host_t *host = host_new(&sheaf_plugin_headers);
    sheaf_p_ref_t request, item;

    (void)state;
    host_set(host, "request.set", "X-User-Id: ${attr.user}");
    host_set(host, "request.remove", "x_debug");
    host_set(host, "request.add", "x-tag: b");
    assert_null(host_open(host));
    request = host_request(host, "POST", "/batch");
    item = host_item(host, request, "GET", "/a");
    host_header(item, SHEAF_P_QUESTION, "X_User-Id", "root");
    host_header(item, SHEAF_P_QUESTION, "x-user_id", "root");
    host_header(item, SHEAF_P_QUESTION, "x_user_id", "root");
    host_header(item, SHEAF_P_QUESTION, "x-debug", "1");
    host_header(item, SHEAF_P_QUESTION, "x_tag", "a");
    host_header(item, SHEAF_P_QUESTION, "x_user_ids", "kept");
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x_user-id"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-user_id"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x_user_id"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-debug"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x_tag"), "a");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x_user_ids"), "kept");
    host_free(host);
}

static void a_rename_without_the_old_name_leaves_the_new_one(void **state)
{
    host_t *host = opened("request.rename", "x-old: x-new");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a");

    (void)state;
    host_header(item, SHEAF_P_QUESTION, "x-new", "mine");
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-new"), "mine");
    host_free(host);
}

static void what_is_renamed_does_not_come_in_beside_under_another_spelling(void **state)
{
    host_t *host = opened("request.rename", "x-old: x-token\nX_User: x-user");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a");

    (void)state;
    host_header(item, SHEAF_P_QUESTION, "x-old", "good");
    host_header(item, SHEAF_P_QUESTION, "x_token", "evil");
    host_header(item, SHEAF_P_QUESTION, "X-Token", "evil");
    host_header(item, SHEAF_P_QUESTION, "x_user", "kept");
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-token"), "good");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x_token"), "");
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-user"), "kept");
    host_free(host);
}

static void an_answer_loses_what_is_removed(void **state)
{
    host_t *host = opened("response.remove", "X-Powered-By");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a");

    (void)state;
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    host_header(item, SHEAF_P_RESULT, "x-powered-by", "old/1");
    host_header(item, SHEAF_P_RESULT, "x-kept", "1");
    host_result(item, 200);
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "x-powered-by"), "");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "x-kept"), "1");
    host_free(host);
}

static void the_reply_is_written_once_for_all_items(void **state)
{
    host_t *host = opened("reply.set", "Strict-Transport-Security: max-age=31536000\nX-Request: ${request_id}");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a");

    (void)state;
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    host_result(item, 200);
    assert_string_equal(host_field(request, SHEAF_P_REPLY, "strict-transport-security"), "max-age=31536000");
    assert_string_equal(host_field(request, SHEAF_P_REPLY, "x-request"), "r1");
    host_free(host);
}

static void names_that_are_not_its_own_are_refused(void **state)
{
    static const char *const refused[][3] = {
        {"request.set", "Content-Length: 1", "request.set: Content-Length: is written by Sheaf itself"},
        {"request.add", "X-Forwarded-For: 1", "request.add: X-Forwarded-For: is written by Sheaf itself"},
        {"response.remove", "TRANSFER-ENCODING", "response.remove: TRANSFER-ENCODING: is written by Sheaf itself"},
        {"request.rename", "X-A: Host", "request.rename: Host: is written by Sheaf itself"},
        {"request.set", "Via: 1",
         "request.set: Via: is written by Sheaf itself: what a client says there never gets to a backend"},
        {"request.remove", "x-real-ip",
         "request.remove: x-real-ip: is written by Sheaf itself: what a client says there never gets to a backend"},
        {"request.add", "X_Request_Id: 1",
         "request.add: X_Request_Id: is written by Sheaf itself: what a client says there never gets to a backend"},
        {"request.rename", "x-original-url: x-a",
         "request.rename: x-original-url: is written by Sheaf itself: what a client says there never gets to a "
         "backend"},
        {"response.remove", "Server",
         "response.remove: Server: is written by Sheaf itself: what a backend says there never gets to a client"},
        {"reply.set", "date: 1",
         "reply.set: date: is written by Sheaf itself: what a backend says there never gets to a client"},
        {"reply.add", "X-Request-Id: 1",
         "reply.add: X-Request-Id: is written by Sheaf itself: what a backend says there never gets to a client"},
        {"reply.set", "X A: 1", "reply.set: X A: is no name of a header field"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        host_t *host = host_new(&sheaf_plugin_headers);

        host_set(host, refused[i][0], refused[i][1]);
        assert_string_equal(host_open(host), refused[i][2]);
        host_free(host);
    }
}

static void a_name_is_a_token(void **state)
{
    char longest[FIELD_NAME_MAX + 2];

    (void)state;
    memset(longest, 'a', sizeof(longest));
    assert_null(field_name_refused(sheaf_p_str("x-a_1.~", 7), 1));
    assert_null(field_name_refused(sheaf_p_str(longest, FIELD_NAME_MAX), 1));
    assert_non_null(field_name_refused(sheaf_p_str(longest, FIELD_NAME_MAX + 1), 1));
    assert_non_null(field_name_refused(sheaf_p_str("", 0), 1));
    assert_non_null(field_name_refused(sheaf_p_str("a\0b", 3), 1));
    assert_non_null(field_name_refused(sheaf_p_str("a:", 2), 1));
    assert_null(field_name_refused(sheaf_p_str("forwarded-by", 12), 1));
    assert_non_null(field_name_refused(sheaf_p_str("Forwarded", 9), 1));
    assert_null(field_name_refused(sheaf_p_str("via", 3), 0));
    assert_null(field_name_refused(sheaf_p_str("server", 6), 1));
    assert_null(field_name_refused(sheaf_p_str("x-real-ip-too", 13), 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_is_sent_with_what_is_configured),
        cmocka_unit_test(a_field_that_cannot_be_filled_in_is_never_the_clients),
        cmocka_unit_test(what_is_set_or_removed_does_not_come_in_under_another_spelling),
        cmocka_unit_test(a_rename_without_the_old_name_leaves_the_new_one),
        cmocka_unit_test(what_is_renamed_does_not_come_in_beside_under_another_spelling),
        cmocka_unit_test(an_answer_loses_what_is_removed),
        cmocka_unit_test(the_reply_is_written_once_for_all_items),
        cmocka_unit_test(names_that_are_not_its_own_are_refused),
        cmocka_unit_test(a_name_is_a_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
