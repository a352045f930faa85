/* Whose turn it is: shares, backups, servers that refuse. */
#include "tests/unit/upstream/turns.h"

static void equal_servers_take_turns_one_after_another(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_ROUND_ROBIN, 3, 3, 3);

    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(turn(b), i % 3);
    bench_free(b);
}

static void weighted_turns_are_smooth(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_ROUND_ROBIN, 5, 1, 1);
    const uint32_t order[] = {0, 0, 1, 0, 2, 0, 0};

    for (uint32_t i = 0; i < 21; i++)
        assert_int_equal(turn(b), order[i % 7]);
    bench_free(b);
}

static void weighted_turns_are_shares_to_the_last_one(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_ROUND_ROBIN, 256, 1, 43, 100);

    turns(b, 400 * 10);
    assert_int_equal(b->got[0], 2560);
    assert_int_equal(b->got[1], 10);
    assert_int_equal(b->got[2], 430);
    assert_int_equal(b->got[3], 1000);
    bench_free(b);
}

static void the_fewest_requests_per_weight_are_next_and_equals_take_turns(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_LEAST_REQUESTS, 1, 2, 1);

    turns(b, 8);
    assert_true(b->got[0] == 2 && b->got[1] == 4 && b->got[2] == 2);
    b->balance.servers[0].flying = 3;
    b->balance.servers[1].flying = 5;
    b->balance.servers[2].flying = 4;
    turns(b, 8);
    assert_int_equal(b->got[1], 8); /* 5 of weight 2 are fewer than 3 of weight 1 */
    b->balance.servers[1].flying = 6;
    turns(b, 9);
    assert_true(b->got[0] == 3 && b->got[1] == 6 && b->got[2] == 0);
    bench_free(b);
}

/* A slow server keeps what it got: the more it holds, the less it gets. */
static void whoever_is_slow_gets_less(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_LEAST_REQUESTS, 1, 1, 1, 1);

    memset(b->got, 0, sizeof(b->got));
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t at = turn(b);

        b->got[at]++;
        if (at == 0) /* never answers; the others do at once */
            b->balance.servers[at].flying++;
    }
    assert_int_equal(b->got[0], 1);
    assert_in_range(b->got[1], 332, 334);
    bench_free(b);
}

static void two_by_chance_are_shares_when_nothing_flies(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_RANDOM_TWO, 1, 2, 4, 1);

    turns(b, 80000);
    assert_in_range(b->got[0], 9500, 10500);
    assert_in_range(b->got[1], 19300, 20700);
    assert_in_range(b->got[2], 39000, 41000);
    assert_in_range(b->got[3], 9500, 10500);
    bench_free(b);
}

static void of_two_by_chance_the_less_busy_is_taken(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_RANDOM_TWO, 1, 1, 1, 1);

    b->balance.servers[2].flying = 1;
    turns(b, 10000);
    assert_int_equal(b->got[2], 0); /* there are always two, and the other one is idle */
    assert_in_range(b->got[0], 3100, 3570);
    bench_free(b);
}

static void two_by_chance_are_two_different_ones(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_RANDOM_TWO, 256, 1);

    b->balance.servers[0].flying = 300; /* more than its weight allows */
    turns(b, 1000);
    assert_int_equal(b->got[1], 1000);
    bench_free(b);
}

static void check_backups(sheaf_turn_t kind)
{
    bench_t *b = BENCH(kind, 1, -1, 1, -3);

    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(turn_of_key(b, i) % 2, 0);
    assert_false(sheaf_balance_suits(&b->balance, &b->balance.servers[1], b->clock.now_ms));
    refuse(b, 0);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(turn_of_key(b, i), 2);
    refuse(b, 2);
    memset(b->got, 0, sizeof(b->got));
    for (uint32_t i = 0; i < 1000; i++)
        b->got[turn_of_key(b, i)]++;
    assert_int_equal(b->got[0] + b->got[2], 0);
    assert_in_range(b->got[3], 600, 900);
    assert_int_equal(sheaf_balance_suits(&b->balance, &b->balance.servers[1], b->clock.now_ms),
                     kind != SHEAF_TURN_HASH);
    refuse(b, 1);
    assert_int_equal(turn_of_key(b, 1), 3);
    refuse(b, 3);
    for (uint32_t i = 0; i < 100; i++) /* none is left: those that are no backups are tried all the same */
        assert_int_equal(turn_of_key(b, i) % 2, 0);
    b->clock.now_ms += SHEAF_SERVER_SHUN_MS; /* and given back */
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(turn_of_key(b, i) % 2, 0);
    bench_free(b);
}

