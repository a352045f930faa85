/* The cache on a host: direct requests, whose answers pass to their clients while they are stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/plugins/cache_host.h"

static sheaf_p_ref_t direct_of(host_t *host, const char *method, const char *target)
{
    sheaf_p_ref_t item;

    host_direct(host, method, target, &item);
    host_fact(item, SHEAF_P_UPSTREAM_NAME, "users");
    host_fact(item, SHEAF_P_ROUTE, "/users/{id}");
    return item;
}

/* The head of the backend's answer is here. */
static void head_comes(sheaf_p_ref_t item, uint32_t status, const char *control, const char *length)
{
    host_header(item, SHEAF_P_RESULT, "Cache-Control", control);
    host_header(item, SHEAF_P_RESULT, "Content-Type", "text/plain");
    if (length != NULL)
        host_header(item, SHEAF_P_RESULT, "Content-Length", length);
    host_result(item, status);
}

static void body_passes(sheaf_p_ref_t item, const char *body)
{
    host_body(item, SHEAF_P_RESULT, body);
    host_passed(item, 1);
    host_done(item);
}

static void fails(sheaf_p_ref_t item, uint32_t status, const char *error)
{
    host_number(item, SHEAF_P_STATUS, status);
    host_fact(item, SHEAF_P_ERROR, error);
    host_passed(item, 0);
    host_done(item);
}

static void bring(host_t *host, const char *target, const char *control, const char *body)
{
    sheaf_p_ref_t item = direct_of(host, "GET", target);

    assert_string_equal(ask(item), "-");
    head_comes(item, 200, control, NULL);
    body_passes(item, body);
}

static void what_a_direct_request_brought_is_for_all_and_the_other_way(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = direct_of(host, "GET", "/a");

    (void)state;
    assert_string_equal(ask(item), "-");
    head_comes(item, 200, "max-age=60", NULL);
    assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; stored");
    assert_int_equal(host_kept(item), 1 << 20);
    body_passes(item, "x");
    assert_string_equal(get(host, "/a"), "x");
    assert_string_equal(ask(direct_of(host, "GET", "/a")), "x");
    fill(host, "/b", "max-age=60", NULL, "y");
    assert_string_equal(ask(direct_of(host, "GET", "/b")), "y");
    host_free(host);
}

