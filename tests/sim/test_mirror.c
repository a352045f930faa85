/* Copies of what items send, for an upstream that nobody waits for: batch/mirror. */
#include "gateway/batch/mirror.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/batch/direct.h"
#include "gateway/batch/hooks.h"
#include "tests/sim/sim.h"

/* The mirror's side: what was sent there flies until a test ends it. */
static struct {
    sheaf_dispatch_t dispatch;
    sheaf_exchange_t *flying[64];
    uint32_t count, cancelled, ended;
} there;

static void take(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    assert_true(self == &there.dispatch);
    there.flying[there.count++] = exchange;
}

static void drop(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    for (uint32_t i = 0; i < there.count; i++) {
        if (there.flying[i] != exchange)
            continue;
        there.flying[i] = there.flying[--there.count];
        there.cancelled++;
        return;
    }
    fail();
}

static void finish_copy(uint32_t at, sheaf_err_t err)
{
    sheaf_exchange_t *exchange = there.flying[at];

    there.flying[at] = there.flying[--there.count];
    exchange->sink->on_done(exchange, err, "");
}

static void on_ended(void *data)
{
    there.ended++;
}

static sheaf_mirror_conf_t *mirror_of(sim_t *sim, uint32_t route)
{
    return &sim->snapshot.conf.routes.items[route].mirror;
}

static void mirror_route(sim_t *sim, uint32_t route)
{
    *mirror_of(sim, route) = (sheaf_mirror_conf_t){
        .mark = {1, 1}, .upstream = 1, .share_percent = 100, .max_in_flight = 100, .memory_bytes = 16 << 20};
}

static void begin(sim_t *sim)
{
    sheaf_batch_env_t env = {.clock = &sim->clock,
                             .deadlines = &sim->deadlines,
                             .soon = &sim->soon,
                             .dispatch = &there.dispatch,
                             .snapshot = &sim->snapshot,
                             .metrics = &sim->metrics};

    sim->mirrors = sheaf_mirrors_new(&env);
    assert_non_null(sim->mirrors);
}

static sheaf_upstream_conf_t upstreams[] = {{.timeout_ms = 10000},
                                            {.timeout_ms = 10000}}; /* the second is the mirror */

/* /users/{id} and /any/{rest...} have mirrors, /orders has none. */
static int up(void **state)
{
    sim_t *sim = sim_new();

    memset(&there, 0, sizeof(there));
    sim->snapshot.conf.upstreams.items = upstreams;
    sim->snapshot.conf.upstreams.count = SHEAF_COUNT(upstreams);
    sim->snapshot.conf.limits.memory_bytes = 512 << 20;
    there.dispatch = (sheaf_dispatch_t){.send = take, .cancel = drop};
    mirror_route(sim, 0);
    mirror_route(sim, 3);
    begin(sim);
    *state = sim;
    return 0;
}

static int down(void **state)
{
    sim_t *sim = *state;

    if (there.ended == 0) {
        sheaf_mirrors_cut(sim->mirrors);
        sheaf_mirrors_end(sim->mirrors, on_ended, NULL);
    }
    assert_int_equal(there.ended, 1);
    assert_int_equal(there.count, 0);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_MIRRORS_IN_FLIGHT], 0);
    sim_free(sim);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, up, down)

static const char *field(const sheaf_exchange_t *exchange, const char *name)
{
    static char text[128];
    const sheaf_header_t *header = sheaf_headers_find(&exchange->headers, sheaf_str_of(name));

    snprintf(text, sizeof(text), "%.*s", header == NULL ? 0 : (int)header->value.len,
             header == NULL ? "" : header->value.base);
    return text;
}

static uint64_t counted(sim_t *sim, sheaf_metric_t metric)
{
    return sim->metrics.values[metric];
}

static void a_copy_is_what_the_backend_gets_and_outlives_the_batch(void **state)
{
    sim_t *sim = *state;
    const sheaf_exchange_t *copy;

    sim->outer.id = SHEAF_STR("abc");
    sim_outer(sim, "accept-language", "de");
    sim_batch(sim, "a PATCH /users/7?x=1 body {\"a\":1}", "b GET /orders", "c GET /any/1 with x-own: 1");
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a b c");
    assert_int_equal(there.count, 2);
    for (const char *id = "abc"; *id != '\0'; id++)
        sim_answer(sim, (const char[]){*id, '\0'}, 200, "{}");
    assert_int_equal(sim->done, 1);
    sheaf_batch_free(sim->batch);
    sim->batch = NULL;

    copy = there.flying[0];
    assert_true(sheaf_str_eq(copy->method, SHEAF_STR("PATCH")));
    assert_true(sheaf_str_eq(copy->target, SHEAF_STR("/v1/people/7?x=1")));
    assert_true(copy->has_body && sheaf_str_eq(copy->body, SHEAF_STR("{\"a\":1}")));
    assert_true(sheaf_str_eq(copy->request_id, SHEAF_STR("abc")) && copy->request_item == 1);
    assert_null(copy->host.base);
    assert_string_equal(field(there.flying[1], "x-own"), "1");
    assert_false(there.flying[1]->has_body);
    assert_string_equal(field(copy, "accept-language"), "de");
    assert_string_equal(field(copy, "via"), "1.1 sheaf");
    assert_true(copy->is_once && copy->is_direct && !copy->is_repeatable && !copy->is_streamed && copy->fallback == 0);
    assert_int_equal(copy->deadline_ms, sim->clock.now_ms + 10000);
    finish_copy(0, SHEAF_OK);
    finish_copy(0, SHEAF_OK);
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRROR_ANSWERED), 2);
}

