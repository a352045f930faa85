/* A batch whose items all are answered by hooks leaves the loop to others in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/batch/hooks.h"
#include "gateway/batch/stretch.h"
#include "tests/sim/sim.h"

static uint32_t asked;

static sheaf_say_t refuse(sheaf_hooks_t *self, sheaf_item_t *item)
{
    (void)self;
    asked++;
    sheaf_item_fail(item, SHEAF_ERR_PLUGIN, SHEAF_STR_NONE);
    return SHEAF_SAY_ANSWER;
}

static void tell(sheaf_hooks_t *self, sheaf_item_t *item)
{
    (void)self;
    (void)item;
}

static bool ask(sheaf_hooks_t *self, const sheaf_batch_t *batch, const sheaf_route_conf_t *route)
{
    (void)self;
    (void)batch;
    (void)route;
    return true;
}

static sheaf_hooks_t hooks = {.on_item = refuse, .on_result = tell, .asks = ask};

static void start(sim_t *sim, uint32_t items)
{
    char line[64];

    asked = 0;
    sim->hooks = &hooks;
    sim->endpoint->max_items = items;
    sim_open(sim);
    for (uint32_t i = 0; i < items; i++) {
        snprintf(line, sizeof(line), "i%u GET /any/%u", i, i);
        sim_add(sim, line);
    }
    assert_true(sheaf_batch_seal(sim->batch, NULL) == SHEAF_OK);
    sim_start(sim);
}

static void no_turn_of_the_loop_answers_more_than_a_stretch(void **state)
{
    sim_t *sim = *state;

    start(sim, 1000);
    for (uint32_t turns = 1; turns <= 15; turns++) {
        assert_int_equal(asked, turns * SHEAF_STRETCH_ITEMS);
        assert_int_equal(sim->done, 0);
        sim_wind(sim, 0);
    }
    assert_int_equal(asked, 1000);
    assert_int_equal(sim->done, 1);
    assert_int_equal(sim->sent_count, 0);
}

static void a_short_batch_is_done_at_once(void **state)
{
    sim_t *sim = *state;

    start(sim, SHEAF_STRETCH_ITEMS);
    assert_int_equal(asked, SHEAF_STRETCH_ITEMS);
    assert_int_equal(sim->done, 1);
}

static void a_client_that_leaves_meanwhile_ends_it(void **state)
{
    sim_t *sim = *state;

    start(sim, 1000);
    sheaf_batch_abandon(sim->batch);
    sim_drain(sim);
    assert_int_equal(asked, SHEAF_STRETCH_ITEMS);
    assert_int_equal(sim->done, 1);
    sim_wind(sim, 1);
    assert_int_equal(asked, SHEAF_STRETCH_ITEMS);
}

static void its_time_goes_on_while_it_rests(void **state)
{
    sim_t *sim = *state;

    start(sim, 1000);
    assert_false(sim->batch->is_paused);
    sim_wind(sim, 30000); /* of the endpoint: both are due */
    sim_drain(sim);
    assert_int_equal(sim->done, 1);
    assert_true(asked < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(no_turn_of_the_loop_answers_more_than_a_stretch),
        SIM_STORY(a_short_batch_is_done_at_once),
        SIM_STORY(a_client_that_leaves_meanwhile_ends_it),
        SIM_STORY(its_time_goes_on_while_it_rests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
