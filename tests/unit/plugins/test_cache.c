/* The cache on a host: hits, misses, who waits for whom, what is validated, and who must not get what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/plugins/host.h"

extern const sheaf_plugin_t sheaf_plugin_cache;

static host_t *opened(const char *key, const char *value)
{
    host_t *host = host_new(&sheaf_plugin_cache);

    if (key != NULL)
        host_set(host, key, value);
    assert_null(host_open(host));
    return host;
}

/* An item that asks, of a request of its own. */
static sheaf_p_ref_t item_of(host_t *host, const char *method, const char *target)
{
    sheaf_p_ref_t item = host_item(host, host_request(host, "POST", "/batch"), method, target);

    host_fact(item, SHEAF_P_UPSTREAM_NAME, "users");
    host_fact(item, SHEAF_P_ROUTE, "/users/{id}");
    return item;
}

/* The backend answers. */
static void answer(sheaf_p_ref_t item, uint32_t status, const char *control, const char *body)
{
    if (*control != '\0')
        host_header(item, SHEAF_P_RESULT, "Cache-Control", control);
    host_body(item, SHEAF_P_RESULT, body);
    host_result(item, status);
}

static void fill(host_t *host, const char *target, const char *control, const char *etag, const char *body)
{
    sheaf_p_ref_t item = item_of(host, "GET", target);

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    host_header(item, SHEAF_P_RESULT, "Content-Type", "text/plain");
    if (etag != NULL)
        host_header(item, SHEAF_P_RESULT, "ETag", etag);
    answer(item, 200, control, body);
    host_done(item);
}

/* What an item gets that asks now: the body if the cache has answered, "-" if the backend is asked, "..." if it waits. */
static const char *ask(sheaf_p_ref_t item)
{
    sheaf_p_verdict_t verdict = host_ask_item(item);

    return verdict == SHEAF_P_PASS ? "-" : verdict == SHEAF_P_LATER ? "..." : host_outcome(item).body;
}

static const char *get(host_t *host, const char *target)
{
    return ask(item_of(host, "GET", target));
}

static const char *get_with(host_t *host, const char *target, const char *name, const char *value)
{
    sheaf_p_ref_t item = item_of(host, "GET", target);

    host_header(item, SHEAF_P_QUESTION, name, value);
    return ask(item);
}

static const char *status_of(sheaf_p_ref_t item)
{
    return host_field(item, SHEAF_P_RESULT, "Cache-Status");
}

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

static void a_direct_request_is_answered_with_what_an_item_brought_and_the_other_way_not(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item, request = host_direct(host, "GET", "/b", &item);

    (void)state;
    assert_string_equal(ask(item), "-"); /* streamed past the cache */
    host_header(item, SHEAF_P_RESULT, "Cache-Control", "max-age=60");
    host_result(item, 200);
    assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; detail=streamed");
    assert_string_equal(get(host, "/b"), "-");
    host_done(request);

    fill(host, "/a", "max-age=60", NULL, "x");
    host_direct(host, "GET", "/a", &item);
    host_fact(item, SHEAF_P_UPSTREAM_NAME, "users");
    host_fact(item, SHEAF_P_ROUTE, "/users/{id}");
    assert_string_equal(ask(item), "x");
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

/* --- who must not get what --- */

static void what_one_got_who_said_who_he_is_is_for_nobody_else(void **state)
{
    static const char *const fields[] = {"Authorization", "Cookie", "X-Api-Key"};
    host_t *host = opened(NULL, NULL);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        sheaf_p_ref_t item = item_of(host, "GET", "/me");

        host_header(item, SHEAF_P_QUESTION, fields[i], "ann");
        assert_string_equal(ask(item), "-");
        answer(item, 200, "max-age=60", "ann's");
        assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; detail=personal");
    }
    assert_string_equal(get(host, "/me"), "-");
    assert_string_equal(get_with(host, "/me", "Cookie", "ann"), "-");
    host_free(host);
}

static void one_who_said_who_he_is_gets_only_what_is_for_all(void **state)
{
    host_t *host = opened(NULL, NULL);

    (void)state;
    fill(host, "/a", "max-age=60", NULL, "for the nameless");
    fill(host, "/b", "max-age=60, public", NULL, "for all");
    assert_string_equal(get_with(host, "/a", "Authorization", "x"), "-");
    assert_string_equal(get_with(host, "/a", "Cookie", "x"), "-");
    assert_string_equal(get_with(host, "/b", "Authorization", "x"), "for all");
    host_free(host);
}

