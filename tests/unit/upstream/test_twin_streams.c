/* Two flights for one exchange where both are streams: conns are shared, and what a backend did not act on goes again. */
#include "gateway/base/chance.h"
#include "gateway/base/log.h"
#include "tests/unit/upstream/h2_backend.h"

static const sheaf_mark_t written = {1, 1};

/* A worker with both backends, whose exchanges are late after 10 ms. */
static worker_t *hedging(h2_backend_t *a, h2_backend_t *b)
{
    worker_t *w = h2_worker_with(a, b);

    w->conf->hedge = (sheaf_hedge_conf_t){.mark = written, .after.after_ms = 10, .budget_percent = 100};
    return w;
}

/* Sends, and runs the loop until both backends were asked on their first streams. */
static void fly_both(worker_t *w, h2_backend_t *a, h2_backend_t *b, ask_t *ask)
{
    worker_open(w);
    ask_get(ask, w, "/");
    ask_send(ask);
    worker_until_count(w, &b->requests, 1);
    assert_int_equal(a->requests, 1);
}

static void assert_hedges(worker_t *w, uint64_t sent, uint64_t won)
{
    assert_int_equal(metric(w, SHEAF_METRIC_HEDGES), sent);
    assert_int_equal(metric(w, SHEAF_METRIC_HEDGES_WON), won);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 0);
}

static void the_stream_that_is_overtaken_is_reset_and_its_conn_stays(void **state)
{
    h2_backend_t a, b;
    worker_t *w = hedging(&a, &b);
    ask_t ask;

    fly_both(w, &a, &b, &ask);
    h2_answer(b.conn[0], 1);
    h2_flush(b.conn[0]);
    worker_until(w, &ask.is_done);
    assert_answer(&ask, 200, "hi");
    worker_until_count(w, &a.resets, 1);
    assert_hedges(w, 1, 1);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 2);
    h2_worker_end(w, &a, &b);
}

/* Whatever ends the one, before an answer: the other one is left, and is not sent again. */
static void what_is_refused_stranded_or_reset_waits_for_the_other(void **state)
{
    for (int how = 0; how < 4; how++)
        for (int which = 0; which < 2; which++) {
            h2_backend_t a, b, *bad = which == 0 ? &a : &b, *good = which == 0 ? &b : &a;
            worker_t *w = hedging(&a, &b);
            ask_t ask;

            fly_both(w, &a, &b, &ask);
            if (how == 0)
                h2_refuse(bad->conn[0], 1);
            else if (how == 1)
                peer_goaway(&bad->conn[0]->peer, 0, NGHTTP2_NO_ERROR);
            else if (how == 2)
                peer_u32(&bad->conn[0]->peer, NGHTTP2_RST_STREAM, 1, NGHTTP2_INTERNAL_ERROR);
            h2_flush(bad->conn[0]);
            if (how == 3)
                h2_drop(bad->conn[0]);
            worker_until_metric(w, SHEAF_METRIC_EXCHANGES_FLYING, 1);
            assert_false(ask.is_done);
            h2_answer(good->conn[0], 1);
            h2_flush(good->conn[0]);
            worker_until(w, &ask.is_done);
            assert_answer(&ask, 200, "hi");
            assert_int_equal(a.requests + b.requests, 2);
            assert_hedges(w, 1, 0);
            h2_worker_end(w, &a, &b);
        }
}

static void when_both_refuse_it_goes_again_alone(void **state)
{
    h2_backend_t a, b;
    worker_t *w = hedging(&a, &b);
    ask_t ask;

    fly_both(w, &a, &b, &ask);
    a.on_request = b.on_request = h2_answer;
    h2_refuse(a.conn[0], 1);
    h2_flush(a.conn[0]);
    worker_until_metric(w, SHEAF_METRIC_EXCHANGES_FLYING, 1);
    h2_refuse(b.conn[0], 1);
    h2_flush(b.conn[0]);
    worker_until(w, &ask.is_done);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(a.requests + b.requests, 3);
    assert_hedges(w, 1, 0);
    h2_worker_end(w, &a, &b);
}

/* --- by chance --- */

#define MANY 40

static sheaf_chance_t fate;

