/* What an upstream does with more than its servers carry, under a hand-wound clock: what is shed, what waits, whose turn it
 * is, and how the adaptive limit moves with it. Servers answer after `took_ms`, or not at all. */
#include "tests/sim/upstream/fleet.h"

static uint32_t took_ms; /* of an answer; 0: the server is mute */

static fate_t fate(fleet_t *fleet, sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    (void)fleet, (void)conn;
    if (exchange == NULL)
        return (fate_t){.after_ms = 0};
    return (fate_t){.after_ms = took_ms, .status = 200, .is_silent = took_ms == 0};
}

/* A fleet of one server, and one more that the fallback of an ask with `fallback` is. */
static fleet_t *limited(const char *keys)
{
    char yaml[512];
    fleet_t *fleet;

    snprintf(yaml, sizeof(yaml),
             "  u:\n    servers: [\"http://127.0.0.1:1\"]\n    timeout: 10s\n    max_connections: 1000\n    %s\n"
             "  other:\n    servers: [\"http://127.0.0.1:2\"]\n",
             keys);
    fleet = fleet_new(yaml, 7);
    fleet->fate = fate;
    took_ms = 50;
    return fleet;
}

/* One that has `ms`, sent now. */
static ask_t *send_within(fleet_t *fleet, uint64_t ms)
{
    ask_t *ask = fleet_ask(fleet);

    ask->exchange.deadline_ms = fleet->clock.now_ms + ms;
    fleet_send(ask);
    return ask;
}

static void serve(fleet_t *fleet, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        fleet_send(fleet_ask(fleet));
    fleet_finish(fleet, 60000);
    fleet_wind(fleet, 100); /* until an estimate is made anew */
}

static uint64_t limit_of(const fleet_t *fleet)
{
    return fleet_metric(fleet, SHEAF_METRIC_ADAPTIVE_LIMIT);
}

/* --- shed --- */

static void what_could_only_be_late_is_refused_at_once_and_not_sent(void **state)
{
    fleet_t *fleet = limited("shed: true");
    uint32_t requests;

    serve(fleet, 100);
    requests = fleet->requests;
    for (uint32_t i = 1; i < SHEAF_SHED_TRIALS; i++) {
        const ask_t *ask = send_within(fleet, 20);

        fleet_drain(fleet);
        assert_int_equal(ask->err, SHEAF_ERR_TOO_LATE);
        assert_int_equal(ask->done_ms, ask->sent_ms);
    }
    assert_int_equal(fleet->requests, requests);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_SHED), SHEAF_SHED_TRIALS - 1);
    assert_int_equal(send_within(fleet, 60)->sends, 1);
    fleet_finish(fleet, 1000);
    assert_int_equal(fleet->requests, requests + 1);
    fleet_free(fleet);
}

/* One in twenty is sent all the same; while the server is no faster that changes nothing, and then everything. */
static void the_twentieth_is_sent_to_see(void **state)
{
    fleet_t *fleet = limited("shed: true");
    ask_t *ask;

    serve(fleet, 100);
    for (uint32_t i = 0; i < 2 * SHEAF_SHED_TRIALS; i++) {
        took_ms = i < SHEAF_SHED_TRIALS ? 50 : 5;
        ask = send_within(fleet, 20);
        fleet_finish(fleet, 1000);
        if (i % SHEAF_SHED_TRIALS != SHEAF_SHED_TRIALS - 1)
            assert_int_equal(ask->err, SHEAF_ERR_TOO_LATE);
        else
            assert_int_equal(ask->err, i < SHEAF_SHED_TRIALS ? SHEAF_ERR_TIMEOUT : SHEAF_OK);
    }
    ask = send_within(fleet, 20);
    fleet_finish(fleet, 1000);
    assert_int_equal(ask->status, 200);
    fleet_free(fleet);
}

