/* References: what an item takes from the answers of others, place by place, and what keeps those answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

static void expect_text(sheaf_str_t text, const char *wanted)
{
    char copy[512];

    snprintf(copy, sizeof(copy), "%.*s", SHEAF_STR_ARG(text));
    assert_string_equal(copy, wanted);
}

/* Runs "a", which answers `json`, then `line`, an item "b" that waits for it. */
static sheaf_item_t *second_of(sim_t *sim, const char *line, const char *json)
{
    sim_batch(sim, "a GET /any/list?x=1", line);
    sim_start(sim);
    sim_answer(sim, "a", 200, json);
    return sim_item(sim, "b");
}

static void expect_target(const char *line, const char *json, const char *target)
{
    sim_t *sim = sim_new();
    sheaf_item_t *b = second_of(sim, line, json);

    if (b->state != SHEAF_ITEM_FLYING)
        fail_msg("%s: %s", line, sim_text(b));
    expect_text(b->exchange.target, target);
    sim_answer(sim, "b", 200, "{}");
    sim_free(sim);
}

static void values_go_into_urls_as_one_segment_or_one_query_value(void **state)
{
    (void)state;
    expect_target("b GET /any/${a.body/id} after a", "{\"id\":42}", "/any/42");
    expect_target("b GET /any/x${a.body/id}y/z after a", "{\"id\":\"\"}", "/any/xy/z");
    expect_target("b GET /any/${a.body/n/1/x~1y} after a", "{\"n\":[0,{\"x/y\":12345678901234567890}]}",
                  "/any/12345678901234567890");
    expect_target("b GET /any/q?a=${a.body/t}&b=${a.status} after a", "{\"t\":\"x&y=z #\\u00e9\"}",
                  "/any/q?a=x%26y%3Dz%20%23%C3%A9&b=200");
    expect_target("b GET /any/q?a=${a.body/t} after a", "{\"t\":\"..\"}", "/any/q?a=..");
    expect_target("b GET /orders/${a.body} after a", "\"x/y\"", "/orders/x%2Fy");
    expect_target("b GET /users/${a.body} after a", "true", "/v1/people/true");
    expect_target("b GET /any/q?${a.headers.Content-Type} after a", "true", "/any/q?application%2Fjson");
    expect_target("b GET /any/$${a.body} after a", "true", "/any/$%7Ba.body%7D");
    expect_target("b GET $a/items?y=2 after a", "true", "/any/list/items?y=2&x=1");
    expect_target("b GET /$a after a", "true", "/any/list?x=1");
    expect_target("b GET /any/$a after a", "true", "/any/$a");
}

static void expect_failure(const char *line, const char *json, sheaf_err_t err, const char *detail)
{
    sim_t *sim = sim_new();
    sheaf_item_t *b = second_of(sim, line, json);

    assert_int_equal(b->state, SHEAF_ITEM_SETTLED);
    assert_int_equal(b->err, err);
    expect_text(b->detail, detail);
    sim_free(sim);
}

