#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/idempotency/idempotency_record.h"
#include "tests/unit/plugins/idempotency_host.h"

static void what_was_done_is_not_done_again(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = item_with(host, "\"k-1\"", "{}");

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    answers(item, 201, "{\"id\":7}");
    item = item_with(host, "k-1", "{}"); /* bare is the same key */
    refused(host, item, 201);
    assert_string_equal(host_outcome(item).body, "{\"id\":7}");
    assert_string_equal(host_outcome(item).content_type, "application/json");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "location"), "/orders/7");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "idempotency-replayed"), "true");
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "set-cookie"), "");
    assert_int_equal(host_counted(host, "replayed"), 1);
    host_free(host);
}

static void workers_remember_together(void **unused)
{
    host_t *host = opened(), *other = host_beside(host);
    sheaf_p_ref_t item = item_with(host, "k", "{}");

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    refused(other, item_with(other, "k", "{}"), 409);
    answers(item, 201, "{}");
    refused(other, item_with(other, "k", "{}"), 201);
    host_free(other);
    host_free(host);
}

static void while_it_runs_another_one_waits_outside(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), first = item_of(host, request, "k", "{}"),
                  second = item_of(host, request, "k", "{}"); /* in the same batch, too */

    assert_int_equal(host_ask_item(first), SHEAF_P_PASS);
    refused(host, second, 409);
    assert_string_equal(host_field(second, SHEAF_P_RESULT, "retry-after"), "1");
    host_free(host);
}

static void another_payload_is_refused(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = item_with(host, "k", "{}"), elsewhere;

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    refused(host, item_with(host, "k", "{\"a\":1}"), 422);
    answers(item, 201, "{}");
    refused(host, item_with(host, "k", "{\"a\":1}"), 422);
    elsewhere = host_item(host, host_request(host, "POST", "/batch"), "POST", "/refunds");
    host_header(elsewhere, SHEAF_P_QUESTION, "idempotency-key", "k");
    host_body(elsewhere, SHEAF_P_QUESTION, "{}");
    refused(host, elsewhere, 422);
    host_free(host);
}

static void another_host_route_or_type_is_another_request(void **unused)
{
    static const sheaf_p_text_t facts[] = {SHEAF_P_HOST, SHEAF_P_ROUTE};
    host_t *host = opened();
    sheaf_p_ref_t request, item = item_with(host, "k", "{}");

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    answers(item, 201, "{}");
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        request = host_request(host, "POST", "/batch");
        item = item_of(host, request, "k", "{}");
        host_fact(facts[i] == SHEAF_P_HOST ? request : item, facts[i], "other.example");
        refused(host, item, 422);
    }
    item = item_with(host, "k", "{}");
    host_header(item, SHEAF_P_QUESTION, "content-type", "text/plain");
    refused(host, item, 422);
    host_free(host);
}

static void two_keys_are_none(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = item_with(host, "k", "{}"), request = host_request(host, "POST", "/batch");

    host_header(item, SHEAF_P_QUESTION, "idempotency-key", "l");
    refused(host, item, 400);
    host_header(request, SHEAF_P_CLIENT, "idempotency-key", "k");
    host_header(request, SHEAF_P_CLIENT, "idempotency-key", "l");
    refused(host, item_of(host, request, NULL, "{}"), 400);
    host_free(host);
}

static void the_key_of_a_batch_is_each_items_by_its_id(void **unused)
{
    host_t *host = opened();

    for (int i = 0; i < 2; i++) {
        sheaf_p_ref_t request = host_request(host, "POST", "/batch");

        host_header(request, SHEAF_P_CLIENT, "idempotency-key", "b-1");
        for (int n = 0; n < 3; n++) {
            sheaf_p_ref_t item = item_of(host, request, NULL, "{}");

            assert_int_equal(host_ask_item(item), i == 0 ? SHEAF_P_PASS : SHEAF_P_ANSWER);
            if (i == 0)
                answers(item, 201, "{}");
            else
                assert_int_equal(host_outcome(item).status, 201);
        }
        host_done(request);
    }
    host_free(host);
}

static void what_failed_may_be_tried_again(void **unused)
{
    static const uint32_t statuses[] = {500, 502, 429, 401, 409};

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        host_t *host = opened();
        sheaf_p_ref_t item = item_with(host, "k", "{}");

        assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
        answers(item, statuses[i], "{}");
        assert_int_equal(host_ask_item(item_with(host, "k", "{}")), SHEAF_P_PASS);
        host_free(host);
    }
}