static void who_waited_too_long_is_shed_where_its_turn_comes(void **state)
{
    fleet_t *fleet = limited("shed: true\n    max_in_flight: 1");
    const ask_t *late;
    uint32_t requests;

    serve(fleet, 100);
    requests = fleet->requests;
    fleet_send(fleet_ask(fleet));
    late = send_within(fleet, 90); /* it has time enough now, and 40 ms when the one before it is done */
    fleet_finish(fleet, 1000);
    assert_int_equal(late->err, SHEAF_ERR_TOO_LATE);
    assert_int_equal(late->done_ms - late->sent_ms, 50);
    assert_int_equal(fleet->requests, requests + 1);
    fleet_free(fleet);
}

static void what_is_shed_goes_to_the_fallback(void **state)
{
    fleet_t *fleet = limited("shed: true");
    ask_t *ask;

    serve(fleet, 100);
    took_ms = 10;
    ask = fleet_ask(fleet);
    ask->exchange.fallback = 2;
    ask->exchange.deadline_ms = fleet->clock.now_ms + 20;
    fleet_send(ask);
    fleet_finish(fleet, 1000);
    assert_int_equal(ask->status, 200);
    assert_int_equal(fleet->per_server[2], 1);
    fleet_free(fleet);
}

static void after_an_idle_hour_nothing_is_known_and_all_is_sent(void **state)
{
    fleet_t *fleet = limited("shed: true");
    const ask_t *ask;

    serve(fleet, 100);
    fleet_wind(fleet, 3600000);
    ask = send_within(fleet, 20);
    fleet_finish(fleet, 1000);
    assert_int_equal(ask->err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(ask->sends, 1);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_SHED), 0);
    fleet_free(fleet);
}

/* A backend that falls mute gives no evidence: what was known grows old, and nothing is shed for ever. */
static void a_mute_backend_is_asked_again(void **state)
{
    fleet_t *fleet = limited("shed: true");
    uint64_t shed = 0;

    serve(fleet, 100);
    took_ms = 0;
    for (uint32_t i = 0; i < 300; i++) {
        send_within(fleet, 20);
        fleet_wind(fleet, 100);
        shed = i == 200 ? fleet_metric(fleet, SHEAF_METRIC_SHED) : shed;
    }
    assert_true(shed != 0);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_SHED), shed); /* none in the last ten seconds */
    took_ms = 5;
    assert_int_equal(send_within(fleet, 20)->done_count, 0);
    fleet_finish(fleet, 1000);
    assert_int_equal(fleet->asks[fleet->ask_count - 1].status, 200);
    fleet_free(fleet);
}

/* --- adaptive --- */

#define ADAPTIVE "adaptive: {min: 2, max: 100, window: 10ms, measure: 1s}"

/* Keeps `crowd` exchanges with the fleet for `ms`, each with `within_ms`; the most that flew at once. */
static uint32_t press(fleet_t *fleet, uint32_t crowd, uint64_t within_ms, uint64_t ms)
{
    uint64_t until_ms = fleet->clock.now_ms + ms;
    uint32_t most = 0;

    while (fleet->clock.now_ms < until_ms && fleet->ask_count < FLEET_MAX_ASKS) {
        if (fleet->ask_count - fleet->done_count < crowd)
            send_within(fleet, within_ms);
        else
            fleet_wind(fleet, 1);
        if (fleet_flying(fleet) > most)
            most = fleet_flying(fleet);
    }
    return most;
}

static void no_more_fly_than_the_adaptive_limit_and_it_grows_where_it_is_used(void **state)
{
    fleet_t *fleet = limited(ADAPTIVE);

    assert_int_equal(limit_of(fleet), SHEAF_GRADIENT_START);
    for (uint32_t i = 0; i < 60; i++)
        fleet_send(fleet_ask(fleet));
    assert_int_equal(fleet_flying(fleet), SHEAF_GRADIENT_START);
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_WAITING), 60 - SHEAF_GRADIENT_START);
    fleet_finish(fleet, 1000);
    press(fleet, 80, SHEAF_NEVER / 2, 1500);
    assert_true(limit_of(fleet) > 60 && limit_of(fleet) <= 100);
    fleet_finish(fleet, 1000);
    fleet_free(fleet);
}

