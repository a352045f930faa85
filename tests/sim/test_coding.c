/* Answers in a content coding, and every end that may come while they are made plain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

/* {"n":1} */
static const char gzip[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\xca\x53\xb2\x32\xac\x05\x00\x7e"
                           "\x3b\x4b\xd4\x07\x00\x00\x00";
#define GZIP_LEN (sizeof(gzip) - 1)

static void assert_problem(const sheaf_item_t *item, sheaf_err_t err)
{
    assert_int_equal(item->err, err);
    assert_int_equal(item->status, sheaf_err_status(err));
    assert_null(item->inflate);
}

static void a_coded_answer_is_plain_wherever_its_bytes_are_cut(void **state)
{
    sim_t *sim = *state;
    sheaf_fail_t fail;
    char line[32];

    sim->sends = false;
    sim->coding = "gzip";
    sim_open(sim);
    for (size_t cut = 0; cut <= GZIP_LEN; cut++) {
        sprintf(line, "i%zu GET /any/%zu", cut, cut);
        sim_add(sim, line);
    }
    assert_int_equal(sheaf_batch_seal(sim->batch, &fail), SHEAF_OK);
    sim_start(sim);
    for (size_t cut = 0; cut <= GZIP_LEN; cut++) {
        sprintf(line, "i%zu", cut);
        sim_head(sim, line, 200, "application/json", GZIP_LEN);
        assert_true(sim_body(sim, line, gzip, cut));
        assert_true(sim_body(sim, line, gzip + cut, GZIP_LEN - cut));
        sim_end(sim, line, SHEAF_OK, "");
        assert_string_equal(sim_text(sim_item(sim, line)), "{\"n\":1}");
        assert_true(sim_item(sim, line)->json_is_valid);
        assert_null(sheaf_headers_find(&sim_item(sim, line)->answer, SHEAF_STR("content-encoding")));
    }
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_ANSWERS_INFLATED], GZIP_LEN + 1);
    for (uint32_t i = 0; i < sim->batch->count; i++)
        sheaf_batch_sent(sim->batch, i);
    sim_drain(sim);
}

static void the_whole_ceiling_stays_reserved_until_its_length_is_known(void **state)
{
    sim_t *sim = *state;

    sim->coding = "gzip";
    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    sim_head(sim, "a", 200, "application/json", GZIP_LEN);
    assert_int_equal(sim->batch->reserved_bytes, sim->endpoint->max_item_body_bytes);
    sim_body(sim, "a", gzip, GZIP_LEN);
    sim_end(sim, "a", SHEAF_OK, "");
    assert_int_equal(sim->batch->reserved_bytes, 0);
}

static void its_plain_bytes_are_held_to_the_limit(void **state)
{
    sim_t *sim = *state;

    sim->coding = "gzip";
    sim->endpoint->max_item_body_bytes = 6;
    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    sim_head(sim, "a", 200, "application/json", UINT64_MAX);
    assert_false(sim_body(sim, "a", gzip, GZIP_LEN));
    assert_problem(sim_item(sim, "a"), SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_ANSWERS_NOT_INFLATED], 1);
}

static void a_cut_or_damaged_coding_is_malformed(void **state)
{
    sim_t *sim = *state;

    sim->coding = "gzip";
    sim_batch(sim, "a GET /any/1", "b GET /any/2");
    sim_start(sim);
    sim_head(sim, "a", 200, "application/json", UINT64_MAX);
    sim_body(sim, "a", gzip, GZIP_LEN - 1);
    sim_end(sim, "a", SHEAF_OK, "");
    assert_problem(sim_item(sim, "a"), SHEAF_ERR_MALFORMED);
    sim_head(sim, "b", 200, "application/json", UINT64_MAX);
    assert_false(sim_body(sim, "b", "{\"n\":1}", 7));
    assert_problem(sim_item(sim, "b"), SHEAF_ERR_MALFORMED);
}

static void a_backend_that_breaks_off_is_what_it_is(void **state)
{
    sim_t *sim = *state;

    sim->coding = "gzip";
    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    sim_head(sim, "a", 200, "application/json", UINT64_MAX);
    sim_body(sim, "a", gzip, 5);
    sim_end(sim, "a", SHEAF_ERR_RESET, "closed");
    assert_problem(sim_item(sim, "a"), SHEAF_ERR_RESET);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_ANSWERS_NOT_INFLATED], 0);
}

static void the_end_of_the_batch_ends_it_in_the_middle(void **state)
{
    sim_t *sim = *state;

    sim->coding = "gzip";
    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    sim_head(sim, "a", 200, "application/json", UINT64_MAX);
    sim_body(sim, "a", gzip, 5);
    sim_wind(sim, sim->endpoint->timeout_ms);
    assert_problem(sim_item(sim, "a"), SHEAF_ERR_BATCH_TIMEOUT);
}

