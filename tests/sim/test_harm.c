/* The n-th failure: a batch runs once and its events are counted (sends, heads, pieces of body, ends, settlings); then
 * event 1, 2, 3, ... is made to fail in every way there is, and each time every item must settle exactly once, the batch
 * must end once, and nothing may be left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/batch/hooks.h"
#include "tests/sim/sim.h"

typedef enum harm {
    HARM_NONE,
    HARM_RESET,
    HARM_TIMEOUT,
    HARM_MALFORMED,
    HARM_ABANDON,
    HARM_DEADLINE,
    HARM_COUNT
} harm_t;

static bool do_harm(sim_t *sim, sheaf_exchange_t *exchange)
{
    static const sheaf_err_t errs[] = {SHEAF_OK, SHEAF_ERR_RESET, SHEAF_ERR_TIMEOUT, SHEAF_ERR_MALFORMED};
    bool is_send = exchange != NULL && sim->is_sending;

    if (sim->events != sim->harm_at)
        return false;
    if (sim->harm == HARM_ABANDON) {
        sheaf_batch_abandon(sim->batch);
        return exchange == NULL || exchange->state != 1; /* one that flies on goes on with what it was at */
    }
    if (sim->harm == HARM_DEADLINE && !is_send && exchange != NULL) {
        sim->clock.now_ms += sim->batch->timeout_ms;
        sheaf_deadlines_run(&sim->deadlines);
        return true;
    }
    if (sim->harm == HARM_DEADLINE || exchange == NULL)
        return false;
    if (is_send) {
        exchange->pending_err = errs[sim->harm]; /* heard of through the soon-queue */
        return true;
    }
    sim_end_of(sim, exchange, errs[sim->harm], "");
    return true;
}

static const struct {
    uint8_t order, on_error, on_abort;
    uint64_t parallel, budget;
    bool sends;
    bool has_large_heads;
    bool coalesces;
    bool asks; /* hooks: everybody is held first, one is refused then */
} worlds[] = {
    {SHEAF_ORDER_REQUEST, SHEAF_ON_ERROR_CONTINUE, SHEAF_ON_CLIENT_ABORT_CANCEL, 64, 64 << 20, true, false, false,
     false},
    {SHEAF_ORDER_REQUEST, SHEAF_ON_ERROR_STOP, SHEAF_ON_CLIENT_ABORT_FINISH_UNSAFE, 3, 64 << 20, true, true, false,
     false},
    {SHEAF_ORDER_COMPLETION, SHEAF_ON_ERROR_CONTINUE, SHEAF_ON_CLIENT_ABORT_FINISH_UNSAFE, 64, 1, true, true, false,
     false},
    {SHEAF_ORDER_REQUEST, SHEAF_ON_ERROR_CONTINUE, SHEAF_ON_CLIENT_ABORT_CANCEL, 4, 2 << 20, true, false, false, false},
    {SHEAF_ORDER_REQUEST, SHEAF_ON_ERROR_CONTINUE, SHEAF_ON_CLIENT_ABORT_CANCEL, 64, 64 << 20, true, true, true, false},
    {SHEAF_ORDER_COMPLETION, SHEAF_ON_ERROR_STOP, SHEAF_ON_CLIENT_ABORT_FINISH_UNSAFE, 2, 1, true, false, true, false},
    {SHEAF_ORDER_REQUEST, SHEAF_ON_ERROR_CONTINUE, SHEAF_ON_CLIENT_ABORT_FINISH_UNSAFE, 3, 64 << 20, true, true, true,
     true},
    {SHEAF_ORDER_COMPLETION, SHEAF_ON_ERROR_STOP, SHEAF_ON_CLIENT_ABORT_CANCEL, 64, 1, true, false, true, true},
};

/* --- hooks that hold every item until the soon-queue lets it go --- */

typedef struct held {
    sheaf_task_t task;
    sheaf_item_t *item;
} held_t;

static uint32_t told;

static void on_let(sheaf_task_t *task)
{
    sheaf_hooks_go_on(SHEAF_OWNER(task, held_t, task)->item);
}

static sheaf_say_t on_item(sheaf_hooks_t *self, sheaf_item_t *item)
{
    static const sheaf_given_t given = {403, {"text/plain", 10}, {"no", 2}};
    held_t *held = item->guest;

    (void)self;
    if (held == NULL) {
        item->guest = held = sheaf_pool_zalloc(item->pool, sizeof(*held));
        held->item = item;
        held->task.run = on_let;
        sheaf_soon(item->batch->env.soon, &held->task);
        return SHEAF_SAY_LATER;
    }
    if (item->id.base[0] != 's')
        return SHEAF_SAY_PASS;
    sheaf_item_give(item, &given, &(sheaf_headers_t){0});
    return SHEAF_SAY_ANSWER;
}

