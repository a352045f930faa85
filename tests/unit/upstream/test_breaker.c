/* When an upstream is asked at all, under a hand-wound clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/upstream/breaker.h"

#define START 1000000 /* any time will do; a slot of every window begins here */

static sheaf_breaker_conf_t breaker_conf(void)
{
    return (sheaf_breaker_conf_t){
        .errors_percent = 40, .requests = 10, .window_ms = 4000, .open_ms = 5000, .probes = 2};
}

static void note_times(sheaf_breaker_t *breaker, int times, bool is_good, uint64_t now_ms)
{
    for (int i = 0; i < times; i++)
        sheaf_breaker_note(breaker, 0, is_good, now_ms);
}

static void a_breaker_opens_at_its_share_of_errors_among_enough_exchanges(void **state)
{
    sheaf_breaker_conf_t conf = breaker_conf();
    sheaf_breaker_t breaker;
    uint16_t round;

    sheaf_breaker_init(&breaker, &conf);
    note_times(&breaker, 9, false, START);
    assert_int_equal(breaker.state, SHEAF_BREAKER_CLOSED); /* too few */
    assert_true(sheaf_breaker_note(&breaker, 0, false, START));
    assert_int_equal(breaker.state, SHEAF_BREAKER_OPEN);
    assert_false(sheaf_breaker_admit(&breaker, START + 4999, &round));

    sheaf_breaker_init(&breaker, &conf);
    note_times(&breaker, 11, true, START);
    note_times(&breaker, 7, false, START);
    assert_int_equal(breaker.state, SHEAF_BREAKER_CLOSED); /* 7 of 18 */
    note_times(&breaker, 1, false, START);
    assert_int_equal(breaker.state, SHEAF_BREAKER_OPEN);

    sheaf_breaker_init(&breaker, &conf);
    note_times(&breaker, 9, false, START);
    note_times(&breaker, 9, false, START + 4000); /* the first ones have left the window */
    assert_int_equal(breaker.state, SHEAF_BREAKER_CLOSED);
}

static void open_breaker(sheaf_breaker_t *breaker, const sheaf_breaker_conf_t *conf)
{
    sheaf_breaker_init(breaker, conf);
    note_times(breaker, 10, false, START);
    assert_int_equal(breaker->state, SHEAF_BREAKER_OPEN);
}

static void what_is_refused_is_told_when_probes_may_try(void **state)
{
    sheaf_breaker_conf_t conf = breaker_conf();
    sheaf_breaker_t breaker;
    uint16_t round;

    open_breaker(&breaker, &conf);
    assert_int_equal(sheaf_breaker_lets_after_s(&breaker, START), 5);
    assert_int_equal(sheaf_breaker_lets_after_s(&breaker, START + 1), 5); /* 4,999 ms: not before */
    assert_int_equal(sheaf_breaker_lets_after_s(&breaker, START + 4000), 1);
    assert_int_equal(sheaf_breaker_lets_after_s(&breaker, START + 4999), 1);
    assert_int_equal(sheaf_breaker_lets_after_s(&breaker, START + 9000), 1);
    while (sheaf_breaker_admit(&breaker, START + 5000, &round))
        ; /* all probes fly */
    assert_int_equal(sheaf_breaker_lets_after_s(&breaker, START + 5000), 1);
}

static void probes_that_succeed_close_it(void **state)
{
    sheaf_breaker_conf_t conf = breaker_conf();
    sheaf_breaker_t breaker;
    uint16_t first, second, third;

    open_breaker(&breaker, &conf);
    assert_true(sheaf_breaker_admit(&breaker, START + 5000, &first));
    assert_true(sheaf_breaker_admit(&breaker, START + 5000, &second));
    assert_true(first != 0 && first == second);
    assert_false(sheaf_breaker_admit(&breaker, START + 5000, &third));
    assert_false(sheaf_breaker_note(&breaker, 0, false, START + 5001)); /* flew before it opened */
    assert_false(sheaf_breaker_note(&breaker, first, true, START + 5001));
    assert_false(sheaf_breaker_admit(&breaker, START + 5001, &third));
    assert_true(sheaf_breaker_note(&breaker, second, true, START + 5002));
    assert_int_equal(breaker.state, SHEAF_BREAKER_CLOSED);
    assert_true(sheaf_breaker_admit(&breaker, START + 5002, &third));
    assert_int_equal(third, 0);
    note_times(&breaker, 9, false, START + 5003); /* what opened it is forgiven */
    assert_int_equal(breaker.state, SHEAF_BREAKER_CLOSED);
}

static void a_probe_that_fails_keeps_it_open_as_long_again(void **state)
{
    sheaf_breaker_conf_t conf = breaker_conf();
    sheaf_breaker_t breaker;
    uint16_t first, second, third;

    open_breaker(&breaker, &conf);
    assert_true(sheaf_breaker_admit(&breaker, START + 6000, &first));
    assert_true(sheaf_breaker_admit(&breaker, START + 6000, &second));
    assert_true(sheaf_breaker_note(&breaker, first, false, START + 6100));
    assert_int_equal(breaker.state, SHEAF_BREAKER_OPEN);
    assert_false(sheaf_breaker_lets(&breaker, START + 11099));
    assert_true(sheaf_breaker_admit(&breaker, START + 11100, &third));
    assert_true(third != second);
    assert_false(sheaf_breaker_note(&breaker, second, false, START + 11101)); /* of the round before */
    assert_int_equal(breaker.state, SHEAF_BREAKER_TRYING);
    assert_int_equal(breaker.out, 1);
}

static void a_probe_that_says_nothing_gives_its_place_to_another(void **state)
{
    sheaf_breaker_conf_t conf = breaker_conf();
    sheaf_breaker_t breaker;
    uint16_t round;

    conf.probes = 1;
    open_breaker(&breaker, &conf);
    for (int i = 0; i < 100; i++) {
        assert_true(sheaf_breaker_admit(&breaker, START + 5000, &round));
        assert_false(sheaf_breaker_lets(&breaker, START + 5000));
        sheaf_breaker_forget(&breaker, round);
    }
    assert_true(sheaf_breaker_admit(&breaker, START + 5000, &round));
    assert_true(sheaf_breaker_note(&breaker, round, true, START + 5000));
    assert_int_equal(breaker.state, SHEAF_BREAKER_CLOSED);
    sheaf_breaker_forget(&breaker, round); /* nothing to forget any more */
    assert_int_equal(breaker.out, 0);
}

static void the_number_of_a_round_is_never_nought(void **state)
{
    sheaf_breaker_conf_t conf = breaker_conf();
    uint64_t now_ms = START;
    sheaf_breaker_t breaker;
    uint16_t round;

    open_breaker(&breaker, &conf);
    for (int i = 0; i < 70000; i++) {
        now_ms += 5000;
        assert_true(sheaf_breaker_admit(&breaker, now_ms, &round));
        assert_int_not_equal(round, 0);
        assert_true(sheaf_breaker_note(&breaker, round, false, now_ms));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_breaker_opens_at_its_share_of_errors_among_enough_exchanges),
        cmocka_unit_test(what_is_refused_is_told_when_probes_may_try),
        cmocka_unit_test(probes_that_succeed_close_it),
        cmocka_unit_test(a_probe_that_fails_keeps_it_open_as_long_again),
        cmocka_unit_test(a_probe_that_says_nothing_gives_its_place_to_another),
        cmocka_unit_test(the_number_of_a_round_is_never_nought),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
