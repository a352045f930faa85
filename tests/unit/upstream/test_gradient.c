/* Where the adaptive limit settles: a server with a queue, simulated under a hand-wound clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/base/chance.h"
#include "gateway/base/str.h"
#include "gateway/upstream/gradient.h"

#define SECOND 1000000u /* in microseconds */
#define MOST   2000     /* exchanges in flight */
#define SEEDS  2

/* `servers` of them work on one exchange each, in the order they came; the rest queue. The gateway before it always has
 * more to send (or `wanted` in flight at most). */
typedef struct queue {
    sheaf_adaptive_conf_t conf;
    sheaf_gradient_t gradient;
    sheaf_chance_t chance;
    uint64_t now_us, service_us;
    uint32_t servers, wanted, refuses_over;
    uint32_t count; /* in flight */
    struct {
        uint64_t begun_us, done_us;
        bool is_refused;
    } flying[MOST];
    uint64_t free_us[MOST]; /* when each server is */
    uint64_t done;          /* answers, all in all */
    uint32_t least_limit, most_limit;
} queue_t;

static void queue_init(queue_t *q, uint64_t seed, uint32_t servers, uint64_t service_us)
{
    memset(q, 0, sizeof(*q));
    q->conf =
        (sheaf_adaptive_conf_t){.min = 4, .max = 1000, .tolerance_percent = 200, .window_ms = 100, .measure_ms = 10000};
    q->chance.state = seed;
    q->now_us = 1000 * SECOND;
    q->servers = servers;
    q->service_us = service_us;
    q->wanted = UINT32_MAX;
    q->refuses_over = UINT32_MAX;
    sheaf_gradient_init(&q->gradient, &q->conf, q->now_us);
}

/* 3/4 to 5/4 of the service time, and one in fifty takes four times as long. */
static uint64_t some_time(queue_t *q)
{
    uint64_t us = q->service_us * 3 / 4 + sheaf_chance_upto(&q->chance, q->service_us / 2);

    return sheaf_chance_upto(&q->chance, 49) == 0 ? us * 4 : us;
}

static void queue_send(queue_t *q)
{
    uint32_t at = 0;
    uint64_t start_us;

    for (uint32_t i = 1; i < q->servers; i++)
        if (q->free_us[i] < q->free_us[at])
            at = i;
    start_us = q->free_us[at] > q->now_us ? q->free_us[at] : q->now_us;
    q->flying[q->count].begun_us = q->now_us;
    q->flying[q->count].is_refused = q->count >= q->refuses_over;
    if (q->flying[q->count].is_refused) {
        q->flying[q->count++].done_us = q->now_us + 500;
        return;
    }
    q->free_us[at] = start_us + some_time(q);
    q->flying[q->count++].done_us = q->free_us[at];
}

static void queue_fill(queue_t *q)
{
    uint32_t limit = sheaf_gradient_limit(&q->gradient);

    if (limit < q->least_limit)
        q->least_limit = limit;
    if (limit > q->most_limit)
        q->most_limit = limit;
    while (q->count < limit && q->count < q->wanted)
        queue_send(q);
    if (q->count >= limit && q->wanted > limit)
        sheaf_gradient_full(&q->gradient);
}

static void queue_end_next(queue_t *q)
{
    uint32_t next = 0;
    uint64_t begun_us;
    sheaf_gradient_end_t end;

    for (uint32_t i = 1; i < q->count; i++)
        if (q->flying[i].done_us < q->flying[next].done_us)
            next = i;
    q->now_us = q->flying[next].done_us;
    begun_us = q->flying[next].begun_us;
    end = q->flying[next].is_refused ? SHEAF_GRADIENT_OVERLOADED : SHEAF_GRADIENT_DONE;
    q->flying[next] = q->flying[--q->count];
    q->done += end == SHEAF_GRADIENT_DONE;
    sheaf_gradient_note(&q->gradient, end, begun_us, q->now_us);
}

static void queue_run(queue_t *q, uint32_t seconds)
{
    uint64_t until_us = q->now_us + (uint64_t)seconds * SECOND;

    q->least_limit = UINT32_MAX;
    q->most_limit = 0;
    while (q->now_us < until_us) {
        queue_fill(q);
        assert_true(q->count > 0);
        assert_in_range(sheaf_gradient_limit(&q->gradient), q->conf.min, q->conf.max);
        queue_end_next(q);
    }
}

