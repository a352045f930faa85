/* Whose turn a key is: the same server for it, whatever goes and comes, and no more than its bound. */
#include <math.h>

#include "tests/unit/upstream/turns.h"

static void a_key_has_one_server_and_keys_are_spread_by_weight(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 2, 1, 4);
    const double share[] = {1 / 8.0, 2 / 8.0, 1 / 8.0, 4 / 8.0};
    uint32_t keys = 20000;

    for (uint32_t i = 0; i < keys; i++) {
        uint32_t at = turn_of_key(b, i);

        b->got[at]++;
        assert_int_equal(turn_of_key(b, i), at);
    }
    for (uint32_t i = 0; i < 4; i++)
        assert_true(fabs(b->got[i] / (keys * share[i]) - 1) < 0.2);
    bench_free(b);
}

static void the_query_is_no_part_of_the_key(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 1, 1, 1, 1, 1, 1, 1);
    uint32_t at;

    b->exchange.target = SHEAF_STR("/users/7");
    at = turn(b);
    b->exchange.target = SHEAF_STR("/users/7?page=2");
    assert_int_equal(turn(b), at);
    bench_free(b);
}

/* By what, and whether 64 different values of it lead to more than one server. */
static bool is_spread_by(bench_t *b, sheaf_str_t *value)
{
    uint32_t first = UINT32_MAX;
    bool is_spread = false;
    char text[32];

    for (uint32_t i = 0; i < 64; i++) {
        uint32_t at;

        *value = sheaf_str(text, (size_t)snprintf(text, sizeof(text), "%u", i));
        at = turn(b);
        assert_int_equal(turn(b), at);
        is_spread |= first != UINT32_MAX && at != first;
        first = at;
    }
    *value = SHEAF_STR_NONE;
    return is_spread;
}

static void the_key_may_be_the_id_or_a_header_of_the_item_or_one_it_inherits(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 1, 1, 1);
    sheaf_header_t own = {SHEAF_STR("x-user"), SHEAF_STR("me")}, inherited = own;
    sheaf_header_block_t block = {.list = {&inherited, 1, 1}};

    b->balance.hash = (sheaf_hash_by_t){.what = SHEAF_HASH_BY_ID};
    assert_true(is_spread_by(b, &b->exchange.id));
    b->balance.hash = (sheaf_hash_by_t){SHEAF_HASH_BY_HEADER, SHEAF_STR("x-user")};
    b->exchange.shared = &block;
    assert_true(is_spread_by(b, &inherited.value));
    b->exchange.headers = (sheaf_headers_t){&own, 1, 1};
    assert_true(is_spread_by(b, &own.value));
    own.value = SHEAF_STR("me");
    assert_false(is_spread_by(b, &inherited.value)); /* the item's own goes first */
    bench_free(b);
}

static void without_a_key_servers_take_turns(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 1, 1);

    b->balance.hash = (sheaf_hash_by_t){SHEAF_HASH_BY_HEADER, SHEAF_STR("x-user")};
    turns(b, 9);
    assert_true(b->got[0] == 3 && b->got[1] == 3 && b->got[2] == 3);
    bench_free(b);
}

static void only_the_keys_of_a_server_that_goes_move(void **state)
{
    enum { KEYS = 10000 };
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 1, 1, 1, 1), *less = BENCH(SHEAF_TURN_HASH, 1, 1, 1, 1);
    uint32_t moved = 0, heirs = 0;
    static uint32_t before[KEYS];

    for (uint32_t i = 0; i < KEYS; i++)
        before[i] = turn_of_key(b, i);
    for (uint32_t i = 0; i < KEYS; i++) { /* out of the configuration */
        uint32_t at = turn_of_key(less, i);

        moved += before[i] == 4;
        less->got[at] += before[i] == 4;
        if (before[i] != 4)
            assert_int_equal(at, before[i]);
    }
    assert_in_range(moved, KEYS / 5 * 8 / 10, KEYS / 5 * 12 / 10);
    for (uint32_t i = 0; i < 4; i++)
        heirs += less->got[i] > moved / 10; /* all others share what it had */
    assert_int_equal(heirs, 4);
    refuse(b, 2); /* or only passed over for a while */
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t at = turn_of_key(b, i);

        assert_int_not_equal(at, 2);
        if (before[i] != 2)
            assert_int_equal(at, before[i]);
    }
    b->clock.now_ms += SHEAF_SERVER_SHUN_MS;
    for (uint32_t i = 0; i < KEYS; i++)
        assert_int_equal(turn_of_key(b, i), before[i]);
    bench_free(b);
    bench_free(less);
}

static uint32_t next_of_key(bench_t *b)
{
    return (uint32_t)(sheaf_balance_for(&b->balance, &b->exchange, b->clock.now_ms) - b->balance.servers);
}

/* So that what is sent again finds what was kept for its key there, and a backup only when nobody else is left. */
static void the_second_server_of_a_key_is_the_one_that_has_it_when_the_first_is_gone(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 3, 1, 1, -1);

    for (uint32_t key = 0; key < 50; key++) {
        char text[32];
        uint32_t order[5];

        b->exchange.target = sheaf_str(text, (size_t)snprintf(text, sizeof(text), "/users/%u", key));
        b->exchange.tried = 0;
        order[0] = turn(b);
        for (uint32_t i = 1; i < 5; i++) {
            b->exchange.tried |= sheaf_balance_bit(&b->balance, &b->balance.servers[order[i - 1]]);
            order[i] = next_of_key(b);
            assert_int_equal(next_of_key(b), order[i]);
            refuse(b, order[i - 1]);
            assert_int_equal(turn(b), order[i]);
        }
        assert_int_equal(order[4], 4);
        b->clock.now_ms += SHEAF_SERVER_SHUN_MS;
    }
    bench_free(b);
}

