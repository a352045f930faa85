/* Bulks from their bytes to their last result: the decoder feeds the window of a batch that runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/codec/codec.h"
#include "tests/sim/sim.h"
#include "tests/unit/codec/bulks.h"

#define MANY 1000

/* POST /any/${item/id} with the element as its body. */
static void make_bulk(sim_t *sim)
{
    sheaf_each_conf_t *each = &sim->endpoint->each;

    sim->endpoint->kind = SHEAF_KIND_BULK;
    sim->endpoint->max_items = MANY;
    each->id = bulks_text(sim->snapshot.pool, "${item/id}", false);
    each->method = SHEAF_STR("POST");
    each->url = bulks_text(sim->snapshot.pool, "/any/${item/id}", true);
    each->body = bulks_value(sim->snapshot.pool, "${item}");
}

/* The document lives as long as the batch. */
static void start(sim_t *sim, const sheaf_decoder_t *decoder, const char *doc)
{
    make_bulk(sim);
    sim_open(sim);
    assert_int_equal(decoder->decode(sim->batch, sheaf_str_of(doc), NULL), SHEAF_OK);
    sim_start(sim);
}

/* One {"id":"n<index>"} a line; the element `lacking` has no id. */
static const char *lines(uint32_t count, uint32_t lacking)
{
    static char text[MANY * 24];
    size_t len = 0;

    for (uint32_t i = 0; i < count; i++)
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, i == lacking ? "{\"no\":%u}\n" : "{\"id\":\"n%u\"}\n", i);
    return text;
}

/* By its exchange: ids repeat. */
static void answer_oldest(sim_t *sim, uint16_t status)
{
    sheaf_exchange_t *exchange = &sim_oldest(sim)->exchange;

    if (sim_head_of(sim, exchange, status, "application/json", 0))
        sim_end_of(sim, exchange, SHEAF_OK, "");
    sim_drain(sim);
}

static void answer_all(sim_t *sim)
{
    while (sim_oldest(sim) != NULL)
        answer_oldest(sim, 200);
}

static void elements_are_read_as_the_window_moves_on(void **state)
{
    sim_t *sim = *state;
    char id[16];

    start(sim, &sheaf_bulk_ndjson_in, lines(MANY, UINT32_MAX));
    assert_int_equal(sim->batch->total, MANY);
    assert_int_equal(sim->batch->count, 256);
    for (uint32_t i = 0; i < MANY; i++) {
        sheaf_item_t *item = sim_oldest(sim);

        snprintf(id, sizeof(id), "n%u", i);
        assert_true(sheaf_str_eq(item->id, sheaf_str_of(id)));
        assert_int_equal(item->index, i);
        assert_int_equal(item->exchange.body.len, strlen("{\"id\":\"\"}") + strlen(id));
        answer_oldest(sim, 200);
    }
    assert_int_equal(sim->batch->succeeded, MANY);
}

static void ids_that_repeat_are_items_of_their_own(void **state)
{
    sim_t *sim = *state;

    start(sim, &sheaf_bulk_json_in, "[{\"id\":1,\"x\":1.0},{\"id\":1},{\"id\":\"\\u0001\"},{\"id\":{}}]");
    assert_int_equal(sim->batch->flying, 2);
    assert_true(sheaf_str_eq(sim_oldest(sim)->exchange.body, SHEAF_STR("{\"id\":1,\"x\":1.0}")));
    answer_all(sim);
    assert_int_equal(sim->batch->succeeded, 2);
    for (uint32_t i = 2; i < 4; i++)
        assert_int_equal(sheaf_batch_item(sim->batch, i)->status, 400);
    assert_true(sheaf_str_eq(sheaf_batch_item(sim->batch, 2)->id, SHEAF_STR("2")));
}

static void an_element_without_its_id_fails_beside_its_siblings(void **state)
{
    sim_t *sim = *state;

    start(sim, &sheaf_bulk_ndjson_in, lines(MANY, 700));
    answer_all(sim);
    assert_int_equal(sim->batch->succeeded, MANY - 1);
    assert_int_equal(sim->batch->failed, 1);
    assert_int_equal(sim->sent_count, MANY - 1);
}

static void a_stop_after_a_failure_reads_the_rest_without_sending_it(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->on_error = SHEAF_ON_ERROR_STOP;
    sim->endpoint->parallel = 1;
    start(sim, &sheaf_bulk_ndjson_in, lines(MANY, UINT32_MAX));
    answer_oldest(sim, 200);
    answer_oldest(sim, 503);
    assert_int_equal(sim->done, 1);
    assert_int_equal(sim->sent_count, 2);
    assert_int_equal(sim->batch->failed, MANY - 1);
}

static void the_deadline_settles_elements_that_were_never_sent(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->timeout_ms = 5000; /* less than an item has */
    start(sim, &sheaf_bulk_ndjson_in, lines(MANY, UINT32_MAX));
    answer_oldest(sim, 200);
    sim_wind(sim, 5000);
    assert_int_equal(sim->done, 1);
    assert_int_equal(sim->batch->succeeded, 1);
    assert_int_equal(sim->batch->failed, MANY - 1);
    assert_int_equal(sim->sent_count, 65);
}