static void what_may_still_run_at_its_backend_is_not_done_beside_it(void **unused)
{
    static const struct {
        const char *error;
        uint32_t status;
        bool is_free;
    } rows[] = {{"timeout", 504, false},  {"batch-timeout", 504, false}, {"cancelled", 499, false},
                {"reset", 502, false},    {"refused", 502, true},        {"connect-timeout", 504, true},
                {"queue-full", 503, true}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = opened();
        sheaf_p_ref_t item = item_with(host, "k", "{}"), again;

        assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
        host_fact(item, SHEAF_P_ERROR, rows[i].error);
        host_result(item, rows[i].status);
        again = item_with(host, "k", "{}");
        assert_int_equal(host_ask_item(again), rows[i].is_free ? SHEAF_P_PASS : SHEAF_P_ANSWER);
        if (!rows[i].is_free)
            assert_string_equal(host_outcome(again).slug, "idempotency-running");
        host_wind(host, 60000);
        assert_int_equal(host_ask_item(item_with(host, "k", "{}")), SHEAF_P_PASS);
        host_free(host);
    }
}

/* What the gateway would not take for its length was done all the same. */
static void an_answer_that_no_client_got_was_one(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = item_with(host, "k", "{}"), again;

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    host_fact(item, SHEAF_P_ERROR, "answer-too-large");
    host_result(item, 502);
    host_wind(host, 60000); /* longer than the lease */
    again = item_with(host, "k", "{}");
    refused(host, again, 409);
    assert_string_equal(host_outcome(again).slug, "idempotency-answered");
    host_free(host);
}

static void a_refusal_of_the_backend_is_remembered(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = item_with(host, "k", "{}");

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    answers(item, 402, "{}");
    refused(host, item_with(host, "k", "{}"), 402);
    host_free(host);
}

static sheaf_p_ref_t direct_with(host_t *host, const char *body)
{
    sheaf_p_ref_t item, request = host_direct(host, "POST", "/orders", &item);

    host_header(request, SHEAF_P_CLIENT, "idempotency-key", "k");
    host_body(request, SHEAF_P_CLIENT, body);
    return item;
}

static void a_direct_request_is_done_once(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = direct_with(host, "{}"), again;

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    answers(item, 201, "{\"id\":7}");
    assert_int_equal(host_kept(item), 16384);
    host_wind(host, 3600 * 1000); /* its client takes its time, longer than any lease */
    again = direct_with(host, "{}");
    refused(host, again, 409);
    assert_string_equal(host_outcome(again).slug, "idempotency-running");
    host_passed(item, 1);

    again = direct_with(host, "{}");
    refused(host, again, 201);
    assert_string_equal(host_outcome(again).body, "{\"id\":7}");
    assert_string_equal(host_field(again, SHEAF_P_RESULT, "location"), "/orders/7");
    assert_string_equal(host_field(again, SHEAF_P_RESULT, "idempotency-replayed"), "true");
    refused(host, direct_with(host, "{\"other\":1}"), 422);
    host_done(item);
    refused(host, direct_with(host, "{}"), 201);
    host_free(host);
}

static void a_direct_answer_that_is_cut_or_too_long_is_not_done_again_either(void **unused)
{
    char *large = calloc(1, 20001);

    memset(large, 'x', 20000);
    for (int i = 0; i < 2; i++) {
        host_t *host = opened();
        sheaf_p_ref_t item = direct_with(host, "{}"), again;

        assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
        answers(item, 201, i == 0 ? "{\"id\":7}" : large);
        host_passed(item, 0);
        again = direct_with(host, "{}");
        refused(host, again, 409);
        assert_string_equal(host_outcome(again).slug, "idempotency-answered");
        host_done(item);
        refused(host, direct_with(host, "{}"), 409);
        host_free(host);
    }
    free(large);
}

static void a_body_that_somebody_else_wants_ends_nothing(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = direct_with(host, "{}");

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    answers(item, 500, "{}");
    sheaf_plugin_idempotency.on_body(host_self(host), item);
    assert_int_equal(host_ask_item(direct_with(host, "{}")), SHEAF_P_PASS);
    host_free(host);
}

static void an_answer_without_a_body_is_replayed_to_a_direct_request(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = direct_with(host, "{}");

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    host_result(item, 204);
    host_passed(item, 1);
    refused(host, direct_with(host, "{}"), 204);
    host_free(host);
}

static void an_answer_that_is_too_large_is_not_done_again_either(void **unused)
{
    host_t *host = opened();
    char *large = calloc(1, 20001);
    sheaf_p_ref_t item = item_with(host, "k", "{}");

    memset(large, 'x', 20000);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    answers(item, 201, large);
    refused(host, item_with(host, "k", "{}"), 409);
    free(large);
    host_free(host);
}

static void a_key_is_free_again_after_its_ttl_or_its_lease(void **unused)
{
    host_t *host = opened();
    sheaf_p_ref_t item = item_with(host, "k", "{}"), lost = item_with(host, "l", "{}");

    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    answers(item, 201, "{}");
    assert_int_equal(host_ask_item(lost), SHEAF_P_PASS); /* and never answers */
    host_wind(host, 59999);
    refused(host, item_with(host, "l", "{}"), 409);
    host_wind(host, 1);
    assert_int_equal(host_ask_item(item_with(host, "l", "{}")), SHEAF_P_PASS);
    answers(lost, 201, "{}"); /* too late: the key is another's now */
    refused(host, item_with(host, "l", "{}"), 409);
    host_wind(host, 24 * 3600 * 1000);
    assert_int_equal(host_ask_item(item_with(host, "k", "{}")), SHEAF_P_PASS);
    host_free(host);
}

