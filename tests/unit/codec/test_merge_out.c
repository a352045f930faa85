/* The answers of an aggregate's items as one document, and what its head says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/aggregates.h"

static sheaf_batch_t *asked(kit_t *kit)
{
    sheaf_batch_t *batch = kit_batch(kit);

    assert_int_equal(sheaf_aggregate_in.decode(batch, SHEAF_STR("{\"a\":1}"), NULL), SHEAF_OK);
    return batch;
}

static void answer(sheaf_batch_t *batch, uint32_t index, uint16_t status, const char *type, const char *body)
{
    sheaf_item_t *item = &batch->items[index];

    item->status = status;
    if (type != NULL)
        kit_header(item, "content-type", sheaf_str_of(type));
    if (body != NULL)
        kit_body(item, sheaf_str_of(body), 3);
}

static void release(kit_t *kit, sheaf_batch_t *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        sheaf_item_give_back(&batch->items[i]);
    sheaf_batch_free(batch);
    kit_fini(kit);
}

static void assert_document(sheaf_batch_t *batch, const char *wanted)
{
    size_t len;
    char *text = kit_encode(batch, &sheaf_merge_out, &len);

    assert_string_equal(text, wanted);
    free(text);
}

static void assert_head(sheaf_batch_t *batch, const char *name, const char *wanted)
{
    sheaf_encode_t encode = {.encoder = &sheaf_merge_out, .batch = batch};
    sheaf_headers_t headers = {0};
    const sheaf_header_t *found;

    sheaf_merge_out.head(&encode, batch->pool, &headers);
    found = sheaf_headers_find(&headers, sheaf_str_of(name));
    assert_int_equal(found != NULL, wanted != NULL);
    if (found != NULL)
        assert_string_equal(sheaf_pool_cstr(batch->pool, found->value), wanted);
}

static void members_stand_in_the_order_of_the_configuration_verbatim(void **state)
{
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    batch = asked(&kit);
    answer(batch, 0, 200, "application/json", "{ \"id\":\n 1.50}");
    answer(batch, 1, 204, NULL, NULL);
    answer(batch, 2, 201, "text/plain", "a \"b\"\n\xc3\xa9");
    assert_document(batch, "{\"user\":{ \"id\":\n 1.50},\"last\":null,\"note\":\"a \\\"b\\\"\\n\xc3\xa9\"}");
    assert_head(batch, "sheaf-complete", "true");
    release(&kit, batch);
}

static void what_failed_is_its_fallback_or_null(void **state)
{
    sheaf_fail_t fail;
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    batch = asked(&kit);
    answer(batch, 0, 200, "application/json", "1");
    answer(batch, 1, 404, "application/json", "{}");
    answer(batch, 2, 302, NULL, NULL);
    assert_document(batch, "{\"user\":1,\"last\":[0],\"note\":null}");
    assert_head(batch, "sheaf-complete", "false");
    assert_false(sheaf_merge_out.refuses(&batch->items[1], &fail));
    release(&kit, batch);
}

static void a_required_part_that_failed_is_named(void **state)
{
    char text[SHEAF_PROBLEM_MAX];
    sheaf_fail_t fail;
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    batch = asked(&kit);
    answer(batch, 0, 200, NULL, NULL);
    assert_false(sheaf_merge_out.refuses(&batch->items[0], &fail));
    batch->items[0].status = 404;
    batch->items[0].detail = SHEAF_STR("why");
    assert_true(sheaf_merge_out.refuses(&batch->items[0], &fail));
    assert_int_equal(sheaf_err_status(fail.err), 502);
    text[sheaf_problem_write(&fail, text)] = '\0';
    assert_non_null(strstr(text, "\"type\":\"urn:sheaf:problem:part-failed\""));
    assert_non_null(strstr(text, "failed with status 404: why\",\"item\":\"user\"}"));
    release(&kit, batch);
}

static void other_bytes_are_base64_with_their_type(void **state)
{
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    batch = asked(&kit);
    answer(batch, 0, 200, "application/json", "{\"a\":}");
    answer(batch, 1, 200, NULL, "x");
    answer(batch, 2, 200, "text/plain", "\xff");
    assert_document(
        batch, "{\"user\":{\"bodyEncoding\":\"base64\",\"contentType\":\"application/json\",\"body\":\"eyJhIjp9\"},"
               "\"last\":{\"bodyEncoding\":\"base64\",\"contentType\":null,\"body\":\"eA==\"},"
               "\"note\":{\"bodyEncoding\":\"base64\",\"contentType\":\"text/plain\",\"body\":\"/w==\"}}");
    release(&kit, batch);
}

static void a_get_is_cached_as_the_strictest_part_allows(void **state)
{
    static const char *const controls[] = {"public, max-age=60", "max-age=30", "private"};
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    batch = asked(&kit);
    for (uint32_t i = 0; i < 3; i++) {
        answer(batch, i, 200, NULL, NULL);
        kit_header(&batch->items[i], "cache-control", sheaf_str_of(controls[i]));
    }
    kit_header(&batch->items[1], "vary", SHEAF_STR("Cookie,ACCEPT-language, "));
    assert_head(batch, "cache-control", "no-store"); /* a POST */
    kit.endpoint.method = SHEAF_STR("GET");
    assert_head(batch, "cache-control", "no-store"); /* a part is a POST */
    batch->items[2].exchange.method = SHEAF_STR("GET");
    assert_head(batch, "cache-control", "private, max-age=0");
    assert_head(batch, "vary", "accept-language, Cookie");
    batch->items[2].status = 500;
    assert_head(batch, "cache-control", "no-store");
    kit_header(&batch->items[2], "vary", SHEAF_STR("*"));
    assert_head(batch, "vary", "*");
    release(&kit, batch);
}

static void what_a_part_withholds_from_shared_caches_no_other_part_gives_them(void **state)
{
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    aggregates_init(&kit);
    batch = asked(&kit);
    kit.endpoint.method = SHEAF_STR("GET");
    for (uint32_t i = 0; i < 3; i++) {
        answer(batch, i, 200, NULL, NULL);
        batch->items[i].exchange.method = SHEAF_STR("GET");
        kit_header(&batch->items[i], "cache-control", i == 0 ? SHEAF_STR("max-age=9") : SHEAF_STR("s-maxage=9"));
    }
    assert_head(batch, "cache-control", "max-age=0, s-maxage=9");
    sheaf_headers_add(&kit.outer_headers, kit.snapshot.pool, SHEAF_STR("authorization"), SHEAF_STR("Bearer x"));
    assert_head(batch, "cache-control", "private, max-age=0");
    release(&kit, batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_stand_in_the_order_of_the_configuration_verbatim),
        cmocka_unit_test(what_failed_is_its_fallback_or_null),
        cmocka_unit_test(a_required_part_that_failed_is_named),
        cmocka_unit_test(other_bytes_are_base64_with_their_type),
        cmocka_unit_test(a_get_is_cached_as_the_strictest_part_allows),
        cmocka_unit_test(what_a_part_withholds_from_shared_caches_no_other_part_gives_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
