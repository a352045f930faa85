#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "plugins/ip_access/ip_access_list.h"
#include "tests/plugins/host.h"

extern const sheaf_plugin_t sheaf_plugin_ip_access;

static host_t *opened(const char *allow, const char *deny)
{
    host_t *host = host_new(&sheaf_plugin_ip_access);

    if (allow != NULL)
        host_set(host, "allow", allow);
    if (deny != NULL)
        host_set(host, "deny", deny);
    assert_null(host_open(host));
    return host;
}

typedef struct row {
    const char *allow, *deny, *client;
    int passes;
} row_t;

static const row_t rows[] = {
    {"10.0.0.0/8", NULL, "10.1.2.3", 1},
    {"10.0.0.0/8", NULL, "11.1.2.3", 0},
    {"10.0.0.0/8", NULL, "9.255.255.255", 0},
    {"10.0.0.0/8", NULL, "::ffff:10.1.2.3", 1},
    {"10.0.0.0/8", NULL, "::10.1.2.3", 0},
    {"10.0.0.0/8", "10.9.0.0/16", "10.9.1.1", 0},
    {"10.9.1.1", "10.9.0.0/16", "10.9.1.1", 0},
    {"10.0.0.0/8", "10.9.0.0/16", "10.8.1.1", 1},
    {NULL, "203.0.113.0/25", "203.0.113.127", 0},
    {NULL, "203.0.113.0/25", "203.0.113.128", 1},
    {NULL, "203.0.113.77/25", "203.0.113.1", 0}, /* bits behind the network's are nothing */
    {NULL, "2001:db8::/33", "2001:db8:7fff::1", 0},
    {NULL, "2001:db8::/33", "2001:db8:8000::1", 1},
    {NULL, "::/0", "2001:db8::1", 0},
    {NULL, "::/0", "192.0.2.1", 1},
    {NULL, "0.0.0.0/0", "192.0.2.1", 0},
    {NULL, "0.0.0.0/0", "2001:db8::1", 1},
    {"", NULL, "192.0.2.1", 0},
    {"0.0.0.0/0, ::/0", NULL, NULL, 0}, /* not known */
    {NULL, "10.0.0.0/8", NULL, 0},
};

static void a_request_and_an_item_meet_the_same_decision(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = opened(rows[i].allow, rows[i].deny);
        sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a");
        sheaf_p_verdict_t want = rows[i].passes ? SHEAF_P_PASS : SHEAF_P_ANSWER;

        host_fact(request, SHEAF_P_CLIENT_IP, rows[i].client);
        assert_int_equal(host_ask_request(request), want);
        assert_int_equal(host_ask_item(item), want);
        assert_int_equal(host_outcome(item).status, rows[i].passes ? 0 : 403);
        assert_int_equal(host_counted(host, "refused"), rows[i].passes ? 0 : 2);
        host_free(host);
    }
}

static void the_peer_and_headers_do_not_count(void **state)
{
    host_t *host = opened("10.0.0.0/8", NULL);
    sheaf_p_ref_t request = host_request(host, "POST", "/batch");

    (void)state;
    host_fact(request, SHEAF_P_PEER_IP, "10.0.0.1");
    host_header(request, SHEAF_P_CLIENT, "X-Forwarded-For", "10.0.0.1");
    host_header(request, SHEAF_P_CLIENT, "X-Real-IP", "10.0.0.1");
    assert_int_equal(host_ask_request(request), SHEAF_P_ANSWER);
    host_free(host);
}

static void the_status_may_hide_that_there_is_something(void **state)
{
    host_t *host = host_new(&sheaf_plugin_ip_access);
    sheaf_p_ref_t request, item;

    (void)state;
    host_set(host, "deny", "192.0.2.0/24");
    host_set(host, "status", "404");
    assert_null(host_open(host));
    request = host_direct(host, "GET", "/a", &item);
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, 404);
    host_done(request);
    host_free(host);
}

static void without_a_list_it_is_refused(void **state)
{
    host_t *host = host_new(&sheaf_plugin_ip_access);

    (void)state;
    assert_string_equal(host_open(host), "allow: neither allow nor deny is set: every client would pass");
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_an_item_meet_the_same_decision),
        cmocka_unit_test(the_peer_and_headers_do_not_count),
        cmocka_unit_test(the_status_may_hide_that_there_is_something),
        cmocka_unit_test(without_a_list_it_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
