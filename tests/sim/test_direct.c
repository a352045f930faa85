/* A client's own request as a batch of one item: batch/direct. */
#include "gateway/batch/direct.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/batch/hooks.h"
#include "tests/sim/sim.h"

/* What the front was told, and hooks. */
static struct {
    char steps[64]; /* h head, b body, i item, d done, r result */
    uint64_t length;
    char body[256];
    uint16_t status; /* that hooks were told */
} told;

static void step(char what)
{
    told.steps[strlen(told.steps)] = what;
}

static void on_head(sheaf_batch_t *batch, uint64_t content_length)
{
    (void)batch;
    step('h');
    told.length = content_length;
}

static void on_body(sheaf_batch_t *batch, const char *bytes, size_t len)
{
    (void)batch;
    step('b');
    strncat(told.body, bytes, len);
}

static void on_item(sheaf_batch_t *batch, uint32_t index)
{
    assert_int_equal(index, 0);
    assert_int_equal(sheaf_batch_item(batch, 0)->state, SHEAF_ITEM_SETTLED);
    step('i');
}

static void on_done(sheaf_batch_t *batch)
{
    assert_int_equal(batch->flying, 0);
    step('d');
}

static const sheaf_watch_t watch = {.on_item = on_item, .on_done = on_done, .on_head = on_head, .on_body = on_body};

static int up(void **state)
{
    memset(&told, 0, sizeof(told));
    *state = sim_new();
    return 0;
}

static int down(void **state)
{
    sim_t *sim = *state;

    assert_int_equal(sim->metrics.values[SHEAF_METRIC_REQUESTS_IN_FLIGHT], 0);
    sim_free(sim);
    return 0;
}

static sheaf_err_t plan(sim_t *sim, const char *method, const char *target, const char *body, sheaf_fail_t *why)
{
    sheaf_batch_env_t env = {.clock = &sim->clock,
                             .deadlines = &sim->deadlines,
                             .soon = &sim->soon,
                             .dispatch = &sim->dispatch,
                             .snapshot = &sim->snapshot,
                             .hooks = sim->hooks,
                             .metrics = &sim->metrics};

    if (sim->batch != NULL)
        sheaf_batch_free(sim->batch);
    else
        sheaf_router_build(sim->snapshot.routes);
    sim->outer.method = sheaf_str_of(method);
    sim->batch = sheaf_direct_new(&env, &sim->outer);
    return sheaf_direct_plan(sim->batch, sheaf_str_of(target), body == NULL ? SHEAF_STR_NONE : sheaf_str_of(body), why);
}

static sheaf_item_t *begin(sim_t *sim, const char *method, const char *target, const char *body)
{
    sheaf_fail_t why;

    assert_int_equal(plan(sim, method, target, body, &why), SHEAF_OK);
    memset(&told, 0, sizeof(told));
    sheaf_batch_start(sim->batch, &watch, sim);
    sim_drain(sim);
    return sim_item(sim, "0");
}

static void a_request_takes_its_own_headers_along_and_none_of_trust(void **state)
{
    sim_t *sim = *state;
    sheaf_item_t *item;

    sim_outer(sim, "accept", "text/x");
    sim_outer(sim, "range", "bytes=0-1");
    sim_outer(sim, "if-none-match", "\"e\"");
    sim_outer(sim, "prefer", "wait=1");
    sim_outer(sim, "x-forwarded-for", "6.6.6.6");
    sim_outer(sim, "connection", "x-hop");
    sim_outer(sim, "x-hop", "1");
    sim_outer(sim, "content-length", "99");
    item = begin(sim, "GET", "/users/7?a=1", NULL);
    assert_string_equal(sim_flying(sim), "0");
    assert_true(sheaf_str_eq(item->exchange.target, SHEAF_STR("/v1/people/7?a=1")));
    assert_true(item->exchange.is_direct && item->exchange.is_streamed && !item->exchange.has_body);
    assert_string_equal(sim_sent_header(item, "accept"), "text/x");
    assert_string_equal(sim_sent_header(item, "range"), "bytes=0-1");
    assert_string_equal(sim_sent_header(item, "if-none-match"), "\"e\"");
    assert_string_equal(sim_sent_header(item, "prefer"), "wait=1");
    assert_string_equal(sim_sent_header(item, "x-forwarded-for"), "192.0.2.7");
    assert_string_equal(sim_sent_header(item, "via"), "1.1 sheaf");
    assert_string_equal(sim_sent_header(item, "x-hop"), "");
    assert_string_equal(sim_sent_header(item, "content-length"), "");
    sim_answer(sim, "0", 200, "{}");
}

