/* Whose turn it is: shares, keys, backups, servers that refuse. No sockets: all names are literals, time is wound by
 * hand, and chance begins at a seed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/upstream/balance.h"

#define MOST 64

typedef struct bench {
    sheaf_clock_t clock;
    sheaf_resolver_t *resolver;
    sheaf_server_conf_t servers[MOST];
    sheaf_upstream_conf_t conf;
    sheaf_balance_t balance;
    sheaf_exchange_t exchange;
    char hosts[MOST][32];
    uint32_t got[MOST];
} bench_t;

/* `weights` from server 10.0.0.0 on; a negative one is that of a backup. */
static bench_t *bench_new(sheaf_turn_t kind, const int *weights, uint32_t count)
{
    bench_t *b = calloc(1, sizeof(*b));

    b->clock.now_ms = 1000;
    b->resolver = sheaf_resolver_new(NULL, &b->clock, NULL, NULL);
    b->conf.balance = (uint8_t)kind;
    b->conf.hash_bound = 125;
    b->conf.servers.items = b->servers;
    b->conf.servers.count = count;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(b->hosts[i], sizeof(b->hosts[i]), "10.0.0.%u", i);
        b->servers[i].url.host = b->servers[i].url.authority = sheaf_str_of(b->hosts[i]);
        b->servers[i].url.port = 80;
        b->servers[i].weight = (uint64_t)abs(weights[i]);
        b->servers[i].backup = weights[i] < 0;
    }
    sheaf_balance_init(&b->balance, &b->conf, NULL, b->resolver, 42);
    b->exchange.target = SHEAF_STR("/");
    return b;
}

static void on_closed(void *data)
{
    free(data);
}

static void bench_free(bench_t *b)
{
    sheaf_balance_fini(&b->balance);
    sheaf_resolver_free(b->resolver, on_closed, b);
}

static uint32_t turn(bench_t *b)
{
    return (uint32_t)(sheaf_balance_turn(&b->balance, &b->exchange, b->clock.now_ms) - b->balance.servers);
}

static void turns(bench_t *b, uint32_t count)
{
    memset(b->got, 0, sizeof(b->got));
    for (uint32_t i = 0; i < count; i++)
        b->got[turn(b)]++;
}

/* The server refuses a connection: as the group tells it. */
static void refuse(bench_t *b, uint32_t index)
{
    sheaf_server_t *server;
    sheaf_sockaddr_t address;
    sheaf_tried_t tried = 0;

    assert_int_equal(
        sheaf_balance_pick(&b->balance, &b->balance.servers[index], b->clock.now_ms, &tried, &server, &address),
        SHEAF_PICK_PEER);
    assert_ptr_equal(server, &b->balance.servers[index]);
    sheaf_balance_note(server, &address, false, b->clock.now_ms);
}

static uint32_t turn_of_key(bench_t *b, uint32_t key)
{
    char text[32];

    b->exchange.target = sheaf_str(text, (size_t)snprintf(text, sizeof(text), "/users/%u", key));
    return turn(b);
}

#define BENCH(kind, ...) bench_new(kind, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

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
    uint32_t home = turn_of_key(b, 7);

    b->balance.hash_bound = 100000;
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
        cmocka_unit_test(a_key_has_one_server_and_keys_are_spread_by_weight),
        cmocka_unit_test(the_query_is_no_part_of_the_key),
        cmocka_unit_test(the_key_may_be_the_id_or_a_header_of_the_item_or_one_it_inherits),
        cmocka_unit_test(without_a_key_servers_take_turns),
        cmocka_unit_test(only_the_keys_of_a_server_that_goes_move),
        cmocka_unit_test(the_order_of_servers_changes_nothing_for_a_key),
        cmocka_unit_test(no_server_takes_more_than_its_bound_of_what_flies),
        cmocka_unit_test(a_high_bound_keeps_a_key_where_it_is),
        cmocka_unit_test(the_largest_ring_stays_bounded_and_gives_everyone_a_place),
        cmocka_unit_test(backups_are_used_only_while_all_others_refuse),
        cmocka_unit_test(the_addresses_of_backups_are_tried_after_all_others_and_those_that_refused_last),
        cmocka_unit_test(a_server_that_refuses_is_passed_over_for_two_seconds),
        cmocka_unit_test(a_server_that_took_a_connection_is_back_at_once),
        cmocka_unit_test(one_exchange_tries_a_server_that_refused_and_the_rest_follow_when_it_took_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
