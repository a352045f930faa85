/* The cache on a host: what is stored, what is answered from the store, and what drops it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/plugins/cache_host.h"

/* --- hits and misses --- */

static void what_is_fresh_is_answered_with_its_age(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/users/1");

    (void)state;
    fill(host, "/users/1", "max-age=60", "\"a\"", "ann");
    host_wind(host, 20000);
    assert_string_equal(ask(item), "ann");
    assert_int_equal(host_outcome(item).status, 200);
    assert_string_equal(host_outcome(item).content_type, "text/plain");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "Age"), "20");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "ETag"), "\"a\"");
    assert_string_equal(status_of(item), "sheaf; hit; ttl=40");
    host_result(item, 0); /* its own answer is none to store */
    assert_int_equal(host_counted(host, "stored"), 1);
    assert_int_equal(host_counted(host, "hits"), 1);
    host_wind(host, 40000);
    assert_string_not_equal(get(host, "/users/1"), "ann");
    host_free(host);
}

static void rfc9211_it_is_said_why_the_backend_was_asked(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t stored = item_of(host, "GET", "/a"), not_stored = item_of(host, "GET", "/b"),
                  past = item_of(host, "GET", "/c");

    (void)state;
    assert_string_equal(ask(stored), "-");
    answer(stored, 200, "max-age=60", "x");
    assert_string_equal(status_of(stored), "sheaf; fwd=uri-miss; stored");
    assert_string_equal(ask(not_stored), "-");
    answer(not_stored, 200, "private, max-age=60", "x");
    assert_string_equal(status_of(not_stored), "sheaf; fwd=uri-miss; detail=private");
    host_header(past, SHEAF_P_QUESTION, "Range", "bytes=0-1");
    assert_string_equal(ask(past), "-");
    answer(past, 206, "max-age=60", "x");
    assert_string_equal(status_of(past), "sheaf; fwd=bypass");
    assert_string_equal(get(host, "/c"), "-");
    host_free(host);
}

static void another_query_host_scheme_place_is_another_key(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", NULL, "x");
    assert_string_equal(get(host, "/a"), "x");
    assert_string_equal(get(host, "/a?b"), "-");
    assert_string_equal(get(host, "/A"), "-");
    host_fact(item, SHEAF_P_HOST, "GATEWAY.example");
    assert_string_equal(ask(item), "x");
    item = item_of(host, "GET", "/a");
    host_fact(item, SHEAF_P_HOST, "other.example");
    assert_string_equal(ask(item), "-");
    item = item_of(host, "GET", "/a");
    host_fact(item, SHEAF_P_SCHEME, "https");
    assert_string_equal(ask(item), "-");
    item = item_of(host, "GET", "/a");
    host_fact(item, SHEAF_P_UPSTREAM_NAME, "canary");
    assert_string_equal(ask(item), "-");
    host_free(host);
}

static void head_is_answered_from_get_and_stores_nothing(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "HEAD", "/a");

    (void)state;
    assert_string_equal(ask(item), "-");
    answer(item, 200, "max-age=60", "");
    assert_string_equal(get(host, "/a"), "-");
    fill(host, "/c", "max-age=60", NULL, "x");
    item = item_of(host, "HEAD", "/c");
    assert_string_equal(ask(item), "");
    assert_int_equal(host_outcome(item).status, 200);
    host_free(host);
}

static void rfc9111_4_3_2_conditions_of_the_client_are_judged_by_the_store(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_header(item, SHEAF_P_QUESTION, "If-None-Match", "\"a\"");
    assert_string_equal(ask(item), "");
    assert_int_equal(host_outcome(item).status, 304);
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "ETag"), "\"a\"");
    assert_string_equal(get_with(host, "/a", "If-None-Match", "\"b\""), "x");
    host_free(host);
}

static void rfc9111_5_2_1_7_only_if_cached_is_never_forwarded(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    host_header(item, SHEAF_P_QUESTION, "Cache-Control", "only-if-cached");
    ask(item);
    assert_int_equal(host_outcome(item).status, 504);
    fill(host, "/a", "max-age=60", NULL, "x");
    assert_string_equal(get_with(host, "/a", "Cache-Control", "only-if-cached"), "x");
    host_free(host);
}

static void directives_of_clients_count_unless_configured_away(void **state)
{
    host_t *host = opened(NULL, NULL), *deaf = opened("client_directives", "false");

    (void)state;
    fill(host, "/a", "max-age=60", NULL, "x");
    assert_string_equal(get_with(host, "/a", "Cache-Control", "no-cache"), "-");
    assert_string_equal(get_with(host, "/a", "Pragma", "no-cache"), "-");
    assert_string_equal(get_with(host, "/a", "Cache-Control", "no-store"), "-");
    fill(deaf, "/a", "max-age=60", NULL, "x");
    assert_string_equal(get_with(deaf, "/a", "Cache-Control", "no-cache"), "x");
    host_free(deaf);
    host_free(host);
}

