/* The cache on a host: questions with If-None-Match or If-Modified-Since that the store has no answer for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/plugins/cache_host.h"

#define SINCE "Sun, 06 Nov 1994 08:49:37 GMT"

static sheaf_p_ref_t with(sheaf_p_ref_t item, const char *name, const char *value)
{
    host_header(item, SHEAF_P_QUESTION, name, value);
    return item;
}

static sheaf_p_ref_t same_of(host_t *host, const char *target)
{
    return with(item_of(host, "GET", target), "If-None-Match", "\"a\"");
}

static sheaf_p_ref_t direct_of(host_t *host, const char *target)
{
    sheaf_p_ref_t item;

    host_direct(host, "GET", target, &item);
    host_fact(item, SHEAF_P_UPSTREAM_NAME, "users");
    host_fact(item, SHEAF_P_ROUTE, "/users/{id}");
    return with(item, "If-None-Match", "\"a\"");
}

/* The backend answers with an entity tag. */
static void answer_tagged(sheaf_p_ref_t item, const char *etag, const char *control, const char *body)
{
    host_header(item, SHEAF_P_RESULT, "Content-Type", "text/plain");
    host_header(item, SHEAF_P_RESULT, "ETag", etag);
    answer(item, 200, control, body);
}

static const char *sent(sheaf_p_ref_t item, const char *name)
{
    return host_field(item, SHEAF_P_QUESTION, name);
}

static void a_miss_with_conditions_asks_for_the_whole_and_is_told_304(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = same_of(host, "/a");

    (void)state;
    with(item, "If-Modified-Since", SINCE);
    assert_string_equal(ask(item), "-");
    assert_string_equal(sent(item, "If-None-Match"), "");
    assert_string_equal(sent(item, "If-Modified-Since"), "");
    answer_tagged(item, "\"a\"", "max-age=60", "x");
    assert_int_equal(host_outcome(item).status, 304);
    assert_string_equal(host_outcome(item).body, "");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "ETag"), "\"a\"");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "Cache-Control"), "max-age=60");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "Content-Type"), "");
    assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; fwd-status=200; stored");
    assert_string_equal(get(host, "/a"), "x");
    host_free(host);
}

static void who_has_an_older_one_gets_the_new_one(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = same_of(host, "/a");

    (void)state;
    assert_string_equal(ask(item), "-");
    answer_tagged(item, "\"b\"", "max-age=60", "x");
    assert_false(host_outcome(item).is_answered);
    assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; stored");
    assert_string_equal(get(host, "/a"), "x");
    host_free(host);
}

static void conditions_go_to_the_backend_of_what_is_not_stored(void **state)
{
    static const char *const controls[] = {"no-store", "private, max-age=60", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
        host_t *host = opened(NULL, NULL);
        sheaf_p_ref_t first = same_of(host, "/a"), second = same_of(host, "/a");

        assert_string_equal(ask(first), "-");
        answer_tagged(first, "\"a\"", controls[i], "x");
        assert_int_equal(host_outcome(first).status, 304);
        assert_string_equal(ask(second), "-");
        assert_string_equal(sent(second, "If-None-Match"), "\"a\"");
        host_wind(host, 60000);
        second = same_of(host, "/a");
        assert_string_equal(ask(second), "-");
        assert_string_equal(sent(second, "If-None-Match"), "");
        host_free(host);
    }
}

static void conditions_of_one_who_reloads_are_judged_too(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = with(same_of(host, "/a"), "Cache-Control", "no-cache");

    (void)state;
    assert_string_equal(ask(item), "-");
    assert_string_equal(sent(item, "If-None-Match"), "");
    answer_tagged(item, "\"a\"", "", "x"); /* nobody keeps this */
    assert_int_equal(host_outcome(item).status, 304);
    item = with(same_of(host, "/a"), "Cache-Control", "no-cache");
    ask(item);
    assert_string_equal(sent(item, "If-None-Match"), "\"a\"");
    host_free(host);
}