static void what_is_not_there_or_does_not_fit_is_named(void **state)
{
    const char *nothing = "the reference \"a.body/x\" found nothing";
    const char *no_name = "the reference \"a.body\" found a value that makes a segment of the url empty, . or ..";

    (void)state;
    expect_failure("b GET /any/${a.body/x} after a", "{}", SHEAF_ERR_UNRESOLVED, nothing);
    expect_failure("b GET /any/${a.body/x} after a", "[1]", SHEAF_ERR_UNRESOLVED, nothing);
    expect_failure("b GET /any/${a.body/x} after a", "{\"x\":null}", SHEAF_ERR_UNRESOLVED,
                   "the reference \"a.body/x\" found null");
    expect_failure("b GET /any/${a.body/x} after a", "{\"x\":[]}", SHEAF_ERR_UNRESOLVED,
                   "the reference \"a.body/x\" found an array where a plain value is wanted");
    expect_failure("b GET /any/${a.body/x} after a", "", SHEAF_ERR_UNRESOLVED,
                   "the reference \"a.body/x\" found no body");
    expect_failure("b GET /any/${a.body/x} after a", "{x", SHEAF_ERR_UNRESOLVED,
                   "the reference \"a.body/x\" found a body that is not JSON");
    expect_failure("b GET /any/${a.headers.etag} after a", "{}", SHEAF_ERR_UNRESOLVED,
                   "the reference \"a.headers.etag\" found no such header");
    expect_failure("b GET /any/${a.body} after a", "\"\"", SHEAF_ERR_UNRESOLVED, no_name);
    expect_failure("b GET /any/${a.body} after a", "\"..\"", SHEAF_ERR_UNRESOLVED, no_name);
    expect_failure("b GET /any/%2e${a.body} after a", "\".\"", SHEAF_ERR_UNRESOLVED, no_name);
    expect_failure("b GET /any/x after a with y: ${a.body}", "\"q\\r\\nz: 1\"", SHEAF_ERR_UNRESOLVED,
                   "the reference \"a.body\" found a value with control characters");
    expect_failure("b GET /any/x after a with if-match: $a", "{}", SHEAF_ERR_UNRESOLVED,
                   "the reference \"$a\" found no such header");
    expect_failure("b GET /users/${a.body} after a", "\"x/y\"", SHEAF_ERR_ITEM_URL,
                   "the path holds an encoded slash or backslash");
    expect_failure("b GET /any/${a.body/x after a", "{}", SHEAF_ERR_REFERENCE,
                   "\"${\" without \"}\"; \"$${\" stands for itself");
    expect_failure("b GET /any/${c.body} after a", "{}", SHEAF_ERR_REFERENCE,
                   "the reference \"c.body\" names an item that \"dependsOn\" does not list");
    expect_failure("b GET /any/${a.bodyx} after a", "{}", SHEAF_ERR_REFERENCE,
                   "\"a.bodyx\" is no reference: ID.body/POINTER, ID.status and ID.headers.NAME are");
    expect_failure("b GET /any/%4${a.body} after a", "1", SHEAF_ERR_ITEM_URL,
                   "the url holds a malformed percent-encoding");
    expect_failure("b POST /any/x after a body {\"$result\":1}", "1", SHEAF_ERR_REFERENCE,
                   "\"$result\" takes a reference as a string");
}

static void expect_body(const char *body, const char *json, const char *sent)
{
    sim_t *sim = sim_new();
    char line[512];
    sheaf_item_t *b;

    snprintf(line, sizeof(line), "b POST /any/x after a body %s", body);
    b = second_of(sim, line, json);
    if (b->state != SHEAF_ITEM_FLYING)
        fail_msg("%s: %s", line, sim_text(b));
    expect_text(b->exchange.body, sent);
    sim_answer(sim, "b", 200, "{}");
    sim_free(sim);
}

static void values_go_into_json_bodies_with_their_type(void **state)
{
    (void)state;
    expect_body("{\"a\":{\"$result\":\"a.body/id\"},\"b\":1}", "{\"id\": 12345678901234567890 }",
                "{\"a\":12345678901234567890,\"b\":1}");
    expect_body("{\"$result\":\"a.body\"}", "{\"x\": [1.50, \"\\u0041\"]}", "{\"x\": [1.50, \"\\u0041\"]}");
    expect_body("[{\"$result\":\"a.status\"},{\"$result\":\"a.headers.content-type\"}]", "1",
                "[200,\"application/json\"]");
    expect_body("{\"$literal\":{\"$result\":\"a.body\"}}", "1", "{\"$result\":\"a.body\"}");
    expect_body("{\"\\u0024result\":\"a.body\"}", "null", "null");
    expect_body("[\"${a.body}\",{\"$result\":\"a.body\",\"more\":1}]", "1",
                "[\"${a.body}\",{\"$result\":\"a.body\",\"more\":1}]");
}

static void without_dependencies_nothing_is_scanned(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a POST /any/${b.body}?$b body {\"$result\":\"b.body\"}", "b GET /any/$a");
    sim_start(sim);
    expect_text(sim_item(sim, "a")->exchange.target, "/any/$%7Bb.body%7D?$b");
    expect_text(sim_item(sim, "a")->exchange.body, "{\"$result\":\"b.body\"}");
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "b", 200, "{}");
}

