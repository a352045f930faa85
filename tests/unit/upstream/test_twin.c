/* Two flights for one exchange, on real sockets: what the owner, and the backends, see of them. */
#include "gateway/base/chance.h"
#include "tests/unit/upstream/harness.h"

#define BUSY "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"

static const sheaf_mark_t written = {1, 1};

/* A worker with both backends (or one), whose exchanges are late after 10 ms. */
static worker_t *hedging(uint32_t servers)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};

    worker_use(w, "127.0.0.1", ports, servers);
    w->conf->hedge = (sheaf_hedge_conf_t){.mark = written, .after.after_ms = 10, .budget_percent = 100};
    return w;
}

/* Sends, and runs the loop until both backends were asked; neither says anything by itself. */
static void fly_both(worker_t *w, ask_t *ask)
{
    ask_get(ask, w, "/");
    ask_send(ask);
    worker_until_count(w, &w->b.requests, 1);
    assert_int_equal(w->a.requests, 1);
}

static void say(backend_t *backend, const char *text)
{
    backend_say(backend->conn[0], text, strlen(text));
}

static void finish(ask_t *ask)
{
    worker_until(ask->worker, &ask->is_done);
}

static void assert_hedges(worker_t *w, uint64_t sent, uint64_t won)
{
    assert_int_equal(metric(w, SHEAF_METRIC_HEDGES), sent);
    assert_int_equal(metric(w, SHEAF_METRIC_HEDGES_WON), won);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_HEDGES), sent);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_HEDGES_WON), won);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_ACTIVE) + metric(w, SHEAF_METRIC_CONNS_CONNECTING), 0);
}

static void the_second_server_answers_first_and_the_other_conn_is_closed(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask;

    worker_open(w);
    fly_both(w, &ask);
    say(&w->b, OK_HI);
    finish(&ask);
    assert_answer(&ask, 200, "hi");
    assert_hedges(w, 1, 1);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    worker_end(w);
}

static void the_first_server_answers_first_after_all(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask;

    worker_open(w);
    fly_both(w, &ask);
    say(&w->a, OK_HI);
    finish(&ask);
    assert_answer(&ask, 200, "hi");
    assert_hedges(w, 1, 0);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    worker_end(w);
}

static void a_404_is_a_good_answer(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask;

    worker_open(w);
    fly_both(w, &ask);
    say(&w->b, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
    finish(&ask);
    assert_answer(&ask, 404, "no");
    assert_hedges(w, 1, 1);
    worker_end(w);
}

/* What either of them does before the other one answers well. */
static void a_failure_of_one_waits_for_the_other(void **state)
{
    static const char *const failures[] = {BUSY, "HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\ntorn",
                                           "nonsense\r\n\r\n", NULL};

    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < SHEAF_COUNT(failures); i++) {
            worker_t *w = hedging(2);
            backend_t *bad = which == 0 ? &w->a : &w->b, *good = which == 0 ? &w->b : &w->a;
            ask_t ask;

            worker_open(w);
            fly_both(w, &ask);
            if (failures[i] != NULL)
                say(bad, failures[i]);
            else
                backend_drop(bad->conn[0]);
            worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 1);
            assert_false(ask.is_done || ask.has_head);
            say(good, OK_HI);
            finish(&ask);
            assert_answer(&ask, 200, "hi");
            assert_hedges(w, 1, 0);
            worker_end(w);
        }
}

static void when_both_fail_the_last_failure_is_told(void **state)
{
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        worker_t *w = hedging(2);
        ask_t ask;

        worker_open(w);
        fly_both(w, &ask);
        say(&w->a, BUSY);
        worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 1);
        if (is_reset)
            backend_drop(w->b.conn[0]);
        else
            say(&w->b, BUSY);
        finish(&ask);
        if (is_reset)
            assert_int_equal(ask.err, SHEAF_ERR_RESET);
        else
            assert_answer(&ask, 503, "busy");
        assert_hedges(w, 1, 0);
        worker_end(w);
    }
}

