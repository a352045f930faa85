/* The fake host keeps its word, so that a plugin which passes on it is right about the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/plugins/host.h"

static const sheaf_p_api_t *api;

/* A plugin that remembers how it was opened and does what its test says. */
typedef struct probe {
    sheaf_p_open_t open;
    sheaf_p_ref_t waits;
    uint32_t timed, answered;
    char seen[64];
} probe_t;

static probe_t probe;

static void *probe_open(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    (void)fail;
    api = open->api;
    probe = (probe_t){.open = *open};
    return &probe;
}

static int probe_check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    if (values[0].number != 13)
        return 0;
    strcpy(fail->key, "number");
    strcpy(fail->why, "is unlucky");
    return -1;
}

static uint64_t probe_shared(const sheaf_p_value_t *values)
{
    return (uint64_t)values[0].number;
}

static void on_time(void *data)
{
    (void)data;
    probe.timed++;
    api->resume(probe.waits);
}

static void on_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t count, sheaf_p_str_t body,
                      const char *error)
{
    (void)data;
    probe.answered++;
    snprintf(probe.seen, sizeof(probe.seen), "%u %u %.*s %s", status, count, (int)body.len, body.base,
             error == NULL ? "-" : error);
    (void)fields;
}

static sheaf_p_verdict_t probe_item(void *self, sheaf_p_ref_t item)
{
    sheaf_p_str_t value;

    (void)self;
    if (api->header(item, SHEAF_P_QUESTION, "X-Refuse", 0, &value)) {
        api->problem(item, 403, "refused", "No.");
        return SHEAF_P_ANSWER;
    }
    assert_int_equal(api->header_set(item, SHEAF_P_QUESTION, "x-seen", sheaf_p_str("1", 1)), 0);
    assert_int_equal(api->header_set(item, SHEAF_P_QUESTION, "X-Forwarded-For", sheaf_p_str("1", 1)), -1);
    assert_int_equal(api->header_set(item, SHEAF_P_CLIENT, "x-seen", sheaf_p_str("1", 1)), -1);
    assert_int_equal(api->header_add(item, SHEAF_P_QUESTION, "x-bad", sheaf_p_str("a\nb", 3)), -1);
    probe.waits = item;
    api->timer_start(probe.open.worker, 50, on_time, NULL);
    return SHEAF_P_LATER;
}

static const sheaf_p_key_t inner[] = {{.name = "set", .type = SHEAF_P_FIELDS}, {.name = NULL}};
static const sheaf_p_key_t keys[] = {
    {.name = "number", .type = SHEAF_P_NUMBER, .preset = "7", .max = 100},
    {.name = "wait", .type = SHEAF_P_DURATION},
    {.name = "mode", .type = SHEAF_P_WORD, .words = "fast|slow", .required = 1},
    {.name = "from", .type = SHEAF_P_NETWORKS},
    {.name = "parts", .type = SHEAF_P_LIST, .keys = inner},
    {.name = NULL},
};
static const sheaf_plugin_t plugin = {
    .size = sizeof(plugin),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "probe",
    .keys = keys,
    .check = probe_check,
    .shared_bytes = probe_shared,
    .open = probe_open,
    .on_item = probe_item,
};

static host_t *opened(void)
{
    host_t *host = host_new(&plugin);

    host_set(host, "mode", "slow");
    assert_null(host_open(host));
    return host;
}

static void values_are_what_was_written_or_preset(void **state)
{
    host_t *host = host_new(&plugin);
    const sheaf_p_value_t *values;

    (void)state;
    host_set(host, "mode", "slow");
    host_set(host, "wait", "2s");
    host_set(host, "from", "10.0.0.0/8, 2001:db8::1");
    host_set(host, "parts[0].set", "A: 1\nB: ${path}");
    host_set(host, "parts[1].set", "C: 3");
    assert_null(host_open(host));

    values = probe.open.values;
    assert_int_equal(values[0].number, 7);
    assert_int_equal(values[1].number, 2000);
    assert_int_equal(values[2].number, 1);
    assert_int_equal(values[3].count, 2);
    assert_int_equal(values[3].networks[0].bits, 104);
    assert_int_equal(values[4].count, 2);
    assert_int_equal(values[4].sections[0][0].count, 4);
    assert_memory_equal(values[4].sections[0][0].texts[3].base, "${path}", 7);
    assert_int_equal(probe.open.shared_bytes, 7);
    host_free(host);
}