static void conditions_of_one_who_says_who_he_is_go_along(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = with(same_of(host, "/a"), "Authorization", "x"), head = item_of(host, "HEAD", "/a");

    (void)state;
    ask(item);
    assert_string_equal(sent(item, "If-None-Match"), "\"a\"");
    ask(with(head, "If-None-Match", "\"a\""));
    assert_string_equal(sent(head, "If-None-Match"), "\"a\"");
    answer(item, 304, "max-age=60", "");
    assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; detail=status");
    assert_string_equal(get(host, "/a"), "-"); /* leads: a 304 tells nothing of what others get */
    assert_string_equal(get(host, "/a"), "...");
    host_free(host);
}

static void who_has_conditions_leads_and_waits_like_others(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = same_of(host, "/a"), plain = item_of(host, "GET", "/a"), second = same_of(host, "/a");

    (void)state;
    assert_string_equal(ask(first), "-");
    assert_string_equal(ask(plain), "...");
    assert_string_equal(ask(second), "...");
    answer_tagged(first, "\"a\"", "max-age=60", "x");
    assert_string_equal(host_outcome(plain).body, "x");
    assert_int_equal(host_outcome(second).status, 304);
    assert_int_equal(host_timers(host), 0);
    host_free(host);
}

static void one_who_waited_in_vain_asks_for_the_whole(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t first = item_of(host, "GET", "/a"), second = same_of(host, "/a");

    (void)state;
    ask(first);
    assert_string_equal(ask(second), "...");
    host_wind(host, 5000);
    assert_true(host_outcome(second).is_resumed);
    assert_string_equal(sent(second, "If-None-Match"), "");
    answer_tagged(second, "\"a\"", "max-age=60", "x");
    assert_int_equal(host_outcome(second).status, 304);
    host_free(host);
}

static void who_cannot_have_validated_what_is_stale_asks_for_the_whole(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = same_of(host, "/a");

    (void)state;
    fill(host, "/a", "max-age=1", "\"a\"", "old");
    host_wind(host, 2000);
    assert_string_equal(ask(item), "...");
    host_call_answer(host, 0, NULL, "reset");
    assert_true(host_outcome(item).is_resumed);
    assert_string_equal(sent(item, "If-None-Match"), "");
    answer_tagged(item, "\"a\"", "max-age=60", "x");
    assert_int_equal(host_outcome(item).status, 304);
    assert_string_equal(get(host, "/a"), "x");
    host_free(host);
}

static void what_is_stale_is_fetched_whole_where_nothing_is_validated(void **state)
{
    host_t *host = opened("validate", "false");
    sheaf_p_ref_t item = same_of(host, "/a");

    (void)state;
    fill(host, "/a", "max-age=1", "\"a\"", "old");
    host_wind(host, 2000);
    assert_string_equal(ask(item), "-");
    assert_string_equal(sent(item, "If-None-Match"), "");
    answer_tagged(item, "\"a\"", "max-age=60", "x");
    assert_string_equal(status_of(item), "sheaf; fwd=stale; fwd-status=200; stored");
    assert_string_equal(get(host, "/a"), "x");
    host_free(host);
}

static void a_direct_miss_has_the_whole_if_it_is_stored_and_304_if_not(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = direct_of(host, "/a"), other = direct_of(host, "/b");

    (void)state;
    assert_string_equal(ask(item), "-");
    answer_tagged(item, "\"a\"", "max-age=60", "");
    assert_false(host_outcome(item).is_answered);
    assert_string_equal(status_of(item), "sheaf; fwd=uri-miss; stored");
    host_body(item, SHEAF_P_RESULT, "x");
    host_passed(item, 1);
    assert_string_equal(get(host, "/a"), "x");
    ask(direct_of(host, "/a"));

    assert_string_equal(ask(other), "-");
    host_header(other, SHEAF_P_RESULT, "Content-Length", "4294967296");
    answer_tagged(other, "\"a\"", "max-age=60", "");
    assert_int_equal(host_outcome(other).status, 304);
    assert_string_equal(status_of(other), "sheaf; fwd=uri-miss; fwd-status=200; detail=size");
    host_free(host);
}

