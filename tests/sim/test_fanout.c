#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

/* --- order, dependencies --- */

static void a_dependent_item_flies_only_after_its_blocker_answered(void **state)
{
    sim_t *sim = *state;
    sheaf_batch_t *batch = sim_batch(sim, "a GET /orders/7", "b GET /users/3 after a");

    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a");
    sim_answer(sim, "a", 200, "{\"user\":3}");
    assert_string_equal(sim_flying(sim), "b");
    assert_int_equal(batch->items[0].status, 200);
    assert_int_equal(batch->open, 1);
    sim_answer(sim, "b", 200, "{}");
    assert_int_equal(batch->succeeded, 2);
}

static void an_empty_batch_is_done_from_the_soon_queue(void **state)
{
    sim_t *sim = *state;

    sim_open(sim);
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
    sim_start(sim);
}

static void independent_items_fly_at_once_and_settle_as_they_answer(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/3");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a b c");
    sim_answer(sim, "c", 200, "3");
    sim_answer(sim, "a", 404, "{}");
    sim_answer(sim, "b", 200, "2");
    assert_string_equal(sim->settled, "c a b");
    assert_int_equal(sim->batch->failed, 1);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_ITEMS_2XX], 2);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_ITEMS_4XX], 1);
}

static void parallel_one_keeps_the_order_of_the_request(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->parallel = 1;
    sim_batch(sim, "a GET /any/1", "b GET /any/2 after a", "c GET /any/3");
    sim_start(sim);
    for (const char *id = "abc"; *id != '\0'; id++) {
        char name[2] = {*id, '\0'};

        assert_string_equal(sim_flying(sim), name);
        sim_answer(sim, name, 200, "1");
    }
    assert_int_equal(sim->most_flying, 1);
}

static void a_client_may_only_lower_parallel_and_timeout(void **state)
{
    sim_t *sim = *state;
    sheaf_batch_t *batch = sim_open(sim);

    batch->parallel = 1000;
    batch->timeout_ms = 1000000;
    assert_int_equal(sheaf_batch_seal(batch, NULL), SHEAF_OK);
    assert_int_equal(batch->parallel, 64);
    assert_int_equal(batch->timeout_ms, 30000);
    sim_start(sim);
}

static void what_depends_on_a_failure_fails_down_the_whole_chain(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "u GET /any/1", "v GET /any/2 after u", "w GET /any/3 after v", "x GET /any/4");
    sim_start(sim);
    sim_answer(sim, "u", 302, "{}"); /* an edge succeeds on 2xx only */
    assert_int_equal(sim_item(sim, "v")->status, 424);
    assert_int_equal(sim_item(sim, "v")->err, SHEAF_ERR_DEPENDENCY_FAILED);
    assert_string_equal(sim_item(sim, "v")->batch->is_done ? "" : "open", "open");
    assert_memory_equal(sim_item(sim, "v")->detail.base, "dependency \"u\" failed", 21);
    assert_memory_equal(sim_item(sim, "w")->detail.base, "dependency \"v\" failed", 21);
    assert_string_equal(sim_flying(sim), "x");
    sim_answer(sim, "x", 200, "1");
}

static void an_item_with_two_blockers_waits_for_both_and_fails_with_the_first(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/3 after a,b", "d GET /any/4 after a,b,a");
    sim_start(sim);
    sim_answer(sim, "a", 200, "1");
    assert_string_equal(sim_flying(sim), "b");
    sim_answer(sim, "b", 500, "1");
    assert_int_equal(sim_item(sim, "c")->status, 424);
    assert_int_equal(sim_item(sim, "d")->status, 424);
}

static void an_item_that_cannot_run_fails_alone_and_takes_its_dependents_along(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET http://evil/", "c GET /any/3 after b", "d GET /nowhere after a");
    assert_int_equal(sim->batch->items[1].state, SHEAF_ITEM_WAITING); /* nothing settles before start */
    sim_start(sim);
    assert_string_equal(sim->settled, "b c d");
    assert_int_equal(sim_item(sim, "b")->status, 400);
    assert_int_equal(sim_item(sim, "c")->status, 424);
    assert_int_equal(sim_item(sim, "d")->status, 404);
    sim_answer(sim, "a", 200, "1");
}