static void do_anything(h2_conn_t *conn, int32_t id)
{
    switch (sheaf_chance_upto(&fate, 15)) {
    case 0:
        h2_refuse(conn, id);
        break;
    case 1:
        peer_goaway(&conn->peer, id - 2 > 0 ? id - 2 : 0, NGHTTP2_NO_ERROR);
        break;
    case 2:
        peer_u32(&conn->peer, NGHTTP2_RST_STREAM, id, NGHTTP2_INTERNAL_ERROR);
        break;
    case 3:
        h2_drop(conn);
        break;
    case 4:
        peer_head(&conn->peer, id, true, ":status: 503\n");
        break;
    case 5:
        peer_head(&conn->peer, id, false, ":status: 200\n"); /* and no body */
        break;
    case 6:
    case 7:
    case 8: /* late, or never */
        break;
    default:
        h2_answer(conn, id);
    }
}

static void set_up(worker_t *w, uint64_t seed)
{
    w->conf->hedge.after.after_ms = 2;
    w->conf->max_streams = 1 + sheaf_chance_upto(&fate, 7);
    w->conf->max_connections = 2 + sheaf_chance_upto(&fate, 6);
    if (seed % 2 == 0)
        w->conf->retry =
            (sheaf_retry_conf_t){.mark = written, .attempts = 3, .on = 0x3f, .budget_percent = 50, .backoff_ms = 1};
    if (seed % 3 == 0)
        w->conf->max_in_flight = 4 + sheaf_chance_upto(&fate, 10);
    if (seed % 4 == 0)
        w->conf->adaptive = (sheaf_adaptive_conf_t){
            .mark = written, .min = 2, .max = 20, .tolerance_percent = 200, .window_ms = 10, .measure_ms = 1000};
    if (seed % 5 == 0)
        w->conf->first_byte_timeout_ms = 12;
}

static void send_many(worker_t *w, ask_t *asks)
{
    for (int i = 0; i < MANY; i++) {
        ask_get(&asks[i], w, "/");
        asks[i].exchange.is_repeatable = true;
        asks[i].exchange.deadline_ms = w->clock.now_ms + 5 + sheaf_chance_upto(&fate, 40);
        if (sheaf_chance_upto(&fate, 9) == 0)
            asks[i].on_head = ask_cancel;
        ask_send(&asks[i]);
        for (uint64_t turns = sheaf_chance_upto(&fate, 2); turns > 0; turns--)
            uv_run(&w->loop, UV_RUN_NOWAIT);
        if (w->conf->max_in_flight != 0)
            assert_true(metric(w, SHEAF_METRIC_EXCHANGES_FLYING) <= w->conf->max_in_flight);
    }
}

/* Each ends exactly once (the sink asserts it) or is cancelled, and nothing is left, on any conn. */
static void by_chance_each_ends_once_and_nothing_is_left(void **state)
{
    uint64_t hedges = 0, won = 0;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        h2_backend_t a, b;
        worker_t *w = hedging(&a, &b);
        ask_t *asks = calloc(MANY, sizeof(*asks));

        fate = (sheaf_chance_t){seed};
        set_up(w, seed);
        a.on_request = b.on_request = do_anything;
        worker_open(w);
        send_many(w, asks);
        for (int i = 0; i < MANY; i++) {
            if (sheaf_chance_upto(&fate, 5) == 0)
                ask_cancel(&asks[i]);
            else if (asks[i].on_head == NULL)
                worker_until(w, &asks[i].is_done);
        }
        for (int i = 0; i < MANY; i++)
            ask_cancel(&asks[i]); /* fine on one that is over */
        assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 0);
        hedges += metric(w, SHEAF_METRIC_HEDGES);
        won += metric(w, SHEAF_METRIC_HEDGES_WON);
        h2_worker_end(w, &a, &b);
        free(asks);
    }
    assert_true(hedges > 60 && won > 0 && won < hedges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stream_that_is_overtaken_is_reset_and_its_conn_stays),
        cmocka_unit_test(what_is_refused_stranded_or_reset_waits_for_the_other),
        cmocka_unit_test(when_both_refuse_it_goes_again_alone),
        cmocka_unit_test(by_chance_each_ends_once_and_nothing_is_left),
    };

    sheaf_log_setup(false, SHEAF_LOG_ERROR, NULL); /* what servers do here fills pages */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