static void an_identity_that_a_plugin_found_counts_as_well(void **state)
{
    static const char *const names[] = {"user", "consumer", "scope", "identity", "jwt.verified", "tenant"};
    host_t *host = opened("identity", "tenant");

    (void)state;
    fill(host, "/a", "max-age=60", NULL, "x");
    for (size_t i = 0; i < 6; i++) {
        sheaf_p_ref_t of_request = item_of(host, "GET", "/a"), of_item = item_of(host, "GET", "/a");

        host_attribute(host_api()->request_of(of_request), names[i], "ann");
        assert_string_equal(ask(of_request), "-");
        host_attribute(of_item, names[i], "ann");
        assert_string_equal(ask(of_item), "-");
    }
    host_free(host);
}

static void an_identity_found_after_the_cache_was_asked_keeps_the_answer_out(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    ask(item);
    host_attribute(item, "user", "ann");
    answer(item, 200, "max-age=60", "ann's");
    assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; detail=personal");
    assert_string_equal(get(host, "/a"), "-");
    assert_string_equal(get(host, "/a"), "-"); /* nor does anybody wait */
    host_free(host);
}

static void a_question_that_was_changed_after_the_cache_was_asked_keeps_the_answer_out(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    ask(item);
    host_header(item, SHEAF_P_QUESTION, "X-Tenant", "blue"); /* as a plugin behind it does */
    host_header(item, SHEAF_P_RESULT, "Vary", "X-Tenant");
    answer(item, 200, "max-age=60", "blue's");
    assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; detail=changed");
    assert_string_equal(get(host, "/a"), "-");
    assert_string_equal(get_with(host, "/a", "X-Tenant", "blue"), "-"); /* nor does anybody wait */
    host_free(host);
}

static void set_cookie_of_one_reaches_no_other(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a"), other = item_of(host, "GET", "/a");

    (void)state;
    assert_string_equal(ask(item), "-");
    assert_string_equal(ask(other), "...");
    host_header(item, SHEAF_P_RESULT, "Set-Cookie", "session=1");
    answer(item, 200, "public, max-age=60", "x");
    assert_true(host_outcome(other).is_resumed);
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void fields_that_frameworks_take_for_the_url_get_past_the_store(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    host_header(item, SHEAF_P_QUESTION, "X-Original-URL", "/evil");
    assert_string_equal(ask(item), "-");
    answer(item, 200, "max-age=60", "evil");
    assert_string_equal(get(host, "/a"), "-");
    fill(host, "/b", "max-age=60", NULL, "x");
    assert_string_equal(get_with(host, "/b", "X-HTTP-Method-Override", "DELETE"), "-");
    host_free(host);
}

static void what_the_backend_is_told_of_host_and_scheme_is_of_the_key(void **state)
{
    static const char *const fields[] = {"X-Forwarded-Host", "X-Forwarded-Proto"}, *const targets[] = {"/a", "/b"};
    host_t *host = opened(NULL, NULL);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        sheaf_p_ref_t item = item_of(host, "GET", targets[i]);

        host_header(item, SHEAF_P_QUESTION, fields[i], "evil.example"); /* of a client, over a trusted proxy */
        assert_string_equal(ask(item), "-");
        answer(item, 200, "max-age=60", "evil");
        assert_string_equal(get_with(host, targets[i], fields[i], "evil.example"), "evil");
        assert_string_equal(get_with(host, targets[i], fields[i], "good.example"), "-");
        assert_string_equal(get(host, targets[i]), "-");
    }
    host_free(host);
}

static void a_second_of_a_field_of_the_key_gets_past_the_store(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    host_header(item, SHEAF_P_QUESTION, "X-Forwarded-Host", "good.example");
    host_header(item, SHEAF_P_QUESTION, "X-Forwarded-Host", "evil.example");
    assert_string_equal(ask(item), "-");
    answer(item, 200, "max-age=60", "evil");
    assert_string_equal(status_of(item), "sheaf; fwd=bypass");
    host_free(host);
}