/* --- onError: stop --- */

static void stop_lets_flying_items_finish_and_stops_the_rest(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->on_error = SHEAF_ON_ERROR_STOP;
    sim->endpoint->parallel = 2;
    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/3", "d GET /any/4 after a", "e GET /any/5 after b");
    sim_start(sim);
    sim_answer(sim, "a", 500, "1");
    assert_string_equal(sim_flying(sim), "b");
    assert_int_equal(sim_item(sim, "c")->err, SHEAF_ERR_STOPPED);
    assert_int_equal(sim_item(sim, "d")->err, SHEAF_ERR_DEPENDENCY_FAILED);
    assert_int_equal(sim_item(sim, "e")->err, SHEAF_ERR_STOPPED);
    sim_answer(sim, "b", 200, "1");
    assert_int_equal(sim->batch->succeeded, 1);
}

static void stop_at_an_item_that_cannot_run_lets_what_stands_before_it_go(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->on_error = SHEAF_ON_ERROR_STOP;
    sim_batch(sim, "a GET /any/1", "b GET /nowhere", "c GET /any/3");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a");
    assert_int_equal(sim_item(sim, "c")->err, SHEAF_ERR_STOPPED);
    sim_answer(sim, "a", 200, "1");
}

/* --- time --- */

static void the_smallest_timeout_counts(void **state)
{
    sim_t *sim = *state;
    uint64_t now = sim->clock.now_ms;

    sim->snapshot.conf.upstreams.items[0].timeout_ms = 2000;
    sim_batch(sim, "up GET /any/1", "route GET /orders/1", "item GET /orders/2 for 200ms",
              "long GET /any/2 for 9000ms");
    sim_start(sim);
    assert_int_equal(sim_item(sim, "up")->exchange.deadline_ms - now, 2000);
    assert_int_equal(sim_item(sim, "route")->exchange.deadline_ms - now, 500);
    assert_int_equal(sim_item(sim, "item")->exchange.deadline_ms - now, 200);
    assert_int_equal(sim_item(sim, "long")->exchange.deadline_ms - now, 2000);
    sim_wind(sim, 200);
    assert_string_equal(sim->settled, "item");
    assert_int_equal(sim_item(sim, "item")->err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(sim_item(sim, "item")->status, 504);
    sim_wind(sim, 2000);
    assert_int_equal(sim->batch->failed, 4);
}

static void the_deadline_of_the_batch_ends_everything_that_is_open(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->timeout_ms = 100;
    sim->endpoint->parallel = 1;
    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/3 after b");
    sim_start(sim);
    sim_wind(sim, 60);
    sim_answer(sim, "a", 200, "1");
    sim_wind(sim, 40);
    assert_int_equal(sim_item(sim, "a")->status, 200);
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_BATCH_TIMEOUT);
    assert_int_equal(sim_item(sim, "c")->status, 504);
}

/* --- answers --- */

static void an_answer_keeps_its_end_to_end_headers_and_its_bytes(void **state)
{
    sim_t *sim = *state;
    sheaf_header_t headers[] = {
        {SHEAF_STR("date"), SHEAF_STR("x")},          {SHEAF_STR("connection"), SHEAF_STR("close, x-hop")},
        {SHEAF_STR("x-hop"), SHEAF_STR("1")},         {SHEAF_STR("set-cookie"), SHEAF_STR("a=1")},
        {SHEAF_STR("set-cookie"), SHEAF_STR("b=2")},  {SHEAF_STR("content-type"), SHEAF_STR("application/json")},
        {SHEAF_STR("content-length"), SHEAF_STR("2")}};
    sheaf_answer_head_t head = {201, headers, SHEAF_COUNT(headers), UINT64_MAX};
    sheaf_item_t *item;

    sim->sends = false;
    sim_batch(sim, "a GET /any/1");
    item = sim_item(sim, "a");
    sim_start(sim);
    assert_true(item->exchange.sink->on_head(&item->exchange, &head));
    memset(headers, 0, sizeof(headers)); /* borrowed for the call only */
    sim_body(sim, "a", "[", 1);
    sim_body(sim, "a", "]", 1);
    sim_end(sim, "a", SHEAF_OK, "");
    assert_int_equal(item->status, 201);
    assert_int_equal(item->answer.count, 3);
    assert_memory_equal(item->answer.entries[1].value.base, "b=2", 3);
    assert_int_equal(item->kind, SHEAF_MEDIA_JSON);
    assert_true(item->json_is_valid);
    assert_string_equal(sim_text(item), "[]");
}

