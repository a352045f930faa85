/* The golden folder of the JSON decoder: each in.json is either understood (want: the plan) or refused (error). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/plans.h"

static bool is_decoded_as_written(const char *folder)
{
    return plan_is_as_written(folder, "in.json", &sheaf_json_in);
}

static void every_case_is_decoded_or_refused_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("json_in", is_decoded_as_written), 0);
}

static void a_missing_fail_is_fine(void **state)
{
    (void)state;
    assert_int_equal(plan_err(&sheaf_json_in, "[{\"urll\":1}]"), SHEAF_ERR_MEMBER);
}

static void slices_of_the_document_are_not_copied(void **state)
{
    sheaf_str_t doc = SHEAF_STR("[{\"url\":\"/orders\",\"method\":\"POST\",\"body\":{\"n\":12345678901234567890}}]");
    const sheaf_exchange_t *exchange;
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    kit_init(&kit);
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_json_in.decode(batch, doc, NULL), SHEAF_OK);
    exchange = &batch->items[0].exchange;
    assert_true(exchange->body.base > doc.base && exchange->body.base < doc.base + doc.len);
    assert_memory_equal(exchange->body.base, "{\"n\":12345678901234567890}", exchange->body.len);
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_decoded_or_refused_as_written),
        cmocka_unit_test(a_missing_fail_is_fine),
        cmocka_unit_test(slices_of_the_document_are_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
