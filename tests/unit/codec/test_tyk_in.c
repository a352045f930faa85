#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/plans.h"

static bool is_decoded_as_written(const char *folder)
{
    return plan_is_as_written(folder, "in.json", &sheaf_tyk_in);
}

static void every_case_is_decoded_or_refused_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("tyk_in", is_decoded_as_written), 0);
}

static void a_missing_fail_is_fine(void **state)
{
    (void)state;
    assert_int_equal(plan_err(&sheaf_tyk_in, "{}"), SHEAF_ERR_MEMBER);
}

/* Decodes one item below the base /users/ and returns its err. */
static sheaf_err_t err_of(const char *url)
{
    kit_t kit;
    sheaf_batch_t *batch;
    sheaf_err_t err;
    char doc[256];

    snprintf(doc, sizeof(doc), "{\"requests\":[{\"relative_url\":\"%s\"}]}", url);
    kit_init(&kit);
    kit.endpoint.base = SHEAF_STR("/users/");
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_tyk_in.decode(batch, sheaf_str_of(doc), NULL), SHEAF_OK);
    err = batch->items[0].err;
    if (err == SHEAF_OK)
        assert_true(sheaf_str_starts(batch->items[0].exchange.target, SHEAF_STR("/users/")));
    sheaf_batch_free(batch);
    kit_fini(&kit);
    return err;
}

static void no_url_leaves_the_base(void **state)
{
    (void)state;
    assert_int_equal(err_of("1"), SHEAF_OK);
    assert_int_equal(err_of("/1"), SHEAF_OK);
    assert_int_equal(err_of("a/../1"), SHEAF_OK);
    assert_int_equal(err_of("../users/1"), SHEAF_OK);
    assert_int_equal(err_of("../orders"), SHEAF_ERR_ITEM_URL);
    assert_int_equal(err_of("/../orders"), SHEAF_ERR_ITEM_URL);
    assert_int_equal(err_of("%2e%2e/orders"), SHEAF_ERR_ITEM_URL);
    assert_int_equal(err_of("//example.org/orders"), SHEAF_ERR_NO_ROUTE);
}

/* There, a batch needs no key and its items bring theirs. */
static void items_inherit_nothing_of_the_outer_request(void **state)
{
    kit_t kit;
    sheaf_batch_t *batch;

    (void)state;
    kit_init(&kit);
    sheaf_headers_add(&kit.outer_headers, kit.snapshot.pool, SHEAF_STR("authorization"), SHEAF_STR("outer"));
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_tyk_in.decode(batch, SHEAF_STR("{\"requests\":[{\"relative_url\":\"orders\"}]}"), NULL),
                     SHEAF_OK);
    assert_null(sheaf_headers_find(&batch->shared.list, SHEAF_STR("authorization")));
    assert_non_null(sheaf_headers_find(&batch->shared.list, SHEAF_STR("via")));
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_decoded_or_refused_as_written),
        cmocka_unit_test(a_missing_fail_is_fine),
        cmocka_unit_test(no_url_leaves_the_base),
        cmocka_unit_test(items_inherit_nothing_of_the_outer_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
