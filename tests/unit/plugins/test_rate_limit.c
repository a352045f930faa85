#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/plugins/host.h"

extern const sheaf_plugin_t sheaf_plugin_rate_limit;

static host_t *limiter(const char *by, const char *rate)
{
    host_t *host = host_new(&sheaf_plugin_rate_limit);

    host_set(host, "limits[0].rate", rate);
    host_set(host, "limits[0].per", "1m");
    if (by != NULL)
        host_set(host, "by", by);
    return host;
}

static host_t *opened(const char *by, const char *rate)
{
    host_t *host = limiter(by, rate);

    assert_null(host_open(host));
    return host;
}

/* Asks `count` items; how many passed. */
static int passing(host_t *host, sheaf_p_ref_t request, int count)
{
    int passed = 0;

    for (int i = 0; i < count; i++) {
        sheaf_p_ref_t item = host_item(host, request, "POST", "/login");
        const sheaf_p_verdict_t verdict = host_ask_item(item);

        passed += verdict == SHEAF_P_PASS;
        if (verdict == SHEAF_P_ANSWER)
            assert_int_equal(host_outcome(item).status, 429);
    }
    return passed;
}

static void of_a_hundred_logins_in_one_batch_five_pass(void **unused)
{
    host_t *host = opened(NULL, "5");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch");

    assert_int_equal(host_ask_batch(request), SHEAF_P_PASS);
    assert_int_equal(passing(host, request, 100), 5);
    assert_int_equal(host_counted(host, "allowed"), 5);
    assert_int_equal(host_counted(host, "refused"), 95);
    host_free(host);
}

static void a_direct_request_is_charged_as_an_item_is(void **unused)
{
    host_t *host = opened(NULL, "5");
    sheaf_p_ref_t item;

    assert_int_equal(passing(host, host_request(host, "POST", "/batch"), 4), 4);
    for (int i = 0; i < 3; i++) {
        host_direct(host, "POST", "/login", &item);
        assert_int_equal(host_ask_item(item), i == 0 ? SHEAF_P_PASS : SHEAF_P_ANSWER);
    }
    host_free(host);
}

static void workers_count_together(void **unused)
{
    host_t *first = opened(NULL, "5"), *second = host_beside(first);

    assert_int_equal(passing(first, host_request(first, "POST", "/batch"), 3), 3);
    assert_int_equal(passing(second, host_request(second, "POST", "/batch"), 10), 2);
    host_free(second);
    host_free(first);
}

static void fresh_bearer_values_do_not_dodge_a_limit_by_identity(void **unused)
{
    host_t *host = opened("attribute user", "5");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch");
    int passed = 0;

    for (int i = 0; i < 50; i++) {
        sheaf_p_ref_t item = host_item(host, request, "POST", "/login");
        char value[32];

        snprintf(value, sizeof(value), "Bearer fresh-%d", i);
        host_header(item, SHEAF_P_QUESTION, "authorization", value);
        host_header(item, SHEAF_P_QUESTION, "user", value);
        passed += host_ask_item(item) == SHEAF_P_PASS;
    }
    assert_int_equal(passed, 5); /* nobody knows who it is: the address counts */
    host_free(host);
}

static void an_item_with_an_identity_of_its_own_is_counted_for_that_one(void **unused)
{
    host_t *host = opened("attribute user", "2");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), own;

    host_attribute(request, "user", "anna");
    assert_int_equal(passing(host, request, 5), 2);
    own = host_item(host, request, "GET", "/");
    host_attribute(own, "user", "bert");
    assert_int_equal(host_ask_item(own), SHEAF_P_PASS);
    host_free(host);
}

static void an_address_written_as_a_name_is_no_address(void **unused)
{
    host_t *host = opened("attribute user", "2");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), named = host_request(host, "POST", "/batch");
    const char address[17] = "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01";

    assert_int_equal(passing(host, request, 5), 2);
    host_api()->set(named, "user", sheaf_p_str(address, 16)); /* 192.0.2.1, as bytes */
    assert_int_equal(passing(host, named, 5), 2);
    host_free(host);
}

static void ipv6_counts_by_its_64(void **unused)
{
    host_t *host = opened(NULL, "2");
    sheaf_p_ref_t a = host_request(host, "POST", "/batch"), b = host_request(host, "POST", "/batch"),
                  c = host_request(host, "POST", "/batch");

    host_fact(a, SHEAF_P_CLIENT_IP, "2001:db8::1");
    host_fact(b, SHEAF_P_CLIENT_IP, "2001:db8::ffff:2");
    host_fact(c, SHEAF_P_CLIENT_IP, "2001:db8:0:1::1");
    assert_int_equal(passing(host, a, 2), 2);
    assert_int_equal(passing(host, b, 2), 0);
    assert_int_equal(passing(host, c, 3), 2);
    host_free(host);
}

static void parts_make_the_key_together(void **unused)
{
    host_t *host = opened("header x-tenant, route", "1");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch");
    const char *const tenants[] = {"a", "b", "a", "a"}, *const routes[] = {"/x", "/x", "/y", "/x"};

    for (int i = 0; i < 4; i++) {
        sheaf_p_ref_t item = host_item(host, request, "GET", "/");

        host_header(item, SHEAF_P_QUESTION, "x-tenant", tenants[i]);
        host_fact(item, SHEAF_P_ROUTE, routes[i]);
        assert_int_equal(host_ask_item(item), i < 3 ? SHEAF_P_PASS : SHEAF_P_ANSWER);
    }
    host_free(host);
}