static void fields_are_known_in_the_other_spelling_as_well(void **state)
{
    static const char *const detours[] = {"X_HTTP_Method_Override", "x-http_method", "X_Original_URL",
                                          "X-HTTP-Host-Override", "X-HTTP-DestinationURL"};
    static const char *const credentials[] = {"X_Api_Key", "X_Auth-Token", "Proxy_Authorization"};
    host_t *host = opened(NULL, NULL);

    (void)state;
    fill(host, "/a", "max-age=60", NULL, "x");
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(get_with(host, "/a", detours[i], "DELETE"), "-");
    for (size_t i = 0; i < 3; i++) {
        sheaf_p_ref_t item = item_of(host, "GET", "/me");

        host_header(item, SHEAF_P_QUESTION, credentials[i], "ann");
        assert_string_equal(ask(item), "-");
        answer(item, 200, "max-age=60", "ann's");
        assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; detail=personal");
    }
    assert_string_equal(get_with(host, "/a", "Cache_Control", "no-cache"), "x"); /* none that a cache heeds */
    host_free(host);
}

static void a_body_of_get_gets_past_the_store(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    host_body(item, SHEAF_P_QUESTION, "evil");
    assert_string_equal(ask(item), "-");
    answer(item, 200, "max-age=60", "evil");
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void fields_may_be_made_part_of_the_key(void **state)
{
    host_t *host = opened("key_fields", "X-Lang, X-Theme");
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    host_header(item, SHEAF_P_QUESTION, "X-Lang", "de");
    ask(item);
    answer(item, 200, "max-age=60", "deutsch");
    assert_string_equal(get_with(host, "/a", "x-lang", "de"), "deutsch");
    assert_string_equal(get_with(host, "/a", "x-lang", "en"), "-");
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

/* --- collapsing --- */

static void those_who_ask_the_same_wait_for_one_answer(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a"), other = item_of(host, "GET", "/b");

    (void)state;
    assert_string_equal(ask(first), "-");
    assert_string_equal(ask(second), "...");
    assert_string_equal(ask(third), "...");
    assert_string_equal(ask(other), "-");
    answer(first, 200, "max-age=60", "x");
    assert_string_equal(host_outcome(second).body, "x");
    assert_string_equal(host_outcome(third).body, "x");
    assert_string_equal(status_of(second), "sheaf; fwd=uri-miss; collapsed; ttl=60");
    assert_int_equal(host_counted(host, "collapsed"), 2);
    assert_int_equal(host_outcome(second).faults, 0);
    assert_int_equal(host_timers(host), 0);
    host_free(host);
}

static void an_answer_that_is_private_is_nobodys_but_his_who_led(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    assert_string_equal(ask(second), "...");
    answer(first, 200, "private, max-age=60", "x");
    assert_true(host_outcome(second).is_resumed);
    assert_false(host_outcome(second).is_answered);
    assert_string_equal(ask(third), "-"); /* nobody waits for such a thing twice */
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void those_who_say_who_they_are_neither_lead_nor_wait(void **state)
{
    host_t *host = opened(NULL, NULL);

    (void)state;
    assert_string_equal(get_with(host, "/a", "Authorization", "x"), "-");
    assert_string_equal(get(host, "/a"), "-");
    assert_string_equal(get_with(host, "/a", "Authorization", "y"), "-");
    host_free(host);
}

static void waiting_is_bounded_by_time_and_by_number(void **state)
{
    host_t *host = opened("max_waiting", "1");
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    assert_string_equal(ask(second), "...");
    assert_string_equal(get(host, "/a"), "-");
    host_wind(host, 4999);
    assert_false(host_outcome(second).is_resumed);
    host_wind(host, 1);
    assert_true(host_outcome(second).is_resumed);
    answer(first, 200, "max-age=60", "x");
    assert_false(host_outcome(second).is_answered);
    host_free(host);
}

static void one_who_leads_and_is_cancelled_lets_the_others_go(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    ask(second);
    ask(third);
    host_done(third); /* one that waits may go, too */
    host_done(first);
    assert_true(host_outcome(second).is_resumed);
    assert_int_equal(host_timers(host), 0);
    host_free(host);
}

static void a_variant_that_does_not_suit_is_not_given_to_those_who_waited(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = item_of(host, "GET", "/a");

    (void)state;
    host_header(first, SHEAF_P_QUESTION, "Accept-Language", "de");
    host_header(second, SHEAF_P_QUESTION, "Accept-Language", "en");
    ask(first);
    assert_string_equal(ask(second), "...");
    host_header(first, SHEAF_P_RESULT, "Vary", "Accept-Language");
    answer(first, 200, "max-age=60", "deutsch");
    assert_true(host_outcome(second).is_resumed);
    assert_false(host_outcome(second).is_answered);
    host_free(host);
}

/* --- validating --- */

static void rfc9111_4_3_what_is_stale_is_validated_and_holds_again(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a?b"), other = item_of(host, "GET", "/a?b");

    (void)state;
    fill(host, "/a?b", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    assert_string_equal(ask(item), "...");
    assert_string_equal(ask(other), "...");
    assert_int_equal(host_calls(host), 1);
    assert_int_equal(host_call(host)->upstream, -1);
    assert_true(host_call(host)->like.value == item.value);
    assert_string_equal(host_call(host)->target.base, "/a?b");
    assert_string_equal(host_call_field(host, "If-None-Match"), "\"a\"");
    host_call_answer(host, 304, "ETag: \"a\"\nCache-Control: max-age=30\nX-New: 1", "");
    assert_string_equal(host_outcome(item).body, "x");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "X-New"), "1");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "Age"), "0");
    assert_string_equal(status_of(item), "sheaf; fwd=stale; fwd-status=304");
    assert_string_equal(host_outcome(other).body, "x");
    host_wind(host, 29000);
    assert_string_equal(get(host, "/a?b"), "x");
    assert_int_equal(host_counted(host, "validated"), 1);
    host_free(host);
}

