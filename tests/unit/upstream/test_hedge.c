/* When something is late, and what the budget lets pass: under a hand-wound clock, against an oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/base/chance.h"
#include "gateway/base/deadline.h"
#include "gateway/upstream/hedge.h"

typedef struct bench {
    sheaf_hedge_conf_t conf;
    sheaf_hedge_t hedge;
    uint64_t now_ms;
} bench_t;

static bench_t *bench_new(uint32_t per_mille, uint64_t budget_percent)
{
    bench_t *b = calloc(1, sizeof(*b));

    b->conf = (sheaf_hedge_conf_t){.mark = {1, 1}, .after = {.per_mille = per_mille}, .budget_percent = budget_percent};
    b->now_ms = 1000;
    sheaf_hedge_init(&b->hedge, &b->conf);
    return b;
}

static void bench_free(bench_t *b)
{
    sheaf_hedge_fini(&b->hedge);
    free(b);
}

static sheaf_exchange_t get(const char *route)
{
    return (sheaf_exchange_t){
        .method = SHEAF_STR("GET"), .route = sheaf_str_of(route), .is_idempotent = true, .sends = 1};
}

/* One exchange from `b->now_ms` on that takes `took_ms`; the clock stays. Returns after how long it is late. */
static uint64_t take(bench_t *b, const char *route, uint64_t took_ms, bool is_good)
{
    sheaf_exchange_t exchange = get(route);
    uint64_t late_ms = sheaf_hedge_begin(&b->hedge, &exchange, b->now_ms);

    sheaf_hedge_note(&b->hedge, &exchange, is_good, b->now_ms + took_ms);
    return late_ms == SHEAF_NEVER ? SHEAF_NEVER : late_ms - b->now_ms;
}

/* After how long one is late, read anew. */
static uint64_t late_after(bench_t *b, const char *route)
{
    sheaf_exchange_t exchange = get(route);
    uint64_t late_ms;

    b->now_ms += SHEAF_HEDGE_KNOWN_MS;
    late_ms = sheaf_hedge_begin(&b->hedge, &exchange, b->now_ms);
    return late_ms == SHEAF_NEVER ? SHEAF_NEVER : late_ms - b->now_ms;
}

static void with_few_answers_nothing_is_late(void **state)
{
    bench_t *b = bench_new(990, 5);

    for (int i = 0; i < SHEAF_HEDGE_LEAST - 1; i++)
        assert_int_equal(take(b, "/a", 5, true), SHEAF_NEVER);
    assert_int_equal(late_after(b, "/a"), SHEAF_NEVER);
    take(b, "/a", 5, true);
    assert_int_equal(late_after(b, "/a"), 6);
    assert_int_equal(late_after(b, "/b"), SHEAF_NEVER); /* another route knows nothing of it */
    bench_free(b);
}

