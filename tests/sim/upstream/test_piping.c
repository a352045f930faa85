/* Where pipelining puts exchanges when servers, the line and time are against it: what would have waited for a conn of its
 * own without it must fare no worse behind another one. */
#include "tests/sim/upstream/fleet.h"

#define TWO                                                                                                            \
    "  u:\n    servers: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n    max_connections: 2\n    pipeline: 4\n"
#define ONE "  u:\n    servers: [\"http://127.0.0.1:1\"]\n    pipeline: 4\n"

#define GOOD ((fate_t){.after_ms = 5, .status = 200})

static fate_t fates[FLEET_MAX_ASKS]; /* of the request of each ask */

static fate_t fate(fleet_t *fleet, sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    (void)conn;
    return exchange == NULL ? (fate_t){.after_ms = 1} : fates[fleet_ask_of(exchange) - fleet->asks];
}

static ask_t *ask_of(fleet_t *fleet, fate_t its)
{
    ask_t *ask = fleet_ask(fleet);

    fates[ask - fleet->asks] = its;
    return ask;
}

static ask_t *send_get(fleet_t *fleet, fate_t its)
{
    ask_t *ask = ask_of(fleet, its);

    fleet_send(ask);
    return ask;
}

static fate_t answered_after(uint32_t ms)
{
    return (fate_t){.after_ms = ms, .status = 200};
}

/* With `conns` conns that have carried an exchange each. */
static fleet_t *warm(const char *yaml, uint32_t conns)
{
    fleet_t *fleet = fleet_new(yaml, 7);

    fleet->fate = fate;
    for (uint32_t i = 0; i < conns; i++)
        send_get(fleet, GOOD);
    fleet_finish(fleet, 100);
    assert_int_equal(fleet->conn_count, conns);
    return fleet;
}

/* Its conn goes on with what it has: the answer of 500 was whole. */
static void nobody_goes_behind_another_at_a_server_that_is_left_out(void **state)
{
    fleet_t *fleet = warm(TWO "    outlier: {errors: 1}\n", 2);
    ask_t *more;

    send_get(fleet, answered_after(100));
    send_get(fleet, (fate_t){.after_ms = 5, .status = 500});
    send_get(fleet, GOOD);
    send_get(fleet, answered_after(100)); /* two and two */
    fleet_wind(fleet, 10);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EJECTIONS), 1);
    assert_int_equal(fleet_flying_at(fleet, 2), 1);
    more = send_get(fleet, GOOD);
    assert_int_equal(fleet_flying_at(fleet, 2), 1);
    fleet_finish(fleet, 1000);
    assert_int_equal(more->servers, 1 << 1);
    fleet_free(fleet);
}

/* Each is answered within the time that each has: only the two together take longer. */
static void whose_time_went_behind_another_one_blames_nobody(void **state)
{
    fleet_t *fleet = warm(TWO "    outlier: {errors: 1}\n    timeout: 100ms\n", 2);
    ask_t *late;

    send_get(fleet, answered_after(80));
    send_get(fleet, answered_after(80));
    send_get(fleet, answered_after(80));
    late = send_get(fleet, answered_after(80));
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_PIPELINED), 2);
    fleet_finish(fleet, 1000);
    assert_int_equal(late->err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EJECTIONS), 0);
    fleet_free(fleet);
}

static void nobody_goes_behind_an_answer_that_is_late_already(void **state)
{
    fleet_t *fleet = warm(ONE "    max_connections: 2\n", 2);
    ask_t *quick[3];

    send_get(fleet, answered_after(1000));
    fleet_wind(fleet, 50);
    for (int i = 0; i < 3; i++)
        quick[i] = send_get(fleet, GOOD);
    fleet_wind(fleet, 15);
    for (int i = 0; i < 3; i++)
        assert_int_equal(quick[i]->status, 200);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_PIPELINE_CUTS), 0);
    fleet_finish(fleet, 2000);
    fleet_free(fleet);
}

/* A server that takes its time for all is not late: what stood alone tells it, too. */
static void what_is_late_is_measured_by_what_its_conn_answered(void **state)
{
    fleet_t *fleet = fleet_new(ONE "    max_connections: 1\n", 7);

    fleet->fate = fate;
    send_get(fleet, answered_after(50));
    fleet_finish(fleet, 1000);
    send_get(fleet, answered_after(50));
    fleet_wind(fleet, 40);
    send_get(fleet, answered_after(50));
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_PIPELINED), 1);
    fleet_finish(fleet, 1000);
    fleet_free(fleet);
}

/* All that came later would be served by the other conn before it. */
static void who_is_held_up_is_not_overtaken_by_the_line(void **state)
{
    fleet_t *fleet = warm(ONE "    max_connections: 2\n", 2);
    ask_t *held_up, *last = NULL;

    send_get(fleet, answered_after(2000));
    send_get(fleet, GOOD);
    held_up = send_get(fleet, GOOD);
    for (int i = 0; i < 100; i++)
        last = send_get(fleet, GOOD);
    fleet_finish(fleet, 5000);
    assert_true(held_up->done_ms < held_up->sent_ms + 100);
    assert_true(held_up->done_ms < last->done_ms);
    fleet_free(fleet);
}