static void without_a_key_the_second_server_is_the_next(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 1, 1);

    b->balance.hash = (sheaf_hash_by_t){SHEAF_HASH_BY_HEADER, SHEAF_STR("x-user")};
    b->exchange.tried = sheaf_balance_bit(&b->balance, &b->balance.servers[1]);
    assert_int_equal(next_of_key(b), 0);
    assert_int_equal(next_of_key(b), 2);
    assert_int_equal(next_of_key(b), 0);
    bench_free(b);
}

static void the_order_of_servers_changes_nothing_for_a_key(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 1, 1), *turned = BENCH(SHEAF_TURN_HASH, 1, 1, 1);

    sheaf_ring_fini(&turned->balance.ring);
    sheaf_ring_init(&turned->balance.ring,
                    (sheaf_ring_member_t[]){{SHEAF_STR("10.0.0.2"), 80, 0, 1},
                                            {SHEAF_STR("10.0.0.1"), 80, 1, 1},
                                            {SHEAF_STR("10.0.0.0"), 80, 2, 1}},
                    3);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(turn_of_key(b, i), 2 - turn_of_key(turned, i));
    bench_free(b);
    bench_free(turned);
}

/* One key that everybody wants, and nobody answers. */
static void no_server_takes_more_than_its_bound_of_what_flies(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 3, 1, 1);
    uint32_t home = turn_of_key(b, 7);

    for (uint32_t flying = 1; flying <= 3000; flying++) {
        uint32_t at = turn_of_key(b, 7);

        b->balance.servers[at].flying++;
        for (uint32_t i = 0; i < 4; i++) {
            double share = flying * (b->servers[i].weight / 6.0);

            assert_true(b->balance.servers[i].flying <= ceil(1.25 * share) || b->balance.servers[i].flying == 1);
        }
    }
    assert_true(b->balance.servers[home].flying > 3000 * b->servers[home].weight / 6);
    for (uint32_t i = 0; i < 4; i++)
        b->balance.servers[i].flying = 0;
    assert_int_equal(turn_of_key(b, 7), home); /* and back, when it has room again */
    bench_free(b);
}

static void a_high_bound_keeps_a_key_where_it_is(void **state)
{
    bench_t *b = BENCH(SHEAF_TURN_HASH, 1, 1, 1, 1);
    uint32_t home;

    sheaf_balance_fini(&b->balance);
    b->conf.hash_bound = 100000;
    sheaf_balance_init(&b->balance, &b->conf, NULL, b->resolver, 42);
    home = turn_of_key(b, 7);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(turn_of_key(b, 7), home);
        b->balance.servers[home].flying++;
    }
    bench_free(b);
}

/* `heavy`: what every second of 1,024 weighs. */
static void assert_ring(uint64_t heavy, uint32_t points)
{
    sheaf_ring_member_t *members = calloc(1024, sizeof(*members));
    bool has_place[1024] = {false};
    char(*hosts)[8] = calloc(1024, sizeof(*hosts));
    sheaf_ring_t ring;

    for (uint32_t i = 0; i < 1024; i++) {
        snprintf(hosts[i], sizeof(hosts[i]), "h%u", i);
        members[i] = (sheaf_ring_member_t){sheaf_str_of(hosts[i]), 0, i, i % 2 == 0 ? heavy : 1};
    }
    sheaf_ring_init(&ring, members, 1024);
    assert_int_equal(ring.count, points);
    for (uint32_t i = 0; i < ring.count; i++)
        has_place[ring.points[i].server] = true;
    for (uint32_t i = 0; i < 1024; i++)
        assert_true(has_place[i]);
    sheaf_ring_fini(&ring);
    free(hosts);
    free(members);
}

static void the_largest_ring_stays_bounded_and_gives_everyone_a_place(void **state)
{
    assert_ring(256, 512 * 257);
    assert_ring(65535 * 256, 512 * (511 + 1)); /* as DNS may have it: one point for 2^15 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_one_server_and_keys_are_spread_by_weight),
        cmocka_unit_test(the_query_is_no_part_of_the_key),
        cmocka_unit_test(the_key_may_be_the_id_or_a_header_of_the_item_or_one_it_inherits),
        cmocka_unit_test(without_a_key_servers_take_turns),
        cmocka_unit_test(only_the_keys_of_a_server_that_goes_move),
        cmocka_unit_test(the_order_of_servers_changes_nothing_for_a_key),
        cmocka_unit_test(the_second_server_of_a_key_is_the_one_that_has_it_when_the_first_is_gone),
        cmocka_unit_test(without_a_key_the_second_server_is_the_next),
        cmocka_unit_test(no_server_takes_more_than_its_bound_of_what_flies),
        cmocka_unit_test(a_high_bound_keeps_a_key_where_it_is),
        cmocka_unit_test(the_largest_ring_stays_bounded_and_gives_everyone_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