static void an_answer_is_handed_on_while_it_comes(void **state)
{
    sim_t *sim = *state;
    sheaf_item_t *item = begin(sim, "GET", "/any/1", NULL);

    sim_head(sim, "0", 200, "text/plain", 1000);
    assert_string_equal(told.steps, "h");
    assert_int_equal(told.length, 1000);
    assert_int_equal(item->status, 200);
    assert_non_null(sheaf_headers_find(&item->answer, SHEAF_STR("date")));
    assert_null(sheaf_headers_find(&item->answer, SHEAF_STR("connection")));
    sim_body(sim, "0", "one ", 4);
    sim_body(sim, "0", "two", 3);
    assert_string_equal(told.steps, "hbb");
    assert_string_equal(told.body, "one two");
    sheaf_direct_credit(sim->batch, 5);
    assert_int_equal(sim->credited, 5);
    sim_end(sim, "0", SHEAF_OK, "");
    assert_string_equal(told.steps, "hbbid");
    assert_int_equal(item->err, SHEAF_OK);
    assert_null(item->body);
    sheaf_direct_credit(sim->batch, 2);
    assert_int_equal(sim->credited, 5);
}

static void once_its_head_is_there_no_time_of_the_whole_is_over(void **state)
{
    sim_t *sim = *state;
    sheaf_item_t *item = begin(sim, "GET", "/any/1", NULL);

    sim_head(sim, "0", 200, "text/event-stream", UINT64_MAX);
    sheaf_deadline_clear(&sim->deadlines, &item->exchange.deadline); /* as the upstream does where it streams */
    assert_int_equal(sheaf_deadlines_next(&sim->deadlines), SHEAF_NEVER);
    sim_wind(sim, 24 * 3600 * 1000);
    sim_body(sim, "0", "data", 4);
    sim_end(sim, "0", SHEAF_OK, "");
    assert_string_equal(told.steps, "hbid");
}

static void a_failure_before_the_head_is_the_whole_answer(void **state)
{
    sim_t *sim = *state;
    sheaf_item_t *item = begin(sim, "GET", "/any/1", NULL);

    sim_end(sim, "0", SHEAF_ERR_REFUSED, "10.0.0.9:80 refused");
    assert_string_equal(told.steps, "id");
    assert_int_equal(item->status, 502);
    assert_non_null(strstr(sim_text(item), "urn:sheaf:problem:refused"));
    assert_null(strstr(sim_text(item), "10.0.0.9"));
}

static void a_failure_within_the_body_is_told(void **state)
{
    sim_t *sim = *state;
    sheaf_item_t *item = begin(sim, "GET", "/any/1", NULL);

    sim_head(sim, "0", 200, "text/plain", 1000);
    sim_body(sim, "0", "half", 4);
    sim_end(sim, "0", SHEAF_ERR_RESET, "");
    assert_string_equal(told.steps, "hbid");
    assert_int_equal(item->err, SHEAF_ERR_RESET);
}

static sheaf_say_t on_asked(sheaf_hooks_t *self, sheaf_item_t *item)
{
    return SHEAF_SAY_PASS;
}

static void on_result(sheaf_hooks_t *self, sheaf_item_t *item)
{
    step('r');
    told.status = item->status;
}

static sheaf_hooks_t hooks = {.on_item = on_asked, .on_result = on_result};

static void hooks_are_told_of_the_answer_that_goes_out(void **state)
{
    sim_t *sim = *state;

    sim->hooks = &hooks;
    begin(sim, "GET", "/any/1", NULL);
    sim_head(sim, "0", 200, "text/plain", 1000);
    sim_end(sim, "0", SHEAF_ERR_RESET, ""); /* the head was not begun */
    assert_string_equal(told.steps, "hrid");
    assert_int_equal(told.status, 502);

    begin(sim, "GET", "/any/1", NULL);
    sim_head(sim, "0", 200, "text/plain", 1000);
    sheaf_hooks_tell(sim_item(sim, "0")); /* as the front does when it sends it */
    sim_end(sim, "0", SHEAF_ERR_RESET, "");
    assert_string_equal(told.steps, "hrid");
    assert_int_equal(told.status, 200);
}