/* The mean of the limit while nothing is measured, over some seconds. */
static double settled(queue_t *q, uint32_t seconds)
{
    double sum = 0;
    uint32_t count = 0;

    for (uint32_t i = 0; i < seconds * 10; i++) {
        queue_run(q, 0);
        uint64_t until_us = q->now_us + SECOND / 10;
        while (q->now_us < until_us) {
            queue_fill(q);
            queue_end_next(q);
        }
        if (q->gradient.is_measuring)
            continue;
        sum += sheaf_gradient_limit(&q->gradient);
        count++;
    }
    assert_true(count > 0);
    return sum / count;
}

static void assert_near(double limit, uint32_t servers)
{
    if (limit < servers * 0.9 || limit > servers * 3.5 + 8)
        printf("limit %.1f of %u servers\n", limit, servers);
    assert_true(limit >= servers * 0.9 && limit <= servers * 3.5 + 8);
}

static void the_limit_settles_near_what_the_servers_can_do_at_once(void **state)
{
    static const uint32_t servers[] = {4, 10, 16, 64, 200};
    static const uint64_t service_us[] = {2000, 20000, 150000};
    static queue_t q;

    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (size_t i = 0; i < SHEAF_COUNT(servers); i++)
            for (size_t k = 0; k < SHEAF_COUNT(service_us); k++) {
                queue_init(&q, seed, servers[i], service_us[k]);
                if (service_us[k] == 2000 && servers[i] > 64)
                    continue; /* many events, and nothing new */
                queue_run(&q, service_us[k] < SECOND / 10 ? 25 : 60);
                assert_near(settled(&q, 5), servers[i]);
            }
}

/* What is tolerated is the queue: a fifth more than the floor leaves little of it, four times the floor much. */
static void tolerance_says_how_much_may_queue(void **state)
{
    static const uint64_t tolerances[] = {120, 200, 400};
    double limits[3];
    static queue_t q;

    for (size_t i = 0; i < SHEAF_COUNT(tolerances); i++) {
        queue_init(&q, 1, 50, 20000);
        q.conf.tolerance_percent = tolerances[i];
        queue_run(&q, 25);
        limits[i] = settled(&q, 5);
    }
    assert_true(limits[0] * 1.2 < limits[1] && limits[1] * 1.2 < limits[2]);
}

static void a_window_is_no_shorter_than_it_says(void **state)
{
    static const uint64_t windows_ms[] = {10, 100, 1000};
    sheaf_gradient_t gradient;

    for (size_t i = 0; i < SHEAF_COUNT(windows_ms); i++) {
        sheaf_adaptive_conf_t conf = {
            .min = 2, .max = 9, .tolerance_percent = 200, .window_ms = windows_ms[i], .measure_ms = 30000};
        uint64_t begun_us = 5 * SECOND, now_us = begun_us;

        sheaf_gradient_init(&gradient, &conf, now_us);
        do
            now_us += 100;
        while (!sheaf_gradient_note(&gradient, SHEAF_GRADIENT_DONE, now_us - 50, now_us));
        assert_int_equal(now_us - begun_us, windows_ms[i] * 1000);
    }
}

static void it_follows_a_change_of_capacity_both_ways(void **state)
{
    static queue_t q;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        queue_init(&q, seed, 40, 20000);
        queue_run(&q, 20);
        assert_near(settled(&q, 5), 40);
        q.servers = 10; /* three of four are gone */
        queue_run(&q, 15);
        assert_near(settled(&q, 5), 10);
        memset(q.free_us, 0, sizeof(q.free_us));
        q.servers = 80;
        queue_run(&q, 20);
        assert_near(settled(&q, 5), 80);
    }
}

/* Slower servers are not too busy ones: the floor is measured anew, and the limit stays. And back. */
static void it_follows_a_change_of_the_service_time_both_ways(void **state)
{
    static queue_t q;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        queue_init(&q, seed, 20, 20000);
        queue_run(&q, 20);
        q.service_us = 70000;
        queue_run(&q, 45);
        assert_near(settled(&q, 5), 20);
        q.service_us = 10000;
        queue_run(&q, 25);
        assert_near(settled(&q, 5), 20);
    }
}

