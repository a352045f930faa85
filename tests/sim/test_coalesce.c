#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

/* Route 3 is /any/{rest...}. */
static int setup(void **state)
{
    sim_t *sim = sim_new();

    sim->snapshot.conf.routes.items[3].coalesce = true;
    *state = sim;
    return 0;
}

static int teardown(void **state)
{
    sim_free(*state);
    return 0;
}

static void items_that_ask_the_same_share_one_exchange(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/1", "d GET /any/./x/../1");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a b");
    sim_answer(sim, "a", 200, "{\"n\":1}");
    assert_string_equal(sim->settled, "a c d");
    assert_string_equal(sim_text(sim_item(sim, "a")), "");
    sim_answer(sim, "b", 200, "2");
    assert_int_equal(sim->batch->succeeded, 4);
    assert_int_equal(sim->sent_count, 2);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_ITEMS_2XX], 4);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_ITEMS_SHARED], 2);
}

static void each_has_the_whole_answer_and_the_budget_counts_it_for_each(void **state)
{
    static const char json[] = "{\"long\":\"0123456789\"}";
    sim_t *sim = *state;

    sim->sends = false;
    sim_batch(sim, "a GET /any/1", "b GET /any/1");
    sim_start(sim);
    sim_answer(sim, "a", 200, json);
    assert_string_equal(sim_text(sim_item(sim, "a")), json);
    assert_string_equal(sim_text(sim_item(sim, "b")), json);
    assert_ptr_equal(sim_item(sim, "a")->body, sim_item(sim, "b")->body);
    assert_int_equal(sim->batch->held_bytes, 2 * (sizeof(json) - 1));
    assert_true(sheaf_str_eq(sim_item(sim, "b")->content_type, sim_item(sim, "a")->content_type));
    sheaf_batch_sent(sim->batch, 0);
    assert_string_equal(sim_text(sim_item(sim, "b")), json);
    assert_int_equal(sim->batch->held_bytes, sizeof(json) - 1);
    sheaf_batch_sent(sim->batch, 1);
    assert_int_equal(sim->batch->held_bytes, 0);
}

static void each_is_told_when_to_ask_again(void **state)
{
    sim_t *sim = *state;

    sim->sends = false;
    sim_batch(sim, "a GET /any/1", "b GET /any/1");
    sim_start(sim);
    sim_item(sim, "a")->exchange.retry_after_s = 5;
    sim_end(sim, "a", SHEAF_ERR_BREAKER_OPEN, "");
    for (uint32_t i = 0; i < 2; i++) {
        const sheaf_item_t *item = &sim->batch->items[i];
        const sheaf_header_t *header = sheaf_headers_find(&item->answer, SHEAF_STR("retry-after"));

        assert_int_equal(item->status, 503);
        assert_true(header != NULL && sheaf_str_eq(header->value, SHEAF_STR("5")));
    }
}

static void a_large_head_outlives_the_leader(void **state)
{
    static char cookie[4000];
    sim_t *sim = *state;
    const sheaf_header_t *header;

    memset(cookie, 'c', sizeof(cookie) - 1);
    sim->cookie = cookie;
    sim->sends = false;
    sim_batch(sim, "a GET /any/1", "b GET /any/1");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{}");
    sheaf_batch_sent(sim->batch, 0);
    header = sheaf_headers_find(&sim_item(sim, "b")->answer, SHEAF_STR("set-cookie"));
    assert_non_null(header);
    assert_int_equal(header->value.len, sizeof(cookie) - 1);
    assert_memory_equal(header->value.base, cookie, sizeof(cookie) - 1);
    assert_true(sheaf_str_starts(sim_item(sim, "b")->content_type, SHEAF_STR("application/json")));
    sheaf_batch_sent(sim->batch, 1);
}

static void different_questions_do_not_share(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/1 with authorization: x", "c GET /any/1 with authorization: y",
              "d GET /any/1?q", "e GET /any/1 for 200ms", "f HEAD /any/1", "g POST /any/1 body {}",
              "h POST /any/1 body {}", "i DELETE /any/1", "j DELETE /any/1", "k GET /orders/1", "l GET /orders/1",
              "m GET /any/1 with authorization: y", "n GET /any/1 for 200ms");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a b c d e f g h i j k l");
    while (sim_oldest(sim) != NULL)
        sim_end_of(sim, &sim_oldest(sim)->exchange, SHEAF_ERR_RESET, "");
    sim_drain(sim);
    assert_int_equal(sim->batch->failed, 14);
}

static void items_with_dependencies_ask_for_themselves(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b POST /any/1 body {}", "c GET /any/1 after b", "d GET /any/1 after b");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a b");
    sim_answer(sim, "b", 200, "{}");
    assert_string_equal(sim_flying(sim), "a c d");
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "c", 200, "{}");
    sim_answer(sim, "d", 200, "{}");
}

static void one_after_another_shares_nothing(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->parallel = 1;
    sim_batch(sim, "a GET /any/1", "b GET /any/1");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{}");
    assert_string_equal(sim_flying(sim), "b");
    sim_answer(sim, "b", 200, "{}");
}

static void a_follower_takes_no_place_in_flight(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->parallel = 2;
    sim_batch(sim, "a GET /any/1", "b GET /any/1", "c GET /any/1", "d GET /any/2");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a d");
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "d", 200, "{}");
    assert_int_equal(sim->most_flying, 2);
}

