/* The golden folder of the XML decoder: each in.xml is either understood (want: the plan) or refused (error). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/plans.h"

static bool is_decoded_as_written(const char *folder)
{
    return plan_is_as_written(folder, "in.xml", &sheaf_xml_in);
}

static void every_case_is_decoded_or_refused_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("xml_in", is_decoded_as_written), 0);
}

static void a_missing_fail_is_fine(void **state)
{
    (void)state;
    assert_int_equal(plan_err(&sheaf_xml_in, "<batch/>"), SHEAF_ERR_MEMBER);
}

static void a_body_of_elements_is_a_slice_of_the_document(void **state)
{
    sheaf_str_t doc = SHEAF_STR("<batch xmlns=\"urn:sheaf:batch\"><request method=\"POST\" "
                                "url=\"/orders\"><body><a/></body></request></batch>");
    const sheaf_exchange_t *exchange;
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    kit_init(&kit);
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_xml_in.decode(batch, doc, NULL), SHEAF_OK);
    exchange = &sheaf_batch_item(batch, 0)->exchange;
    assert_true(exchange->body.base > doc.base && exchange->body.base < doc.base + doc.len);
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_decoded_or_refused_as_written),
        cmocka_unit_test(a_missing_fail_is_fine),
        cmocka_unit_test(a_body_of_elements_is_a_slice_of_the_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