static void more_than_64_references_are_refused(void **state)
{
    sim_t *sim = *state;
    char line[65 * 11 + 64] = "b GET /any/x?";

    for (int i = 0; i < 65; i++)
        strcat(line, "${a.body}");
    strcat(line, " after a");
    sim_batch(sim, "a GET /any/1", line);
    sim_start(sim);
    sim_answer(sim, "a", 200, "1");
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_REFERENCE);
}

static void the_body_that_comes_out_is_held_to_what_the_route_takes(void **state)
{
    sim_t *sim = *state;

    sim->snapshot.conf.routes.items[sim->snapshot.conf.routes.count - 1].max_body_bytes = 8;
    sim_batch(sim, "a GET /any/1", "b POST /any/2 after a body [{\"$result\":\"a.body\"}]",
              "c POST /any/3 after a body [{\"$result\":\"a.body/0\"}]");
    sim_start(sim);
    sim_answer(sim, "a", 200, "[1234,56]");
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_ITEM_TOO_LARGE);
    expect_text(sim_item(sim, "c")->exchange.body, "[1234]");
    sim_answer(sim, "c", 200, "{}");
}

static void headers_take_values_and_keep_the_rest(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b POST /any/2 after a with x-from: <${a.body/t}>");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{\"t\":\"u v\"}");
    assert_string_equal(sim_sent_header(sim_item(sim, "b"), "x-from"), "<u v>");
    sim_answer(sim, "b", 200, "{}");
}

/* --- what keeps an answer --- */

static void an_answer_stays_until_the_last_reader_has_it(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/${a.body/id} after a", "c GET /any/${a.body/id} after a,b",
              "d GET /any/4 after a");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{\"id\":7}");
    assert_non_null(sim_item(sim, "a")->body);
    sim_answer(sim, "d", 200, "{}");
    assert_non_null(sim_item(sim, "a")->body);
    sim_answer(sim, "b", 200, "{}");
    assert_null(sim_item(sim, "a")->body);
    expect_text(sim_item(sim, "c")->exchange.target, "/any/7");
    sim_answer(sim, "c", 200, "{}");
    assert_int_equal(sim->batch->kept_bytes, 0);
}

static void a_reader_that_never_runs_lets_go_of_it(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/${a.body/id} after a,b");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{\"id\":7}");
    assert_non_null(sim_item(sim, "a")->body);
    sim_answer(sim, "b", 500, "{}");
    assert_int_equal(sim_item(sim, "c")->err, SHEAF_ERR_DEPENDENCY_FAILED);
    assert_null(sim_item(sim, "a")->body);
}

static void kept_answers_never_stop_what_their_readers_wait_for(void **state)
{
    (void)state;
    for (unsigned order = SHEAF_ORDER_REQUEST; order <= SHEAF_ORDER_COMPLETION; order++) {
        sim_t *sim = sim_new();

        sim->endpoint->order = (uint8_t)order;
        sim->endpoint->budget_bytes = 1;
        sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/3 after b",
                  "d GET /any/${a.body/id}/${b.body/id}/${c.body/id} after a,b,c", "e GET /any/5");
        sim_start(sim);
        while (sim_oldest(sim) != NULL) {
            char id[8];

            snprintf(id, sizeof(id), "%.*s", SHEAF_STR_ARG(sim_oldest(sim)->id));
            sim_answer(sim, id, 200, "{\"id\":\"0123456789\"}");
        }
        assert_int_equal(sim->done, 1);
        assert_int_equal(sim->batch->succeeded, 5);
        assert_int_equal(sim->batch->kept_bytes, 0);
        assert_int_equal(sim->batch->held_bytes, 0);
        assert_int_equal(sim->batch->reserved_bytes, 0);
        sim_free(sim);
    }
}

/* --- how much is looked through --- */

#define ELEMENTS 400000

/* An array so long that a value at its end is far off. */
static const char *long_array(void)
{
    static char *text;

    if (text == NULL) {
        text = malloc(2 * ELEMENTS + 2);
        for (int i = 0; i < ELEMENTS; i++)
            memcpy(text + 1 + 2 * i, "0,", 2);
        text[0] = '[';
        strcpy(text + 2 * ELEMENTS, "]");
    }
    return text;
}

static void add_far(sim_t *sim, const char *id, int references)
{
    char line[4096], *at = line + sprintf(line, "%s GET /any/x after a with y: v", id);

    for (int i = 0; i < references; i++)
        at += sprintf(at, "${a.body/%d}", ELEMENTS - 1);
    sim_add(sim, line);
}