static void a_client_that_leaves_in_the_middle_ends_the_reading(void **state)
{
    sim_t *sim = *state;

    start(sim, &sheaf_bulk_ndjson_in, lines(MANY, UINT32_MAX));
    for (uint32_t i = 0; i < 300; i++)
        answer_oldest(sim, 200);
    sheaf_batch_abandon(sim->batch);
    sim_drain(sim);
    assert_int_equal(sim->done, 1);
    assert_int_equal(sim->batch->count, 556);
}

static void results_come_as_they_settle_where_the_order_is_completion(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->order = SHEAF_ORDER_COMPLETION;
    start(sim, &sheaf_bulk_json_in, "[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]");
    sim_answer(sim, "c", 200, "1");
    sim_answer(sim, "a", 200, "1");
    sim_answer(sim, "b", 200, "1");
    assert_string_equal(sim->settled, "c a b");
}

static void what_the_client_prefers_holds_for_a_bulk(void **state)
{
    sim_t *sim = *state;
    sheaf_prefer_t prefer = {.continues = SHEAF_CONTINUE_NO};

    make_bulk(sim);
    sim->endpoint->parallel = 1;
    sim_open(sim);
    sheaf_batch_prefer(sim->batch, &prefer);
    assert_int_equal(sheaf_bulk_json_in.decode(sim->batch, SHEAF_STR("[{\"id\":1},{\"id\":2},{\"id\":3}]"), NULL),
                     SHEAF_OK);
    sim_start(sim);
    answer_oldest(sim, 500);
    assert_int_equal(sim->batch->failed, 3);
    assert_int_equal(sim->sent_count, 1);
}

/* --- the n-th failure --- */

typedef enum harm { HARM_NONE, HARM_RESET, HARM_TIMEOUT, HARM_ABANDON, HARM_COUNT } harm_t;

static bool do_harm(sim_t *sim, sheaf_exchange_t *exchange)
{
    static const sheaf_err_t errs[] = {SHEAF_OK, SHEAF_ERR_RESET, SHEAF_ERR_TIMEOUT};

    if (sim->events != sim->harm_at)
        return false;
    if (sim->harm == HARM_ABANDON) {
        sheaf_batch_abandon(sim->batch);
        return exchange == NULL || exchange->state != 1;
    }
    if (exchange == NULL)
        return false;
    if (sim->is_sending)
        exchange->pending_err = errs[sim->harm];
    else
        sim_end_of(sim, exchange, errs[sim->harm], "");
    return true;
}

/* A window of 256 elements goes around more than once. */
static uint32_t run(uint32_t harm_at, harm_t harm, uint8_t on_error)
{
    sim_t *sim = sim_new();
    uint32_t events;

    sim->endpoint->parallel = 3;
    sim->endpoint->on_error = on_error;
    sim->on_event = do_harm;
    sim->harm_at = harm_at;
    sim->harm = (int)harm;
    start(sim, &sheaf_bulk_ndjson_in, lines(300, 280));
    answer_all(sim);
    assert_int_equal(sim->done, 1);
    assert_int_equal(sim->batch->open, 0);
    assert_int_equal(sim->batch->reserved_bytes, 0);
    for (uint32_t i = 0; i < sim->batch->count; i++)
        assert_true(sim->batch->is_abandoned ? sim->heard[i] <= 1 : sim->heard[i] == 1);
    assert_int_equal(sim->batch->is_abandoned ? 300 : sim->batch->count, 300);
    assert_int_equal(sim->batch->succeeded + sim->batch->failed, sim->batch->count);
    events = sim->events;
    sim_free(sim);
    return events;
}

static void every_element_settles_once_whatever_event_fails(void **state)
{
    (void)state;
    static const uint8_t on_errors[] = {SHEAF_ON_ERROR_CONTINUE, SHEAF_ON_ERROR_STOP};

    for (size_t i = 0; i < SHEAF_COUNT(on_errors); i++) {
        uint32_t events = run(0, HARM_NONE, on_errors[i]);

        assert_true(events >= 280);
        for (harm_t harm = HARM_RESET; harm < HARM_COUNT; harm++)
            for (uint32_t n = 1; n <= events; n += 7) /* each kind of event: there are four an element */
                run(n, harm, on_errors[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(elements_are_read_as_the_window_moves_on),
        SIM_STORY(ids_that_repeat_are_items_of_their_own),
        SIM_STORY(an_element_without_its_id_fails_beside_its_siblings),
        SIM_STORY(a_stop_after_a_failure_reads_the_rest_without_sending_it),
        SIM_STORY(the_deadline_settles_elements_that_were_never_sent),
        SIM_STORY(a_client_that_leaves_in_the_middle_ends_the_reading),
        SIM_STORY(results_come_as_they_settle_where_the_order_is_completion),
        SIM_STORY(what_the_client_prefers_holds_for_a_bulk),
        cmocka_unit_test(every_element_settles_once_whatever_event_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
