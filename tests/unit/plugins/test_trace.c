#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "plugins/trace/trace_span.h"
#include "tests/plugins/host.h"

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN   "00f067aa0ba902b7"
#define PARENT "00-" ID "-" SPAN "-01"

extern const sheaf_plugin_t sheaf_plugin_trace;

static host_t *opened(const char *key, const char *text)
{
    host_t *host = host_new(&sheaf_plugin_trace);

    host_set(host, "upstream", "collector");
    if (key != NULL)
        host_set(host, key, text);
    assert_null(host_open(host));
    return host;
}

/* A request of one item, run to its end. */
static void one_request(host_t *host, const char *parent)
{
    sheaf_p_ref_t request = host_request(host, "POST", "/batch?secret=1"), item;

    if (parent != NULL)
        host_header(request, SHEAF_P_CLIENT, "traceparent", parent);
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    item = host_item(host, request, "GET", "/orders/7");
    host_fact(item, SHEAF_P_ROUTE, "/orders/{id}");
    host_fact(item, SHEAF_P_UPSTREAM_NAME, "orders");
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    host_number(item, SHEAF_P_ELAPSED_US, 2000);
    host_result(item, 404);
    host_number(request, SHEAF_P_STATUS, 207);
    host_number(request, SHEAF_P_ELAPSED_US, 3000);
    host_done(request);
}

static json_t *sent_spans(host_t *host, json_t **ret_document)
{
    *ret_document = json_loads(host_call(host)->body.base, 0, NULL);
    assert_non_null(*ret_document);
    return json_object_get(
        json_array_get(
            json_object_get(json_array_get(json_object_get(*ret_document, "resourceSpans"), 0), "scopeSpans"), 0),
        "spans");
}

static const char *text_at(json_t *span, const char *key)
{
    const char *text = json_string_value(json_object_get(span, key));

    return text == NULL ? "" : text;
}

static const char *attribute(json_t *span, const char *key)
{
    json_t *attributes = json_object_get(span, "attributes"), *value;

    for (size_t i = 0; i < json_array_size(attributes); i++)
        if (strcmp(text_at(json_array_get(attributes, i), "key"), key) == 0) {
            value = json_object_get(json_array_get(attributes, i), "value");
            return *text_at(value, "stringValue") != '\0' ? text_at(value, "stringValue") : text_at(value, "intValue");
        }
    return "";
}

static void every_item_is_sent_with_a_span_of_its_own(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), a = host_item(host, request, "GET", "/a"),
                  b = host_item(host, request, "GET", "/b");
    const char *first, *second;

    (void)state;
    host_header(request, SHEAF_P_CLIENT, "traceparent", PARENT);
    host_header(request, SHEAF_P_CLIENT, "tracestate", "rojo=1");
    host_header(b, SHEAF_P_QUESTION, "traceparent", "00-11111111111111111111111111111111-1111111111111111-01");
    host_header(b, SHEAF_P_QUESTION, "tracestate", "evil=1");
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(a), SHEAF_P_PASS);
    first = host_field(a, SHEAF_P_QUESTION, "traceparent");
    assert_int_equal(strlen(first), 55);
    assert_memory_equal(first, "00-" ID "-", 36);
    assert_memory_not_equal(first + 36, SPAN, 16);
    assert_string_equal(first + 52, "-01");
    assert_memory_equal(first + 36, host_attribute_of(a, "span_id"), 16);
    assert_string_equal(host_field(a, SHEAF_P_QUESTION, "tracestate"), "rojo=1");

    assert_int_equal(host_ask_item(b), SHEAF_P_PASS);
    second = host_field(b, SHEAF_P_QUESTION, "traceparent");
    assert_memory_equal(second, "00-" ID "-", 36);
    assert_memory_not_equal(second + 36, host_attribute_of(a, "span_id"), 16);
    assert_string_equal(host_field(b, SHEAF_P_QUESTION, "tracestate"), "rojo=1");
    host_free(host);
}

