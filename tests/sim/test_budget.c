/* The budget: what is held and what flies stays within it, and nothing can deadlock on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

static const char *mebibyte(void)
{
    static char text[(1 << 20) + 1];

    memset(text, '1', sizeof(text) - 1);
    return text;
}

static void answer_all(sim_t *sim, const char *but)
{
    for (;;) {
        sheaf_item_t *item = sim_oldest(sim);
        char id[16];

        if (item != NULL && but != NULL && sheaf_str_eq(item->id, sheaf_str_of(but)))
            item = item->exchange.link.next == &sim->flying
                       ? NULL
                       : SHEAF_OWNER(SHEAF_OWNER(item->exchange.link.next, sheaf_exchange_t, link), sheaf_item_t,
                                     exchange);
        if (item == NULL)
            return;
        snprintf(id, sizeof(id), "%.*s", SHEAF_STR_ARG(item->id));
        sim_answer(sim, id, 200, mebibyte());
    }
}

static void fill(sim_t *sim, uint32_t count, const char *first)
{
    char line[64];

    sim_open(sim);
    if (first != NULL)
        sim_add(sim, first);
    for (uint32_t i = first != NULL; i < count; i++) {
        snprintf(line, sizeof(line), "i%u GET /any/%u", i, i);
        sim_add(sim, line);
    }
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
}

static void a_hundred_large_answers_behind_a_slow_head_stay_within_the_budget_and_end(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->budget_bytes = 8 << 20;
    fill(sim, 100, NULL);
    sim_start(sim);
    assert_int_equal(sim->batch->flying, 8);
    answer_all(sim, "i0");
    assert_string_equal(sim_flying(sim), "i0");
    assert_int_equal(sim->heard_count, 7);
    sim_answer(sim, "i0", 200, "0");
    answer_all(sim, NULL);
    assert_true(sim->most_held <= 8 << 20);
    assert_int_equal(sim->batch->succeeded, 100);
}

static void a_batch_whose_first_item_waits_for_its_last_ends(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->budget_bytes = 3 << 20;
    fill(sim, 100, "i0 GET /any/0 after i98,i99");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "i98 i99 i1"); /* what the first result waits for goes first */
    answer_all(sim, NULL);
    assert_int_equal(sim->batch->succeeded, 100);
    assert_true(sim->most_held <= 4 << 20);
}

static void the_first_result_may_wait_for_one_that_cannot_run(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->budget_bytes = 2 << 20;
    sim_open(sim);
    sim_add(sim, "a GET /any/0 after z");
    for (int i = 0; i < 10; i++) {
        char line[64];

        snprintf(line, sizeof(line), "i%d GET /any/%d", i, i);
        sim_add(sim, line);
    }
    sim_add(sim, "z GET /nowhere");
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
    sim_start(sim);
    answer_all(sim, NULL);
    assert_int_equal(sim_item(sim, "a")->status, 424);
    assert_int_equal(sim->batch->succeeded, 10);
}

static void a_content_length_makes_room_for_others(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->budget_bytes = 2 << 20;
    fill(sim, 5, NULL);
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "i0 i1");
    sim_head(sim, "i0", 200, "text/plain", 100);
    assert_string_equal(sim_flying(sim), "i0 i1");
    sim_head(sim, "i1", 200, "text/plain", 100);
    assert_string_equal(sim_flying(sim), "i0 i1 i2");
    sim_end(sim, "i0", SHEAF_OK, "");
    sim_end(sim, "i1", SHEAF_OK, "");
    answer_all(sim, NULL);
}

static void a_result_larger_than_the_whole_budget_still_goes_one_at_a_time(void **state)
{
    sim_t *sim = *state;

    for (uint8_t order = SHEAF_ORDER_REQUEST; order <= SHEAF_ORDER_COMPLETION; order++) {
        sim->endpoint->order = order;
        sim->endpoint->budget_bytes = 1000;
        fill(sim, 5, NULL);
        sim->sent_count = sim->heard_count = sim->done = sim->most_flying = 0;
        memset(sim->heard, 0, sizeof(sim->heard));
        sim_start(sim);
        answer_all(sim, NULL);
        assert_int_equal(sim->batch->succeeded, 5);
        assert_int_equal(sim->most_flying, 1);
        if (order == SHEAF_ORDER_REQUEST)
            sheaf_batch_free(sim->batch);
    }
}

static void time_spent_waiting_for_a_slow_client_costs_the_batch_nothing(void **state)
{
    sim_t *sim = *state;

    sim->sends = false;
    sim->endpoint->budget_bytes = 2 << 20;
    sim->endpoint->timeout_ms = 1000;
    fill(sim, 4, NULL);
    sim_start(sim);
    sim_wind(sim, 100);
    answer_all(sim, NULL);
    assert_int_equal(sim->heard_count, 2);
    sim_wind(sim, 50000); /* the client does not read */
    assert_int_equal(sim->heard_count, 2);
    sheaf_batch_sent(sim->batch, 0);
    sim_drain(sim);
    assert_string_equal(sim_flying(sim), "i2");
    sim_wind(sim, 899);
    assert_string_equal(sim_flying(sim), "i2");
    sim_wind(sim, 1); /* but what it spends on backends counts: 100 + 900 */
    assert_int_equal(sim_item(sim, "i2")->err, SHEAF_ERR_BATCH_TIMEOUT);
    assert_int_equal(sim_item(sim, "i3")->err, SHEAF_ERR_BATCH_TIMEOUT);
    for (uint32_t i = 0; i < 4; i++)
        sheaf_batch_sent(sim->batch, i);
    assert_int_equal(sim->batch->held_bytes, 0);
}