static void json_that_does_not_parse_is_known_as_such(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c HEAD /any/3", "d GET /any/4");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{\"a\":");
    sim_answer(sim, "b", 200, "{\"a\":1}x");
    sim_head(sim, "c", 200, "application/json", 77); /* HEAD: the length is of what GET would give */
    sim_end(sim, "c", SHEAF_OK, "");
    sim_head(sim, "d", 204, "", UINT64_MAX);
    sim_end(sim, "d", SHEAF_OK, "");
    for (uint32_t i = 0; i < 4; i++)
        assert_false(sim->batch->items[i].json_is_valid);
    assert_null(sim_item(sim, "c")->body);
    assert_int_equal(sim->batch->succeeded, 4);
}

static void a_failed_exchange_is_a_problem_document_and_forgets_the_half_answer(void **state)
{
    sim_t *sim = *state;
    sheaf_item_t *item;

    sim->sends = false;
    sim_batch(sim, "a GET /any/1");
    item = sim_item(sim, "a");
    sim_start(sim);
    sim_head(sim, "a", 200, "text/plain", UINT64_MAX);
    sim_body(sim, "a", "half", 4);
    sim_end(sim, "a", SHEAF_ERR_RESET, "closed after 4 bytes");
    assert_int_equal(item->status, 502);
    assert_int_equal(item->answer.count, 1);
    assert_memory_equal(item->content_type.base, "application/problem+json", 24);
    assert_non_null(strstr(sim_text(item), "closed after 4 bytes"));
    assert_non_null(strstr(sim_text(item), "urn:sheaf:problem:reset"));
    assert_true(item->json_is_valid);
    assert_int_equal(sim->metrics.errors[SHEAF_ERR_RESET], 1);
}

static sheaf_str_t retry_after(const sheaf_item_t *item)
{
    const sheaf_header_t *header = sheaf_headers_find(&item->answer, SHEAF_STR("retry-after"));

    return header == NULL ? SHEAF_STR("none") : header->value;
}

static void a_refusal_says_when_to_ask_again_and_other_failures_do_not(void **state)
{
    sim_t *sim = *state;

    sim->sends = false;
    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/3", "d GET /any/4 for 50ms", "e GET /any/5 after a");
    sim_start(sim);
    sim_item(sim, "a")->exchange.retry_after_s = 17;
    sim_end(sim, "a", SHEAF_ERR_BREAKER_OPEN, "");
    sim_end(sim, "b", SHEAF_ERR_RESET, "");
    sim_answer(sim, "c", 200, "1");
    sim_wind(sim, 50);
    assert_true(sheaf_str_eq(retry_after(sim_item(sim, "a")), SHEAF_STR("17")));
    assert_int_equal(sim_item(sim, "a")->answer.count, 2);
    for (uint32_t i = 1; i < 5; i++)
        assert_true(sheaf_str_eq(retry_after(&sim->batch->items[i]), SHEAF_STR("none")));
}