static void what_is_not_to_be_stored_is_not_copied(void **state)
{
    static const struct {
        const char *control, *length, *status;
    } rows[] = {
        {"no-store", NULL, "sheaf; fwd=uri-miss; detail=no-store"},
        {"private, max-age=60", "1", "sheaf; fwd=uri-miss; detail=private"},
        {"max-age=60", "1048577", "sheaf; fwd=uri-miss; detail=size"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = opened(NULL, NULL);
        sheaf_p_ref_t item = direct_of(host, "GET", "/a"), second = item_of(host, "GET", "/a");

        assert_string_equal(ask(item), "-");
        assert_string_equal(ask(second), "...");
        head_comes(item, 200, rows[i].control, rows[i].length);
        assert_string_equal(status_of(item), rows[i].status);
        assert_int_equal(host_kept(item), -1);
        assert_true(host_outcome(second).is_resumed); /* from the head on nobody waits */
        assert_string_equal(get(host, "/a"), "-");
        host_free(host);
    }
}

static void no_more_is_copied_than_it_says_that_it_has(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = direct_of(host, "GET", "/a");

    (void)state;
    ask(item);
    head_comes(item, 200, "max-age=60", "700");
    assert_int_equal(host_kept(item), 700);
    host_free(host);
}

static void copies_under_way_take_as_much_as_the_store_at_most(void **state)
{
    host_t *host = opened("max_bytes", "2MiB");
    sheaf_p_ref_t items[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const targets[] = {"/a", "/b", "/c"};

        items[i] = direct_of(host, "GET", targets[i]);
        ask(items[i]);
        head_comes(items[i], 200, "max-age=60", NULL);
    }
    assert_int_equal(host_kept(items[1]), 1 << 20);
    assert_int_equal(host_kept(items[2]), -1);
    assert_string_equal(status_of(items[2]), "sheaf; fwd=uri-miss; detail=size");
    fails(items[0], 499, "cancelled"); /* gives its part back */
    bring(host, "/d", "max-age=60", "x");
    assert_string_equal(get(host, "/d"), "x");
    host_free(host);
}

static void what_is_cut_or_too_long_is_not_stored(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t cut = direct_of(host, "GET", "/a"), large = direct_of(host, "GET", "/b");

    (void)state;
    ask(cut);
    head_comes(cut, 200, "max-age=60", NULL);
    fails(cut, 502, "backend-closed");
    assert_string_equal(get(host, "/a"), "-");
    ask(large);
    head_comes(large, 200, "max-age=60", NULL);
    host_passed(large, 0);
    assert_string_equal(get(host, "/b"), "-");
    assert_string_equal(get(host, "/b"), "-"); /* and nobody waits for such a thing any more */
    host_free(host);
}

static void those_who_ask_the_same_wait_until_it_has_come_whole(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = direct_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  third = direct_of(host, "GET", "/a");

    (void)state;
    assert_string_equal(ask(first), "-");
    assert_string_equal(ask(second), "...");
    head_comes(first, 200, "max-age=60", NULL);
    assert_string_equal(ask(third), "...");
    assert_false(host_outcome(second).is_answered);
    body_passes(first, "x");
    assert_string_equal(host_outcome(second).body, "x");
    assert_string_equal(host_outcome(third).body, "x");
    assert_string_equal(status_of(third), "sheaf; fwd=uri-miss; collapsed; ttl=60");
    host_free(host);
}

static void when_the_client_that_leads_goes_away_another_leads(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = direct_of(host, "GET", "/a"), second = item_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    ask(second);
    ask(third);
    head_comes(first, 200, "max-age=60", NULL);
    fails(first, 499, "cancelled");
    assert_int_equal(host_outcome(second).is_resumed + host_outcome(third).is_resumed, 1);
    if (!host_outcome(second).is_resumed) { /* whichever it is */
        sheaf_p_ref_t other = second;

        second = third;
        third = other;
    }
    answer(second, 200, "max-age=60", "x");
    assert_string_equal(host_outcome(third).body, "x");
    assert_int_equal(host_timers(host), 0);
    host_free(host);
}

static void nobody_waits_longer_because_leaders_go_away(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = direct_of(host, "GET", "/a"), second = direct_of(host, "GET", "/a"),
                  third = item_of(host, "GET", "/a");

    (void)state;
    ask(first);
    ask(third);
    host_wind(host, 3000);
    ask(second);
    host_done(first);
    assert_int_equal(host_outcome(second).is_resumed + host_outcome(third).is_resumed, 1);
    host_wind(host, 2000);
    assert_true(host_outcome(third).is_resumed);
    host_free(host);
}

static void nobody_waits_for_one_who_reads_slowly(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t slow = direct_of(host, "GET", "/a");

    (void)state;
    ask(slow);
    head_comes(slow, 200, "max-age=60", NULL);
    host_wind(host, 4999);
    assert_string_equal(get(host, "/a"), "...");
    host_wind(host, 1);
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void a_stale_answer_stands_in_when_the_backend_fails(void **state)
{
    host_t *host = opened("validate", "false");
    sheaf_p_ref_t direct = direct_of(host, "GET", "/a"), item = item_of(host, "GET", "/a");

    (void)state;
    bring(host, "/a", "max-age=1, stale-if-error=60", "old");
    host_wind(host, 2000);
    assert_string_equal(ask(direct), "-");
    assert_string_equal(ask(item), "...");
    head_comes(direct, 503, "no-store", NULL);
    assert_int_equal(host_outcome(direct).status, 200);
    assert_string_equal(host_outcome(direct).body, "old");
    assert_string_equal(status_of(direct), "sheaf; fwd=stale; fwd-status=503");
    assert_string_equal(host_outcome(item).body, "old");
    host_done(direct);

    direct = direct_of(host, "GET", "/a");
    host_header(direct, SHEAF_P_QUESTION, "Cache-Control", "no-cache"); /* wants no other than the backend's word */
    assert_string_equal(ask(direct), "-");
    head_comes(direct, 503, "no-store", NULL);
    assert_false(host_outcome(direct).is_answered);
    host_free(host);
}

static void a_fault_of_a_plugin_is_no_failure_of_the_backend(void **state)
{
    host_t *host = opened("validate", "false");
    sheaf_p_ref_t direct = direct_of(host, "GET", "/a");

    (void)state;
    bring(host, "/a", "max-age=1, stale-if-error=60", "old");
    host_wind(host, 2000);
    ask(direct);
    host_fact(direct, SHEAF_P_ERROR, "plugin");
    host_result(direct, 500);
    assert_false(host_outcome(direct).is_answered);
    host_free(host);
}

static void what_was_asked_for_before_an_unsafe_method_is_not_stored_after(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = direct_of(host, "GET", "/a"), put = direct_of(host, "PUT", "/a");

    (void)state;
    ask(item);
    head_comes(item, 200, "max-age=60", NULL);
    ask(put);
    host_result(put, 204);
    body_passes(item, "old");
    assert_string_equal(get(host, "/a"), "-");
    host_free(host);
}

static void what_passes_ends_with_the_instance(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = direct_of(host, "GET", "/a");

    (void)state;
    ask(item);
    head_comes(item, 200, "max-age=60", NULL);
    get(host, "/a");
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_direct_request_brought_is_for_all_and_the_other_way),
        cmocka_unit_test(what_is_not_to_be_stored_is_not_copied),
        cmocka_unit_test(no_more_is_copied_than_it_says_that_it_has),
        cmocka_unit_test(copies_under_way_take_as_much_as_the_store_at_most),
        cmocka_unit_test(what_is_cut_or_too_long_is_not_stored),
        cmocka_unit_test(those_who_ask_the_same_wait_until_it_has_come_whole),
        cmocka_unit_test(when_the_client_that_leads_goes_away_another_leads),
        cmocka_unit_test(nobody_waits_longer_because_leaders_go_away),
        cmocka_unit_test(nobody_waits_for_one_who_reads_slowly),
        cmocka_unit_test(a_stale_answer_stands_in_when_the_backend_fails),
        cmocka_unit_test(a_fault_of_a_plugin_is_no_failure_of_the_backend),
        cmocka_unit_test(what_was_asked_for_before_an_unsafe_method_is_not_stored_after),
        cmocka_unit_test(what_passes_ends_with_the_instance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