static void what_nobody_needs_does_not_grow_it(void **state)
{
    fleet_t *fleet = limited(ADAPTIVE);

    assert_int_equal(press(fleet, 10, SHEAF_NEVER / 2, 5000), 10);
    assert_true(limit_of(fleet) <= SHEAF_GRADIENT_START);
    fleet_finish(fleet, 1000);
    fleet_free(fleet);
}

/* Mute for a while, and impatient owners: the limit goes to its least; those who wait are told in time; and it comes back
 * with the answers. */
static void a_mute_backend_takes_it_to_min_and_an_answering_one_out_of_it(void **state)
{
    fleet_t *fleet = limited(ADAPTIVE);

    press(fleet, 20, 400, 1000);
    took_ms = 0;
    press(fleet, 20, 400, 16000);
    assert_int_equal(limit_of(fleet), 2);
    took_ms = 50;
    press(fleet, 20, 400, 4000);
    assert_true(limit_of(fleet) >= 10);
    fleet_finish(fleet, 1000);
    fleet_free(fleet);
}

/* The limit is small and nobody uses it for an hour: it still is, and serves who comes. */
static void an_idle_hour_changes_nothing_of_it(void **state)
{
    fleet_t *fleet = limited(ADAPTIVE);
    uint64_t limit;

    press(fleet, 80, SHEAF_NEVER / 2, 500);
    fleet_finish(fleet, 1000);
    limit = limit_of(fleet);
    fleet_wind(fleet, 3600000);
    assert_int_equal(limit_of(fleet), limit);
    serve(fleet, 500);
    assert_int_equal(fleet->done_count, fleet->ask_count);
    assert_true(limit_of(fleet) >= 2);
    fleet_free(fleet);
}

/* --- turns --- */

/* Ten that come alone, one after another, beside a flow of a thousand that came first. */
static void who_comes_alone_waits_for_its_turn_and_not_for_a_thousand(void **state)
{
    static const char *const limits[] = {"max_in_flight: 4", "adaptive: {min: 2, max: 4}", ADAPTIVE};
    static const int flows[2];

    for (size_t i = 0; i < SHEAF_COUNT(limits); i++) {
        fleet_t *fleet = limited(limits[i]);

        for (uint32_t k = 0; k < 1000; k++) {
            ask_t *ask = fleet_ask(fleet);

            ask->exchange.deadline_ms = SHEAF_NEVER;
            ask->exchange.flow = &flows[0];
            fleet_send(ask);
        }
        for (uint32_t k = 0; k < 3; k++) {
            ask_t *ask = fleet_ask(fleet);

            ask->exchange.flow = &flows[1];
            fleet_send(ask);
            while (ask->is_sent)
                fleet_wind(fleet, 1);
            assert_true(ask->done_ms - ask->sent_ms <= 2 * took_ms + 2);
        }
        for (uint32_t k = 0; k < 1000; k++)
            fleet_cancel(&fleet->asks[k]);
        fleet_drain(fleet);
        fleet_free(fleet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_could_only_be_late_is_refused_at_once_and_not_sent),
        cmocka_unit_test(the_twentieth_is_sent_to_see),
        cmocka_unit_test(who_waited_too_long_is_shed_where_its_turn_comes),
        cmocka_unit_test(what_is_shed_goes_to_the_fallback),
        cmocka_unit_test(after_an_idle_hour_nothing_is_known_and_all_is_sent),
        cmocka_unit_test(a_mute_backend_is_asked_again),
        cmocka_unit_test(no_more_fly_than_the_adaptive_limit_and_it_grows_where_it_is_used),
        cmocka_unit_test(what_nobody_needs_does_not_grow_it),
        cmocka_unit_test(a_mute_backend_takes_it_to_min_and_an_answering_one_out_of_it),
        cmocka_unit_test(an_idle_hour_changes_nothing_of_it),
        cmocka_unit_test(who_comes_alone_waits_for_its_turn_and_not_for_a_thousand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
