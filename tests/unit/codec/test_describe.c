#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>

#include "gateway/codec/describe.h"
#include "tests/unit/codec/kit.h"

static json_t *describe(const sheaf_endpoint_conf_t *endpoint)
{
    sheaf_iovec_t piece;
    sheaf_out_t out;
    json_t *doc;

    sheaf_out_init(&out);
    sheaf_describe_write(endpoint, &out);
    assert_int_equal(sheaf_out_peek(&out, &piece, 1, SIZE_MAX), 1);
    assert_int_equal(piece.len, out.len);
    doc = json_loadb(piece.base, piece.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(doc);
    sheaf_out_fini(&out);
    return doc;
}

static const char *text_at(const json_t *doc, const char *member, const char *name)
{
    return json_string_value(json_object_get(json_object_get(doc, member), name));
}

static void limits_formats_and_defaults_are_told(void **state)
{
    json_t *doc, *limits;
    kit_t kit;

    (void)state;
    kit_init(&kit);
    kit.endpoint.order = SHEAF_ORDER_DEFAULT;
    doc = describe(&kit.endpoint);
    limits = json_object_get(doc, "limits");
    assert_string_equal(json_string_value(json_object_get(doc, "path")), "/batch");
    assert_int_equal(json_integer_value(json_object_get(limits, "maxItems")), 8);
    assert_int_equal(json_integer_value(json_object_get(limits, "maxBody")), 1 << 20);
    assert_int_equal(json_integer_value(json_object_get(limits, "timeoutMs")), 30000);
    assert_string_equal(text_at(doc, "defaults", "order"), "default");
    assert_string_equal(text_at(doc, "defaults", "status"), "always");
    assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "requests"), 0)), "application/json");
    assert_true(json_array_size(json_object_get(doc, "requests")) >= 4);
    assert_true(json_array_size(json_object_get(doc, "responses")) >= 5);
    json_decref(doc);
    kit_fini(&kit);
}

static void a_dialect_says_the_one_format_it_has(void **state)
{
    json_t *doc;
    kit_t kit;

    (void)state;
    kit_init(&kit);
    kit.endpoint.dialect = SHEAF_DIALECT_TYK;
    doc = describe(&kit.endpoint);
    assert_string_equal(json_string_value(json_object_get(doc, "dialect")), "tyk");
    assert_int_equal(json_array_size(json_object_get(doc, "requests")), 1);
    assert_int_equal(json_array_size(json_object_get(doc, "responses")), 1);
    assert_string_equal(text_at(doc, "defaults", "status"), "200");
    json_decref(doc);
    kit_fini(&kit);
}

static void a_bulk_says_how_its_elements_come(void **state)
{
    json_t *doc, *requests;
    kit_t kit;

    (void)state;
    kit_init(&kit);
    kit.endpoint.kind = SHEAF_KIND_BULK;
    doc = describe(&kit.endpoint);
    requests = json_object_get(doc, "requests");
    assert_string_equal(json_string_value(json_object_get(doc, "kind")), "bulk");
    assert_int_equal(json_array_size(requests), 2);
    assert_string_equal(json_string_value(json_array_get(requests, 1)), "application/x-ndjson");
    assert_true(json_array_size(json_object_get(doc, "responses")) >= 5);
    json_decref(doc);
    kit_fini(&kit);
}

static void a_path_is_escaped(void **state)
{
    json_t *doc;
    kit_t kit;

    (void)state;
    kit_init(&kit);
    kit.endpoint.path = SHEAF_STR("/a\"b\\c");
    doc = describe(&kit.endpoint);
    assert_string_equal(json_string_value(json_object_get(doc, "path")), "/a\"b\\c");
    json_decref(doc);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_formats_and_defaults_are_told),
        cmocka_unit_test(a_dialect_says_the_one_format_it_has),
        cmocka_unit_test(a_bulk_says_how_its_elements_come),
        cmocka_unit_test(a_path_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
