/* What the request to an aggregate makes of the items of its configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/batch/reference.h"
#include "gateway/http/stencil.h"
#include "tests/unit/codec/aggregates.h"

static sheaf_batch_t *decoded(kit_t *kit, const char *body)
{
    sheaf_batch_t *batch = kit_batch(kit);
    sheaf_fail_t fail = {0};

    if (sheaf_aggregate_in.decode(batch, sheaf_str_of(body), &fail) != SHEAF_OK)
        fail_msg("%s", fail.detail);
    return batch;
}

static sheaf_err_t refused(kit_t *kit, const char *body, sheaf_fail_t *fail)
{
    sheaf_batch_t *batch = kit_batch(kit);
    sheaf_err_t err = sheaf_aggregate_in.decode(batch, sheaf_str_of(body), fail);

    sheaf_batch_free(batch);
    return err;
}

static void assert_text(sheaf_str_t text, const char *wanted)
{
    if (!sheaf_str_eq(text, sheaf_str_of(wanted)))
        fail_msg("%.*s is not %s", SHEAF_STR_ARG(text), wanted);
}

static void every_source_has_its_place(void **state)
{
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    kit.outer.query = SHEAF_STR("x=1&page=a+%62%2f&page=2");
    sheaf_headers_add(&kit.outer_headers, kit.snapshot.pool, SHEAF_STR("accept-language"), SHEAF_STR("de ${x}"));
    batch = decoded(&kit, "{\"a\":{\"$result\":\"user.body\"}}");
    assert_int_equal(batch->count, 3);
    assert_text(batch->items[0].exchange.target, "/users/7");
    assert_text(batch->items[1].url_text, "/orders?for=${user.body/id}&page=a%20b%2F");
    assert_text(batch->items[1].id, "orders");
    assert_int_equal(batch->items[1].blockers, 1);
    assert_text(batch->items[2].exchange.body, "{\"is\":{\"$result\":\"user.body\"},\"text\":\"<a b/>\"}");
    assert_true(batch->items[2].body_is_json);
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

static void what_is_missing_fails_its_item_alone(void **state)
{
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    kit.outer.content_type = SHEAF_STR_NONE;
    batch = decoded(&kit, "");
    assert_int_equal(batch->items[0].err, SHEAF_OK);
    assert_int_equal(batch->items[2].err, SHEAF_ERR_ITEM_DATA);
    assert_non_null(strstr(sheaf_pool_cstr(batch->pool, batch->items[2].detail), "body/a"));
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

static void a_parameter_stays_one_segment(void **state)
{
    static const char *const wires[] = {"%2e%2E", ".", "..", ""};
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    for (size_t i = 0; i < SHEAF_COUNT(wires); i++) {
        kit.outer.params[0] = sheaf_str_of(wires[i]);
        sheaf_batch_t *batch = decoded(&kit, "{\"a\":1}");

        assert_int_equal(batch->items[0].err, SHEAF_ERR_ITEM_DATA);
        sheaf_batch_free(batch);
    }
    kit.outer.params[0] = SHEAF_STR("a%2Fb");
    sheaf_batch_t *batch = decoded(&kit, "{\"a\":1}");

    assert_text(batch->items[0].url_text, "/users/a%2Fb");
    assert_int_equal(batch->items[0].err, SHEAF_ERR_ITEM_URL); /* the route refuses encoded slashes */
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

static void headers_that_clients_could_lie_in_are_not_read(void **state)
{
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    kit.endpoint.items.items[1].headers.items[0].value->pieces[0].hole->path = SHEAF_STR("x-forwarded-for");
    sheaf_headers_add(&kit.outer_headers, kit.snapshot.pool, SHEAF_STR("x-forwarded-for"), SHEAF_STR("1.2.3.4"));
    batch = decoded(&kit, "{\"a\":1}");
    assert_text(batch->items[1].recipe->headers.entries[0].value, "en");
    sheaf_batch_free(batch);
    kit.endpoint.items.items[1].headers.items[0].value->pieces[0].hole->path = SHEAF_STR("accept-language");
    kit_fini(&kit);
}

static void a_body_is_json_or_refused(void **state)
{
    sheaf_fail_t fail;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    assert_int_equal(refused(&kit, "{\"a\":1,\n \"a\":2}", &fail), SHEAF_ERR_SYNTAX);
    assert_int_equal(fail.line, 2);
    assert_string_equal(fail.pointer, "/a");
    assert_int_equal(refused(&kit, "", &fail), SHEAF_ERR_SYNTAX);
    kit.outer.content_type = SHEAF_STR("text/plain");
    assert_int_equal(refused(&kit, "{\"a\":1}", &fail), SHEAF_ERR_MEDIA_TYPE);
    kit.outer.content_type = SHEAF_STR_NONE;
    assert_int_equal(refused(&kit, "{\"a\":1}", &fail), SHEAF_ERR_MEDIA_TYPE);
    kit.endpoint.method = SHEAF_STR("GET");
    assert_int_equal(refused(&kit, "{\"a\":1}", &fail), SHEAF_ERR_BAD_REQUEST);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_source_has_its_place),
        cmocka_unit_test(what_is_missing_fails_its_item_alone),
        cmocka_unit_test(a_parameter_stays_one_segment),
        cmocka_unit_test(headers_that_clients_could_lie_in_are_not_read),
        cmocka_unit_test(a_body_is_json_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
