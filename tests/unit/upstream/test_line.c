/* The waiting line: flows take turns, and whoever leaves early leaves no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/base/chance.h"
#include "gateway/upstream/line.h"

static void push(sheaf_line_t *line, sheaf_exchange_t *exchange, uintptr_t flow, bool is_direct)
{
    *exchange = (sheaf_exchange_t){.flow = (const void *)flow, .is_direct = is_direct};
    sheaf_line_push(line, exchange);
    assert_ptr_equal(sheaf_line_of(exchange), line);
}

static void flows_take_turns_and_each_is_first_come_first_served(void **state)
{
    sheaf_line_t line;
    sheaf_exchange_t a[3], b[1], c[2];

    sheaf_line_init(&line);
    for (int i = 0; i < 3; i++)
        push(&line, &a[i], 1, false);
    push(&line, &b[0], 2, true);
    for (int i = 0; i < 2; i++)
        push(&line, &c[i], 3, false);
    assert_int_equal(line.count, 6);
    assert_int_equal(line.direct_count, 1);

    assert_ptr_equal(sheaf_line_pop(&line), &a[0]);
    assert_ptr_equal(sheaf_line_pop(&line), &b[0]);
    assert_int_equal(line.direct_count, 0);
    assert_ptr_equal(sheaf_line_pop(&line), &c[0]);
    assert_ptr_equal(sheaf_line_pop(&line), &a[1]);
    push(&line, &b[0], 2, false); /* comes back at the end */
    assert_ptr_equal(sheaf_line_pop(&line), &c[1]);
    assert_ptr_equal(sheaf_line_pop(&line), &a[2]);
    assert_ptr_equal(sheaf_line_pop(&line), &b[0]);
    assert_null(sheaf_line_pop(&line));
    sheaf_line_fini(&line);
}

static void whoever_leaves_early_leaves_no_trace(void **state)
{
    enum { MANY = 500 };
    sheaf_line_t line;
    sheaf_exchange_t *all = calloc(MANY, sizeof(*all));

    sheaf_line_init(&line);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) /* more flows than buckets, two exchanges each */
            push(&line, &all[i], (uintptr_t)(i / 2 + 1), false);
        for (int i = 0; i < MANY; i += 2)
            sheaf_line_remove(&all[i]);
        for (int i = 1; i < MANY; i += 2)
            assert_ptr_equal(sheaf_line_pop(&line), &all[i]);
        assert_int_equal(line.count, 0);
        assert_true(sheaf_list_is_empty(&line.lanes));
    }
    sheaf_line_fini(&line);
    free(all);
}

static void number(sheaf_line_t *line, sheaf_exchange_t *exchange, uintptr_t flow)
{
    *exchange = (sheaf_exchange_t){.flow = (const void *)flow};
    sheaf_line_number(line, exchange);
}

/* Two conns turned out to have no room for what was aboard: 1, 2, 3 and 4, 5, 6, of two flows; 7, 8, 9 wait already. */
static void who_had_its_turn_stands_where_it_would_had_it_waited(void **state)
{
    static const int orders[][6] = {{1, 2, 3, 4, 5, 6}, {4, 5, 6, 1, 2, 3}, {6, 5, 4, 3, 2, 1}};
    sheaf_exchange_t all[10];
    sheaf_line_t line;

    for (size_t o = 0; o < SHEAF_COUNT(orders); o++) {
        sheaf_line_init(&line);
        for (int i = 0; i < 10; i++)
            number(&line, &all[i], i % 2 == 0 ? 1 : 2);
        for (int i = 7; i < 10; i++)
            sheaf_line_push(&line, &all[i]);
        assert_ptr_equal(sheaf_line_peek(&line), &all[7]);
        for (int i = 0; i < 6; i++)
            sheaf_line_push(&line, &all[orders[o][i]]);
        assert_ptr_equal(sheaf_line_peek(&line), &all[1]);
        for (int i = 1; i < 10; i++)
            assert_ptr_equal(sheaf_line_pop(&line), &all[i]);
        sheaf_line_fini(&line);
    }
}

/* Whatever others do: of two flows that wait all the time neither is ever served two more than the other. */
static void of_two_flows_that_wait_neither_gets_ahead_by_more_than_one(void **state)
{
    enum { FLOWS = 6, MANY = 4000 };
    sheaf_chance_t chance = {11};
    sheaf_line_t line;
    sheaf_exchange_t *all = calloc(MANY, sizeof(*all));
    int waiting[FLOWS] = {0}, served[FLOWS] = {0}, base[FLOWS][FLOWS] = {{0}}, used = 0;

    sheaf_line_init(&line);
    while (used < MANY || line.count != 0) {
        uint64_t flow = sheaf_chance_upto(&chance, FLOWS - 1);

        if (used < MANY && (line.count == 0 || sheaf_chance_upto(&chance, flow) == 0)) { /* some come more often */
            push(&line, &all[used++], (uintptr_t)(flow + 1), false);
            if (waiting[flow]++ == 0)
                for (int i = 0; i < FLOWS; i++) /* from here on they are compared */
                    base[flow][i] = base[i][flow] = served[flow] - served[i], base[i][flow] = -base[flow][i];
            continue;
        }
        flow = (uintptr_t)sheaf_line_pop(&line)->flow - 1;
        waiting[flow]--;
        served[flow]++;
        for (int i = 0; i < FLOWS; i++)
            if ((uint64_t)i != flow && waiting[i] > 0)
                assert_in_range(served[flow] - served[i] - base[flow][i] + 1, 0, 2);
    }
    sheaf_line_fini(&line);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_take_turns_and_each_is_first_come_first_served),
        cmocka_unit_test(whoever_leaves_early_leaves_no_trace),
        cmocka_unit_test(who_had_its_turn_stands_where_it_would_had_it_waited),
        cmocka_unit_test(of_two_flows_that_wait_neither_gets_ahead_by_more_than_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