static void a_higher_percentile_takes_more_answers(void **state)
{
    bench_t *b = bench_new(999, 5);

    for (int i = 0; i < 999; i++)
        take(b, "/a", 5, true);
    assert_int_equal(late_after(b, "/a"), SHEAF_NEVER);
    take(b, "/a", 5, true);
    assert_int_equal(late_after(b, "/a"), 6);
    bench_free(b);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Never below the percentile, and at most a bucket above it. */
static void a_percentile_is_that_of_an_oracle(void **state)
{
    static const uint32_t per_milles[] = {500, 750, 900, 950, 990, 995};
    sheaf_chance_t chance = {7};
    uint64_t took_ms[500];

    for (int round = 0; round < 60; round++) {
        uint32_t per_mille = per_milles[round % 6];
        bench_t *b = bench_new(per_mille, 5);
        uint64_t wanted, late_ms;

        for (int i = 0; i < 500; i++) {
            took_ms[i] = 1 + (sheaf_chance_next(&chance) & ((1u << (2 + round % 12)) - 1));
            take(b, "/a", took_ms[i], true);
        }
        qsort(took_ms, 500, sizeof(*took_ms), by_size);
        wanted = took_ms[(500 * per_mille + 999) / 1000 - 1];
        late_ms = late_after(b, "/a");
        assert_in_range(late_ms, wanted + 1, wanted + wanted / 7 + 2);
        bench_free(b);
    }
}

static void what_was_long_ago_is_forgotten(void **state)
{
    bench_t *b = bench_new(900, 5);

    for (int i = 0; i < 200; i++)
        take(b, "/a", 400, true);
    assert_in_range(late_after(b, "/a"), 401, 460);
    b->now_ms += SHEAF_HEDGE_WINDOW_MS;
    for (int i = 0; i < 200; i++)
        take(b, "/a", 5, true);
    assert_in_range(late_after(b, "/a"), 401, 460); /* half of them are slow still */
    b->now_ms += SHEAF_HEDGE_WINDOW_MS;
    take(b, "/a", 5, true);
    assert_int_equal(late_after(b, "/a"), 6);
    b->now_ms += 3 * SHEAF_HEDGE_WINDOW_MS;
    assert_int_equal(late_after(b, "/a"), SHEAF_NEVER);
    bench_free(b);
}

/* Also where so little is asked that a window is over only with the next one. */
static void what_is_older_than_two_windows_is_forgotten_whenever_it_is_looked_at(void **state)
{
    bench_t *b = bench_new(900, 5);

    b->now_ms = 100 * SHEAF_HEDGE_WINDOW_MS;
    for (int i = 0; i < 200; i++)
        take(b, "/a", 400, true);
    b->now_ms += 2 * SHEAF_HEDGE_WINDOW_MS - SHEAF_HEDGE_KNOWN_MS;
    for (int i = 0; i < 200; i++)
        take(b, "/a", 5, true);
    assert_in_range(late_after(b, "/a"), 6, 460);
    b->now_ms += SHEAF_HEDGE_WINDOW_MS / 2;
    assert_int_equal(late_after(b, "/a"), 6);
    bench_free(b);
}

/* 2 % are slow, and all of those are overtaken 5 ms after they are late, for a hundred windows. */
static void a_percentile_does_not_sink_when_the_slow_ones_are_overtaken(void **state)
{
    bench_t *b = bench_new(980, 100);
    sheaf_chance_t chance = {3};

    for (int i = 0; i < 100000; i++) {
        uint64_t took_ms = sheaf_chance_upto(&chance, 99) < 2 ? 500 : 5 + sheaf_chance_upto(&chance, 3);
        uint64_t late_ms;
        sheaf_exchange_t exchange = get("/a");

        late_ms = sheaf_hedge_begin(&b->hedge, &exchange, b->now_ms);
        if (late_ms != SHEAF_NEVER && b->now_ms + took_ms > late_ms + 5)
            sheaf_hedge_note(&b->hedge, &exchange, false, late_ms + 5);
        else
            sheaf_hedge_note(&b->hedge, &exchange, true, b->now_ms + took_ms);
        b->now_ms += 10;
    }
    assert_in_range(late_after(b, "/a"), 8, 30);
    bench_free(b);
}

static void one_that_fails_early_says_nothing_of_time(void **state)
{
    bench_t *b = bench_new(500, 5);

    for (int i = 0; i < 200; i++)
        take(b, "/a", 100, true);
    late_after(b, "/a");
    for (int i = 0; i < 1000; i++)
        take(b, "/a", 1, false);
    assert_in_range(late_after(b, "/a"), 101, 115);
    for (int i = 0; i < 1000; i++)
        take(b, "/a", 800, false);
    assert_in_range(late_after(b, "/a"), 801, 920);
    bench_free(b);
}

static void what_is_not_safe_is_never_late(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH"};
    bench_t *b = bench_new(0, 5);

    b->conf.after.after_ms = 20;
    assert_int_equal(late_after(b, "/a"), 20);
    for (size_t i = 0; i < SHEAF_COUNT(methods); i++) {
        sheaf_exchange_t exchange = get("/a");

        exchange.method = sheaf_str_of(methods[i]);
        assert_int_equal(sheaf_hedge_begin(&b->hedge, &exchange, b->now_ms), SHEAF_NEVER);
        assert_int_equal(b->hedge.tally.all, i + 2); /* but it earns its share */
    }
    bench_free(b);
}

static void a_second_attempt_is_not_timed(void **state)
{
    bench_t *b = bench_new(990, 5);
    sheaf_exchange_t exchange = get("/a");

    exchange.sends = 2;
    exchange.flown_ms = b->now_ms;
    sheaf_hedge_begin(&b->hedge, &exchange, b->now_ms);
    assert_false(exchange.is_timed);
    assert_int_equal(b->hedge.tally.all, 0);
    bench_free(b);
}

/* A backend over HTTP/2 may refuse it many times before it acts on it: that is one exchange. */
static void one_that_is_sent_anew_earns_once(void **state)
{
    bench_t *b = bench_new(990, 5);
    sheaf_exchange_t exchange = get("/a");

    for (int i = 0; i < 9; i++)
        sheaf_hedge_begin(&b->hedge, &exchange, b->now_ms++);
    assert_int_equal(b->hedge.tally.all, 1);
    bench_free(b);
}

static void beyond_its_bound_routes_share_one_pace(void **state)
{
    bench_t *b = bench_new(990, 5);
    char route[32];

    for (int i = 0; i < SHEAF_HEDGE_ROUTES + 50; i++) {
        snprintf(route, sizeof(route), "/route/%d/{id}", i);
        take(b, route, 5, true);
        take(b, route, 5, true);
    }
    assert_int_equal(b->hedge.pace_count, SHEAF_HEDGE_ROUTES);
    assert_int_equal(late_after(b, "/one/more"), 6); /* a hundred answers of fifty routes */
    assert_int_equal(late_after(b, "/route/0/{id}"), SHEAF_NEVER);
    sheaf_hedge_rebase(&b->hedge, &b->conf);
    assert_int_equal(b->hedge.pace_count, 0);
    bench_free(b);
}

static void a_reload_keeps_what_is_known(void **state)
{
    bench_t *b = bench_new(990, 5);
    sheaf_hedge_conf_t other = b->conf;

    for (int i = 0; i < 100; i++)
        take(b, "/a", 5, true);
    sheaf_hedge_rebase(&b->hedge, &other);
    assert_ptr_equal(b->hedge.conf, &other);
    assert_int_equal(late_after(b, "/a"), 6);
    bench_free(b);
}

/* Whatever comes when: in each window at most its share, or one. */
static void the_budget_holds_in_every_window(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t share = seed % 2 != 0 ? 5 : 15; /* percent; a quarter of all ask for it */
        bench_t *b = bench_new(990, share);
        sheaf_chance_t chance = {seed};
        uint64_t all = 0, spent = 0, start_ms = b->now_ms;

        for (int i = 0; i < 20000; i++) {
            take(b, "/a", 5, true);
            all++;
            if (sheaf_chance_upto(&chance, 3) == 0 && sheaf_hedge_affords(&b->hedge, b->now_ms)) {
                sheaf_hedge_spend(&b->hedge, b->now_ms);
                spent++;
                assert_true(b->hedge.tally.marked <= 1 || b->hedge.tally.marked * 100 <= b->hedge.tally.all * share);
            }
            b->now_ms += sheaf_chance_upto(&chance, seed);
        }
        assert_true(spent * 100 <= all * share + 100 * ((b->now_ms - start_ms) / 9000 + 1));
        assert_true(spent * 100 >= all * (share - 1)); /* and it is used */
        bench_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_few_answers_nothing_is_late),
        cmocka_unit_test(a_higher_percentile_takes_more_answers),
        cmocka_unit_test(a_percentile_is_that_of_an_oracle),
        cmocka_unit_test(what_was_long_ago_is_forgotten),
        cmocka_unit_test(what_is_older_than_two_windows_is_forgotten_whenever_it_is_looked_at),
        cmocka_unit_test(a_percentile_does_not_sink_when_the_slow_ones_are_overtaken),
        cmocka_unit_test(one_that_fails_early_says_nothing_of_time),
        cmocka_unit_test(what_is_not_safe_is_never_late),
        cmocka_unit_test(a_second_attempt_is_not_timed),
        cmocka_unit_test(one_that_is_sent_anew_earns_once),
        cmocka_unit_test(beyond_its_bound_routes_share_one_pace),
        cmocka_unit_test(a_reload_keeps_what_is_known),
        cmocka_unit_test(the_budget_holds_in_every_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
