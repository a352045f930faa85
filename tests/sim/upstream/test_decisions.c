/* What an upstream decides in fleets that were thrown together by chance: servers that answer, are slow, refuse, reset,
 * say 503, are silent, and change their mind; retries, hedges, ejection, breaker, limits and shedding on or off; owners
 * that lose patience, cancel, and send again from inside on_done. The dice are seeded: a seed that fails fails again. */
#include "tests/sim/upstream/fleet.h"

#define SEEDS    400
#define ASKS     400
#define ATTEMPTS 3
#define TIMEOUT  1500
#define OTHER    7 /* the server of the fallback */

typedef enum mood {
    MOOD_GOOD,
    MOOD_SLOW,
    MOOD_REFUSES,
    MOOD_RESETS,
    MOOD_503,
    MOOD_SILENT,
    MOOD_ANY,
    MOOD_COUNT
} mood_t;

static mood_t moods[8];                                /* of the servers, by port */
static uint64_t hedges, hedges_won, sheds, piped, cut; /* of all fleets */

static uint32_t upto(fleet_t *fleet, uint32_t most)
{
    return (uint32_t)sheaf_chance_upto(&fleet->chance, most);
}

static mood_t mood_of(fleet_t *fleet, const sheaf_conn_t *conn)
{
    mood_t mood = moods[fleet_server(conn)];

    return mood == MOOD_ANY ? upto(fleet, MOOD_ANY - 1) : mood;
}

static fate_t fate_of_dial(fleet_t *fleet, mood_t mood)
{
    if (mood == MOOD_REFUSES)
        return (fate_t){.after_ms = upto(fleet, 3), .err = SHEAF_ERR_REFUSED, .is_at_once = upto(fleet, 1) == 0};
    if (mood == MOOD_SILENT && upto(fleet, 1) == 0)
        return (fate_t){.is_silent = true};
    return (fate_t){.after_ms = upto(fleet, 2)};
}

static fate_t any_fate(fleet_t *fleet, sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    static const char *const waits[] = {NULL, "0", "1", "100", "soon"};
    mood_t mood = mood_of(fleet, conn);

    if (exchange == NULL)
        return fate_of_dial(fleet, mood);
    switch (mood) {
    case MOOD_RESETS:
        return (fate_t){.after_ms = upto(fleet, 9),
                        .err = SHEAF_ERR_RESET,
                        .status = upto(fleet, 2) == 0 ? 200 : 0,
                        .is_at_once = upto(fleet, 9) == 0};
    case MOOD_503:
        return (fate_t){.after_ms = 1, .status = 503, .retry_after = waits[upto(fleet, 4)]};
    case MOOD_SILENT:
        return (fate_t){.is_silent = true};
    case MOOD_SLOW:
        return (fate_t){.after_ms = 200 + upto(fleet, 2000), .status = 200};
    default:
        return (fate_t){.after_ms = 3 + upto(fleet, 20), .status = 200, .has_closed = upto(fleet, 19) == 0};
    }
}

static const char *maybe(fleet_t *fleet, const char *text)
{
    return upto(fleet, 1) == 0 ? text : "";
}

/* One fleet by chance; where a fallback stands, it is upstream 1. Returns its max_in_flight. */
static uint32_t describe(fleet_t *dice, char *yaml, size_t size)
{
    static const char *const balances[] = {"round_robin", "least_requests", "random_two", "hash"};
    uint32_t count = 1 + upto(dice, 4), max_in_flight = upto(dice, 1) == 0 ? 1 + upto(dice, 20) : 0;
    size_t len = (size_t)snprintf(yaml, size, "  u:\n    servers: [");

    for (uint32_t i = 1; i <= count; i++)
        len += (size_t)snprintf(yaml + len, size - len, "{url: \"http://127.0.0.1:%u\", weight: %u%s}%s", i,
                                1 + upto(dice, 3), i == count && count > 1 ? maybe(dice, ", backup: true") : "",
                                i == count ? "]\n" : ", ");
    snprintf(yaml + len, size - len,
             "    balance: %s\n    timeout: %dms\n    connect_timeout: 300ms\n    max_connections: %u\n"
             "    max_waiting: 8\n    max_in_flight: %u\n%s%s%s%s%s%s%s"
             "  other:\n    servers: [\"http://127.0.0.1:7\"]\n    timeout: %dms\n    connect_timeout: 300ms\n",
             balances[upto(dice, 3)], TIMEOUT, 1 + upto(dice, 30), max_in_flight,
             maybe(dice, "    retry: {attempts: 3, on: [connect, reset, 502, 503, timeout]}\n"),
             maybe(dice, "    outlier: {errors: 3, eject: 500ms}\n"),
             maybe(dice, "    breaker: {requests: 10, open: 300ms, probes: 2}\n"),
             maybe(dice, "    hedge: {after: 30ms, budget: 20%}\n"), maybe(dice, "    shed: true\n"),
             maybe(dice, "    adaptive: {min: 2, max: 40, measure: 1s}\n"), maybe(dice, "    pipeline: 4\n"), TIMEOUT);
    return max_in_flight;
}

