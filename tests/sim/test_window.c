/* Batches that are fed while they run: a window of slots, used again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

#define MANY 5000

static uint32_t fed, bad_at;

/* Every item is `GET /any/INDEX?000...` with the id `n<index>`; number bad_at has no data. */
static void feed_next(void *data, uint32_t index, sheaf_pool_t *pool, sheaf_draft_t *draft)
{
    assert_int_equal(index, fed++);
    draft->id = sheaf_pool_printf(pool, "n%u", index);
    draft->url = sheaf_pool_printf(pool, "/any/%u?%0300u", index, index);
    if (index != bad_at)
        return;
    draft->err = SHEAF_ERR_ITEM_DATA;
    snprintf(draft->detail, sizeof(draft->detail), "nothing is there");
}

static void open_window(sim_t *sim, uint32_t total)
{
    sheaf_feed_t feed = {.next = feed_next, .total = total};

    fed = 0;
    bad_at = UINT32_MAX;
    sim_open(sim);
    sheaf_batch_feed(sim->batch, &feed);
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
}

static void answer_oldest(sim_t *sim, uint16_t status)
{
    char id[16];

    snprintf(id, sizeof(id), "%.*s", SHEAF_STR_ARG(sim_oldest(sim)->id));
    sim_answer(sim, id, status, "{\"a\":1}");
}

static size_t bytes_of_slots(const sheaf_batch_t *batch)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < batch->size; i++)
        bytes += batch->items[i].pool == NULL ? 0 : sheaf_pool_bytes(batch->items[i].pool);
    return bytes;
}

static void thousands_of_items_pass_through_a_window_that_does_not_grow(void **state)
{
    sim_t *sim = *state;
    size_t bytes;

    open_window(sim, MANY);
    sim_start(sim);
    assert_int_equal(sim->batch->size, 256);
    assert_int_equal(fed, 256);
    assert_int_equal(sim->batch->flying, 64);
    for (uint32_t i = 0; i < 300; i++)
        answer_oldest(sim, 200);
    bytes = sheaf_pool_bytes(sim->batch->pool) + bytes_of_slots(sim->batch);
    while (sim_oldest(sim) != NULL)
        answer_oldest(sim, 200);
    assert_true(sheaf_pool_bytes(sim->batch->pool) + bytes_of_slots(sim->batch) <= bytes);
    assert_int_equal(sim->batch->succeeded, MANY);
    assert_int_equal(sim->batch->count, MANY);
    assert_int_equal(sim->most_flying, 64);
}

static void a_window_has_room_for_four_times_what_flies(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->parallel = 300;
    sim->endpoint->max_item_body_bytes = 1024;
    open_window(sim, MANY);
    sim_start(sim);
    assert_int_equal(sim->batch->size, 2048);
    assert_int_equal(sim->batch->flying, 300);
    while (sim_oldest(sim) != NULL)
        answer_oldest(sim, 200);
    assert_int_equal(sim->batch->succeeded, MANY);
}

static void one_after_another_keeps_the_order_around_the_ring(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->parallel = 1;
    open_window(sim, 700);
    sim_start(sim);
    for (uint32_t i = 0; i < 700; i++) {
        assert_int_equal(sim_oldest(sim)->index, i);
        answer_oldest(sim, 200);
    }
}

static void a_slow_item_holds_the_window_and_nothing_is_lost(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->order = SHEAF_ORDER_COMPLETION;
    open_window(sim, 1000);
    sim_start(sim);
    for (uint32_t i = 1; i < 256; i++) { /* all but the first */
        char id[16];

        snprintf(id, sizeof(id), "n%u", i);
        sim_answer(sim, id, 200, "1");
    }
    assert_int_equal(fed, 256); /* the first one's slot is not free */
    assert_string_equal(sim_flying(sim), "n0");
    answer_oldest(sim, 200);
    assert_int_equal(fed, 512);
    while (sim_oldest(sim) != NULL)
        answer_oldest(sim, 200);
    assert_int_equal(sim->batch->succeeded, 1000);
}