static void results_say_what_is_left_and_when_to_come_back(void **unused)
{
    host_t *host = opened(NULL, "2");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/");

    host_ask_item(item);
    host_result(item, 200);
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "ratelimit-policy"), "\"default\";q=2;w=60");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "ratelimit"), "\"default\";r=1;t=30");
    assert_int_equal(passing(host, request, 1), 1);

    item = host_item(host, request, "GET", "/");
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    host_result(item, 0);
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "ratelimit"), "\"default\";r=0;t=30");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "retry-after"), "30");
    host_wind(host, 30000);
    assert_int_equal(passing(host, request, 3), 1);
    host_free(host);
}

/* Sealed with so many items, which passing_of() asks then. */
static sheaf_p_ref_t batch_of(host_t *host, int items)
{
    sheaf_p_ref_t request = host_request(host, "POST", "/batch");

    host_number(request, SHEAF_P_ITEMS, items);
    return request;
}

static int passing_of(host_t *host, sheaf_p_ref_t request, int count)
{
    host_number(request, SHEAF_P_ITEMS, 0); /* indexes from 0 on */
    return passing(host, request, count);
}

static void a_batch_is_charged_for_all_its_items_and_refused_as_a_whole(void **unused)
{
    host_t *host = limiter(NULL, "10");
    sheaf_p_ref_t request;

    host_set(host, "charge", "batch");
    assert_null(host_open(host));
    request = batch_of(host, 6);
    assert_int_equal(host_ask_batch(request), SHEAF_P_PASS);
    assert_string_equal(host_field(request, SHEAF_P_REPLY, "ratelimit"), "\"default\";r=4;t=36");
    assert_int_equal(passing_of(host, request, 6), 6); /* they are paid for */

    request = host_request(host, "POST", "/batch");
    host_number(request, SHEAF_P_ITEMS, 6);
    assert_int_equal(host_ask_batch(request), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(request).status, 429);
    assert_string_equal(host_field(request, SHEAF_P_REPLY, "retry-after"), "12");

    request = host_request(host, "POST", "/batch");
    host_number(request, SHEAF_P_ITEMS, 11);
    assert_int_equal(host_ask_batch(request), SHEAF_P_ANSWER);
    assert_string_equal(host_field(request, SHEAF_P_REPLY, "retry-after"), ""); /* it never will */
    host_free(host);
}

static void elements_that_a_batch_brings_forth_pay_for_themselves(void **unused)
{
    host_t *host = limiter(NULL, "10");
    sheaf_p_ref_t request;

    host_set(host, "charge", "batch");
    assert_null(host_open(host));
    request = batch_of(host, 2); /* the second is forEach: its elements come behind all items */
    assert_int_equal(host_ask_batch(request), SHEAF_P_PASS);
    assert_int_equal(passing_of(host, request, 2), 2);
    assert_int_equal(passing(host, request, 50), 8);
    host_free(host);
}

static void items_of_a_batch_that_nobody_charged_pay_for_themselves(void **unused)
{
    host_t *host = limiter(NULL, "5");

    host_set(host, "charge", "batch");
    assert_null(host_open(host)); /* on a route: on_batch is not for it */
    assert_int_equal(passing(host, host_request(host, "POST", "/batch"), 100), 5);
    host_free(host);
}

static void a_configuration_that_cannot_be_is_refused(void **unused)
{
    static const struct {
        const char *key, *text, *why;
    } wrong[] = {
        {"by", "user", "by: must be client_ip, `attribute NAME`, `header NAME` or route"},
        {"by", "attribute ", "by: must be client_ip, `attribute NAME`, `header NAME` or route"},
        {"by", "client_ip, client_ip, client_ip, client_ip, client_ip", "by: must be 1 to 4 parts"},
        {"policy", "a\"b", "policy: must be 1 to 32 of a-z, 0-9, _ and -"},
        {"redis.address", "redis.example:6379", "redis.address: must be a numeric address with a port, or unix:/PATH"},
        {"redis.address", "127.0.0.1", "redis.address: must be a numeric address with a port, or unix:/PATH"},
        {"redis.address", "127.0.0.1:70000", "redis.address: must be a numeric address with a port, or unix:/PATH"},
        {"redis.address", "::1:6379", "redis.address: must be a numeric address with a port, or unix:/PATH"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        host_t *host = limiter(NULL, "5");

        host_set(host, wrong[i].key, wrong[i].text);
        assert_string_equal(host_open(host), wrong[i].why);
        host_free(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_hundred_logins_in_one_batch_five_pass),
        cmocka_unit_test(a_direct_request_is_charged_as_an_item_is),
        cmocka_unit_test(workers_count_together),
        cmocka_unit_test(fresh_bearer_values_do_not_dodge_a_limit_by_identity),
        cmocka_unit_test(an_item_with_an_identity_of_its_own_is_counted_for_that_one),
        cmocka_unit_test(an_address_written_as_a_name_is_no_address),
        cmocka_unit_test(ipv6_counts_by_its_64),
        cmocka_unit_test(parts_make_the_key_together),
        cmocka_unit_test(results_say_what_is_left_and_when_to_come_back),
        cmocka_unit_test(a_batch_is_charged_for_all_its_items_and_refused_as_a_whole),
        cmocka_unit_test(elements_that_a_batch_brings_forth_pay_for_themselves),
        cmocka_unit_test(items_of_a_batch_that_nobody_charged_pay_for_themselves),
        cmocka_unit_test(a_configuration_that_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