static void measuring_stalls_nobody(void **state)
{
    static queue_t q;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        queue_init(&q, seed, 32, 20000);
        queue_run(&q, 20);
        q.done = 0;
        for (int tenth = 0; tenth < 300; tenth++) { /* three measurings */
            uint64_t before = q.done, until_us = q.now_us + SECOND / 5;

            while (q.now_us < until_us) {
                queue_fill(&q);
                queue_end_next(&q);
            }
            assert_true(q.done - before > 32 * 10 / 5); /* a fifth of what they can do, in any fifth of a second */
        }
        assert_true(q.done > 60 * 32 * 50 * 85 / 100); /* and in all nearly what they can do: 1 in 50 takes longer */
    }
}

static uint32_t measurings(queue_t *q, uint32_t seconds)
{
    uint64_t until_us = q->now_us + (uint64_t)seconds * SECOND;
    uint32_t count = 0;
    bool was_measuring = q->gradient.is_measuring;

    while (q->now_us < until_us) {
        queue_fill(q);
        queue_end_next(q);
        count += q->gradient.is_measuring && !was_measuring;
        was_measuring = q->gradient.is_measuring;
    }
    return count;
}

static void the_floor_is_measured_as_often_as_is_said(void **state)
{
    static const uint64_t every_s[] = {2, 6, 30};
    static queue_t q;

    for (size_t i = 0; i < SHEAF_COUNT(every_s); i++) {
        queue_init(&q, 1, 32, 5000);
        q.conf.measure_ms = every_s[i] * 1000;
        sheaf_gradient_init(&q.gradient, &q.conf, q.now_us);
        queue_run(&q, 10);
        assert_in_range(measurings(&q, 120), 120 / every_s[i] - 1, 120 / every_s[i] + 1);
    }
}

static void what_nobody_uses_does_not_grow(void **state)
{
    static queue_t q;

    queue_init(&q, 1, 500, 20000);
    q.wanted = 6;
    queue_run(&q, 60);
    assert_true(sheaf_gradient_limit(&q.gradient) <= SHEAF_GRADIENT_START);
    q.wanted = UINT32_MAX;
    queue_run(&q, 25);
    assert_true(sheaf_gradient_limit(&q.gradient) > 400);
}

/* Their latency says nothing: they refuse at once what is too much. */
static void answers_that_say_overload_bound_it(void **state)
{
    static queue_t q;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        queue_init(&q, seed, 1000, 20000);
        q.refuses_over = 50;
        queue_run(&q, 30);
        assert_in_range(settled(&q, 5), 20, 75);
    }
}

static void it_never_leaves_its_bounds(void **state)
{
    static queue_t q;
    sheaf_gradient_t *gradient = &q.gradient;

    queue_init(&q, 1, 1, 20000);
    q.conf.min = 7;
    queue_run(&q, 30); /* one server: it would like to be lower; queue_run looks at the bounds */
    assert_in_range(sheaf_gradient_limit(gradient), 7, 30);

    queue_init(&q, 1, 1000, 20000);
    q.conf.max = 90;
    queue_run(&q, 30);
    assert_int_equal(q.most_limit, 90);

    q.conf.min = q.conf.max = 50;
    sheaf_gradient_init(gradient, &q.conf, 0);
    assert_int_equal(sheaf_gradient_limit(gradient), 50);
    q.conf.max = 3; /* less than min: min wins */
    sheaf_gradient_init(gradient, &q.conf, 0);
    assert_int_equal(sheaf_gradient_limit(gradient), 50);
}

static bool note_many(sheaf_gradient_t *gradient, sheaf_gradient_end_t end, uint64_t took_us, uint64_t *now_us)
{
    bool is_over = false;

    for (int i = 0; i < 40 && !is_over; i++) {
        *now_us += 20000;
        is_over = sheaf_gradient_note(gradient, end, *now_us - took_us, *now_us);
    }
    return is_over;
}