static void when_both_failed_retry_is_asked_once(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask;

    w->conf->retry =
        (sheaf_retry_conf_t){.mark = written, .attempts = 2, .on = 0x3f, .budget_percent = 20, .backoff_ms = 2};
    worker_open(w);
    ask_get(&ask, w, "/");
    ask.exchange.is_repeatable = true;
    ask_send(&ask);
    worker_until_count(w, &w->b.requests, 1);
    w->a.steps[1] = w->b.steps[1] = (step_t){.bytes = OK_HI, .len = strlen(OK_HI)};
    w->a.step_count = w->b.step_count = 2;
    say(&w->b, BUSY);
    worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 1);
    assert_int_equal(metric(w, SHEAF_METRIC_RETRIES), 0);
    say(&w->a, BUSY);
    finish(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->a.requests + w->b.requests, 3);
    assert_int_equal(metric(w, SHEAF_METRIC_RETRIES), 1);
    assert_hedges(w, 1, 0);
    worker_end(w);
}

static void cancel_takes_both(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask;

    worker_open(w);
    fly_both(w, &ask);
    ask_cancel(&ask);
    assert_hedges(w, 1, 0);
    assert_false(ask.is_done);
    worker_end(w);
}

static void cancel_before_and_after_the_trade_leaves_nothing(void **state)
{
    for (int is_traded = 0; is_traded < 2; is_traded++) {
        worker_t *w = hedging(2);
        ask_t ask;

        worker_open(w);
        fly_both(w, &ask);
        if (is_traded)
            say(&w->a, BUSY); /* the owner's goes on on the other conn */
        else
            say(&w->b, BUSY); /* the twin is over */
        worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 1);
        ask_cancel(&ask);
        assert_hedges(w, 1, 0);
        worker_end(w);
    }
}

static void a_sink_may_cancel_from_inside_the_answer_that_won(void **state)
{
    for (int is_body = 0; is_body < 2; is_body++)
        for (int which = 0; which < 2; which++) {
            worker_t *w = hedging(2);
            ask_t ask;

            worker_open(w);
            fly_both(w, &ask);
            *(is_body ? &ask.on_body : &ask.on_head) = ask_cancel;
            say(which == 0 ? &w->a : &w->b, OK_HI);
            worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 0);
            assert_true(ask.has_head && !ask.is_done);
            assert_hedges(w, 1, which);
            worker_end(w);
        }
}

static ask_t *victim;

static void cancel_the_victim(ask_t *ask)
{
    ask_cancel(victim);
}

static void another_exchange_may_cancel_the_pair_from_its_end(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask, other;

    worker_open(w);
    fly_both(w, &ask);
    victim = &ask;
    ask_get(&other, w, "/other");
    other.exchange.is_once = true; /* on a busy machine it may be late itself */
    other.then = cancel_the_victim;
    w->a.steps[1] = w->b.steps[1] = (step_t){.bytes = OK_HI, .len = strlen(OK_HI)};
    w->a.step_count = w->b.step_count = 2;
    ask_whole(&other);
    assert_false(ask.is_done);
    assert_hedges(w, 1, 0);
    worker_end(w);
}

static void the_deadline_ends_both(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask;

    worker_open(w);
    ask_get(&ask, w, "/");
    ask.exchange.deadline_ms = w->clock.now_ms + 500;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(w->b.requests, 1);
    assert_hedges(w, 1, 0);
    worker_end(w);
}

/* Lets an exchange end at its deadline, well after it was late, and tells how many saw it. */
static int requests_of(worker_t *w, ask_t *ask)
{
    ask->exchange.deadline_ms = w->clock.now_ms + 500;
    ask_whole(ask);
    assert_int_equal(ask->err, SHEAF_ERR_TIMEOUT);
    assert_hedges(w, w->a.requests + w->b.requests - 1, 0);
    return w->a.requests + w->b.requests;
}