/* The limit fell since they came: their places are all that the others wait for, and a conn is idle. */
static void who_is_cut_leaves_its_place_to_those_who_wait(void **state)
{
    fleet_t *fleet = warm(ONE "    max_connections: 2\n    adaptive: {min: 2, max: 4, window: 10ms, measure: 1h}\n", 2);
    ask_t *held_up, *waiting;

    send_get(fleet, answered_after(2000));
    send_get(fleet, answered_after(1));
    held_up = send_get(fleet, GOOD);
    fleet_wind(fleet, 5);
    while (fleet_metric(fleet, SHEAF_METRIC_ADAPTIVE_LIMIT) > 2) {
        send_get(fleet, (fate_t){.status = 503});
        fleet_wind(fleet, 0);
    }
    waiting = send_get(fleet, GOOD);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_WAITING), 1);
    fleet_wind(fleet, 40);
    assert_int_equal(held_up->status, 200);
    assert_int_equal(waiting->status, 200);
    fleet_finish(fleet, 5000);
    fleet_free(fleet);
}

/* Nobody else is served either: they would only lose their conn. */
static void where_the_line_stands_still_nobody_is_cut(void **state)
{
    fleet_t *fleet = warm(ONE "    max_connections: 1\n", 1);

    send_get(fleet, answered_after(1000));
    for (int i = 0; i < 10; i++)
        send_get(fleet, GOOD);
    fleet_finish(fleet, 5000);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_PIPELINE_CUTS), 0);
    fleet_free(fleet);
}

/* They flew: that somebody else goes is no reason to refuse them. */
static void who_is_cut_is_not_refused_for_a_full_line(void **state)
{
    fleet_t *fleet = warm(ONE "    max_connections: 1\n    max_waiting: 1\n", 1);
    ask_t *asks[5];

    for (int i = 0; i < 5; i++) {
        asks[i] = ask_of(fleet, GOOD);
        asks[i]->exchange.is_direct = true;
        fleet_send(asks[i]);
    }
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_WAITING), 1);
    fleet_cancel(asks[0]);
    fleet_finish(fleet, 1000);
    for (int i = 1; i < 5; i++)
        assert_int_equal(asks[i]->status, 200);
    fleet_free(fleet);
}

static ask_t *send_key(fleet_t *fleet, const char *key, uint32_t ms)
{
    ask_t *ask = ask_of(fleet, answered_after(ms));

    ask->exchange.id = sheaf_str_of(key);
    fleet_send(ask);
    return ask;
}

static const char *key_of_server(fleet_t *fleet, uint32_t server)
{
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        const ask_t *ask = send_key(fleet, keys[i], 5);

        fleet_finish(fleet, 100);
        if (ask->servers == (uint64_t)1 << server)
            return keys[i];
    }
    fail();
    return NULL;
}

/* No conn to its server is left: it waits until one may be opened, as without pipelining. */
static void a_key_stands_behind_others_at_its_own_server_only(void **state)
{
    fleet_t *fleet = fleet_new(TWO "    balance: hash\n    hash: id\n    hash_bound: 400\n", 7);
    const char *one, *two;
    ask_t *ask, *same;

    fleet->fate = fate;
    two = key_of_server(fleet, 2);
    one = key_of_server(fleet, 1);
    for (int i = 0; i < 2; i++)
        send_key(fleet, one, 5);
    fleet_finish(fleet, 100);
    for (int i = 0; i < 2; i++)
        send_key(fleet, one, 15);
    assert_int_equal(fleet_flying_at(fleet, 1), 2);
    same = send_key(fleet, one, 5);
    ask = send_key(fleet, two, 5);
    fleet_finish(fleet, 1000);
    assert_int_equal(ask->servers, 1 << 2);
    assert_int_equal(same->servers, 1 << 1);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_PIPELINED), 1);
    assert_int_equal(fleet->most_conns, 2);
    fleet_free(fleet);
}

/* Those that came later do not overtake it, though there would be room for them. */
static void a_post_waits_for_what_flies_and_for_nothing_that_comes_later(void **state)
{
    fleet_t *fleet = warm(ONE "    max_connections: 1\n", 1);
    ask_t *post, *later[20];

    for (int i = 0; i < 3; i++)
        send_get(fleet, GOOD);
    post = ask_of(fleet, GOOD);
    post->exchange.method = SHEAF_STR("POST");
    post->exchange.is_idempotent = post->exchange.is_repeatable = false;
    fleet_send(post);
    for (int i = 0; i < 20; i++) {
        later[i] = send_get(fleet, GOOD);
        fleet_wind(fleet, 1);
    }
    fleet_finish(fleet, 1000);
    assert_int_equal(post->done_ms - post->sent_ms, 4 * 5);
    for (int i = 0; i < 20; i++)
        assert_true(later[i]->done_ms > post->done_ms);
    fleet_free(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_goes_behind_another_at_a_server_that_is_left_out),
        cmocka_unit_test(whose_time_went_behind_another_one_blames_nobody),
        cmocka_unit_test(nobody_goes_behind_an_answer_that_is_late_already),
        cmocka_unit_test(what_is_late_is_measured_by_what_its_conn_answered),
        cmocka_unit_test(who_is_held_up_is_not_overtaken_by_the_line),
        cmocka_unit_test(who_is_cut_leaves_its_place_to_those_who_wait),
        cmocka_unit_test(where_the_line_stands_still_nobody_is_cut),
        cmocka_unit_test(who_is_cut_is_not_refused_for_a_full_line),
        cmocka_unit_test(a_key_stands_behind_others_at_its_own_server_only),
        cmocka_unit_test(a_post_waits_for_what_flies_and_for_nothing_that_comes_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