static void an_item_looks_through_no_more_than_its_share(void **state)
{
    sim_t *sim = *state;

    sim_open(sim);
    sim_add(sim, "a GET /any/list");
    add_far(sim, "b", 64);
    add_far(sim, "c", 2);
    assert_true(sheaf_batch_seal(sim->batch, NULL) == SHEAF_OK);
    sim_start(sim);
    sim_answer(sim, "a", 200, long_array());
    expect_text(sim_item(sim, "b")->detail,
                "the reference \"a.body/399999\" is too far in, with what others looked through");
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_UNRESOLVED);
    assert_in_range(sim->batch->walked_steps, 2000000, 2100000);
    sim_wind(sim, 0);
    assert_string_equal(sim_flying(sim), "c");
    sim_answer(sim, "c", 200, "1");
}

static void a_batch_does_too(void **state)
{
    sim_t *sim = *state;

    sim_open(sim);
    sim_add(sim, "a GET /any/list");
    add_far(sim, "b", 1);
    sim_add(sim, "c GET /any/x after a with y: ${a.body/9000}");
    assert_true(sheaf_batch_seal(sim->batch, NULL) == SHEAF_OK);
    sim->batch->walked_steps = 1000000000;
    sim_start(sim);
    sim_answer(sim, "a", 200, long_array());
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_UNRESOLVED);
    assert_string_equal(sim_flying(sim), "c"); /* what lies near is found all the same */
    sim_answer(sim, "c", 200, "1");
}

static void after_a_long_look_others_have_their_turn(void **state)
{
    sim_t *sim = *state;

    sim_open(sim);
    sim_add(sim, "a GET /any/list");
    add_far(sim, "b", 1);
    add_far(sim, "c", 1);
    assert_true(sheaf_batch_seal(sim->batch, NULL) == SHEAF_OK);
    sim_start(sim);
    sim_answer(sim, "a", 200, long_array());
    assert_string_equal(sim_flying(sim), "b");
    sim_wind(sim, 0);
    assert_string_equal(sim_flying(sim), "b c");
    sim_answer(sim, "b", 200, "1");
    sim_answer(sim, "c", 200, "1");
}

/* What lies near in an answer that came in several pieces: those are put together for each item. */
static void after_much_was_copied_they_do_too(void **state)
{
    sim_t *sim = *state;
    char line[64];

    sim_open(sim);
    sim_add(sim, "a GET /any/list");
    for (char id = 'b'; id <= 'k'; id++) {
        sprintf(line, "%c GET /any/x after a with y: ${a.body/0}", id);
        sim_add(sim, line);
    }
    assert_true(sheaf_batch_seal(sim->batch, NULL) == SHEAF_OK);
    sim_start(sim);
    sim_answer(sim, "a", 200, long_array());
    assert_string_equal(sim_flying(sim), "b c d e f g h i");
    sim_wind(sim, 0);
    assert_string_equal(sim_flying(sim), "b c d e f g h i j k");
    for (line[0] = 'b', line[1] = '\0'; line[0] <= 'k'; line[0]++)
        sim_answer(sim, line, 200, "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_into_urls_as_one_segment_or_one_query_value),
        cmocka_unit_test(what_is_not_there_or_does_not_fit_is_named),
        cmocka_unit_test(values_go_into_json_bodies_with_their_type),
        SIM_STORY(without_dependencies_nothing_is_scanned),
        SIM_STORY(more_than_64_references_are_refused),
        SIM_STORY(the_body_that_comes_out_is_held_to_what_the_route_takes),
        SIM_STORY(headers_take_values_and_keep_the_rest),
        SIM_STORY(an_answer_stays_until_the_last_reader_has_it),
        SIM_STORY(a_reader_that_never_runs_lets_go_of_it),
        cmocka_unit_test(kept_answers_never_stop_what_their_readers_wait_for),
        SIM_STORY(an_item_looks_through_no_more_than_its_share),
        SIM_STORY(a_batch_does_too),
        SIM_STORY(after_a_long_look_others_have_their_turn),
        SIM_STORY(after_much_was_copied_they_do_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