static void what_may_not_be_hedged_is_not(void **state)
{
    for (int why = 0; why < 6; why++) {
        worker_t *w = hedging(why == 1 ? 1 : 2);
        ask_t ask;

        if (why == 2)
            w->conf->max_connections = 1;
        if (why == 3)
            w->conf->hedge.mark = (sheaf_mark_t){0};
        if (why == 4)
            backend_stop(&w->b);
        if (why == 5) /* slow is not unreachable */
            w->conf->servers.items[1].backup = true;
        worker_open(w);
        ask_get(&ask, w, "/");
        if (why == 0)
            ask_post(&ask, w, "/", SHEAF_STR("x"));
        if (why == 4) { /* its dial is refused: the first one goes on alone */
            ask.exchange.deadline_ms = w->clock.now_ms + 500;
            ask_whole(&ask);
            assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
            assert_int_equal(w->a.requests, 1);
            assert_hedges(w, 1, 0);
        } else {
            assert_int_equal(requests_of(w, &ask), 1);
        }
        worker_end(w);
    }
}

static void what_has_come_but_was_not_read_is_not_late(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask;

    w->conf->hedge.after.after_ms = 2000;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until_count(w, &w->a.requests, 1);
    say(&w->a, OK_HI);
    w->ahead_ms = 2000; /* the loop had other things to do */
    sheaf_clock_refresh(&w->clock);
    sheaf_deadlines_run(&w->deadlines);
    finish(&ask);
    assert_answer(&ask, 200, "hi");
    assert_hedges(w, 0, 0);
    worker_end(w);
}

/* Half a head says nothing of the rest. */
static void one_that_has_begun_to_come_is_late_once_that_was_read(void **state)
{
    worker_t *w = hedging(2);
    ask_t ask;

    w->conf->hedge.after.after_ms = 2000;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until_count(w, &w->a.requests, 1);
    say(&w->a, "HTTP/1.1 200 ");
    w->ahead_ms = 2000;
    sheaf_clock_refresh(&w->clock);
    sheaf_deadlines_run(&w->deadlines);
    assert_int_equal(metric(w, SHEAF_METRIC_HEDGES), 0);
    worker_until_count(w, &w->b.requests, 1);
    say(&w->b, OK_HI);
    finish(&ask);
    assert_answer(&ask, 200, "hi");
    assert_hedges(w, 1, 1);
    worker_end(w);
}

static void the_budget_is_one_in_ten_seconds_where_there_is_little(void **state)
{
    worker_t *w = hedging(2);
    ask_t asks[2];

    w->conf->hedge.budget_percent = 5;
    worker_open(w);
    for (int i = 0; i < 2; i++) {
        ask_get(&asks[i], w, "/");
        asks[i].exchange.deadline_ms = w->clock.now_ms + 500;
        ask_send(&asks[i]);
    }
    finish(&asks[0]);
    finish(&asks[1]);
    assert_hedges(w, 1, 0);
    assert_int_equal(metric(w, SHEAF_METRIC_HEDGES_REFUSED), 1);
    worker_end(w);
}

static void with_a_conn_at_the_other_server_it_takes_that_one(void **state)
{
    worker_t *w = hedging(2);
    ask_t first[2], ask;

    w->conf->max_connections = 2;
    worker_open(w);
    step_text(&w->a, OK_HI);
    step_text(&w->b, OK_HI);
    for (int i = 0; i < 2; i++) {
        ask_get(&first[i], w, "/");
        ask_whole(&first[i]);
    }
    ask_get(&ask, w, "/late");
    ask_send(&ask);
    worker_until_count(w, &w->b.requests, 2);
    say(&w->b, OK_HI);
    finish(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->b.conns, 1);
    assert_hedges(w, 1, 1);
    worker_end(w);
}

static void a_reload_between_them_changes_nothing(void **state)
{
    worker_t *w = hedging(2);
    sheaf_dispatch_t *newer;
    ask_t ask;

    worker_open(w);
    fly_both(w, &ask);
    newer = sheaf_upstreams_open(w->upstreams, w->snapshot);
    say(&w->b, OK_HI);
    finish(&ask);
    assert_answer(&ask, 200, "hi");
    assert_hedges(w, 1, 1);
    sheaf_upstreams_close(newer);
    worker_end(w);
}

/* --- by chance --- */

#define MANY 24

