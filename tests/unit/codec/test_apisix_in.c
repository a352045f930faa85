#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/plans.h"

static bool is_decoded_as_written(const char *folder)
{
    return plan_is_as_written(folder, "in.json", &sheaf_apisix_in);
}

static void every_case_is_decoded_or_refused_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("apisix_in", is_decoded_as_written), 0);
}

static void a_missing_fail_is_fine(void **state)
{
    (void)state;
    assert_int_equal(plan_err(&sheaf_apisix_in, "{}"), SHEAF_ERR_MEMBER);
}

/* 200 items that inherit a query of 7 KiB would make 1.4 MiB of urls each time; past 8 KiB none is kept. */
static void a_large_common_query_costs_no_more_than_urls_may(void **state)
{
    kit_t kit;
    sheaf_batch_t *batch;
    sheaf_str_t doc;
    char *text;
    size_t len, before;
    FILE *file = open_memstream(&text, &len);

    (void)state;
    fprintf(file, "{\"query\":{\"a\":\"%06000d\",\"b\":\"%06000d\"},\"pipeline\":[", 0, 0);
    for (int i = 0; i < 200; i++)
        fprintf(file, "%s{\"path\":\"/orders\"}", i > 0 ? "," : "");
    fprintf(file, "]}");
    fclose(file);
    doc = sheaf_str(text, len);
    kit_init(&kit);
    kit.endpoint.max_items = 200;
    batch = kit_batch(&kit);
    before = sheaf_pool_bytes(batch->pool);
    assert_int_equal(sheaf_apisix_in.decode(batch, doc, NULL), SHEAF_OK);
    assert_int_equal(batch->items[0].err, SHEAF_ERR_ITEM_URL);
    assert_true(sheaf_pool_bytes(batch->pool) - before < 512 * 1024);
    sheaf_batch_free(batch);
    kit_fini(&kit);
    free(text);
}

static void results_keep_the_order_of_the_request(void **state)
{
    kit_t kit;
    sheaf_batch_t *batch;

    (void)state;
    kit_init(&kit);
    kit.endpoint.order = SHEAF_ORDER_COMPLETION;
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_apisix_in.decode(batch, SHEAF_STR("{\"pipeline\":[{\"path\":\"/orders\"}]}"), NULL),
                     SHEAF_OK);
    assert_int_equal(batch->order, SHEAF_ORDER_REQUEST);
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_decoded_or_refused_as_written),
        cmocka_unit_test(a_missing_fail_is_fine),
        cmocka_unit_test(a_large_common_query_costs_no_more_than_urls_may),
        cmocka_unit_test(results_keep_the_order_of_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