static void spans_come_to_the_collector_as_one_tree(void **state)
{
    host_t *host = opened("fields", "x-key: secret");
    json_t *document, *spans, *item, *request;

    (void)state;
    one_request(host, PARENT);
    assert_int_equal(host_calls(host), 0);
    host_wind(host, 5000);
    assert_int_equal(host_calls(host), 1);
    assert_string_equal(host_call(host)->target.base, "/v1/traces");
    assert_string_equal(host_call_field(host, "content-type"), "application/json");
    assert_string_equal(host_call_field(host, "x-key"), "secret");
    spans = sent_spans(host, &document);
    assert_int_equal(json_array_size(spans), 2);
    item = json_array_get(spans, 0);
    request = json_array_get(spans, 1);

    assert_string_equal(text_at(request, "traceId"), ID);
    assert_string_equal(text_at(request, "parentSpanId"), SPAN);
    assert_string_equal(text_at(item, "parentSpanId"), text_at(request, "spanId"));
    assert_string_equal(text_at(item, "name"), "GET /orders/{id}");
    assert_string_equal(text_at(request, "name"), "POST /batch");
    assert_string_equal(attribute(item, "http.response.status_code"), "404");
    assert_string_equal(attribute(item, "server.address"), "orders");
    assert_string_equal(attribute(request, "url.path"), "/batch");
    assert_string_equal(attribute(request, "client.address"), "192.0.2.1");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(item, "status"), "code")), 2);
    assert_int_equal(strtoull(text_at(item, "endTimeUnixNano"), NULL, 10) -
                         strtoull(text_at(item, "startTimeUnixNano"), NULL, 10),
                     2000000);
    assert_null(strstr(host_call(host)->body.base, "secret"));
    json_decref(document);
    host_call_answer(host, 200, NULL, "{}");
    assert_int_equal(host_counted(host, "sent"), 2);
    host_free(host);
}

static void a_trace_that_is_not_sampled_is_handed_on_and_not_exported(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/a");

    (void)state;
    host_header(request, SHEAF_P_CLIENT, "traceparent", "00-" ID "-" SPAN "-00");
    host_ask_request(request);
    host_ask_item(item);
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "traceparent") + 52, "-00");
    host_result(item, 200);
    host_done(request);
    host_wind(host, 10000);
    assert_int_equal(host_calls(host), 0);
    host_free(host);
}

static void a_clients_trace_may_be_refused(void **state)
{
    host_t *host = opened("accept", "false");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch");

    (void)state;
    host_header(request, SHEAF_P_CLIENT, "traceparent", PARENT);
    host_header(request, SHEAF_P_CLIENT, "tracestate", "rojo=1");
    host_ask_request(request);
    assert_string_not_equal(host_attribute_of(request, "trace_id"), ID);
    assert_string_equal(host_attribute_of(request, "trace_parent"), "");
    assert_string_equal(host_attribute_of(request, "trace_state"), "");
    host_free(host);
}

static void a_ratio_of_none_samples_what_the_client_asks_for_unless_it_is_not_followed(void **state)
{
    host_t *host = opened("ratio", "0"), *strict;
    sheaf_p_ref_t fresh = host_request(host, "POST", "/batch"), asked = host_request(host, "POST", "/batch");

    (void)state;
    host_header(asked, SHEAF_P_CLIENT, "traceparent", PARENT);
    host_ask_request(fresh);
    host_ask_request(asked);
    assert_string_equal(host_attribute_of(fresh, "trace_sampled"), "0");
    assert_string_equal(host_attribute_of(asked, "trace_sampled"), "1");
    host_free(host);

    strict = host_new(&sheaf_plugin_trace);
    host_set(strict, "ratio", "0");
    host_set(strict, "follow_parent", "false");
    assert_null(host_open(strict));
    asked = host_request(strict, "POST", "/batch");
    host_header(asked, SHEAF_P_CLIENT, "traceparent", PARENT);
    host_ask_request(asked);
    assert_string_equal(host_attribute_of(asked, "trace_id"), ID);
    assert_string_equal(host_attribute_of(asked, "trace_sampled"), "0");
    host_free(strict);
}

static void on_a_route_the_first_item_begins_the_trace_of_all(void **state)
{
    host_t *host = opened(NULL, NULL);
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), a = host_item(host, request, "GET", "/a"),
                  b = host_item(host, request, "GET", "/b");

    (void)state;
    host_header(request, SHEAF_P_CLIENT, "traceparent", PARENT);
    host_ask_item(a);
    host_ask_item(b);
    assert_memory_equal(host_field(a, SHEAF_P_QUESTION, "traceparent"), "00-" ID, 35);
    assert_memory_equal(host_field(b, SHEAF_P_QUESTION, "traceparent"), "00-" ID, 35);
    assert_string_not_equal(host_attribute_of(a, "span_id"), host_attribute_of(b, "span_id"));
    host_free(host);
}

