/* The waiting line: flows take turns, and whoever leaves early leaves no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_take_turns_and_each_is_first_come_first_served),
        cmocka_unit_test(whoever_leaves_early_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