static void on_replace(sheaf_hooks_t *self, sheaf_item_t *item)
{
    static const sheaf_given_t given = {200, {"text/plain", 10}, {"instead", 7}};

    step('r');
    sheaf_item_replace(item, &given, &(sheaf_headers_t){0});
}

static void on_kept(sheaf_hooks_t *self, sheaf_item_t *item)
{
    step(item->batch->caller->kept.state == SHEAF_KEPT_WHOLE ? 'w' : 'l');
}

static void another_answer_ends_what_still_comes_of_the_first(void **state)
{
    sim_t *sim = *state;
    sheaf_hooks_t replacing = {.on_item = on_asked, .on_result = on_replace};
    sheaf_item_t *item;

    sim->hooks = &replacing;
    item = begin(sim, "GET", "/any/1", NULL);
    sim_head(sim, "0", 503, "text/plain", 1000);
    sim_body(sim, "0", "sorry", 5);
    sheaf_direct_tell_head(sim->batch);
    assert_string_equal(told.steps, "hbri");
    assert_string_equal(sim_flying(sim), "");
    assert_int_equal(item->status, 200);
    assert_string_equal(sim_text(item), "instead");
    sim_drain(sim);
    assert_string_equal(told.steps, "hbrid");

    item = begin(sim, "GET", "/any/1", NULL); /* all of it came at once */
    sim_head(sim, "0", 503, "text/plain", 5);
    sim_end(sim, "0", SHEAF_OK, "");
    assert_string_equal(told.steps, "hrid");
    assert_string_equal(sim_text(item), "instead");
}

static void how_keeping_the_body_ended_is_told_once(void **state)
{
    sim_t *sim = *state;
    sheaf_hooks_t keeping = {.on_item = on_asked, .on_result = on_result, .on_body = on_kept};
    sheaf_caller_t caller = {.is_direct = true};

    sim->hooks = &keeping;
    begin(sim, "GET", "/any/1", NULL);
    sim->batch->caller = &caller;
    sheaf_hooks_tell_body(sim_item(sim, "0")); /* nobody asked */
    sheaf_kept_ask(&caller.kept, 10);
    sheaf_kept_put(&caller.kept, "12", 2);
    sheaf_kept_end(&caller.kept, true);
    sheaf_hooks_tell_body(sim_item(sim, "0"));
    sheaf_hooks_tell_body(sim_item(sim, "0"));
    assert_string_equal(told.steps, "w");
    assert_null(caller.kept.body);
    sim_answer(sim, "0", 200, "");
}

static void a_backend_that_is_silent_is_late_and_not_its_batch(void **state)
{
    sim_t *sim = *state;
    sheaf_item_t *item = begin(sim, "GET", "/any/1", NULL);

    sim_wind(sim, 10001);
    assert_string_equal(told.steps, "id");
    assert_int_equal(item->err, SHEAF_ERR_TIMEOUT);
    item = begin(sim, "GET", "/orders", NULL);
    sim_wind(sim, 501); /* the route's */
    assert_int_equal(item->err, SHEAF_ERR_TIMEOUT);
}

static void a_client_that_goes_takes_its_exchange_along(void **state)
{
    sim_t *sim = *state;

    begin(sim, "POST", "/orders", "x");
    sheaf_batch_abandon(sim->batch);
    assert_string_equal(sim_flying(sim), "");
    sheaf_direct_forget_body(sim->batch);
    assert_null(sim_item(sim, "0")->exchange.body.base);
    sim_drain(sim);
    assert_string_equal(told.steps, "d");
}

static void a_body_goes_with_any_method(void **state)
{
    sim_t *sim = *state;
    static const char *const methods[] = {"GET", "DELETE", "OPTIONS", "SEARCH"};

    for (size_t i = 0; i < SHEAF_COUNT(methods); i++) {
        sheaf_item_t *item = begin(sim, methods[i], "/any/1", "{\"a\":1}");

        assert_true(item->exchange.has_body);
        assert_int_equal(item->exchange.body.len, 7);
        assert_string_equal(sim_sent_header(item, "content-type"), "");
        sim_answer(sim, "0", 204, "");
    }
}