static void a_collector_that_is_busy_is_asked_again_and_given_up_in_the_end(void **state)
{
    host_t *host = opened(NULL, NULL);

    (void)state;
    one_request(host, PARENT);
    host_wind(host, 5000);
    for (int i = 0; i < 3; i++) {
        host_call_answer(host, i == 0 ? 503 : 0, NULL, "timeout");
        assert_int_equal(host_calls(host), 0);
        host_wind(host, (uint64_t)1000 << i);
        assert_int_equal(host_calls(host), 1);
    }
    host_call_answer(host, 503, NULL, "");
    assert_int_equal(host_counted(host, "dropped"), 2);
    assert_non_null(strstr(host_logged(host), "503"));
    assert_int_equal(host_timers(host), 0);
    one_request(host, PARENT);
    host_wind(host, 5000);
    host_call_answer(host, 400, NULL, "");
    assert_int_equal(host_counted(host, "dropped"), 4);
    host_free(host);
}

static void the_queue_has_an_end_and_what_has_no_room_is_counted(void **state)
{
    host_t *host = opened("queue", "64KiB");
    json_t *document;
    size_t sent;

    (void)state;
    for (int i = 0; i < 300; i++)
        one_request(host, PARENT);
    assert_int_equal(host_calls(host), 1); /* at half of it, without waiting */
    assert_true(host_counted(host, "dropped") > 0);
    sent = json_array_size(sent_spans(host, &document));
    json_decref(document);
    host_call_answer(host, 200, NULL, "");
    assert_int_equal(host_counted(host, "sent"), sent);
    host_wind(host, 5000);
    sent += json_array_size(sent_spans(host, &document));
    json_decref(document);
    assert_int_equal(sent + host_counted(host, "dropped"), 600);
    host_free(host);
}

static void without_a_collector_traces_are_handed_on_only(void **state)
{
    host_t *host = host_new(&sheaf_plugin_trace);

    (void)state;
    assert_null(host_open(host));
    one_request(host, PARENT);
    assert_int_equal(host_timers(host), 0);
    host_free(host);
}

static void any_bytes_become_valid_json(void **state)
{
    static const char bad[] = "a\"b\\c\x01\x7f\xff\xc0\x80\xed\xa0\x80\xf5\xe2\x82";
    trace_spans_t spans;
    trace_span_t span = {.kind = TRACE_SERVER, .method = {bad, sizeof(bad)}, .route = {bad, sizeof(bad) - 1}};
    sheaf_p_str_t document;
    json_t *json;

    (void)state;
    memset(&span.context, 'a', sizeof(span.context));
    assert_int_equal(trace_spans_init(&spans, 4096), 0);
    trace_span_begin(&spans, &span);
    trace_span_text(&spans, "x", sheaf_p_str(bad, sizeof(bad) - 1));
    assert_true(trace_span_end(&spans));
    document = trace_spans_take(&spans, sheaf_p_str(bad, sizeof(bad) - 1));
    json = json_loadb(document.base, document.len, JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    json_decref(json);
    free((char *)document.base);
    trace_spans_fini(&spans);
}

static void what_is_no_share_is_refused(void **state)
{
    host_t *host = host_new(&sheaf_plugin_trace);

    (void)state;
    host_set(host, "ratio", "5%");
    assert_string_equal(host_open(host), "ratio: is no number from 0 to 1, such as 0.05");
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_sent_with_a_span_of_its_own),
        cmocka_unit_test(spans_come_to_the_collector_as_one_tree),
        cmocka_unit_test(a_trace_that_is_not_sampled_is_handed_on_and_not_exported),
        cmocka_unit_test(a_clients_trace_may_be_refused),
        cmocka_unit_test(a_ratio_of_none_samples_what_the_client_asks_for_unless_it_is_not_followed),
        cmocka_unit_test(on_a_route_the_first_item_begins_the_trace_of_all),
        cmocka_unit_test(a_collector_that_is_busy_is_asked_again_and_given_up_in_the_end),
        cmocka_unit_test(the_queue_has_an_end_and_what_has_no_room_is_counted),
        cmocka_unit_test(without_a_collector_traces_are_handed_on_only),
        cmocka_unit_test(any_bytes_become_valid_json),
        cmocka_unit_test(what_is_no_share_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
