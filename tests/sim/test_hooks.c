/* Who is asked before an item flies, and told of its answer: the seam alone, with hooks that go by the item's id: r... is
 * refused, h... is held until the test lets it go, all others pass; what x... is answered another answer takes the place of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/batch/hooks.h"
#include "tests/sim/sim.h"

static struct {
    bool is_let, is_given_later;
    uint32_t asked, told;
    char told_ids[512]; /* "id:status" */
} seen;

static void refuse(sheaf_item_t *item)
{
    sheaf_given_t given = {403, SHEAF_STR("text/plain"), SHEAF_STR("no")};
    sheaf_headers_t fields = {0};

    sheaf_headers_add(&fields, item->pool, SHEAF_STR("x-why"), SHEAF_STR("because"));
    sheaf_item_give(item, &given, &fields);
}

static sheaf_say_t on_item(sheaf_hooks_t *self, sheaf_item_t *item)
{
    seen.asked++;
    if (item->id.base[0] == 'r' || (item->id.base[0] == 'h' && seen.is_let && seen.is_given_later)) {
        refuse(item);
        return SHEAF_SAY_ANSWER;
    }
    return item->id.base[0] == 'h' && !seen.is_let ? SHEAF_SAY_LATER : SHEAF_SAY_PASS;
}

static void on_result(sheaf_hooks_t *self, sheaf_item_t *item)
{
    size_t len = strlen(seen.told_ids);

    static const sheaf_given_t given = {200, {"text/plain", 10}, {"instead", 7}};
    sheaf_headers_t fields = {0};

    assert_true(item->state != SHEAF_ITEM_SETTLED);
    sheaf_headers_add(&fields, item->pool, SHEAF_STR("location"), SHEAF_STR("/there"));
    if (item->id.base[0] == 'x')
        sheaf_item_replace(item, &given, &fields);
    seen.told++;
    snprintf(seen.told_ids + len, sizeof(seen.told_ids) - len, "%s%.*s:%u", len > 0 ? " " : "", SHEAF_STR_ARG(item->id),
             item->status);
}

static bool asks(sheaf_hooks_t *self, const sheaf_batch_t *batch, const sheaf_route_conf_t *route)
{
    return true;
}

static sheaf_hooks_t hooks = {.on_item = on_item, .on_result = on_result, .asks = asks};

static int setup(void **state)
{
    sim_t *sim = sim_new();

    memset(&seen, 0, sizeof(seen));
    sim->hooks = &hooks;
    sim->snapshot.conf.routes.items[3].coalesce = true; /* /any/{rest...} */
    *state = sim;
    return 0;
}

static int teardown(void **state)
{
    sim_free(*state);
    return 0;
}

static void let(sim_t *sim, const char *id)
{
    seen.is_let = true;
    sheaf_hooks_go_on(sim_item(sim, id));
    sheaf_hooks_go_on(sim_item(sim, id)); /* more than once is fine */
    sim_drain(sim);
}

static void an_item_that_is_refused_never_flies(void **state)
{
    sim_t *sim = *state;

    sim->sends = false;
    sim_batch(sim, "a GET /any/1", "r GET /any/2", "b GET /any/3 after r");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a");
    assert_int_equal(sim_item(sim, "r")->status, 403);
    assert_string_equal(sim_text(sim_item(sim, "r")), "no");
    assert_non_null(sheaf_headers_find(&sim_item(sim, "r")->answer, SHEAF_STR("x-why")));
    assert_int_equal(sim_item(sim, "b")->err, SHEAF_ERR_DEPENDENCY_FAILED);
    sim_answer(sim, "a", 200, "{}");
    assert_int_equal(sim->done, 1);
}

static void a_held_item_counts_as_flying_and_goes_on(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->parallel = 2;
    sim_batch(sim, "h GET /any/1", "a GET /any/2", "b GET /any/3");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a");
    assert_int_equal(sim->batch->flying, 2);
    let(sim, "h");
    assert_string_equal(sim_flying(sim), "a h");
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "h", 200, "{}");
    sim_answer(sim, "b", 200, "{}");
    assert_int_equal(sim->batch->succeeded, 3);
}

static void a_held_item_may_be_answered_later(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "h GET /any/1");
    sim_start(sim);
    seen.is_given_later = true;
    let(sim, "h");
    assert_int_equal(sim->sent_count, 0);
    assert_string_equal(seen.told_ids, "h:403");
}