static void a_large_head_counts_until_it_is_sent(void **state)
{
    sim_t *sim = *state;
    char cookie[40001];

    memset(cookie, 'c', sizeof(cookie) - 1);
    cookie[sizeof(cookie) - 1] = '\0';
    sim->cookie = cookie;
    sim->sends = false;
    sim_batch(sim, "a GET /any/a", "b HEAD /any/b", "c GET /any/c");
    sim_start(sim);
    sim_answer(sim, "a", 200, "[1]");
    assert_in_range(sim->batch->held_bytes, 40003, 41000);
    sim_answer(sim, "b", 200, "");
    assert_in_range(sim->batch->held_bytes, 80003, 82000);
    sim_head(sim, "c", 200, "text/plain", 5);
    sim_end(sim, "c", SHEAF_ERR_RESET, ""); /* the head it had is forgotten with its body */
    assert_in_range(sim->batch->held_bytes, 80003, 83000);
    assert_int_equal(sim_item(sim, "c")->answer.count, 1);
    sheaf_batch_sent(sim->batch, 0);
    assert_in_range(sim->batch->held_bytes, 40000, 42000);
    sheaf_batch_sent(sim->batch, 1);
    sheaf_batch_sent(sim->batch, 1);
    sheaf_batch_sent(sim->batch, 2);
    assert_int_equal(sim->batch->held_bytes, 0);
}

static void results_held_back_by_the_responder_fill_the_budget_and_no_more(void **state)
{
    sim_t *sim = *state;

    sim->sends = false; /* encodes at once, writes nothing: status mixed */
    sim->endpoint->budget_bytes = 4 << 20;
    sim->endpoint->max_item_body_bytes = 3 << 20;
    fill(sim, 20, NULL);
    sim_start(sim);
    answer_all(sim, NULL);
    assert_true(sim->batch->held_bytes >= sim->endpoint->budget_bytes);
    assert_true(sim->batch->held_bytes < sim->endpoint->budget_bytes + sim->endpoint->max_item_body_bytes);
    sim->sends = true;
    for (uint32_t i = 0; i < sim->heard_count; i++)
        sheaf_batch_sent(sim->batch, i);
    sim_drain(sim);
    answer_all(sim, NULL);
}

static void a_205_makes_room_by_its_length_like_any_other(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/a");
    sim_start(sim);
    assert_int_equal(sim->batch->reserved_bytes, sim->endpoint->max_item_body_bytes);
    sim_head(sim, "a", 205, "text/plain", 7);
    assert_int_equal(sim->batch->reserved_bytes, 7);
    sim_body(sim, "a", "1234567", 7);
    sim_end(sim, "a", SHEAF_OK, "");
    assert_int_equal(sim->batch->reserved_bytes, 0);
}

static void what_nobody_will_see_is_given_back_at_once(void **state)
{
    sim_t *sim = *state;
    sheaf_batch_t *batch;

    sim->sends = sim->encodes = false;
    batch = sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/${b.body/id} after b,d", "d GET /any/4",
                      "e GET /any/5");
    batch->prefer.returns = SHEAF_RETURN_MINIMAL;
    sim_start(sim);
    sim_answer(sim, "a", 200, "{\"id\":7}");
    assert_null(sim_item(sim, "a")->body);
    assert_int_equal(batch->held_bytes, 0);
    assert_true(sheaf_str_eq(sim_item(sim, "a")->content_type, SHEAF_STR("application/json"))); /* the head is shown */
    sim_answer(sim, "b", 200, "{\"id\":7}");                                                    /* c reads it */
    assert_int_equal(batch->held_bytes, 8);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_RESULT_BYTES_HELD], 8);
    sheaf_batch_encoded(batch, 0);
    sheaf_batch_encoded(batch, 1);
    sim_answer(sim, "d", 200, "{}"); /* c starts, and has read it */
    assert_int_equal(batch->held_bytes, 0);
    assert_int_equal(batch->encoded_bytes, 0);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_RESULT_BYTES_HELD], 0);
    sim_answer(sim, "c", 200, "{}");
    sim_answer(sim, "e", 404, "{}"); /* failures are shown */
    assert_int_equal(batch->held_bytes, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(a_hundred_large_answers_behind_a_slow_head_stay_within_the_budget_and_end),
        SIM_STORY(a_batch_whose_first_item_waits_for_its_last_ends),
        SIM_STORY(the_first_result_may_wait_for_one_that_cannot_run),
        SIM_STORY(a_content_length_makes_room_for_others),
        SIM_STORY(a_result_larger_than_the_whole_budget_still_goes_one_at_a_time),
        SIM_STORY(time_spent_waiting_for_a_slow_client_costs_the_batch_nothing),
        SIM_STORY(a_large_head_counts_until_it_is_sent),
        SIM_STORY(results_held_back_by_the_responder_fill_the_budget_and_no_more),
        SIM_STORY(a_205_makes_room_by_its_length_like_any_other),
        SIM_STORY(what_nobody_will_see_is_given_back_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
