#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

static int up(void **state)
{
    *state = sim_new();
    return 0;
}

static int down(void **state)
{
    sim_free(*state);
    return 0;
}

static sheaf_err_t add_id(sim_t *sim, sheaf_str_t id)
{
    sheaf_draft_t draft = {.id = id, .url = SHEAF_STR("/any/1")};

    return sheaf_batch_add(sim->batch, &draft, NULL);
}

static void ids_are_checked_and_duplicates_are_named(void **state)
{
    sim_t *sim = *state;

    sim_open(sim);
    assert_int_equal(add_id(sim, SHEAF_STR_NONE), SHEAF_OK);
    assert_memory_equal(sim->batch->items[0].id.base, "0", 1);
    assert_int_equal(add_id(sim, SHEAF_STR("a[3]")), SHEAF_ERR_ID);
    assert_int_equal(add_id(sim, SHEAF_STR("0")), SHEAF_ERR_ID);
    assert_int_equal(sim->batch->fault.item, 1);
    assert_int_equal(sim->batch->fault.member, SHEAF_FAULT_ID);
    assert_int_equal(sim->batch->count, 1);
}

static void more_items_than_allowed_are_refused(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->max_items = 1;
    sim_open(sim);
    assert_int_equal(add_id(sim, SHEAF_STR_NONE), SHEAF_OK);
    assert_int_equal(add_id(sim, SHEAF_STR_NONE), SHEAF_ERR_TOO_MANY_ITEMS);
    assert_int_equal(sim->batch->fault.member, SHEAF_FAULT_ITEMS);
}

static void an_unknown_dependency_is_found(void **state)
{
    sim_t *sim = *state;
    sheaf_fail_t fail;

    sim_open(sim);
    sim_add(sim, "a GET /any/1");
    sim_add(sim, "b GET /any/2 after a,nobody");
    assert_int_equal(sheaf_batch_seal(sim->batch, &fail), SHEAF_ERR_DEPENDENCY);
    assert_int_equal(sim->batch->fault.item, 1);
    assert_int_equal(sim->batch->fault.at, 1);
    assert_string_equal(fail.detail, "no item has the id \"nobody\"");
}

static void a_circle_is_found_where_it_is_and_not_where_it_hangs(void **state)
{
    sim_t *sim = *state;
    sheaf_fail_t fail;

    sim_open(sim);
    sim_add(sim, "a GET /any/1 after c"); /* waits for the circle, is not on it */
    sim_add(sim, "r GET /any/r");
    sim_add(sim, "b GET /any/2 after r,d");
    sim_add(sim, "c GET /any/3 after b");
    sim_add(sim, "d GET /any/4 after c");
    assert_int_equal(sheaf_batch_seal(sim->batch, &fail), SHEAF_ERR_CYCLE);
    assert_int_equal(sim->batch->fault.item, 2);
    assert_int_equal(sim->batch->fault.at, 1);
}

static void an_item_may_not_wait_for_itself(void **state)
{
    sim_t *sim = *state;
    sheaf_fail_t fail;

    sim_open(sim);
    sim_add(sim, "a GET /any/1 after a");
    assert_int_equal(sheaf_batch_seal(sim->batch, &fail), SHEAF_ERR_CYCLE);
    assert_string_equal(fail.detail, "item \"a\" depends on itself");
}

static void expect_target(sim_t *sim, const char *line, const char *target)
{
    const sheaf_item_t *item;

    sim_add(sim, line);
    item = &sim->batch->items[sim->batch->count - 1];
    assert_int_equal(item->err, SHEAF_OK);
    assert_int_equal(item->exchange.target.len, strlen(target));
    assert_memory_equal(item->exchange.target.base, target, strlen(target));
}

static void urls_are_normalised_routed_and_rewritten(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->base = SHEAF_STR("/any");
    sim_open(sim);
    expect_target(sim, "1 GET /users/42?a=b", "/v1/people/42?a=b");
    expect_target(sim, "2 GET /any/x/../y?q", "/any/y?q");
    expect_target(sim, "3 GET rel?x=1", "/any/rel?x=1");
    expect_target(sim, "4 get /any/a?", "/any/a?");
    expect_target(sim, "5 HEAD /users/%7e", "/v1/people/~");
    expect_target(sim, "6 GET /orders/a%2Fb", "/orders/a%2Fb");
    expect_target(sim, "7 PURGE /any/z", "/any/z");
}

static void expect_err(sim_t *sim, sheaf_draft_t draft, sheaf_err_t err)
{
    assert_int_equal(sheaf_batch_add(sim->batch, &draft, NULL), SHEAF_OK);
    assert_int_equal(sim->batch->items[sim->batch->count - 1].err, err);
    assert_true(sim->batch->items[sim->batch->count - 1].detail.len > 0);
}

