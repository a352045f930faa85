/* The n-th failure: a fleet serves a fixed load once and its dials and requests are counted; then the first, the second,
 * the third, ... is harmed in every way there is. Each time every exchange must end exactly once and in time, retries
 * must stay within their bounds, and nothing may be left. */
#include "tests/sim/upstream/fleet.h"

#define ASKS 24

typedef enum harm {
    HARM_NONE,
    HARM_REFUSED_AT_ONCE,
    HARM_REFUSED,
    HARM_OVERLOADED,
    HARM_SILENT,
    HARM_RESET,
    HARM_RESET_BEHIND_HEAD,
    HARM_MALFORMED,
    HARM_502,
    HARM_503_LATER,
    HARM_CLOSED_BEHIND,
    HARM_CANCEL,
    HARM_CANCEL_ALL,
    HARM_RELOAD,
    HARM_COUNT
} harm_t;

static const char *const worlds[] = {
    "  u:\n    servers: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n    timeout: 1s\n    max_connections: 4\n"
    "    retry: {on: [connect, reset, 502, 503, timeout]}\n    outlier: {errors: 1, eject: 100ms}\n"
    "    breaker: {requests: 4, errors: 50%, open: 50ms}\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\"]\n    timeout: 1s\n    max_connections: 1\n    retry: {backoff: 1ms}\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\", {url: \"http://127.0.0.1:2\", backup: true}]\n    timeout: 1s\n"
    "    max_connections: 64\n    keepalive: 0s\n    first_byte_timeout: 200ms\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n    balance: hash\n    hash: id\n    "
    "timeout: 1s\n"
    "    max_connections: 2\n    retry: {}\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n    breaker: {requests: 1, open: 20ms}\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n    timeout: 1s\n    max_connections: 8\n"
    "    retry: {on: [connect, reset, 502, 503, timeout]}\n    hedge: {after: 3ms, budget: 100%}\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\", \"http://127.0.0.1:4\"]\n    timeout: 1s\n"
    "    max_in_flight: 5\n    hedge: {after: 1ms, budget: 100%}\n    breaker: {requests: 4, errors: 50%, open: 50ms}\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n    hedge: {after: 3ms}\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n    timeout: 1s\n    max_in_flight: 3\n"
    "    hedge: {after: 2ms, budget: 100%}\n    adaptive: {min: 1, max: 3, window: 10ms}\n    shed: true\n    retry: "
    "{}\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n    adaptive: {}\n    shed: true\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n    timeout: 1s\n    max_connections: 2\n"
    "    pipeline: 4\n    retry: {on: [connect, reset, 502, 503, timeout]}\n    outlier: {errors: 1, eject: 100ms}\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\"]\n    timeout: 1s\n    max_connections: 1\n    pipeline: 16\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n",
    "  u:\n    servers: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n    timeout: 1s\n    max_connections: 3\n"
    "    pipeline: 3\n    max_in_flight: 7\n    hedge: {after: 3ms, budget: 100%}\n    breaker: {requests: 4, errors: "
    "50%, open: 50ms}\n"
    "  other:\n    servers: [\"http://127.0.0.1:3\"]\n    timeout: 1s\n",
};

#define RETRIED 0 /* of the worlds: those in which one failure is none */
#define HEDGED  4
#define PIPED   7

static const char *world;

static void do_it(fleet_t *fleet, harm_t harm, sheaf_exchange_t *exchange);

static fate_t harmed(harm_t harm, fate_t good)
{
    switch (harm) {
    case HARM_REFUSED_AT_ONCE:
        return (fate_t){.err = SHEAF_ERR_REFUSED, .is_at_once = true};
    case HARM_REFUSED:
        return (fate_t){.after_ms = 1, .err = SHEAF_ERR_REFUSED};
    case HARM_OVERLOADED:
        return (fate_t){.err = SHEAF_ERR_OVERLOADED, .is_at_once = true};
    case HARM_SILENT:
        return (fate_t){.is_silent = true};
    case HARM_RESET:
        return (fate_t){.after_ms = 2, .err = SHEAF_ERR_RESET};
    case HARM_RESET_BEHIND_HEAD:
        return (fate_t){.after_ms = 2, .err = SHEAF_ERR_RESET, .status = 200};
    case HARM_MALFORMED:
        return (fate_t){.after_ms = 2, .err = SHEAF_ERR_MALFORMED};
    case HARM_502:
        return (fate_t){.after_ms = 2, .status = 502};
    case HARM_503_LATER:
        return (fate_t){.after_ms = 2, .status = 503, .retry_after = "1"};
    case HARM_CLOSED_BEHIND:
        return (fate_t){.after_ms = 2, .status = 200, .has_closed = true};
    default:
        return good;
    }
}

typedef struct deed {
    sheaf_task_t task;
    fleet_t *fleet;
    ask_t *ask;
    harm_t harm;
} deed_t;

static deed_t deed;

