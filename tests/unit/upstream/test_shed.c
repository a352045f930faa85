/* What is not worth sending, under a hand-wound clock; and the spread of latencies that tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/base/chance.h"
#include "gateway/upstream/shed.h"

#define START 1000000 /* any time will do; a period begins here */

static void note_times(sheaf_shed_t *shed, int times, uint64_t took_ms, uint64_t now_ms)
{
    for (int i = 0; i < times; i++)
        sheaf_shed_note(shed, took_ms * 1000, now_ms);
}

static int late_of(sheaf_shed_t *shed, int times, uint64_t left_ms, uint64_t now_ms)
{
    int late = 0;

    for (int i = 0; i < times; i++)
        late += sheaf_shed_ask(shed, left_ms, now_ms) == SHEAF_SHED_LATE;
    return late;
}

static void without_enough_answers_everything_is_sent(void **state)
{
    sheaf_shed_t shed;

    sheaf_shed_init(&shed, START);
    assert_int_equal(late_of(&shed, 100, 0, START), 0);
    note_times(&shed, SHEAF_SHED_LEAST - 1, 500, START);
    assert_int_equal(late_of(&shed, 100, 1, START), 0);
    note_times(&shed, 1, 500, START);
    assert_int_equal(late_of(&shed, 100, 1, START + 100), 95); /* one in twenty is sent to see */
    assert_int_equal(late_of(&shed, 100, 500, START + 100), 0);
}

static void a_few_that_were_fast_by_luck_do_not_count_but_more_do(void **state)
{
    sheaf_shed_t shed;

    sheaf_shed_init(&shed, START);
    note_times(&shed, 1, 10, START);
    note_times(&shed, 99, 500, START);
    assert_int_equal(late_of(&shed, 20, 400, START), 19);
    note_times(&shed, 5, 10, START);
    assert_int_equal(late_of(&shed, 20, 400, START + 100), 0);
    assert_int_equal(late_of(&shed, 20, 5, START + 100), 19);
}

static void an_estimate_grows_old_and_is_none_then(void **state)
{
    for (uint64_t after = 0; after < 50000; after += 2500) {
        sheaf_shed_t shed;

        sheaf_shed_init(&shed, START);
        note_times(&shed, 200, 500, START);
        assert_int_equal(late_of(&shed, 20, 100, START + after), after < 2 * SHEAF_SHED_PERIOD_MS ? 19 : 0);
    }
}

static void an_upstream_that_became_faster_is_found_out(void **state)
{
    sheaf_shed_t shed;

    sheaf_shed_init(&shed, START);
    note_times(&shed, 200, 500, START);
    while (sheaf_shed_ask(&shed, 100, START) != SHEAF_SHED_TRY)
        ;
    sheaf_shed_disproved(&shed, START + 50);
    assert_int_equal(late_of(&shed, 100, 100, START + 50), 0);
    note_times(&shed, 200, 500, START + 60); /* it was luck after all */
    assert_int_equal(late_of(&shed, 20, 100, START + 200), 19);
}

static void a_place_in_the_spread_is_that_of_a_sorted_list_within_a_sixteenth(void **state)
{
    enum { MANY = 2000 };
    static const uint32_t per_mille[] = {0, 1, 20, 500, 990, 1000};
    static sheaf_spread_t one, other;
    sheaf_chance_t chance = {7};
    uint64_t all[MANY];

    assert_int_equal(sheaf_spread_at(&one, &other, 500), 0);
    for (int i = 0; i < MANY; i++) {
        uint64_t us = sheaf_chance_next(&chance) >> (37 + sheaf_chance_upto(&chance, 26)), k;

        sheaf_spread_add(i % 3 == 0 ? &one : &other, us);
        for (k = (uint64_t)i; k > 0 && all[k - 1] > us; k--)
            all[k] = all[k - 1];
        all[k] = us;
    }
    for (size_t i = 0; i < sizeof(per_mille) / sizeof(per_mille[0]); i++) {
        uint64_t rank = ((uint64_t)MANY * per_mille[i] + 999) / 1000, us = all[rank == 0 ? 0 : rank - 1];
        uint64_t found = sheaf_spread_at(&one, &other, per_mille[i]);

        assert_in_range(found, us - us / 16, us);
    }
    sheaf_spread_add(&one, UINT64_MAX);
    assert_true(sheaf_spread_at(&one, &other, 1000) >= (uint64_t)120 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_enough_answers_everything_is_sent),
        cmocka_unit_test(a_few_that_were_fast_by_luck_do_not_count_but_more_do),
        cmocka_unit_test(an_estimate_grows_old_and_is_none_then),
        cmocka_unit_test(an_upstream_that_became_faster_is_found_out),
        cmocka_unit_test(a_place_in_the_spread_is_that_of_a_sorted_list_within_a_sixteenth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