static void a_failure_is_everybodys(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/1", "c GET /users/3 after b");
    sim_start(sim);
    sim_break(sim, "a", SHEAF_ERR_RESET);
    assert_int_equal(sim_item(sim, "b")->status, 502);
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_RESET);
    assert_int_equal(sim_item(sim, "c")->status, 424);
}

static void dependents_of_followers_start(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/1", "c GET /users/3 after b");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{}");
    assert_string_equal(sim_flying(sim), "c");
    sim_answer(sim, "c", 200, "{}");
}

static void a_reference_finds_what_it_names_in_the_answer_of_a_follower(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/1", "c GET /users/${b.body/id}?s=${b.status} after b",
              "d GET /users/${a.body/id} after a,c");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{\"id\":12345678901234567890}");
    assert_string_equal(sim_flying(sim), "c");
    assert_true(sheaf_str_eq(sim_item(sim, "c")->exchange.target, SHEAF_STR("/v1/people/12345678901234567890?s=200")));
    assert_null(sim_item(sim, "b")->body);
    assert_non_null(sim_item(sim, "a")->body); /* the client has both, but d is still to read that of a */
    sim_answer(sim, "c", 200, "{}");
    assert_null(sim_item(sim, "a")->body);
    assert_true(sheaf_str_eq(sim_item(sim, "d")->exchange.target, SHEAF_STR("/v1/people/12345678901234567890")));
    sim_answer(sim, "d", 200, "{}");
    assert_int_equal(sim->batch->held_bytes, 0);
}

static void a_reference_to_a_reported_repetition_finds_the_whole_answer(void **state)
{
    sim_t *sim = *state;
    sheaf_batch_t *batch =
        sim_batch(sim, "a GET /any/1", "b GET /any/1", "c GET /users/${b.body/id}?s=${b.status} after b");

    batch->reports_repeats = true;
    sim_start(sim);
    sim_answer(sim, "a", 200, "{\"id\":7}");
    assert_int_equal(sheaf_item_shown_status(sim_item(sim, "b")), 208);
    assert_true(sheaf_str_eq(sim_item(sim, "c")->exchange.target, SHEAF_STR("/v1/people/7?s=200")));
    sim_answer(sim, "c", 200, "{}");
}

static void a_stop_lets_followers_of_what_flies_finish(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->on_error = SHEAF_ON_ERROR_STOP;
    sim->endpoint->parallel = 2;
    sim_batch(sim, "a GET /any/1", "b GET /users/4", "c GET /any/1", "d GET /any/2", "e GET /any/2");
    sim_start(sim);
    sim_answer(sim, "b", 500, "{}");
    sim_answer(sim, "a", 200, "{}");
    assert_int_equal(sim_item(sim, "c")->status, 200);
    assert_int_equal(sim_item(sim, "d")->status, 424);
    assert_int_equal(sim_item(sim, "e")->status, 424);
}

static void the_deadline_of_the_batch_ends_followers_too(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/1");
    sim_start(sim);
    sim_wind(sim, 30000);
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_BATCH_TIMEOUT);
}

static void repetitions_are_reported_when_asked_for(void **state)
{
    sim_t *sim = *state;
    sheaf_batch_t *batch = sim_batch(sim, "a GET /any/1", "b GET /any/1", "c GET /any/2", "d GET /any/2");

    batch->reports_repeats = true;
    sim_start(sim);
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "c", 404, "{}");
    assert_int_equal(sheaf_item_shown_status(sim_item(sim, "a")), 200);
    assert_int_equal(sheaf_item_shown_status(sim_item(sim, "b")), 208);
    assert_ptr_equal(sim_item(sim, "b")->leader, sim_item(sim, "a"));
    assert_int_equal(sim_item(sim, "b")->status, 200); /* what dependents see */
    assert_int_equal(sheaf_item_shown_status(sim_item(sim, "d")), 404);
}

static void many_items_cost_one_exchange(void **state)
{
    sim_t *sim = *state;
    char line[64];

    sim->endpoint->max_items = 10000;
    sim_open(sim);
    for (int i = 0; i < 10000; i++) {
        snprintf(line, sizeof(line), "i%d GET /any/%d", i, i % 10);
        sim_add(sim, line);
    }
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
    sim_start(sim);
    for (int i = 0; i < 10; i++) {
        snprintf(line, sizeof(line), "i%d", i);
        sim_answer(sim, line, 200, "{}");
    }
    assert_int_equal(sim->sent_count, 10);
    assert_int_equal(sim->batch->succeeded, 10000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(items_that_ask_the_same_share_one_exchange),
        TEST(each_has_the_whole_answer_and_the_budget_counts_it_for_each),
        TEST(each_is_told_when_to_ask_again),
        TEST(a_large_head_outlives_the_leader),
        TEST(different_questions_do_not_share),
        TEST(items_with_dependencies_ask_for_themselves),
        TEST(one_after_another_shares_nothing),
        TEST(a_follower_takes_no_place_in_flight),
        TEST(a_failure_is_everybodys),
        TEST(dependents_of_followers_start),
        TEST(a_reference_finds_what_it_names_in_the_answer_of_a_follower),
        TEST(a_reference_to_a_reported_repetition_finds_the_whole_answer),
        TEST(a_stop_lets_followers_of_what_flies_finish),
        TEST(the_deadline_of_the_batch_ends_followers_too),
        TEST(repetitions_are_reported_when_asked_for),
        TEST(many_items_cost_one_exchange),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