static void on_result(sheaf_hooks_t *self, sheaf_item_t *item)
{
    (void)self;
    (void)item;
    told++;
}

static bool asks(sheaf_hooks_t *self, const sheaf_batch_t *batch, const sheaf_route_conf_t *route)
{
    (void)self;
    (void)batch;
    return route != NULL;
}

static sheaf_hooks_t hooks = {.on_item = on_item, .on_result = on_result, .asks = asks};

static uint32_t run(size_t world, const char *coding, uint32_t harm_at, harm_t harm)
{
    static char cookie[4000];
    sim_t *sim = sim_new();
    uint32_t events;

    memset(cookie, 'c', sizeof(cookie) - 1);
    sim->endpoint->order = worlds[world].order;
    sim->endpoint->on_error = worlds[world].on_error;
    sim->endpoint->on_client_abort = worlds[world].on_abort;
    sim->endpoint->parallel = worlds[world].parallel;
    sim->endpoint->budget_bytes = worlds[world].budget;
    sim->coding = coding;
    sim->cookie = worlds[world].has_large_heads ? cookie : NULL;
    for (uint32_t i = 0; i < sim->snapshot.conf.routes.count; i++)
        sim->snapshot.conf.routes.items[i].coalesce = worlds[world].coalesces;
    sim->hooks = worlds[world].asks ? &hooks : NULL;
    told = 0;
    sim->on_event = do_harm;
    sim->harm_at = harm_at;
    sim->harm = harm;
    sim_batch(
        sim, "a GET /any/a after l", "b POST /any/b body {}", "c GET /users/3 after b", "d GET /any/d after b,c",
        "e PATCH /users/4 after d body [1]", "f GET /nowhere", "g GET /any/g after f", "h HEAD /any/h",
        "i GET /orders/9 for 100ms", "j POST /any/j after i with authorization: x",
        "k GET /any/k with authorization: x", "l GET /any/l after k",
        "m POST /any/m?${a.body/a/1} after a,k body {\"x\":{\"$result\":\"a.body/a\"},\"y\":{\"$result\":\"k.body\"}}",
        "n GET /any/${m.body/none} after m", "o GET $l/${m.status} after l,m with x-from: ${k.headers.content-type}",
        "p POST /any/p/${each} each a.body/a after a,k body [{\"$result\":\"k.body/a\"},{\"$result\":\"a.body/a\"}]",
        "q GET /any/q?${h.status} after p,h", "r GET /any/${each} each b.body/none after b", "s GET /any/s",
        "t GET /any/s", "u GET /any/s", "v GET /any/v after t");
    sim_start(sim);
    while (sim_oldest(sim) != NULL) {
        char id[8];

        snprintf(id, sizeof(id), "%.*s", SHEAF_STR_ARG(sim_oldest(sim)->id));
        sim_answer(sim, id, 200, id[0] == 'h' ? "" : "{\"a\":[1,2,3]}");
    }

    assert_int_equal(sim->done, 1);
    assert_int_equal(sim->batch->open, 0);
    assert_int_equal(sim->batch->succeeded + sim->batch->failed, sheaf_batch_results(sim->batch));
    for (uint32_t i = 0; i < sim->batch->count; i++) {
        assert_int_equal(sim->batch->items[i].state, SHEAF_ITEM_SETTLED);
        if (sim->batch->is_abandoned)
            assert_true(sim->heard[i] <= 1);
        else
            assert_int_equal(sim->heard[i], !sim->batch->items[i].is_silent);
        assert_true(sim->batch->items[i].status >= 200);
    }
    if (worlds[world].asks)
        assert_int_equal(told, sheaf_batch_results(sim->batch)); /* of each once */
    assert_int_equal(sim->batch->kept_bytes, 0);
    assert_int_equal(sim->batch->reserved_bytes, 0);
    events = sim->events;
    sim_free(sim); /* nothing flies, nothing is queued, every gauge is back at nought */
    return events;
}

static void harm_all(const char *coding)
{
    for (size_t world = 0; world < SHEAF_COUNT(worlds); world++) {
        uint32_t events = run(world, coding, 0, HARM_NONE);

        assert_true(events >= 20);
        for (int harm = HARM_RESET; harm < HARM_COUNT; harm++)
            for (uint32_t n = 1; n <= events; n++)
                run(world, coding, n, (harm_t)harm);
    }
}

static void every_item_settles_once_whatever_event_fails_in_whatever_way(void **state)
{
    harm_all(NULL);
}

static void the_same_where_answers_are_compressed(void **state)
{
    harm_all("gzip");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_settles_once_whatever_event_fails_in_whatever_way),
        cmocka_unit_test(the_same_where_answers_are_compressed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