static void so_does_a_client_that_leaves(void **state)
{
    sim_t *sim = *state;

    sim->coding = "gzip";
    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    sim_head(sim, "a", 200, "application/json", UINT64_MAX);
    sim_body(sim, "a", gzip, 5);
    sheaf_batch_abandon(sim->batch);
    assert_null(sim_item(sim, "a")->inflate);
    sim_drain(sim);
}

static void other_codings_are_bytes(void **state)
{
    sim_t *sim = *state;

    sim->sends = false;
    sim->coding = "br";
    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{}");
    assert_int_equal(sim_item(sim, "a")->kind, SHEAF_MEDIA_BINARY);
    assert_false(sim_item(sim, "a")->json_is_valid);
    assert_non_null(sheaf_headers_find(&sim_item(sim, "a")->answer, SHEAF_STR("content-encoding")));
    sheaf_batch_sent(sim->batch, 0);
    sim_drain(sim);
}

static void a_head_and_a_304_keep_what_they_tell(void **state)
{
    sim_t *sim = *state;

    sim->sends = false;
    sim->coding = "gzip";
    sim_batch(sim, "a HEAD /any/1", "b GET /any/2");
    sim_start(sim);
    sim_head(sim, "a", 200, "application/json", 99);
    sim_end(sim, "a", SHEAF_OK, "");
    sim_head(sim, "b", 304, "application/json", 99);
    sim_end(sim, "b", SHEAF_OK, "");
    assert_non_null(sheaf_headers_find(&sim_item(sim, "a")->answer, SHEAF_STR("content-encoding")));
    assert_non_null(sheaf_headers_find(&sim_item(sim, "b")->answer, SHEAF_STR("content-encoding")));
    assert_int_equal(sim_item(sim, "b")->status, 304);
    sheaf_batch_sent(sim->batch, 0);
    sheaf_batch_sent(sim->batch, 1);
    sim_drain(sim);
}

static void gzip_is_asked_for_on_routes_that_say_so_unless_the_item_does(void **state)
{
    sim_t *sim = *state;

    sim->snapshot.conf.routes.items[3].compress = true;
    sim_batch(sim, "a GET /any/1", "b GET /orders", "c GET /any/2 with accept-encoding: br",
              "d GET /any/3 with range: bytes=0-1");
    sim_start(sim);
    assert_string_equal(sim_sent_header(sim_item(sim, "a"), "accept-encoding"), "gzip");
    assert_string_equal(sim_sent_header(sim_item(sim, "b"), "accept-encoding"), "");
    assert_string_equal(sim_sent_header(sim_item(sim, "c"), "accept-encoding"), "br");
    assert_string_equal(sim_sent_header(sim_item(sim, "d"), "accept-encoding"), "");
    for (const char *ids = "abcd"; *ids != '\0'; ids++)
        sim_answer(sim, (char[]){*ids, '\0'}, 200, "{}");
}

static void items_that_share_share_what_became_plain(void **state)
{
    sim_t *sim = *state;

    sim->sends = false;
    sim->coding = "gzip";
    sim->snapshot.conf.routes.items[3].coalesce = true;
    sim_batch(sim, "a GET /any/1", "b GET /any/1");
    sim_start(sim);
    sim_head(sim, "a", 200, "application/json", GZIP_LEN);
    sim_body(sim, "a", gzip, GZIP_LEN);
    sim_end(sim, "a", SHEAF_OK, "");
    assert_string_equal(sim_text(sim_item(sim, "b")), "{\"n\":1}");
    assert_null(sim_item(sim, "b")->inflate);
    sheaf_batch_sent(sim->batch, 0);
    sheaf_batch_sent(sim->batch, 1);
    sim_drain(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(a_coded_answer_is_plain_wherever_its_bytes_are_cut),
        SIM_STORY(the_whole_ceiling_stays_reserved_until_its_length_is_known),
        SIM_STORY(its_plain_bytes_are_held_to_the_limit),
        SIM_STORY(a_cut_or_damaged_coding_is_malformed),
        SIM_STORY(a_backend_that_breaks_off_is_what_it_is),
        SIM_STORY(the_end_of_the_batch_ends_it_in_the_middle),
        SIM_STORY(so_does_a_client_that_leaves),
        SIM_STORY(other_codings_are_bytes),
        SIM_STORY(a_head_and_a_304_keep_what_they_tell),
        SIM_STORY(gzip_is_asked_for_on_routes_that_say_so_unless_the_item_does),
        SIM_STORY(items_that_share_share_what_became_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
