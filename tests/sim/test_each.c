/* forEach: one item for each element of an array in another's answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

static void expect_target(sim_t *sim, const char *id, const char *target)
{
    const sheaf_item_t *item = sim_item(sim, id);
    char copy[256];

    snprintf(copy, sizeof(copy), "%.*s", SHEAF_STR_ARG(item->exchange.target));
    assert_string_equal(copy, target);
}

static void an_item_runs_once_for_each_element(void **state)
{
    sim_t *sim = *state;
    char body[64];

    sim_batch(sim, "l GET /any/list",
              "x POST /any/x/${each/id} each l.body/items after l body {\"whole\":{\"$result\":\"each\"}}",
              "z GET /any/z");
    sim_start(sim);
    sim_answer(sim, "z", 200, "{}");
    sim_answer(sim, "l", 200, "{\"items\":[{\"id\":1},{\"id\": 12345678901234567890}]}");
    assert_string_equal(sim_flying(sim), "x[0] x[1]");
    expect_target(sim, "x[1]", "/any/x/12345678901234567890");
    snprintf(body, sizeof(body), "%.*s", SHEAF_STR_ARG(sim_item(sim, "x[1]")->exchange.body));
    assert_string_equal(body, "{\"whole\":{\"id\": 12345678901234567890}}");
    sim_answer(sim, "x[1]", 200, "{}");
    sim_answer(sim, "x[0]", 500, "{}");
    assert_int_equal(sim->done, 1);
    assert_string_equal(sim->settled, "z l x[1] x[0]");
    assert_int_equal(sheaf_batch_results(sim->batch), 4);
    assert_int_equal(sim->batch->succeeded, 3);
    assert_int_equal(sim->batch->failed, 1);
    assert_int_equal(sim->batch->held_bytes, 0);
}

static void dependents_wait_for_all_and_fail_with_any(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "d GET /any/d after x", "l GET /any/list", "x GET /any/${each} each l.body after l",
              "y GET /any/${each} each l.body after l", "e GET /any/e after y");
    sim_start(sim);
    sim_answer(sim, "l", 200, "[\"a\",\"b\"]");
    sim_answer(sim, "x[0]", 200, "{}");
    sim_answer(sim, "y[0]", 404, "{}");
    assert_string_equal(sim_flying(sim), "x[1] y[1]");
    sim_answer(sim, "x[1]", 200, "{}");
    assert_string_equal(sim_flying(sim), "y[1] d");
    sim_answer(sim, "y[1]", 200, "{}");
    assert_int_equal(sim_item(sim, "e")->err, SHEAF_ERR_DEPENDENCY_FAILED);
    sim_answer(sim, "d", 200, "{}");
    assert_int_equal(sim->done, 1);
}

static void no_elements_are_no_results_and_a_success(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "l GET /any/list", "x GET /any/${each} each l.body after l", "d GET /any/d after x", "z GET /any/z");
    sim_start(sim);
    sim_answer(sim, "z", 200, "{}");
    sim_answer(sim, "l", 200, "[]");
    assert_string_equal(sim_flying(sim), "d");
    sim_answer(sim, "d", 200, "{}");
    assert_int_equal(sheaf_batch_results(sim->batch), 3);
    assert_int_equal(sim->batch->succeeded, 3);
    assert_int_equal(sim->batch->first_unsent, SHEAF_BATCH_END);
}

static void one_that_cannot_be_spread_is_one_failure(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->max_items = 6;
    sim_batch(sim, "l GET /any/list", "a GET /any/${each} each l.body/many after l",
              "b GET /any/${each} each l.body/none after l", "c GET /any/${each} each l.body/text after l",
              "d GET /any/${x.status} after x", "x GET /any/${each/no} each l.body/two after l");
    sim_start(sim);
    assert_int_equal(sim_item(sim, "d")->err, SHEAF_ERR_REFERENCE);
    sim_answer(sim, "l", 200, "{\"many\":[1,2],\"text\":\"[]\",\"two\":[1]}");
    assert_int_equal(sim_item(sim, "a")->err, SHEAF_ERR_REFERENCE);
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_UNRESOLVED);
    assert_int_equal(sim_item(sim, "c")->err, SHEAF_ERR_UNRESOLVED);
    assert_int_equal(sim_item(sim, "x[0]")->err, SHEAF_ERR_UNRESOLVED);
    assert_int_equal(sim->done, 1);
    assert_int_equal(sheaf_batch_results(sim->batch), 6);
}

static void elements_stay_where_their_array_came_in_pieces(void **state)
{
    (void)state;
    for (unsigned order = SHEAF_ORDER_REQUEST; order <= SHEAF_ORDER_COMPLETION; order++) {
        sim_t *sim = sim_new();
        char *list = malloc(300000);
        uint32_t count = 0;

        memset(list, ' ', 300000);
        memcpy(list, "[\"first\"", 8);
        memcpy(list + 299990, ",\"second\"]", 10);
        sim->endpoint->order = (uint8_t)order;
        sim->endpoint->budget_bytes = 1;
        sim->endpoint->parallel = 1;
        sim_batch(sim, "l GET /any/list", "d GET /any/d after x", "x GET /any/${each} each l.body after l");
        sim_start(sim);
        sim_head(sim, "l", 200, "application/json", UINT64_MAX);
        for (size_t at = 0; at < 300000; at += 30000)
            sim_body(sim, "l", list + at, 30000);
        sim_end(sim, "l", SHEAF_OK, "");
        free(list);
        for (; sim_oldest(sim) != NULL; count++) {
            char id[16];

            snprintf(id, sizeof(id), "%.*s", SHEAF_STR_ARG(sim_oldest(sim)->id));
            sim_answer(sim, id, 200, "{}");
        }
        assert_int_equal(count, 3);
        expect_target(sim, "x[1]", "/any/second");
        assert_int_equal(sim->done, 1);
        assert_int_equal(sim->batch->held_bytes, 0);
        assert_int_equal(sim->batch->reserved_bytes, 0);
        sim_free(sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(an_item_runs_once_for_each_element),
        SIM_STORY(dependents_wait_for_all_and_fail_with_any),
        SIM_STORY(no_elements_are_no_results_and_a_success),
        SIM_STORY(one_that_cannot_be_spread_is_one_failure),
        cmocka_unit_test(elements_stay_where_their_array_came_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