static void a_new_answer_takes_the_place_of_the_stale_one(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    ask(item);
    host_call_answer(host, 200, "ETag: \"b\"\nCache-Control: max-age=60", "y");
    assert_string_equal(host_outcome(item).body, "y");
    assert_string_equal(status_of(item), "sheaf; fwd=stale; fwd-status=200; stored");
    assert_string_equal(get(host, "/a"), "y");
    host_free(host);
}

static void an_answer_to_validation_that_is_not_for_all_is_asked_for_again_by_each(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a"), other = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    ask(item);
    ask(other);
    host_call_answer(host, 200, "Set-Cookie: s=1\nCache-Control: max-age=60", "y");
    assert_true(host_outcome(item).is_resumed);
    assert_false(host_outcome(item).is_answered);
    answer(item, 200, "private", "z");
    assert_true(host_outcome(other).is_resumed);
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void credentials_never_go_into_a_call_of_the_cache(void **state)
{
    host_t *host = opened(NULL, NULL);

    (void)state;
    fill(host, "/a", "max-age=60, public, stale-while-revalidate=60", "\"a\"", "x");
    host_wind(host, 61000);
    assert_string_equal(get_with(host, "/a", "Authorization", "ann"), "-");
    assert_int_equal(host_calls(host), 0);
    host_free(host);
}

static void without_an_upstream_that_can_be_called_the_backend_is_asked_in_full(void **state)
{
    host_t *host = opened("validate", "false");
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    assert_string_equal(ask(item), "-");
    answer(item, 200, "max-age=60", "y");
    assert_string_equal(status_of(item), "sheaf; fwd=stale; stored");
    assert_string_equal(get(host, "/a"), "y");
    host_free(host);
}

/* --- stale --- */

static void rfc5861_3_stale_is_answered_while_one_call_revalidates(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60, stale-while-revalidate=30", NULL, "x");
    host_wind(host, 70000);
    assert_string_equal(ask(item), "x");
    assert_string_equal(status_of(item), "sheaf; hit; ttl=-10");
    assert_string_equal(get(host, "/a"), "x");
    assert_int_equal(host_calls(host), 1);
    host_call_answer(host, 200, "Cache-Control: max-age=60", "y");
    assert_string_equal(get(host, "/a"), "y");
    assert_int_equal(host_counted(host, "stale"), 2);
    host_wind(host, 100000);
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void rfc5861_3_without_calls_one_goes_and_the_others_get_what_is_stale(void **state)
{
    host_t *host = opened("validate", "false");
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60, stale-while-revalidate=30", NULL, "x");
    host_wind(host, 70000);
    assert_string_equal(ask(item), "-");
    assert_string_equal(get(host, "/a"), "x");
    assert_string_equal(get(host, "/a"), "x");
    answer(item, 200, "max-age=60", "y");
    assert_string_equal(get(host, "/a"), "y");
    host_free(host);
}

static void rfc5861_4_stale_stands_in_for_a_backend_that_fails(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a"), other = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60, stale-if-error=600", "\"a\"", "x");
    host_wind(host, 70000);
    assert_string_equal(ask(item), "...");
    assert_string_equal(ask(other), "...");
    host_call_answer(host, 0, NULL, "timeout");
    assert_string_equal(host_outcome(item).body, "x");
    assert_string_equal(host_outcome(other).body, "x");
    assert_string_equal(ask(third), "...");
    host_call_answer(host, 503, NULL, "no");
    assert_string_equal(host_outcome(third).body, "x");
    assert_string_equal(status_of(third), "sheaf; fwd=stale; fwd-status=503");
    host_free(host);
}

static void rfc9111_4_2_4_must_revalidate_is_never_stale(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60, must-revalidate, stale-if-error=600", "\"a\"", "x");
    host_wind(host, 70000);
    assert_string_equal(ask(item), "...");
    host_call_answer(host, 0, NULL, "timeout");
    assert_false(host_outcome(item).is_answered);
    assert_true(host_outcome(item).is_resumed);
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

static void a_call_goes_on_when_he_is_gone_who_waited_for_it(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = item_of(host, "GET", "/a");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    host_wind(host, 60000);
    assert_string_equal(ask(item), "...");
    host_done(item);
    host_call_answer(host, 304, NULL, "");
    assert_string_equal(get(host, "/a"), "x");
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
        cmocka_unit_test(a_direct_request_is_answered_with_what_an_item_brought_and_the_other_way_not),
        cmocka_unit_test(head_is_answered_from_get_and_stores_nothing),
        cmocka_unit_test(rfc9111_4_3_2_conditions_of_the_client_are_judged_by_the_store),
        cmocka_unit_test(rfc9111_5_2_1_7_only_if_cached_is_never_forwarded),
        cmocka_unit_test(directives_of_clients_count_unless_configured_away),
        cmocka_unit_test(rfc9111_4_1_a_variant_is_for_those_who_ask_alike),
        cmocka_unit_test(a_failure_on_the_way_or_a_part_is_not_stored),
        cmocka_unit_test(what_one_got_who_said_who_he_is_is_for_nobody_else),
        cmocka_unit_test(one_who_said_who_he_is_gets_only_what_is_for_all),
        cmocka_unit_test(an_identity_that_a_plugin_found_counts_as_well),
        cmocka_unit_test(an_identity_found_after_the_cache_was_asked_keeps_the_answer_out),
        cmocka_unit_test(a_question_that_was_changed_after_the_cache_was_asked_keeps_the_answer_out),
        cmocka_unit_test(set_cookie_of_one_reaches_no_other),
        cmocka_unit_test(fields_that_frameworks_take_for_the_url_get_past_the_store),
        cmocka_unit_test(what_the_backend_is_told_of_host_and_scheme_is_of_the_key),
        cmocka_unit_test(a_second_of_a_field_of_the_key_gets_past_the_store),
        cmocka_unit_test(fields_are_known_in_the_other_spelling_as_well),
        cmocka_unit_test(a_body_of_get_gets_past_the_store),
        cmocka_unit_test(fields_may_be_made_part_of_the_key),
        cmocka_unit_test(those_who_ask_the_same_wait_for_one_answer),
        cmocka_unit_test(an_answer_that_is_private_is_nobodys_but_his_who_led),
        cmocka_unit_test(those_who_say_who_they_are_neither_lead_nor_wait),
        cmocka_unit_test(waiting_is_bounded_by_time_and_by_number),
        cmocka_unit_test(one_who_leads_and_is_cancelled_lets_the_others_go),
        cmocka_unit_test(a_variant_that_does_not_suit_is_not_given_to_those_who_waited),
        cmocka_unit_test(rfc9111_4_3_what_is_stale_is_validated_and_holds_again),
        cmocka_unit_test(a_new_answer_takes_the_place_of_the_stale_one),
        cmocka_unit_test(an_answer_to_validation_that_is_not_for_all_is_asked_for_again_by_each),
        cmocka_unit_test(credentials_never_go_into_a_call_of_the_cache),
        cmocka_unit_test(without_an_upstream_that_can_be_called_the_backend_is_asked_in_full),
        cmocka_unit_test(rfc5861_3_stale_is_answered_while_one_call_revalidates),
        cmocka_unit_test(rfc5861_3_without_calls_one_goes_and_the_others_get_what_is_stale),
        cmocka_unit_test(rfc5861_4_stale_stands_in_for_a_backend_that_fails),
        cmocka_unit_test(rfc9111_4_2_4_must_revalidate_is_never_stale),
        cmocka_unit_test(rfc9111_4_4_an_unsafe_method_that_succeeds_drops_what_is_stored),
        cmocka_unit_test(an_answer_that_was_asked_for_before_is_not_stored_after),
        cmocka_unit_test(what_is_under_way_ends_with_the_instance),
        cmocka_unit_test(a_call_goes_on_when_he_is_gone_who_waited_for_it),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