static void a_copy_that_fails_or_hangs_is_nothing_to_its_item(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/2");
    sim_start(sim);
    finish_copy(0, SHEAF_ERR_REFUSED);
    assert_string_equal(sim_flying(sim), "a b");
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "b", 200, "{}");
    assert_int_equal(sim->done, 1);
    assert_int_equal(there.count, 1);
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRROR_FAILED), 1);
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRRORS_IN_FLIGHT), 1);
}

static void an_item_that_fails_does_not_take_its_copy_along(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    sheaf_batch_abandon(sim->batch);
    sim_drain(sim);
    assert_string_equal(sim_flying(sim), "");
    assert_int_equal(there.count, 1);
}

static void an_answer_is_read_to_its_bound(void **state)
{
    sim_t *sim = *state;
    static const char piece[64 << 10];
    sheaf_answer_head_t head = {.status = 500, .content_length = UINT64_MAX};
    sheaf_exchange_t *copy;
    size_t read = 0;

    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    copy = there.flying[0];
    assert_true(copy->sink->on_head(copy, &head));
    while (read <= SHEAF_MIRROR_ANSWER_MOST && copy->sink->on_body(copy, piece, sizeof(piece)))
        read += sizeof(piece);
    assert_int_equal(read, SHEAF_MIRROR_ANSWER_MOST);
    head.content_length = SHEAF_MIRROR_ANSWER_MOST + 1;
    assert_false(copy->sink->on_head(copy, &head));
    finish_copy(0, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRROR_ANSWERED), 1);
    sim_answer(sim, "a", 200, "{}");
}

static void beyond_the_bounds_nothing_is_copied_and_that_is_counted(void **state)
{
    sim_t *sim = *state;
    char large[70000];

    mirror_of(sim, 3)->max_in_flight = 2;
    mirror_of(sim, 0)->memory_bytes = 65536;
    memset(large, 'x', sizeof(large));
    memcpy(large, "d PATCH /users/1 body ", 22);
    large[sizeof(large) - 1] = '\0';
    sim_batch(sim, "a GET /any/1", "b GET /any/2", "c GET /any/3", large);
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "a b c d");
    assert_int_equal(there.count, 2);
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRROR_BUSY), 1);
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRROR_MEMORY), 1);
    finish_copy(0, SHEAF_OK);
    finish_copy(0, SHEAF_OK);
    for (const char *id = "abcd"; *id != '\0'; id++)
        sim_answer(sim, (const char[]){*id, '\0'}, 200, "{}");
}

static void all_routes_together_leave_memory_to_originals(void **state)
{
    sim_t *sim = *state;
    char a[60000], b[60000];

    sim->snapshot.conf.limits.memory_bytes = 800000;
    memset(a, 'x', sizeof(a));
    memset(b, 'x', sizeof(b));
    memcpy(a, "a PATCH /users/1 body ", 22);
    memcpy(b, "b PATCH /any/1 body ", 20);
    a[sizeof(a) - 1] = b[sizeof(b) - 1] = '\0';
    sim_batch(sim, a, b, "c GET /any/1");
    sim_start(sim);
    assert_int_equal(there.count, 2);
    assert_true(sheaf_str_eq(there.flying[1]->method, SHEAF_STR("GET")));
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRROR_MEMORY), 1);
    finish_copy(0, SHEAF_OK);
    finish_copy(0, SHEAF_OK);
    for (const char *id = "abc"; *id != '\0'; id++)
        sim_answer(sim, (const char[]){*id, '\0'}, 200, "{}");
}

static void what_copies_held_is_there_for_others_when_they_ended(void **state)
{
    sim_t *sim = *state;

    mirror_of(sim, 3)->max_in_flight = 1;
    sim->endpoint->parallel = 1;
    sim_batch(sim, "a GET /any/1", "b GET /any/2");
    sim_start(sim);
    finish_copy(0, SHEAF_OK);
    sim_answer(sim, "a", 200, "{}");
    assert_int_equal(there.count, 1);
    finish_copy(0, SHEAF_OK);
    sim_answer(sim, "b", 200, "{}");
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRROR_BUSY), 0);
}