/* What a head says of the body that does not come with it. */
static void lengths_are_told_where_no_body_follows(void **state)
{
    sim_t *sim = *state;
    static const struct {
        const char *method;
        uint16_t status;
        const char *told;
        uint64_t length;
    } cases[] = {
        {"HEAD", 200, "5000", 5000},   {"HEAD", 200, "", UINT64_MAX},     {"GET", 304, "9", 9},
        {"GET", 204, "0", UINT64_MAX}, {"HEAD", 200, "7, 7", UINT64_MAX},
    };

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        sheaf_item_t *item = begin(sim, cases[i].method, "/any/1", NULL);
        sheaf_header_t header = {SHEAF_STR("content-length"), sheaf_str_of(cases[i].told)};
        sheaf_answer_head_t head = {cases[i].status, &header, cases[i].told[0] != '\0', 0};

        assert_true(item->exchange.sink->on_head(&item->exchange, &head));
        assert_true(told.length == cases[i].length);
        sim_end(sim, "0", SHEAF_OK, "");
    }
}

static void refusals_are_in_the_words_of_a_request(void **state)
{
    sim_t *sim = *state;
    char *long_target = sheaf_alloc(9001);
    static const struct {
        const char *method, *target;
        sheaf_err_t err;
    } cases[] = {
        {"GET", "/nothing", SHEAF_ERR_NOT_FOUND},      {"PUT", "/users/7", SHEAF_ERR_METHOD},
        {"TRACE", "/any/1", SHEAF_ERR_METHOD},         {"CONNECT", "/any/1", SHEAF_ERR_METHOD},
        {"get", "/any/1", SHEAF_ERR_BAD_REQUEST},      {"GET", "/any/%zz", SHEAF_ERR_BAD_REQUEST},
        {"GET", "/any/a%2fb", SHEAF_ERR_BAD_REQUEST},  {"GET", "//any/1", SHEAF_ERR_BAD_REQUEST},
        {"GET", "/x/../batch", SHEAF_ERR_BAD_REQUEST}, {"GET", "/users/../../any/1#x", SHEAF_ERR_BAD_REQUEST},
    };
    sheaf_fail_t why;

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        assert_int_equal(plan(sim, cases[i].method, cases[i].target, NULL, &why), cases[i].err);
        assert_int_equal(why.err, cases[i].err);
    }
    plan(sim, "PUT", "/users/7", NULL, &why);
    assert_true(sheaf_str_eq(sheaf_direct_allow(sim->batch), SHEAF_STR("DELETE, GET, HEAD, PATCH")));
    memset(long_target, 'a', 9000);
    long_target[0] = '/';
    long_target[9000] = '\0';
    assert_int_equal(plan(sim, "GET", long_target, NULL, &why), SHEAF_ERR_URI_TOO_LONG);
    sim->snapshot.conf.routes.items[3].max_body_bytes = 3;
    assert_int_equal(plan(sim, "POST", "/any/1", "1234", &why), SHEAF_ERR_TOO_LARGE);
    for (int i = 0; i < 300; i++)
        sim_outer(sim, "x-many", "1");
    assert_int_equal(plan(sim, "GET", "/any/1", NULL, &why), SHEAF_ERR_HEAD_TOO_LARGE);
    free(long_target);
}

static void routes_for_items_alone_are_not_there(void **state)
{
    sim_t *sim = *state;
    sheaf_fail_t why;

    sim->snapshot.conf.routes.items[3].expose = 1u << SHEAF_EXPOSURE_BATCH;
    assert_int_equal(plan(sim, "GET", "/any/1", NULL, &why), SHEAF_ERR_NOT_FOUND);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        STORY(a_request_takes_its_own_headers_along_and_none_of_trust),
        STORY(an_answer_is_handed_on_while_it_comes),
        STORY(once_its_head_is_there_no_time_of_the_whole_is_over),
        STORY(a_failure_before_the_head_is_the_whole_answer),
        STORY(a_failure_within_the_body_is_told),
        STORY(hooks_are_told_of_the_answer_that_goes_out),
        STORY(another_answer_ends_what_still_comes_of_the_first),
        STORY(how_keeping_the_body_ended_is_told_once),
        STORY(a_backend_that_is_silent_is_late_and_not_its_batch),
        STORY(a_client_that_goes_takes_its_exchange_along),
        STORY(a_body_goes_with_any_method),
        STORY(lengths_are_told_where_no_body_follows),
        STORY(refusals_are_in_the_words_of_a_request),
        STORY(routes_for_items_alone_are_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
