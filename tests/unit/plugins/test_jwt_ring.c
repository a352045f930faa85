/* jwt, the plugin, where its keys are fetched: who waits for them, and when they are fetched again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/plugins/jwt_host.h"
#include "tests/unit/plugins/jwt_samples.h"

#define SECONDS 1000

static host_t *remote_host(void)
{
    host_t *host = host_new(&sheaf_plugin_jwt);

    host_wall(host, NOW);
    host_set(host, "jwks_url.upstream", "issuer");
    host_set(host, "jwks_url.path", "/keys");
    assert_null(host_open(host));
    return host;
}

static void who_comes_before_the_keys_waits_for_them(void **state)
{
    host_t *host = remote_host();
    sheaf_p_ref_t request, bad, item;

    host_wind(host, 1);
    assert_int_equal(host_calls(host), 1);
    assert_memory_equal(host_call(host)->target.base, "/keys", 5);
    request = request_with(host, BEARER SAMPLE_ES256);
    bad = request_with(host, BEARER SAMPLE_NEW);
    item = item_with(host, request, BEARER SAMPLE_BOB);
    assert_int_equal(host_ask_request(request), SHEAF_P_LATER);
    assert_int_equal(host_ask_request(bad), SHEAF_P_LATER);
    assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_NONE)), SHEAF_P_ANSWER);
    host_call_answer(host, 200, NULL, SAMPLE_JWKS);
    assert_true(host_outcome(request).is_resumed);
    assert_string_equal(host_attribute_of(request, "user"), "alice");
    assert_true(host_outcome(item).is_resumed);
    assert_string_equal(host_attribute_of(item, "user"), "bob");
    assert_int_equal(host_outcome(bad).status, 401);
    assert_int_equal(host_outcome(bad).faults + host_outcome(item).faults + host_outcome(request).faults, 0);
    assert_int_equal(host_calls(host), 0);
    host_free(host);
}

static void an_unknown_kid_has_keys_fetched_but_not_often(void **state)
{
    host_t *host = remote_host();
    sheaf_p_ref_t request;

    host_wind(host, 1);
    host_call_answer(host, 200, NULL, SAMPLE_JWKS);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_NEW)), SHEAF_P_ANSWER); /* just fetched */
    assert_int_equal(host_calls(host), 0);
    host_wind(host, 31 * SECONDS);
    request = request_with(host, BEARER SAMPLE_NEW);
    assert_int_equal(host_ask_request(request), SHEAF_P_LATER);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_NEW)), SHEAF_P_LATER);
    assert_int_equal(host_calls(host), 1);
    host_call_answer(host, 500, NULL, "oops"); /* keys that are known stay */
    assert_int_equal(host_outcome(request).status, 401);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_ES256)), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_NEW)), SHEAF_P_ANSWER);
    assert_int_equal(host_calls(host), 0);
    assert_string_equal(host_logged(host), "warn keys could not be fetched: status 500; those that are known stay\n");
    host_wind(host, 31 * SECONDS); /* again by itself */
    assert_int_equal(host_calls(host), 1);
    host_call_answer(host, 200, NULL, SAMPLE_JWKS_NEW);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_NEW)), SHEAF_P_PASS);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_ES256)),
                     SHEAF_P_ANSWER); /* withdrawn, cached or not */
    assert_int_equal(host_counted(host, "fetched"), 2);
    assert_int_equal(host_counted(host, "fetch_failed"), 1);
    host_free(host);
}

static void without_any_key_it_is_not_the_token_that_is_bad(void **state)
{
    host_t *host = remote_host();
    sheaf_p_ref_t request = request_with(host, BEARER SAMPLE_ES256);

    assert_int_equal(host_ask_request(request), SHEAF_P_LATER); /* before the first timer: fetched for this one */
    host_call_answer(host, 0, NULL, "refused");
    assert_int_equal(host_outcome(request).status, 503);
    assert_int_equal(host_ask_request(request_with(host, BEARER SAMPLE_ES256)), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_request(request_with(host, NULL)), SHEAF_P_ANSWER);
    host_wind(host, 31 * SECONDS);
    host_call_answer(host, 200, NULL, "{\"keys\":[]}");
    host_wind(host, 31 * SECONDS);
    host_call_answer(host, 200, NULL,
                     "{\"keys\":[{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}");
    request = request_with(host, BEARER SAMPLE_HS256); /* signed with the secret that the document shows */
    assert_int_equal(host_ask_request(request), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(request).status, 401);
    host_free(host);
}

static void who_waits_may_go_and_a_reload_may_come(void **state)
{
    host_t *host = remote_host();
    sheaf_p_ref_t gone;

    host_wind(host, 1);
    gone = request_with(host, BEARER SAMPLE_ES256);
    assert_int_equal(host_ask_request(gone), SHEAF_P_LATER);
    host_done(gone);
    host_call_answer(host, 200, NULL, SAMPLE_JWKS);
    host_wind(host, 600 * SECONDS);
    assert_int_equal(host_calls(host), 1);
    host_free(host); /* with a fetch under way */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_before_the_keys_waits_for_them),
        cmocka_unit_test(an_unknown_kid_has_keys_fetched_but_not_often),
        cmocka_unit_test(without_any_key_it_is_not_the_token_that_is_bad),
        cmocka_unit_test(who_waits_may_go_and_a_reload_may_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