static void backups_are_used_only_while_all_others_refuse(void **state)
{
    check_backups(SHEAF_TURN_ROUND_ROBIN);
    check_backups(SHEAF_TURN_LEAST_REQUESTS);
    check_backups(SHEAF_TURN_RANDOM_TWO);
    check_backups(SHEAF_TURN_HASH);
}

static void the_addresses_of_backups_are_tried_after_all_others_and_those_that_refused_last(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_ROUND_ROBIN, 1, -1, 1);
    sheaf_server_t *server = &b->balance.servers[2];
    const uint32_t order[] = {0, 1, 2};
    sheaf_sockaddr_t address;
    sheaf_tried_t tried = 0;

    refuse(b, 2);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(sheaf_balance_pick(&b->balance, server, b->clock.now_ms, &tried, &server, &address),
                         SHEAF_PICK_PEER);
        assert_int_equal(server - b->balance.servers, order[i]);
    }
    assert_int_equal(sheaf_balance_pick(&b->balance, server, b->clock.now_ms, &tried, &server, &address),
                     SHEAF_PICK_NONE);
    bench_free(b);
}

static void a_server_that_refuses_is_passed_over_for_two_seconds(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_ROUND_ROBIN, 2, 1, 1);

    refuse(b, 0);
    turns(b, 10);
    assert_true(b->got[0] == 0 && b->got[1] == 5 && b->got[2] == 5);
    b->clock.now_ms += SHEAF_SERVER_SHUN_MS - 1;
    turns(b, 10);
    assert_int_equal(b->got[0], 0);
    b->clock.now_ms++;
    turns(b, 8);
    assert_in_range(b->got[0], 3, 5);
    bench_free(b);
}

static void a_server_that_took_a_connection_is_back_at_once(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_LEAST_REQUESTS, 1, 1);

    refuse(b, 1);
    turns(b, 4);
    assert_int_equal(b->got[1], 0);
    sheaf_balance_note(&b->balance.servers[1], &b->balance.servers[1].peers[0].address, true, b->clock.now_ms);
    turns(b, 4);
    assert_int_equal(b->got[1], 2);
    bench_free(b);
}

static void one_exchange_tries_a_server_that_refused_and_the_rest_follow_when_it_took_the_connection(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_ROUND_ROBIN, 1, -1);
    sheaf_server_t *server;
    sheaf_sockaddr_t address;
    sheaf_tried_t tried = 0;

    refuse(b, 0);
    assert_int_equal(turn(b), 1);
    b->clock.now_ms += SHEAF_SERVER_SHUN_MS;
    assert_int_equal(turn(b), 0);
    assert_int_equal(
        sheaf_balance_pick(&b->balance, &b->balance.servers[0], b->clock.now_ms, &tried, &server, &address),
        SHEAF_PICK_PEER);
    assert_ptr_equal(server, &b->balance.servers[0]);
    turns(b, 10);
    assert_int_equal(b->got[1], 10); /* the others do not wait for it */
    sheaf_balance_note(server, &address, true, b->clock.now_ms);
    turns(b, 10);
    assert_int_equal(b->got[0], 10);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_servers_take_turns_one_after_another),
        cmocka_unit_test(weighted_turns_are_smooth),
        cmocka_unit_test(weighted_turns_are_shares_to_the_last_one),
        cmocka_unit_test(the_fewest_requests_per_weight_are_next_and_equals_take_turns),
        cmocka_unit_test(whoever_is_slow_gets_less),
        cmocka_unit_test(two_by_chance_are_shares_when_nothing_flies),
        cmocka_unit_test(of_two_by_chance_the_less_busy_is_taken),
        cmocka_unit_test(two_by_chance_are_two_different_ones),
        cmocka_unit_test(backups_are_used_only_while_all_others_refuse),
        cmocka_unit_test(the_addresses_of_backups_are_tried_after_all_others_and_those_that_refused_last),
        cmocka_unit_test(a_server_that_refuses_is_passed_over_for_two_seconds),
        cmocka_unit_test(a_server_that_took_a_connection_is_back_at_once),
        cmocka_unit_test(one_exchange_tries_a_server_that_refused_and_the_rest_follow_when_it_took_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