static void what_is_not_protected_passes_and_what_is_no_key_does_not(void **unused)
{
    host_t *host = host_new(&sheaf_plugin_idempotency);
    sheaf_p_ref_t get;
    char longest[300];

    host_set(host, "required", "true");
    assert_null(host_open(host));
    get = host_item(host, host_request(host, "POST", "/batch"), "GET", "/orders");
    assert_int_equal(host_ask_item(get), SHEAF_P_PASS);
    refused(host, item_with(host, NULL, "{}"), 400);
    refused(host, item_with(host, "\"\"", "{}"), 400);
    refused(host, item_with(host, "a b", "{}"), 400);
    refused(host, item_with(host, "\"a\"b\"", "{}"), 400);
    memset(longest, 'k', sizeof(longest));
    longest[256] = 0;
    refused(host, item_with(host, longest, "{}"), 400);
    longest[255] = 0;
    assert_int_equal(host_ask_item(item_with(host, longest, "{}")), SHEAF_P_PASS);
    host_free(host);
}

/* Which keys make which others be forgotten is another matter in each gateway. */
static void nobody_can_aim_at_a_bucket(void **unused)
{
    uint64_t evicted[2][200];

    for (int n = 0; n < 2; n++) {
        host_t *host = host_new(&sheaf_plugin_idempotency);
        char key[16];

        host_set(host, "entries", "64");
        assert_null(host_open(host));
        for (int i = 0; i < 200; i++) {
            sheaf_p_ref_t item;

            snprintf(key, sizeof(key), "k%d", i);
            item = item_with(host, key, "{}");
            assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
            answers(item, 201, "{}");
            evicted[n][i] = host_counted(host, "evicted");
        }
        host_free(host);
    }
    assert_memory_not_equal(evicted[0], evicted[1], sizeof(evicted[0]));
}

static void bytes_that_are_no_record_are_not_read_as_one(void **unused)
{
    char bytes[64];
    idempotency_record_t record;
    idempotency_reading_t reading;
    sheaf_p_str_t name, value;

    idempotency_record_begin(&record, bytes, sizeof(bytes), 200, IDEMPOTENCY_KEPT);
    idempotency_record_field(&record, sheaf_p_str("a", 1), sheaf_p_str("bc", 2));
    idempotency_record_body(&record, sheaf_p_str("body", 4));
    assert_false(record.is_cut);
    assert_true(idempotency_reading_begin(&reading, bytes, record.len));
    assert_true(idempotency_reading_field(&reading, &name, &value));
    assert_false(idempotency_reading_field(&reading, &name, &value));
    assert_int_equal(idempotency_reading_body(&reading).len, 4);
    for (uint32_t len = 0; len < 13; len++) { /* cut anywhere */
        char *cut = malloc(len == 0 ? 1 : len);

        memcpy(cut, bytes, len);
        if (idempotency_reading_begin(&reading, cut, len))
            assert_false(idempotency_reading_field(&reading, &name, &value));
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_done_is_not_done_again),
        cmocka_unit_test(workers_remember_together),
        cmocka_unit_test(while_it_runs_another_one_waits_outside),
        cmocka_unit_test(another_payload_is_refused),
        cmocka_unit_test(another_host_route_or_type_is_another_request),
        cmocka_unit_test(two_keys_are_none),
        cmocka_unit_test(the_key_of_a_batch_is_each_items_by_its_id),
        cmocka_unit_test(what_failed_may_be_tried_again),
        cmocka_unit_test(what_may_still_run_at_its_backend_is_not_done_beside_it),
        cmocka_unit_test(an_answer_that_no_client_got_was_one),
        cmocka_unit_test(a_refusal_of_the_backend_is_remembered),
        cmocka_unit_test(a_direct_request_is_done_once),
        cmocka_unit_test(a_direct_answer_that_is_cut_or_too_long_is_not_done_again_either),
        cmocka_unit_test(a_body_that_somebody_else_wants_ends_nothing),
        cmocka_unit_test(an_answer_without_a_body_is_replayed_to_a_direct_request),
        cmocka_unit_test(an_answer_that_is_too_large_is_not_done_again_either),
        cmocka_unit_test(a_key_is_free_again_after_its_ttl_or_its_lease),
        cmocka_unit_test(what_is_not_protected_passes_and_what_is_no_key_does_not),
        cmocka_unit_test(nobody_can_aim_at_a_bucket),
        cmocka_unit_test(bytes_that_are_no_record_are_not_read_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