static void a_client_that_does_not_read_stops_the_feed_and_the_clock(void **state)
{
    sim_t *sim = *state;

    sim->sends = false;
    open_window(sim, 600);
    sim_start(sim);
    while (sim_oldest(sim) != NULL)
        answer_oldest(sim, 200);
    assert_int_equal(fed, 256);
    assert_true(sheaf_batch_is_full(sim->batch));
    sim_wind(sim, 60000); /* twice the batch's time */
    assert_int_equal(sim->batch->failed, 0);
    sim->sends = true;
    for (uint32_t i = 0; i < 256; i++)
        sheaf_batch_sent(sim->batch, i);
    sheaf_batch_sent(sim->batch, 3); /* once more is fine */
    sim_drain(sim);
    assert_int_equal(fed, 512);
    while (sim_oldest(sim) != NULL)
        answer_oldest(sim, 200);
    assert_int_equal(sim->batch->succeeded, 600);
}

static void a_stop_settles_what_is_there_and_what_is_still_to_come(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->on_error = SHEAF_ON_ERROR_STOP;
    sim->endpoint->parallel = 2;
    open_window(sim, 1000);
    bad_at = 900;
    sim_start(sim);
    answer_oldest(sim, 200);
    answer_oldest(sim, 500);
    answer_oldest(sim, 200); /* it flew: it ends */
    assert_int_equal(sim->batch->succeeded, 2);
    assert_int_equal(sim->batch->failed, 998);
    assert_int_equal(sim->sent_count, 3);
}

static void the_deadline_is_over_for_all_that_come_after_it(void **state)
{
    sim_t *sim = *state;

    open_window(sim, 1000);
    sim_start(sim);
    for (uint32_t i = 0; i < 10; i++)
        answer_oldest(sim, 200);
    sim->endpoint->timeout_ms = 30000;
    sim_wind(sim, 10000); /* the first 64 time out, then 64 more ... */
    sim_wind(sim, 10000);
    sim_wind(sim, 10000);
    assert_int_equal(sim->batch->succeeded, 10);
    assert_int_equal(sim->batch->failed, 990);
    assert_true(sim->sent_count < 300);
}

static void an_abandoned_window_ends_with_what_it_has(void **state)
{
    sim_t *sim = *state;

    open_window(sim, 1000);
    sim_start(sim);
    for (uint32_t i = 0; i < 100; i++)
        answer_oldest(sim, 200);
    sheaf_batch_abandon(sim->batch);
    sim_drain(sim);
    assert_int_equal(sim->done, 1);
    assert_int_equal(sim->batch->count, 356);
}

static void unsafe_items_fly_on_and_nothing_more_is_fed(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->on_client_abort = SHEAF_ON_CLIENT_ABORT_FINISH_UNSAFE;
    open_window(sim, 1000);
    sim_start(sim);
    sim_oldest(sim)->exchange.is_idempotent = false;
    sheaf_batch_abandon(sim->batch);
    sim_drain(sim);
    assert_string_equal(sim_flying(sim), "n0");
    assert_int_equal(sim->done, 0);
    answer_oldest(sim, 200);
    assert_int_equal(sim->done, 1);
    assert_int_equal(fed, 256);
}

static void a_window_of_nothing_is_done_at_once(void **state)
{
    sim_t *sim = *state;

    open_window(sim, 0);
    sim_start(sim);
    assert_int_equal(sim->done, 1);
}

static void an_item_without_its_data_fails_alone(void **state)
{
    sim_t *sim = *state;

    open_window(sim, 5);
    bad_at = 2;
    sim_start(sim);
    assert_int_equal(sim_item(sim, "n2")->status, 400);
    while (sim_oldest(sim) != NULL)
        answer_oldest(sim, 200);
    assert_int_equal(sim->batch->succeeded, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(thousands_of_items_pass_through_a_window_that_does_not_grow),
        SIM_STORY(a_window_has_room_for_four_times_what_flies),
        SIM_STORY(one_after_another_keeps_the_order_around_the_ring),
        SIM_STORY(a_slow_item_holds_the_window_and_nothing_is_lost),
        SIM_STORY(a_client_that_does_not_read_stops_the_feed_and_the_clock),
        SIM_STORY(a_stop_settles_what_is_there_and_what_is_still_to_come),
        SIM_STORY(the_deadline_is_over_for_all_that_come_after_it),
        SIM_STORY(an_abandoned_window_ends_with_what_it_has),
        SIM_STORY(unsafe_items_fly_on_and_nothing_more_is_fed),
        SIM_STORY(a_window_of_nothing_is_done_at_once),
        SIM_STORY(an_item_without_its_data_fails_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
