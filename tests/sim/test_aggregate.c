/* Aggregates while they run: what is merged waits for all of them and is sent only then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"
#include "tests/unit/codec/aggregates.h"

/* user; orders after it; note. */
static void start(sim_t *sim)
{
    *sim->endpoint = *aggregates_endpoint();
    sim->endpoint->max_item_body_bytes = 64;
    sim->endpoint->budget_bytes = 3 * 64; /* the least that the configuration allows */
    aggregates_outer(&sim->outer);
    sim->sends = false;
    sim_open(sim);
    assert_int_equal(sheaf_aggregate_in.decode(sim->batch, SHEAF_STR("{\"a\":1}"), NULL), SHEAF_OK);
    sim_start(sim);
}

static void assert_document(const sim_t *sim, const char *wanted)
{
    size_t len;
    char *text = kit_encode(sim->batch, &sheaf_merge_out, &len);

    assert_string_equal(text, wanted);
    free(text);
}

static void all_parts_run_though_nothing_is_sent_before_the_last(void **state)
{
    sim_t *sim = sim_new();
    char body[65] = "\"";

    (void)state;
    memset(body + 1, 'x', 62);
    body[63] = '"';
    start(sim);
    assert_string_equal(sim_flying(sim), "user note");
    sim_answer(sim, "note", 200, body);
    sim_answer(sim, "user", 200, "{\"id\":7}");
    assert_string_equal(sim_flying(sim), "orders");
    sim_answer(sim, "orders", 200, body);
    assert_int_equal(sim->done, 1);
    assert_int_equal(sim->batch->succeeded, 3);
    sim_free(sim);
}

static void when_the_time_is_over_fallbacks_stand_in(void **state)
{
    sim_t *sim = sim_new();
    sheaf_fail_t fail;

    (void)state;
    start(sim);
    sim_answer(sim, "user", 200, "{\"id\":7}");
    sim_wind(sim, sim->endpoint->timeout_ms + 1);
    assert_int_equal(sim->done, 1);
    assert_false(sheaf_merge_out.refuses(sim_item(sim, "orders"), &fail));
    assert_document(sim, "{\"user\":{\"id\":7},\"last\":[0],\"note\":null}");
    sim_free(sim);
}

static void a_required_part_is_known_to_have_failed_while_others_fly(void **state)
{
    sim_t *sim = sim_new();
    sheaf_fail_t fail;

    (void)state;
    start(sim);
    sim_answer(sim, "user", 503, "{}");
    assert_string_equal(sim_flying(sim), "note");
    assert_true(sheaf_merge_out.refuses(sim_item(sim, "user"), &fail));
    assert_string_equal(fail.item, "user");
    sheaf_batch_abandon(sim->batch); /* as the responder does */
    sim_drain(sim);
    assert_string_equal(sim_flying(sim), "");
    assert_int_equal(sim->done, 1);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_run_though_nothing_is_sent_before_the_last),
        cmocka_unit_test(when_the_time_is_over_fallbacks_stand_in),
        cmocka_unit_test(a_required_part_is_known_to_have_failed_while_others_fly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