static void what_is_too_large_for_an_item_is_the_backends_to_judge(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = same_of(host, "/a"), again = same_of(host, "/a");

    (void)state;
    assert_string_equal(ask(item), "-");
    host_fact(item, SHEAF_P_ERROR, "answer-too-large");
    answer(item, 502, "", "");
    assert_string_equal(ask(again), "-");
    assert_string_equal(sent(again, "If-None-Match"), "\"a\"");
    host_free(host);
}

static void an_answer_that_is_too_large_for_one_who_says_who_he_is_is_his_alone(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = with(item_of(host, "GET", "/a"), "Authorization", "x"), other = same_of(host, "/a");

    (void)state;
    assert_string_equal(ask(item), "-");
    host_fact(item, SHEAF_P_ERROR, "answer-too-large");
    answer(item, 502, "", "");
    assert_string_equal(ask(other), "-");
    assert_string_equal(sent(other, "If-None-Match"), "");
    host_free(host);
}

static void who_reloads_what_is_stored_has_the_backend_judge(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = with(direct_of(host, "/a"), "Cache-Control", "no-cache");

    (void)state;
    fill(host, "/a", "max-age=60", "\"a\"", "x");
    assert_string_equal(ask(item), "-");
    assert_string_equal(sent(item, "If-None-Match"), "\"a\"");
    answer(item, 304, "max-age=60", "");
    assert_string_equal(get(host, "/a"), "x");
    host_free(host);
}

static void rfc9110_13_1_3_of_what_has_no_last_modified_a_date_says_nothing(void **state)
{
    static const struct {
        const char *modified;
        uint32_t status;
    } rows[] = {{NULL, 200}, {SINCE, 304}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = opened(NULL, NULL);
        sheaf_p_ref_t item = with(item_of(host, "GET", "/a"), "If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT");

        assert_string_equal(ask(item), "-");
        if (rows[i].modified != NULL)
            host_header(item, SHEAF_P_RESULT, "Last-Modified", rows[i].modified);
        answer(item, 200, "no-store", "x");
        assert_int_equal(host_outcome(item).is_answered ? host_outcome(item).status : 200, rows[i].status);
        host_free(host);
    }
}

static void only_a_200_is_turned_into_304(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t item = with(item_of(host, "GET", "/a"), "If-None-Match", "*");

    (void)state;
    assert_string_equal(ask(item), "-");
    answer(item, 404, "max-age=60", "x");
    assert_false(host_outcome(item).is_answered);
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_miss_with_conditions_asks_for_the_whole_and_is_told_304),
        cmocka_unit_test(who_has_an_older_one_gets_the_new_one),
        cmocka_unit_test(conditions_go_to_the_backend_of_what_is_not_stored),
        cmocka_unit_test(conditions_of_one_who_reloads_are_judged_too),
        cmocka_unit_test(conditions_of_one_who_says_who_he_is_go_along),
        cmocka_unit_test(who_has_conditions_leads_and_waits_like_others),
        cmocka_unit_test(one_who_waited_in_vain_asks_for_the_whole),
        cmocka_unit_test(who_cannot_have_validated_what_is_stale_asks_for_the_whole),
        cmocka_unit_test(what_is_stale_is_fetched_whole_where_nothing_is_validated),
        cmocka_unit_test(a_direct_miss_has_the_whole_if_it_is_stored_and_304_if_not),
        cmocka_unit_test(what_is_too_large_for_an_item_is_the_backends_to_judge),
        cmocka_unit_test(an_answer_that_is_too_large_for_one_who_says_who_he_is_is_his_alone),
        cmocka_unit_test(who_reloads_what_is_stored_has_the_backend_judge),
        cmocka_unit_test(rfc9110_13_1_3_of_what_has_no_last_modified_a_date_says_nothing),
        cmocka_unit_test(only_a_200_is_turned_into_304),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