static void rfc9111_4_1_a_variant_is_for_those_who_ask_alike(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    host_header(item, SHEAF_P_QUESTION, "Accept", "text/a");
    ask(item);
    host_header(item, SHEAF_P_RESULT, "Vary", "Accept");
    answer(item, 200, "max-age=60", "in a");
    assert_string_equal(get_with(host, "/a", "Accept", "text/A"), "in a");
    item = item_of(host, "GET", "/a");
    host_header(item, SHEAF_P_QUESTION, "Accept", "text/b");
    assert_string_equal(ask(item), "-");
    answer(item, 200, "", "in b");
    assert_string_equal(status_of(item), "sheaf; fwd=vary-miss; detail=lifetime");
    host_free(host);
}

static void a_failure_on_the_way_or_a_part_is_not_stored(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    ask(item);
    host_fact(item, SHEAF_P_ERROR, "timeout");
    answer(item, 200, "max-age=60", "x");
    assert_string_equal(get(host, "/a"), "-");
    item = item_of(host, "GET", "/b");
    ask(item);
    host_header(item, SHEAF_P_RESULT, "Content-Length", "10");
    answer(item, 200, "max-age=60", "x");
    assert_string_equal(get(host, "/b"), "-");
    host_free(host);
}

/* --- invalidating --- */

static void rfc9111_4_4_an_unsafe_method_that_succeeds_drops_what_is_stored(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t put = item_of(host, "PUT", "/a"), post = item_of(host, "POST", "/c");

    (void)state;
    fill(host, "/a", "max-age=60", NULL, "x");
    fill(host, "/b", "max-age=60", NULL, "x");
    assert_string_equal(ask(put), "-");
    host_result(put, 404);
    assert_string_equal(get(host, "/a"), "x");
    host_result(put, 204);
    assert_string_equal(get(host, "/a"), "-");
    host_header(post, SHEAF_P_RESULT, "Location", "http://elsewhere.example/b");
    host_result(post, 201);
    assert_string_equal(get(host, "/b"), "x");
    post = item_of(host, "POST", "/c");
    host_header(post, SHEAF_P_RESULT, "Location", "/b");
    host_result(post, 201);
    assert_string_equal(get(host, "/b"), "-");
    assert_int_equal(host_counted(host, "invalidated"), 2);
    host_free(host);
}

static void an_answer_that_was_asked_for_before_is_not_stored_after(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t before = item_of(host, "GET", "/a"), put = item_of(host, "PUT", "/a");

    (void)state;
    ask(before);
    host_result(put, 204);
    answer(before, 200, "max-age=60", "old");
    assert_string_equal(status_of(before), "sheaf; fwd=uri-miss; detail=invalidated");
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

/* --- the end --- */

static void what_is_under_way_ends_with_the_instance(void **state)
{
    host_t *host = opened(NULL, NULL);

    (void)state;
    fill(host, "/a", "max-age=60, stale-while-revalidate=60", "\"a\"", "x");
    host_wind(host, 61000);
    assert_string_equal(get(host, "/a"), "x"); /* a call in the background */
    assert_string_equal(get(host, "/b"), "-");
    assert_string_equal(get(host, "/b"), "...");
    assert_int_equal(host_calls(host), 1);
    host_free(host);
}

static void what_cannot_be_is_refused(void **state)
{
    host_t *host = host_new(&sheaf_plugin_cache);

    (void)state;
    host_set(host, "max_entry", "1MiB");
    host_set(host, "max_bytes", "64KiB");
    assert_non_null(strstr(host_open(host), "max_entry"));
    host_free(host);
    host = host_new(&sheaf_plugin_cache);
    host_set(host, "key_fields", "X Lang");
    assert_non_null(strstr(host_open(host), "key_fields"));
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_fresh_is_answered_with_its_age),
        cmocka_unit_test(rfc9211_it_is_said_why_the_backend_was_asked),
        cmocka_unit_test(another_query_host_scheme_place_is_another_key),
        cmocka_unit_test(head_is_answered_from_get_and_stores_nothing),
        cmocka_unit_test(rfc9111_4_3_2_conditions_of_the_client_are_judged_by_the_store),
        cmocka_unit_test(rfc9111_5_2_1_7_only_if_cached_is_never_forwarded),
        cmocka_unit_test(directives_of_clients_count_unless_configured_away),
        cmocka_unit_test(rfc9111_4_1_a_variant_is_for_those_who_ask_alike),
        cmocka_unit_test(a_failure_on_the_way_or_a_part_is_not_stored),
        cmocka_unit_test(rfc9111_4_4_an_unsafe_method_that_succeeds_drops_what_is_stored),
        cmocka_unit_test(an_answer_that_was_asked_for_before_is_not_stored_after),
        cmocka_unit_test(what_is_under_way_ends_with_the_instance),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