static ask_t *send_any(fleet_t *fleet);

static void send_more(ask_t *ask)
{
    if (ask->fleet->ask_count < ASKS && upto(ask->fleet, 3) == 0)
        send_any(ask->fleet);
}

static ask_t *send_any(fleet_t *fleet)
{
    static const int flows[4];
    ask_t *ask = fleet_ask(fleet);

    ask->exchange.flow = &flows[upto(fleet, 3)];
    ask->exchange.fallback = upto(fleet, 3) == 0 ? 2 : 0;
    ask->exchange.is_direct = ask->exchange.is_streamed = upto(fleet, 9) == 0;
    ask->exchange.deadline_ms = upto(fleet, 2) == 0 ? SHEAF_NEVER : fleet->clock.now_ms + upto(fleet, 2000);
    ask->then = send_more;
    if (upto(fleet, 3) == 0) {
        ask->exchange.method = SHEAF_STR("POST");
        ask->exchange.is_idempotent = ask->exchange.is_repeatable = false;
    }
    fleet_send(ask);
    return ask;
}

static void assert_fair(const ask_t *ask)
{
    bool is_post = !ask->exchange.is_repeatable;
    uint64_t most_ms = ask->exchange.fallback == 0 ? TIMEOUT : 2 * TIMEOUT;

    assert_true(ask->done_count <= 1);
    /* free are a reused conn that was closed, a place behind others on a conn, and a fallback */
    assert_true(ask->sends <= (is_post ? 1 : 2 * (ATTEMPTS + 1)));
    if (ask->done_count == 1)
        assert_true(ask->done_ms - ask->sent_ms <= most_ms);
}

/* At any moment: all that flies is counted once, within the limit, and who waits is served by somebody's end. */
static void assert_counts(const fleet_t *fleet, uint32_t max_in_flight)
{
    uint32_t flying = fleet_flying(fleet);

    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_FLYING), flying);
    assert_true(max_in_flight == 0 || flying - fleet_flying_at(fleet, OTHER) <= max_in_flight);
    assert_true(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_WAITING) == 0 || flying > 0);
    assert_true(fleet_metric(fleet, SHEAF_METRIC_ADAPTIVE_LIMIT) <= 40);
}

static void run(uint64_t seed)
{
    fleet_t dice = {.chance = {seed}};
    char yaml[2048];
    fleet_t *fleet;
    uint32_t max_in_flight;
    uint64_t seconds;

    max_in_flight = describe(&dice, yaml, sizeof(yaml));
    fleet = fleet_new(yaml, seed);
    fleet->fate = any_fate;
    while (fleet->ask_count < ASKS) {
        if (upto(fleet, 19) == 0)
            moods[1 + upto(fleet, 6)] = upto(fleet, MOOD_COUNT - 1);
        send_any(fleet);
        if (upto(fleet, 9) == 0)
            fleet_cancel(&fleet->asks[upto(fleet, fleet->ask_count - 1)]);
        if (upto(fleet, 49) == 0)
            fleet_reload(fleet, yaml);
        fleet_wind(fleet, upto(fleet, 20));
        assert_counts(fleet, max_in_flight);
    }
    fleet_finish(fleet, 3 * TIMEOUT);
    for (uint32_t i = 0; i < fleet->ask_count; i++)
        assert_fair(&fleet->asks[i]);
    seconds = (fleet->clock.now_ms - 1000000) / 1000 + 2;
    assert_true(fleet_metric(fleet, SHEAF_METRIC_RETRIES) <= ASKS / 5 + 3 * seconds);
    /* a share of a window that slides, so of two of them at most; and one in ten seconds */
    assert_true(fleet_metric(fleet, SHEAF_METRIC_HEDGES) <= 2 * ASKS / 5 + 1 + seconds / 10);
    hedges += fleet_metric(fleet, SHEAF_METRIC_HEDGES);
    hedges_won += fleet_metric(fleet, SHEAF_METRIC_HEDGES_WON);
    sheds += fleet_metric(fleet, SHEAF_METRIC_SHED);
    piped += fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_PIPELINED);
    cut += fleet_metric(fleet, SHEAF_METRIC_PIPELINE_CUTS);
    fleet_free(fleet);
}

static void whatever_servers_do_each_exchange_ends_once_and_in_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        memset(moods, 0, sizeof(moods));
        run(seed);
    }
    assert_true(hedges > SEEDS && hedges_won > 0 && hedges_won < hedges && sheds > 0);
    assert_true(piped > SEEDS && cut > SEEDS / 10 && cut < piped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_servers_do_each_exchange_ends_once_and_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