#define DRAFT(...) ((sheaf_draft_t){__VA_ARGS__})
#define S(text)    SHEAF_STR(text)

static void what_cannot_run_is_told_why(void **state)
{
    sim_t *sim = *state;
    static char large[2 << 20];

    memset(large, '1', sizeof(large));
    sim_open(sim);
    expect_err(sim, DRAFT(.url = S("http://evil/")), SHEAF_ERR_ITEM_URL);
    expect_err(sim, DRAFT(.url = S("//evil/x")), SHEAF_ERR_ITEM_URL);
    expect_err(sim, DRAFT(.url = S("/batch?x=1")), SHEAF_ERR_ITEM_URL);
    expect_err(sim, DRAFT(.url = S("/any/../%62atch")), SHEAF_ERR_ITEM_URL);
    expect_err(sim, DRAFT(.url = S("/any/a%2Fb")), SHEAF_ERR_ITEM_URL);
    expect_err(sim, DRAFT(.url = sheaf_str(large, 8193)), SHEAF_ERR_ITEM_URL);
    expect_err(sim, DRAFT(.url = S("/nowhere")), SHEAF_ERR_NO_ROUTE);
    expect_err(sim, DRAFT(.url = S("/any/1"), .method = S("G T")), SHEAF_ERR_ITEM_METHOD);
    expect_err(sim, DRAFT(.url = S("/any/1"), .method = S("connect")), SHEAF_ERR_ITEM_NOT_ALLOWED);
    expect_err(sim, DRAFT(.url = S("/any/1"), .method = S("TRACE")), SHEAF_ERR_ITEM_NOT_ALLOWED);
    expect_err(sim, DRAFT(.url = S("/any/1"), .has_body = true, .body = S("1")), SHEAF_ERR_ITEM_BODY);
    expect_err(sim, DRAFT(.url = S("/any/1"), .method = S("POST"), .has_body = true, .body = {large, sizeof(large)}),
               SHEAF_ERR_ITEM_TOO_LARGE);
    expect_err(sim, DRAFT(.url = S("/any/1"), .is_in_change_set = true), SHEAF_ERR_CHANGE_SETS);
    expect_err(sim, DRAFT(.url = S("/any/1"), .has_condition = true), SHEAF_ERR_CONDITION);
    expect_err(sim, DRAFT(.url = S("/any/1"), .err = SHEAF_ERR_ITEM_BODY, .detail = "bad base64"), SHEAF_ERR_ITEM_BODY);
}

static void a_method_that_the_route_lacks_is_405_with_allow(void **state)
{
    sim_t *sim = *state;
    const sheaf_header_t *allow;

    sim_batch(sim, "a PUT /users/1");
    sim_start(sim);
    allow = sheaf_headers_find(&sim_item(sim, "a")->answer, SHEAF_STR("allow"));
    assert_int_equal(sim_item(sim, "a")->status, 405);
    assert_non_null(allow);
    assert_int_equal(allow->value.len, strlen("GET, HEAD, PATCH, DELETE"));
}

static void a_change_set_may_run_as_ordinary_items(void **state)
{
    sim_t *sim = *state;
    sheaf_draft_t draft = {.url = SHEAF_STR("/any/1"), .is_in_change_set = true};

    sim->endpoint->change_sets = SHEAF_CHANGE_SETS_INDEPENDENT;
    sim_open(sim);
    assert_int_equal(sheaf_batch_add(sim->batch, &draft, NULL), SHEAF_OK);
    assert_int_equal(sim->batch->items[0].err, SHEAF_OK);
}

static void a_json_body_gets_its_content_type_and_a_post_its_length(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a POST /any/1 body {}", "b POST /any/2", "c GET /any/3");
    assert_string_equal(sim_sent_header(sim_item(sim, "a"), "content-type"), "application/json");
    assert_string_equal(sim_sent_header(sim_item(sim, "b"), "content-type"), "");
    assert_true(sim_item(sim, "b")->exchange.has_body);
    assert_false(sim_item(sim, "c")->exchange.has_body);
    assert_true(sim_item(sim, "c")->exchange.is_idempotent);
    assert_false(sim_item(sim, "a")->exchange.is_idempotent);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(ids_are_checked_and_duplicates_are_named),
        STORY(more_items_than_allowed_are_refused),
        STORY(an_unknown_dependency_is_found),
        STORY(a_circle_is_found_where_it_is_and_not_where_it_hangs),
        STORY(an_item_may_not_wait_for_itself),
        STORY(urls_are_normalised_routed_and_rewritten),
        STORY(what_cannot_run_is_told_why),
        STORY(a_method_that_the_route_lacks_is_405_with_allow),
        STORY(a_change_set_may_run_as_ordinary_items),
        STORY(a_json_body_gets_its_content_type_and_a_post_its_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