static void one_that_is_held_too_long_is_504(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "h GET /any/1 for 200ms", "a GET /any/2");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{}");
    sim_wind(sim, 199);
    assert_int_equal(sim->batch->open, 1);
    sim_wind(sim, 1);
    assert_string_equal(seen.told_ids, "a:200 h:504");
    sheaf_hooks_go_on(sim_item(sim, "h")); /* too late */
    sim_drain(sim);
    assert_int_equal(sim->sent_count, 1);
}

static void time_in_which_it_was_held_counts_against_its_timeout(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "h GET /any/1 for 200ms");
    sim_start(sim);
    sim_wind(sim, 150);
    let(sim, "h");
    assert_string_equal(sim_flying(sim), "h");
    sim_wind(sim, 50);
    assert_string_equal(seen.told_ids, "h:504");
}

static void the_end_of_the_batch_ends_what_is_held(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->timeout_ms = 100;
    sim_batch(sim, "h GET /any/1", "a GET /any/2");
    sim_start(sim);
    sim_wind(sim, 100);
    assert_int_equal(sim_item(sim, "h")->err, SHEAF_ERR_BATCH_TIMEOUT);
    assert_int_equal(seen.told, 2);
}

static void a_client_that_leaves_ends_what_is_held(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->on_client_abort = SHEAF_ON_CLIENT_ABORT_FINISH_UNSAFE;
    sim_batch(sim, "h POST /any/1", "a POST /any/2");
    sim_start(sim);
    sheaf_batch_abandon(sim->batch);
    sim_drain(sim);
    assert_string_equal(sim_flying(sim), "a");
    assert_string_equal(seen.told_ids, "h:499");
    sim_answer(sim, "a", 200, "{}");
    assert_int_equal(sim->done, 1);
}

static void every_item_is_told_of_once_whatever_became_of_it(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "n GET /nowhere", "r GET /any/2", "b GET /any/3 after r", "c GET /any/4");
    sim_start(sim);
    sim_break(sim, "c", SHEAF_ERR_RESET);
    sim_answer(sim, "a", 200, "{}");
    assert_string_equal(seen.told_ids, "n:404 r:403 b:424 c:502 a:200");
}

static void items_that_are_asked_about_share_no_exchange(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/1", "r GET /any/1");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a b");
    assert_int_equal(seen.asked, 3);
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "b", 200, "{}");
}

static void another_answer_takes_the_place_of_any(void **state)
{
    sim_t *sim = *state;
    static const char *const ids[] = {"xa", "xb", "xc", "xn"};

    sim->sends = false;
    sim_batch(sim, "xa GET /any/1", "xb GET /any/2", "xc GET /any/3", "xn GET /nowhere", "d GET /any/4 after xb");
    sim_start(sim);
    sim_answer(sim, "xa", 503, "{\"a\":1}");
    sim_break(sim, "xb", SHEAF_ERR_RESET);
    sim->cookie = "s=1";
    sim_answer(sim, "xc", 200, "{}");
    assert_string_equal(sim_flying(sim), "d");
    for (size_t i = 0; i < SHEAF_COUNT(ids); i++) {
        const sheaf_item_t *item = sim_item(sim, ids[i]);

        assert_int_equal(item->status, 200);
        assert_int_equal(item->err, SHEAF_OK);
        assert_string_equal(sim_text(item), "instead");
        assert_int_equal(item->answer.count, 2); /* and nothing of the other one */
    }
    sim_answer(sim, "d", 200, "{}");
    assert_int_equal(sim->batch->succeeded, 5);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_item_that_is_refused_never_flies),
        STORY(a_held_item_counts_as_flying_and_goes_on),
        STORY(a_held_item_may_be_answered_later),
        STORY(one_that_is_held_too_long_is_504),
        STORY(time_in_which_it_was_held_counts_against_its_timeout),
        STORY(the_end_of_the_batch_ends_what_is_held),
        STORY(a_client_that_leaves_ends_what_is_held),
        STORY(every_item_is_told_of_once_whatever_became_of_it),
        STORY(items_that_are_asked_about_share_no_exchange),
        STORY(another_answer_takes_the_place_of_any),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