/* Owners act from outside: soon, and not from within the call that asked for the fate. */
static void on_deed(sheaf_task_t *task)
{
    (void)task;
    if (deed.harm == HARM_RELOAD)
        fleet_reload(deed.fleet, world);
    else if (deed.harm == HARM_CANCEL && deed.ask != NULL)
        fleet_cancel(deed.ask);
    else if (deed.harm == HARM_CANCEL_ALL)
        for (uint32_t i = 0; i < deed.fleet->ask_count; i++)
            fleet_cancel(&deed.fleet->asks[i]);
}

static void do_it(fleet_t *fleet, harm_t harm, sheaf_exchange_t *exchange)
{
    deed = (deed_t){{.run = on_deed}, fleet, exchange == NULL ? &fleet->asks[0] : fleet_ask_of(exchange), harm};
    sheaf_soon(&fleet->soon, &deed.task);
}

static fate_t fate(fleet_t *fleet, sheaf_conn_t *conn, sheaf_exchange_t *exchange)
{
    fate_t good = {.after_ms = exchange == NULL ? 1 : 5, .status = exchange == NULL ? 0 : 200};

    (void)conn;
    if (fleet->events != fleet->harm_at)
        return good;
    if (fleet->harm >= HARM_CANCEL)
        do_it(fleet, fleet->harm, exchange);
    return harmed(fleet->harm, good);
}

static void send_all(fleet_t *fleet)
{
    static const int flows[3];

    for (uint32_t i = 0; i < ASKS; i++) {
        ask_t *ask = fleet_ask(fleet);

        ask->exchange.flow = &flows[i % 3];
        ask->exchange.id = sheaf_str((const char *)&flows + i % 5, 1);
        ask->exchange.fallback = i % 4 == 0 ? 2 : 0;
        ask->exchange.is_idempotent = ask->exchange.is_repeatable = i % 5 != 0;
        ask->exchange.deadline_ms = fleet->clock.now_ms + 2500;
        fleet_send(ask);
        fleet_wind(fleet, i % 7);
    }
}

static uint32_t run(uint32_t harm_at, harm_t harm)
{
    fleet_t *fleet = fleet_new(world, 7);
    uint32_t events;

    fleet->fate = fate;
    fleet->harm_at = harm_at;
    fleet->harm = harm;
    send_all(fleet);
    fleet_finish(fleet, 5000);
    events = fleet->events;
    assert_int_equal(fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_FLYING), 0);
    for (uint32_t i = 0; i < ASKS; i++) {
        const ask_t *ask = &fleet->asks[i];

        assert_true(ask->done_count == 1 || (harm >= HARM_CANCEL && ask->done_count == 0));
        assert_true(ask->sends <= (ask->exchange.is_repeatable ? 3 : 1));
        if (harm == HARM_NONE)
            assert_int_equal(ask->status, 200);
    }
    if (harm == HARM_NONE) /* all that may be is late in these */
        assert_true((fleet_metric(fleet, SHEAF_METRIC_HEDGES) != 0) == (strstr(world, "hedge") != NULL));
    if (harm == HARM_NONE)
        assert_true((fleet_metric(fleet, SHEAF_METRIC_EXCHANGES_PIPELINED) != 0) ==
                    (strstr(world, "pipeline") != NULL));
    fleet_free(fleet);
    return events;
}

/* With retries one failure is no failure, for what may be sent twice. */
static void one_failure_costs_nothing_that_may_be_repeated(const char *in)
{
    static const harm_t harms[] = {HARM_REFUSED, HARM_RESET, HARM_502};
    uint32_t events;

    world = in;
    events = run(0, HARM_NONE);
    for (uint32_t at = 1; at <= events; at++)
        for (size_t i = 0; i < 3; i++) {
            fleet_t *fleet = fleet_new(world, 7);

            fleet->fate = fate;
            fleet->harm_at = at;
            fleet->harm = harms[i];
            send_all(fleet);
            fleet_finish(fleet, 5000);
            for (uint32_t k = 0; k < ASKS; k++)
                if (fleet->asks[k].exchange.is_repeatable)
                    assert_int_equal(fleet->asks[k].status, 200);
            fleet_free(fleet);
        }
}

static void the_nth_failure_ends_everything_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(worlds) / sizeof(*worlds); i++) {
        uint32_t events;

        world = worlds[i];
        events = run(0, HARM_NONE);
        assert_true(events > ASKS);
        for (uint32_t at = 1; at <= events; at++)
            for (harm_t harm = HARM_NONE + 1; harm < HARM_COUNT; harm++)
                run(at, harm);
    }
}

static void with_retries_one_failure_is_none(void **state)
{
    (void)state;
    one_failure_costs_nothing_that_may_be_repeated(worlds[RETRIED]);
    one_failure_costs_nothing_that_may_be_repeated(worlds[HEDGED]);
    one_failure_costs_nothing_that_may_be_repeated(worlds[PIPED]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_failure_ends_everything_once),
        cmocka_unit_test(with_retries_one_failure_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