static void time_outs_halve_it_and_what_is_cut_short_counts_as_long(void **state)
{
    sheaf_adaptive_conf_t conf = {
        .min = 2, .max = 1000, .tolerance_percent = 200, .window_ms = 100, .measure_ms = 1000000};
    sheaf_gradient_t gradient;
    uint64_t now_us = 5 * SECOND;
    uint32_t before;

    sheaf_gradient_init(&gradient, &conf, now_us);
    while (gradient.is_measuring)
        assert_true(note_many(&gradient, SHEAF_GRADIENT_DONE, 10000, &now_us));
    assert_in_range(gradient.floor_us, 9000, 10000);
    assert_int_equal(sheaf_gradient_limit(&gradient), SHEAF_GRADIENT_START);

    assert_true(note_many(&gradient, SHEAF_GRADIENT_OVERLOADED, 15000, &now_us));
    assert_int_equal(sheaf_gradient_limit(&gradient), SHEAF_GRADIENT_START / 2);

    assert_false(note_many(&gradient, SHEAF_GRADIENT_CUT, 15000, &now_us)); /* might still have been fine */
    assert_int_equal(gradient.spread.count, 0);
    before = sheaf_gradient_limit(&gradient);
    assert_true(note_many(&gradient, SHEAF_GRADIENT_CUT, 60000, &now_us));
    assert_true(sheaf_gradient_limit(&gradient) < before);

    assert_false(sheaf_gradient_note(&gradient, SHEAF_GRADIENT_DONE, gradient.begun_us - 1, now_us));
    assert_int_equal(gradient.spread.count, 0); /* it began under another limit */
}

/* A mute server, whose askers lose patience: how long they had it is no latency. It neither becomes the floor, measured or
 * believed at last, nor makes room for more. */
static void patience_is_no_floor(void **state)
{
    sheaf_adaptive_conf_t conf = {
        .min = 2, .max = 1000, .tolerance_percent = 200, .window_ms = 100, .measure_ms = 1000};
    sheaf_gradient_t gradient;
    uint64_t now_us = 5 * SECOND, floor_us;

    sheaf_gradient_init(&gradient, &conf, now_us);
    while (gradient.is_measuring)
        assert_true(note_many(&gradient, SHEAF_GRADIENT_DONE, 10000, &now_us));
    floor_us = gradient.floor_us;
    for (int i = 0; i < 100; i++) {
        sheaf_gradient_full(&gradient);
        note_many(&gradient, SHEAF_GRADIENT_CUT, 400000, &now_us);
    }
    assert_int_equal(gradient.floor_us, floor_us);
    assert_int_equal(sheaf_gradient_limit(&gradient), 2);
    for (int i = 0; i < 20; i++) {
        sheaf_gradient_full(&gradient);
        note_many(&gradient, SHEAF_GRADIENT_DONE, 10000, &now_us);
    }
    assert_true(sheaf_gradient_limit(&gradient) > 10);
}

static void a_floor_of_another_time_does_not_hold_it_at_min_for_ever(void **state)
{
    static queue_t q;

    queue_init(&q, 1, 50, 20000);
    q.conf.measure_ms = 3600000;
    queue_run(&q, 10);
    q.gradient.floor_us = 100; /* quick errors, say, that were no errors */
    queue_run(&q, 20);
    assert_near(settled(&q, 5), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_settles_near_what_the_servers_can_do_at_once),
        cmocka_unit_test(tolerance_says_how_much_may_queue),
        cmocka_unit_test(a_window_is_no_shorter_than_it_says),
        cmocka_unit_test(it_follows_a_change_of_capacity_both_ways),
        cmocka_unit_test(it_follows_a_change_of_the_service_time_both_ways),
        cmocka_unit_test(measuring_stalls_nobody),
        cmocka_unit_test(the_floor_is_measured_as_often_as_is_said),
        cmocka_unit_test(what_nobody_uses_does_not_grow),
        cmocka_unit_test(answers_that_say_overload_bound_it),
        cmocka_unit_test(it_never_leaves_its_bounds),
        cmocka_unit_test(time_outs_halve_it_and_what_is_cut_short_counts_as_long),
        cmocka_unit_test(patience_is_no_floor),
        cmocka_unit_test(a_floor_of_another_time_does_not_hold_it_at_min_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
