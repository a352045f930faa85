/* The cache on a host: who must not get what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/plugins/cache_host.h"

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

/* Of what an answer depends on without a word, the key is made: that may not be another one either. */
static void a_question_that_was_moved_after_the_cache_was_asked_keeps_the_answer_out(void **state)
{
    static const char *const names[] = {"X-Lang", "X-Original-URL", "target", "body"};
    host_t *host = opened("key_fields", "X-Lang");

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        sheaf_p_ref_t item = item_of(host, "GET", "/a");

        ask(item);
        if (i < 2)
            host_header(item, SHEAF_P_QUESTION, names[i], "/blue");
        else if (i == 2)
            host_fact(item, SHEAF_P_TARGET, "/blue");
        else
            host_body(item, SHEAF_P_QUESTION, "blue");
        answer(item, 200, "public, max-age=60", "blue's");
        assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; detail=changed");
        host_done(item);
        assert_string_equal(get(host, "/a"), "-");
    }
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
    item = item_of(host, "GET", "/b");
    host_header(item, SHEAF_P_QUESTION, "X_Lang", "evil");
    ask(item);
    answer(item, 200, "max-age=60", "evil");
    assert_string_equal(get(host, "/b"), "-");
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_got_who_said_who_he_is_is_for_nobody_else),
        cmocka_unit_test(one_who_said_who_he_is_gets_only_what_is_for_all),
        cmocka_unit_test(an_identity_that_a_plugin_found_counts_as_well),
        cmocka_unit_test(an_identity_found_after_the_cache_was_asked_keeps_the_answer_out),
        cmocka_unit_test(a_question_that_was_changed_after_the_cache_was_asked_keeps_the_answer_out),
        cmocka_unit_test(a_question_that_was_moved_after_the_cache_was_asked_keeps_the_answer_out),
        cmocka_unit_test(set_cookie_of_one_reaches_no_other),
        cmocka_unit_test(fields_that_frameworks_take_for_the_url_get_past_the_store),
        cmocka_unit_test(what_the_backend_is_told_of_host_and_scheme_is_of_the_key),
        cmocka_unit_test(a_second_of_a_field_of_the_key_gets_past_the_store),
        cmocka_unit_test(fields_are_known_in_the_other_spelling_as_well),
        cmocka_unit_test(a_body_of_get_gets_past_the_store),
        cmocka_unit_test(fields_may_be_made_part_of_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