static const char *const chances[] = {
    OK_HI, OK_HI, "", "", BUSY, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntorn", "nonsense\r\n\r\n"};

static void script(backend_t *backend, sheaf_chance_t *chance)
{
    for (int i = 0; i < MAX_STEPS; i++) {
        step_text(backend, chances[sheaf_chance_upto(chance, SHEAF_COUNT(chances) - 1)]);
        backend->steps[i].then_close = sheaf_chance_upto(chance, 3) == 0;
        backend->steps[i].then_reset = sheaf_chance_upto(chance, 7) == 0;
    }
}

/* Servers that answer, fail, hang and tear; owners that lose interest: each exchange ends exactly once (the sink
 * asserts it) or is cancelled, hedges stay in their budget, and nothing is left (worker_end and the sanitizer). */
static void by_chance_each_ends_once_and_nothing_is_left(void **state)
{
    for (uint64_t seed = 1; seed <= 35; seed++) {
        worker_t *w = hedging(2);
        sheaf_chance_t chance = {seed};
        ask_t *asks = calloc(MANY, sizeof(*asks));
        uint64_t budget = seed % 2 == 0 ? 100 : 20;

        w->conf->hedge.budget_percent = budget;
        w->conf->hedge.after.after_ms = 2;
        if (seed % 3 == 0)
            w->conf->retry =
                (sheaf_retry_conf_t){.mark = written, .attempts = 3, .on = 0x3f, .budget_percent = 50, .backoff_ms = 1};
        if (seed % 4 == 0)
            w->conf->first_byte_timeout_ms = 12;
        if (seed % 5 == 0)
            w->conf->max_in_flight = 6;
        if (seed % 7 < 3)
            w->conf->pipeline = 4;
        w->conf->max_connections = 3 + sheaf_chance_upto(&chance, 9);
        script(&w->a, &chance);
        script(&w->b, &chance);
        worker_open(w);
        for (int i = 0; i < MANY; i++) {
            ask_get(&asks[i], w, "/");
            asks[i].exchange.is_repeatable = true;
            asks[i].exchange.deadline_ms = w->clock.now_ms + 5 + sheaf_chance_upto(&chance, 40);
            if (sheaf_chance_upto(&chance, 9) == 0)
                asks[i].on_head = ask_cancel;
            ask_send(&asks[i]);
            for (uint64_t turns = sheaf_chance_upto(&chance, 2); turns > 0; turns--)
                uv_run(&w->loop, UV_RUN_NOWAIT);
        }
        for (int i = 0; i < MANY; i++) {
            if (sheaf_chance_upto(&chance, 5) == 0)
                ask_cancel(&asks[i]);
            else if (asks[i].on_head == NULL)
                finish(&asks[i]);
        }
        for (int i = 0; i < MANY; i++)
            ask_cancel(&asks[i]); /* fine on one that is over */
        assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 0);
        assert_true(metric(w, SHEAF_METRIC_HEDGES) <= 1 || metric(w, SHEAF_METRIC_HEDGES) * 100 <= MANY * budget);
        worker_end(w);
        free(asks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_server_answers_first_and_the_other_conn_is_closed),
        cmocka_unit_test(the_first_server_answers_first_after_all),
        cmocka_unit_test(a_404_is_a_good_answer),
        cmocka_unit_test(a_failure_of_one_waits_for_the_other),
        cmocka_unit_test(when_both_fail_the_last_failure_is_told),
        cmocka_unit_test(when_both_failed_retry_is_asked_once),
        cmocka_unit_test(cancel_takes_both),
        cmocka_unit_test(cancel_before_and_after_the_trade_leaves_nothing),
        cmocka_unit_test(a_sink_may_cancel_from_inside_the_answer_that_won),
        cmocka_unit_test(another_exchange_may_cancel_the_pair_from_its_end),
        cmocka_unit_test(the_deadline_ends_both),
        cmocka_unit_test(what_may_not_be_hedged_is_not),
        cmocka_unit_test(what_has_come_but_was_not_read_is_not_late),
        cmocka_unit_test(one_that_has_begun_to_come_is_late_once_that_was_read),
        cmocka_unit_test(the_budget_is_one_in_ten_seconds_where_there_is_little),
        cmocka_unit_test(with_a_conn_at_the_other_server_it_takes_that_one),
        cmocka_unit_test(a_reload_between_them_changes_nothing),
        cmocka_unit_test(by_chance_each_ends_once_and_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
