/* When a server is unhealthy and when it is asked again, under a hand-wound clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/upstream/health.h"

#define START 1000000

static sheaf_health_conf_t health_conf(void)
{
    return (sheaf_health_conf_t){.interval_ms = 5000, .timeout_ms = 1000, .unhealthy = 3, .healthy = 2};
}

/* g: a probe went well, b: it did not; the answer has a capital where the state turned. */
static void assert_turns(sheaf_health_t *health, const char *probes)
{
    sheaf_health_conf_t conf = health_conf();

    for (const char *at = probes; *at != '\0'; at++) {
        bool is_good = *at == 'g' || *at == 'G';

        assert_int_equal(sheaf_health_note(&conf, health, is_good), *at == 'G' || *at == 'B');
    }
}

static void failures_in_a_row_turn_it_and_successes_in_a_row_turn_it_back(void **state)
{
    sheaf_health_t health = {0};

    assert_turns(&health, "ggbbgbbgbb");
    assert_false(health.is_unhealthy);
    assert_turns(&health, "B");
    assert_true(health.is_unhealthy);
    assert_turns(&health, "bbgbgb");
    assert_true(health.is_unhealthy);
    assert_turns(&health, "gG");
    assert_false(health.is_unhealthy);
    assert_turns(&health, "gbbB");
}

static void a_threshold_of_one_turns_at_once(void **state)
{
    sheaf_health_conf_t conf = health_conf();
    sheaf_health_t health = {0};

    conf.unhealthy = conf.healthy = 1;
    assert_true(sheaf_health_note(&conf, &health, false));
    assert_false(sheaf_health_note(&conf, &health, false));
    assert_true(sheaf_health_note(&conf, &health, true));
    assert_false(sheaf_health_note(&conf, &health, true));
}

static void the_state_survives_being_a_number(void **state)
{
    sheaf_health_t health = {0};

    assert_int_equal(sheaf_health_pack(&health), 0);
    for (const char *at = "bbbg"; *at != '\0'; at++) {
        sheaf_health_conf_t conf = health_conf();
        sheaf_health_t other;

        sheaf_health_note(&conf, &health, *at == 'g');
        other = sheaf_health_unpack(sheaf_health_pack(&health));
        assert_int_equal(other.is_unhealthy, health.is_unhealthy);
        assert_int_equal(other.against, health.against);
    }
    assert_true(health.is_unhealthy);
    health = sheaf_health_unpack(sheaf_health_pack(&health)); /* a successor goes on counting */
    assert_turns(&health, "G");
}

static void statuses_are_expected_one_by_one_or_by_class(void **state)
{
    uint16_t items[] = {2, 401, 599};
    sheaf_health_conf_t conf = {.expect = {items, 3}};

    assert_true(sheaf_health_expects(&conf, 200));
    assert_true(sheaf_health_expects(&conf, 299));
    assert_true(sheaf_health_expects(&conf, 401));
    assert_true(sheaf_health_expects(&conf, 599));
    assert_false(sheaf_health_expects(&conf, 302));
    assert_false(sheaf_health_expects(&conf, 400));
    assert_false(sheaf_health_expects(&conf, 503));
}

static void the_first_probes_of_a_thousand_are_spread_and_come_soon(void **state)
{
    static const struct {
        uint64_t interval_ms, within_ms;
    } cases[] = {{5000, 1000}, {3600000, 1000}, {200, 200}};

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        sheaf_health_conf_t conf = {.interval_ms = cases[i].interval_ms};
        sheaf_chance_t chance = {7};
        uint32_t tenths[11] = {0};

        for (int n = 0; n < 1000; n++) {
            uint64_t after_ms = sheaf_health_first_ms(&conf, &chance, START) - START;

            assert_in_range(after_ms, 0, cases[i].within_ms);
            tenths[after_ms * 10 / cases[i].within_ms]++;
        }
        for (int n = 0; n < 10; n++)
            assert_in_range(tenths[n], 50, 150);
    }
}

static void probes_are_an_interval_apart_with_jitter_and_never_due_in_the_past(void **state)
{
    sheaf_health_conf_t conf = health_conf();
    sheaf_chance_t chance = {7};
    uint64_t least = UINT64_MAX, most = 0;

    for (int n = 0; n < 1000; n++) {
        uint64_t next_ms = sheaf_health_next_ms(&conf, &chance, START, START + 20);

        least = next_ms < least ? next_ms : least;
        most = next_ms > most ? next_ms : most;
    }
    assert_in_range(least, START + 4500, START + 4510);
    assert_in_range(most, START + 5490, START + 5500);
    assert_int_equal(sheaf_health_next_ms(&conf, &chance, START, START + 60000), START + 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_turn_it_and_successes_in_a_row_turn_it_back),
        cmocka_unit_test(a_threshold_of_one_turns_at_once),
        cmocka_unit_test(the_state_survives_being_a_number),
        cmocka_unit_test(statuses_are_expected_one_by_one_or_by_class),
        cmocka_unit_test(the_first_probes_of_a_thousand_are_spread_and_come_soon),
        cmocka_unit_test(probes_are_an_interval_apart_with_jitter_and_never_due_in_the_past),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