static void a_share_of_the_items_is_copied(void **state)
{
    sim_t *sim = *state;
    uint32_t copied = 0;

    mirror_of(sim, 3)->share_percent = 25;
    sim_open(sim);
    for (int i = 0; i < 100; i++) {
        char line[32];

        snprintf(line, sizeof(line), "n%d GET /any/1", i);
        sim_add(sim, line);
    }
    sim->endpoint->parallel = 100;
    sim->endpoint->budget_bytes = 100 * sim->endpoint->max_item_body_bytes; /* all are launched at once */
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
    sim->batch->parallel = 100;
    sim_start(sim);
    while (there.count > 0) {
        finish_copy(0, SHEAF_OK);
        copied++;
    }
    assert_in_range(copied, 5, 50); /* less than once in a million runs it is not */
    sheaf_batch_abandon(sim->batch);
    sim_drain(sim);
}

static void what_split_sends_there_itself_is_not_copied(void **state)
{
    static sheaf_split_conf_t splits[] = {{.upstream = 1, .share_percent = 100}};
    sim_t *sim = *state;

    sim->snapshot.conf.routes.items[3].split.items = splits;
    sim->snapshot.conf.routes.items[3].split.count = 1;
    sim_batch(sim, "a GET /any/1", "b GET /users/1");
    sim_start(sim);
    assert_int_equal(sim_item(sim, "a")->exchange.upstream, 1);
    assert_int_equal(there.count, 1);
    finish_copy(0, SHEAF_OK);
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "b", 200, "{}");
}

static sheaf_say_t answer_it(sheaf_hooks_t *self, sheaf_item_t *item)
{
    sheaf_headers_t none = {0};
    sheaf_given_t given = {.status = 200, .body = SHEAF_STR("{}")};

    sheaf_item_give(item, &given, &none);
    return SHEAF_SAY_ANSWER;
}

static void no_result(sheaf_hooks_t *self, sheaf_item_t *item) {}

static bool asks(sheaf_hooks_t *self, const sheaf_batch_t *batch, const sheaf_route_conf_t *route)
{
    return true;
}

static void what_a_plugin_answers_is_not_copied(void **state)
{
    sim_t *sim = *state;
    sheaf_hooks_t hooks = {.on_item = answer_it, .on_result = no_result, .asks = asks};

    sim->hooks = &hooks;
    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    assert_int_equal(sim->done, 1);
    assert_int_equal(there.count, 0);
}

static void a_reload_lets_copies_end(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{}");
    sheaf_mirrors_end(sim->mirrors, on_ended, NULL);
    assert_int_equal(there.ended, 0);
    finish_copy(0, SHEAF_OK);
    assert_int_equal(there.ended, 0); /* its upstream is in the middle of something */
    sim_drain(sim);
    assert_int_equal(there.ended, 1);
}

static void the_end_of_the_worker_cuts_them(void **state)
{
    sim_t *sim = *state;

    sim_batch(sim, "a GET /any/1", "b GET /any/2");
    sim_start(sim);
    sim_answer(sim, "a", 200, "{}");
    sim_answer(sim, "b", 200, "{}");
    sheaf_mirrors_end(sim->mirrors, on_ended, NULL);
    sheaf_mirrors_cut(sim->mirrors);
    assert_int_equal(there.cancelled, 2);
    assert_int_equal(there.ended, 1);
    assert_int_equal(counted(sim, SHEAF_METRIC_MIRROR_CUT), 2);
}

static void once_cut_nothing_is_copied_any_more(void **state)
{
    sim_t *sim = *state;

    sheaf_mirrors_cut(sim->mirrors);
    sim_batch(sim, "a GET /any/1");
    sim_start(sim);
    assert_int_equal(there.count, 0);
    sim_answer(sim, "a", 200, "{}");
}

static void without_a_mirror_on_any_route_there_is_nothing(void **state)
{
    sim_t *sim = *state;
    sheaf_batch_env_t env = {.snapshot = &sim->snapshot};

    memset(mirror_of(sim, 0), 0, sizeof(sheaf_mirror_conf_t));
    memset(mirror_of(sim, 3), 0, sizeof(sheaf_mirror_conf_t));
    assert_null(sheaf_mirrors_new(&env));
    sheaf_mirrors_end(NULL, on_ended, NULL);
    assert_int_equal(there.ended, 1);
    there.ended = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_copy_is_what_the_backend_gets_and_outlives_the_batch),
        STORY(a_copy_that_fails_or_hangs_is_nothing_to_its_item),
        STORY(an_item_that_fails_does_not_take_its_copy_along),
        STORY(an_answer_is_read_to_its_bound),
        STORY(beyond_the_bounds_nothing_is_copied_and_that_is_counted),
        STORY(all_routes_together_leave_memory_to_originals),
        STORY(what_copies_held_is_there_for_others_when_they_ended),
        STORY(a_share_of_the_items_is_copied),
        STORY(what_split_sends_there_itself_is_not_copied),
        STORY(what_a_plugin_answers_is_not_copied),
        STORY(a_reload_lets_copies_end),
        STORY(the_end_of_the_worker_cuts_them),
        STORY(once_cut_nothing_is_copied_any_more),
        STORY(without_a_mirror_on_any_route_there_is_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