static void what_is_missing_or_refused_is_said(void **state)
{
    host_t *host = host_new(&plugin);

    (void)state;
    assert_string_equal(host_open(host), "mode: required");
    host_set(host, "mode", "fast");
    host_set(host, "number", "13");
    assert_string_equal(host_open(host), "number: is unlucky");
    host_free(host);
}

static void an_item_waits_until_it_is_resumed(void **state)
{
    host_t *host = opened();
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a?b");

    (void)state;
    assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
    assert_true(host_outcome(item).is_waiting);
    host_wind(host, 49);
    assert_int_equal(probe.timed, 0);
    host_wind(host, 1);
    assert_true(host_outcome(item).is_resumed);
    assert_int_equal(host_outcome(item).faults, 0);
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "X-Seen"), "1");
    host_free(host);
}

static void what_has_ended_is_known_as_stale(void **state)
{
    host_t *host = opened();
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a");
    sheaf_p_str_t text;

    (void)state;
    assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
    host_done(request);
    assert_int_equal(api->resume(item), -1);
    assert_int_equal(api->text(item, SHEAF_P_PATH, &text), 0);
    assert_int_equal(api->set(request, "user", sheaf_p_str("x", 1)), -1);
    host_wind(host, 100);
    assert_int_equal(probe.timed, 1);
    host_free(host);
}

static void an_answer_is_kept_and_a_second_is_a_fault(void **state)
{
    host_t *host = opened();
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a");

    (void)state;
    host_header(item, SHEAF_P_QUESTION, "x-refuse", "1");
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, 403);
    assert_string_equal(host_outcome(item).slug, "refused");
    assert_int_equal(api->answer(item, 200, NULL, sheaf_p_str("", 0)), -1);
    assert_int_equal(host_outcome(item).faults, 1);
    host_free(host);
}

static void attributes_of_a_request_hold_for_its_items_which_may_have_their_own(void **state)
{
    host_t *host = opened();
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), a = host_item(host, request, "GET", "/a"),
                  b = host_item(host, request, "GET", "/b");
    sheaf_p_str_t text;

    (void)state;
    host_attribute(request, "user", "ann");
    host_attribute(b, "user", "bob");
    assert_string_equal(host_attribute_of(a, "user"), "ann");
    assert_string_equal(host_attribute_of(b, "user"), "bob");
    assert_int_equal(api->expand(b, sheaf_p_str("u=${attr.user} p=${path}", 24), &text), 1);
    assert_memory_equal(text.base, "u=bob p=/b", text.len);
    assert_int_equal(api->expand(b, sheaf_p_str("${attr.none}", 12), &text), 0);
    host_free(host);
}

static void a_call_is_answered_by_the_test_and_never_when_cancelled(void **state)
{
    host_t *host = opened();
    sheaf_p_request_t request = {.size = sizeof(request), .method = {"GET", 3}, .target = {"/keys", 5}};
    sheaf_p_call_t call;

    (void)state;
    request.on_answer = on_answer;
    api->call(probe.open.worker, &request);
    assert_string_equal(host_call(host)->target.base, "/keys");
    host_call_answer(host, 200, "a: b\nc: d", "body");
    assert_string_equal(probe.seen, "200 2 body -");
    api->call(probe.open.worker, &request);
    host_call_answer(host, 0, NULL, "timeout");
    assert_string_equal(probe.seen, "0 0  timeout");
    call = api->call(probe.open.worker, &request);
    api->call_cancel(probe.open.worker, call);
    assert_int_equal(host_calls(host), 0);
    assert_int_equal(probe.answered, 2);
    host_free(host);
}

static void a_second_worker_shares_memory_and_values(void **state)
{
    host_t *first = opened(), *second;
    uint8_t *shared = probe.open.shared;

    (void)state;
    second = host_beside(first);
    assert_ptr_equal(probe.open.shared, shared);
    assert_int_equal(probe.open.worker_number, 1);
    host_free(second);
    host_free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_what_was_written_or_preset),
        cmocka_unit_test(what_is_missing_or_refused_is_said),
        cmocka_unit_test(an_item_waits_until_it_is_resumed),
        cmocka_unit_test(what_has_ended_is_known_as_stale),
        cmocka_unit_test(an_answer_is_kept_and_a_second_is_a_fault),
        cmocka_unit_test(attributes_of_a_request_hold_for_its_items_which_may_have_their_own),
        cmocka_unit_test(a_call_is_answered_by_the_test_and_never_when_cancelled),
        cmocka_unit_test(a_second_worker_shares_memory_and_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