static void an_answer_that_is_too_large_is_refused_by_head_or_by_body(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->max_item_body_bytes = 8;
    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/3");
    sim_start(sim);
    sim_head(sim, "a", 200, "text/plain", 9);
    sim_head(sim, "b", 200, "text/plain", UINT64_MAX);
    assert_true(sim_body(sim, "b", "12345678", 8));
    assert_false(sim_body(sim, "b", "9", 1));
    sim_answer(sim, "c", 200, "12345678");
    assert_int_equal(sim_item(sim, "a")->err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_int_equal(sim_item(sim, "c")->status, 200);
}

/* --- the client goes away --- */

static void a_client_that_leaves_cancels_what_flies_and_hears_nothing_more(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b POST /any/2", "c GET /any/3 after a", "d GET /nowhere after c");
    sim_start(sim);
    sim_answer(sim, "a", 200, "1");
    assert_int_equal(sim->heard_count, 2);
    sheaf_batch_abandon(sim->batch);
    sheaf_batch_abandon(sim->batch);
    assert_string_equal(sim_flying(sim), "");
    assert_int_equal(sim->done, 0); /* never from inside */
    sim_drain(sim);
    assert_int_equal(sim->heard_count, 2);
    assert_int_equal(sim->metrics.errors[SHEAF_ERR_CANCELLED], 2);
}

static void finish_unsafe_lets_only_non_idempotent_items_fly_on(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->on_client_abort = SHEAF_ON_CLIENT_ABORT_FINISH_UNSAFE;
    sim_batch(sim, "a GET /any/1", "b POST /any/2 body {}", "c PUT /any/3", "d POST /any/4 after b");
    sim_start(sim);
    sheaf_batch_abandon(sim->batch);
    sim_drain(sim);
    assert_string_equal(sim_flying(sim), "b");
    assert_int_equal(sim->done, 0);
    sim_answer(sim, "b", 200, "1");
    assert_int_equal(sim->heard_count, 0);
    assert_int_equal(sim_item(sim, "b")->status, 200);
    assert_int_equal(sim_item(sim, "d")->err, SHEAF_ERR_CANCELLED);
}

static void a_client_may_leave_before_the_first_turn(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1");
    sheaf_batch_abandon(sim->batch);
    sim_start(sim);
    assert_int_equal(sim->sent_count, 0);
}

/* --- size --- */

static void ten_thousand_items_in_a_chain_or_a_fan_end(void **state)
{
    sim_t *sim = *state;
    char line[64];

    sim->endpoint->max_items = 10000;
    sim->endpoint->parallel = 100;
    sim_open(sim);
    for (int i = 0; i < 5000; i++) { /* each waits for the one behind it */
        snprintf(line, sizeof(line), "i%d GET /any/%d after i%d", i, i, i + 1);
        sim_add(sim, line);
    }
    sim_add(sim, "i5000 GET /any/x");
    for (int i = 5001; i < 10000; i++) {
        snprintf(line, sizeof(line), "i%d GET /any/%d after i5000", i, i);
        sim_add(sim, line);
    }
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "i5000");
    while (sim_oldest(sim) != NULL) {
        sheaf_exchange_t *exchange = &sim_oldest(sim)->exchange;

        sim_head_of(sim, exchange, 200, "text/plain", 0);
        sim_end_of(sim, exchange, SHEAF_OK, "");
        sim_drain(sim);
    }
    assert_int_equal(sim->batch->succeeded, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(a_dependent_item_flies_only_after_its_blocker_answered),
        SIM_STORY(an_empty_batch_is_done_from_the_soon_queue),
        SIM_STORY(independent_items_fly_at_once_and_settle_as_they_answer),
        SIM_STORY(parallel_one_keeps_the_order_of_the_request),
        SIM_STORY(a_client_may_only_lower_parallel_and_timeout),
        SIM_STORY(what_depends_on_a_failure_fails_down_the_whole_chain),
        SIM_STORY(an_item_with_two_blockers_waits_for_both_and_fails_with_the_first),
        SIM_STORY(an_item_that_cannot_run_fails_alone_and_takes_its_dependents_along),
        SIM_STORY(stop_lets_flying_items_finish_and_stops_the_rest),
        SIM_STORY(stop_at_an_item_that_cannot_run_lets_what_stands_before_it_go),
        SIM_STORY(the_smallest_timeout_counts),
        SIM_STORY(the_deadline_of_the_batch_ends_everything_that_is_open),
        SIM_STORY(an_answer_keeps_its_end_to_end_headers_and_its_bytes),
        SIM_STORY(json_that_does_not_parse_is_known_as_such),
        SIM_STORY(a_failed_exchange_is_a_problem_document_and_forgets_the_half_answer),
        SIM_STORY(a_refusal_says_when_to_ask_again_and_other_failures_do_not),
        SIM_STORY(an_answer_that_is_too_large_is_refused_by_head_or_by_body),
        SIM_STORY(a_client_that_leaves_cancels_what_flies_and_hears_nothing_more),
        SIM_STORY(finish_unsafe_lets_only_non_idempotent_items_fly_on),
        SIM_STORY(a_client_may_leave_before_the_first_turn),
        SIM_STORY(ten_thousand_items_in_a_chain_or_a_fan_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
