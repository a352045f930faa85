/* What comes while a server is dialed of which nobody knows yet what it speaks. */
#include "tests/unit/upstream/h2_backend.h"

typedef struct cold {
    worker_t *w;
    pki_t pki;
} cold_t;

/* `ports` speak TLS; what they agree to is theirs. */
static cold_t cold_new(worker_t *w, const uint16_t *ports, uint32_t count, const char *more)
{
    cold_t cold = {.w = w, .pki = pki_new((wish_t){.names = "IP:127.0.0.1"})};
    char tls[128];

    snprintf(tls, sizeof(tls), "{ca: ca}%s", more);
    w->snapshot = secure_snapshot(&cold.pki, ports, count, tls);
    w->conf = w->snapshot->conf.upstreams.items;
    return cold;
}

static cold_t cold_http1(uint32_t count, const char *more)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};
    cold_t cold = cold_new(w, ports, count, more);

    w->a.context = server_context(&cold.pki, 0, false);
    w->b.context = server_context(&cold.pki, 0, false);
    return cold;
}

static void cold_end(cold_t *cold)
{
    worker_end(cold->w);
    pki_free(&cold->pki);
}

static const char *target_of(int i)
{
    static const char targets[] = "/0\0/1\0/2\0/3\0/4\0/5\0/6\0/7\0/8\0/9";

    return targets + 3 * i;
}

static void send_all(ask_t *asks, int count, worker_t *w, int *done)
{
    for (int i = 0; i < count; i++) {
        ask_get(&asks[i], w, target_of(i % 10));
        asks[i].counter = done;
        ask_send(&asks[i]);
    }
}

static void answer(h2_conn_t *conn, int32_t id)
{
    peer_answer(&conn->peer, id, "hi");
}

static void all_share_one_conn_where_it_turns_out_to_speak_http2(void **state)
{
    enum { COUNT = 100 };
    worker_t *w = worker_new();
    h2_backend_t a;
    ask_t *asks = calloc(COUNT, sizeof(*asks));
    int done = 0;
    cold_t cold;

    h2_start(&a, &w->loop);
    cold = cold_new(w, &a.port, 1, "");
    a.context = server_context(&cold.pki, 0, false);
    SSL_CTX_set_alpn_select_cb(a.context, pick_http2, NULL);
    a.on_request = answer;
    worker_open(w);
    send_all(asks, COUNT, w, &done);
    worker_until_count(w, &done, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_int_equal(a.conns, 1);
    h2_stop(&a);
    free(asks);
    cold_end(&cold);
}

static void over_http1_the_others_get_conns_of_their_own_and_then_wait_in_their_order(void **state)
{
    cold_t cold = cold_http1(1, ", max_connections: 3");
    worker_t *w = cold.w;
    int done = 0, again = 0;
    ask_t asks[10];

    worker_open(w);
    send_all(asks, 10, w, &done);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_CONNECTING), 1);
    worker_until_count(w, &w->a.requests, 3);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 7);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 3);
    w->a.log[0] = '\0';
    for (int i = 0; i < 8; i++) { /* one conn takes all that wait */
        backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
        worker_until_count(w, &done, i + 1);
        if (i < 7)
            worker_until_count(w, &w->a.requests, 4 + i);
    }
    assert_string_equal(w->a.log, "0:GET /3 0:GET /4 0:GET /5 0:GET /6 0:GET /7 0:GET /8 0:GET /9 ");
    for (int i = 1; i < 3; i++)
        backend_say(w->a.conn[i], OK_HI, strlen(OK_HI));
    worker_until_count(w, &done, 10);
    for (int i = 0; i < 10; i++)
        assert_answer(&asks[i], 200, "hi");
    assert_int_equal(w->a.conns, 3);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 0);

    send_all(asks, 3, w, &again); /* it is known now */
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_ACTIVE), 3);
    for (int i = 0; i < 3; i++)
        ask_cancel(&asks[i]);
    cold_end(&cold);
}

/* 0, 1, 2 and 3, 4, 5 are aboard two conns when they open, 6 and 7 wait: all fly in their order from there on. */
static void what_was_aboard_two_conns_overtakes_neither_itself_nor_is_overtaken(void **state)
{
    cold_t cold = cold_http1(1, ", max_connections: 2, max_streams: 3");
    worker_t *w = cold.w;
    ask_t asks[8];
    int done = 0;

    worker_open(w);
    send_all(asks, 8, w, &done);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 2);
    worker_until_count(w, &w->a.requests, 2);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 6);
    w->a.log[0] = '\0';
    for (int i = 0; i < 6; i++) {
        backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
        worker_until_count(w, &w->a.requests, 3 + i);
    }
    assert_string_equal(w->a.log, "0:GET /1 0:GET /2 0:GET /4 0:GET /5 0:GET /6 0:GET /7 ");
    for (int i = 0; i < 2; i++)
        backend_say(w->a.conn[i], OK_HI, strlen(OK_HI));
    worker_until_count(w, &done, 8);
    cold_end(&cold);
}

static void deadlines_and_cancels_reach_who_was_put_off(void **state)
{
    cold_t cold = cold_http1(1, ", max_connections: 1");
    worker_t *w = cold.w;
    int done = 0;
    ask_t asks[4];

    worker_open(w);
    send_all(asks, 3, w, &done);
    ask_get(&asks[3], w, "/3");
    asks[3].exchange.deadline_ms = w->clock.now_ms + 300;
    ask_send(&asks[3]);
    worker_until_count(w, &w->a.requests, 1);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 3);
    ask_cancel(&asks[1]);
    worker_until(w, &asks[3].is_done);
    assert_int_equal(asks[3].err, SHEAF_ERR_QUEUE_FULL);
    assert_string_equal(asks[3].detail, "no connection became free in time");
    backend_say(w->a.conn[0], OK_HI, strlen(OK_HI));
    worker_until_count(w, &w->a.requests, 2);
    assert_string_equal(w->a.log, "0:GET /0 0:GET /2 ");
    ask_cancel(&asks[2]);
    cold_end(&cold);
}

static void direct_requests_beyond_the_line_are_refused_as_at_the_door(void **state)
{
    cold_t cold = cold_http1(1, ", max_connections: 2, max_waiting: 1");
    worker_t *w = cold.w;
    int done = 0;
    ask_t asks[5];

    worker_open(w);
    for (int i = 0; i < 5; i++) {
        step_text(&w->a, OK_HI);
        ask_get(&asks[i], w, target_of(i));
        asks[i].exchange.is_direct = true;
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    worker_until_count(w, &done, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(asks[i].err, i < 3 ? SHEAF_OK : SHEAF_ERR_QUEUE_FULL);
    cold_end(&cold);
}

static void no_more_fly_than_may(void **state)
{
    cold_t cold = cold_http1(1, ", max_in_flight: 2");
    worker_t *w = cold.w;
    int done = 0;
    ask_t asks[6];

    worker_open(w);
    for (int i = 0; i < 6; i++)
        step_text(&w->a, OK_HI);
    send_all(asks, 6, w, &done);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 2);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 4);
    worker_until_count(w, &done, 6);
    assert_int_equal(w->a.conns, 2);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 0);
    cold_end(&cold);
}

static void a_server_that_cannot_be_secured_fails_all_that_were_aboard(void **state)
{
    cold_t cold = cold_http1(1, "");
    worker_t *w = cold.w;
    int done = 0;
    ask_t asks[6];

    w->a.is_rude = true;
    worker_open(w);
    send_all(asks, 6, w, &done);
    worker_until_count(w, &done, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(asks[i].err, SHEAF_ERR_TLS);
    assert_int_equal(w->a.conns, 1);
    cold_end(&cold);
}

/* The twin of one that is late comes aboard b's first conn, which has room for one only: it gets a conn of its own. */
static void a_twin_flies_on_at_its_server(const char *more)
{
    cold_t cold = cold_http1(2, more);
    worker_t *w = cold.w;
    int done = 0;
    ask_t asks[2];

    w->b.is_deaf = true;
    for (int i = 0; i < 2; i++)
        step_text(&w->b, OK_HI);
    worker_open(w);
    ask_get(&asks[0], w, "/late"); /* a says nothing */
    ask_post(&asks[1], w, "/first", SHEAF_STR("x"));
    for (int i = 0; i < 2; i++) {
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    worker_until_count(w, &w->a.requests, 1);
    worker_until_metric(w, SHEAF_METRIC_HEDGES, 1);
    backend_hear(&w->b);
    worker_until_count(w, &done, 2);
    assert_answer(&asks[0], 200, "hi");
    assert_answer(&asks[1], 200, "hi");
    assert_int_equal(metric(w, SHEAF_METRIC_HEDGES_WON), 1);
    assert_int_equal(w->b.conns, 2);
    cold_end(&cold);
}

static void a_twin_that_was_put_off_flies_on_at_its_server(void **state)
{
    a_twin_flies_on_at_its_server(", balance: round_robin, hedge: {after: 100ms, budget: 100%}");
}

static void so_it_does_where_no_more_may_fly(void **state)
{
    a_twin_flies_on_at_its_server(", balance: round_robin, max_in_flight: 3, hedge: {after: 100ms, budget: 100%}");
}

static uint32_t dice(uint32_t *state, uint32_t sides)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 16) % sides;
}

/* Cancels, deadlines and resets whenever they like: each ends once or not at all, and nothing is left. */
static void whatever_happens_while_many_are_aboard_nobody_is_lost(void **state)
{
    enum { COUNT = 40 };
    uint32_t luck = 7;

    for (int round = 0; round < 12; round++) {
        cold_t cold = cold_http1(2, round % 2 == 0 ? ", max_connections: 3, max_streams: 6"
                                                   : ", max_connections: 8, max_in_flight: 9, "
                                                     "hedge: {after: 2ms, budget: 50%}");
        worker_t *w = cold.w;
        ask_t *asks = calloc(COUNT, sizeof(*asks));
        bool is_cancelled[COUNT] = {false};
        int done = 0, gone = 0;

        for (int i = 0; i < MAX_STEPS; i++) {
            step_text(&w->a, OK_HI);
            step_text(&w->b, OK_HI);
            w->a.steps[i].then_reset = dice(&luck, 6) == 0;
            w->b.steps[i].then_close = dice(&luck, 6) == 0;
        }
        worker_open(w);
        send_all(asks, COUNT, w, &done);
        while (done + gone < COUNT) {
            int i = (int)dice(&luck, COUNT);

            if (!asks[i].is_done && !is_cancelled[i] && dice(&luck, 3) == 0) {
                ask_cancel(&asks[i]);
                is_cancelled[i] = true;
                gone++;
            }
            if (done + gone < COUNT)
                uv_run(&w->loop, UV_RUN_ONCE);
        }
        assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_FLYING), 0);
        free(asks);
        cold_end(&cold);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_share_one_conn_where_it_turns_out_to_speak_http2),
        cmocka_unit_test(over_http1_the_others_get_conns_of_their_own_and_then_wait_in_their_order),
        cmocka_unit_test(what_was_aboard_two_conns_overtakes_neither_itself_nor_is_overtaken),
        cmocka_unit_test(deadlines_and_cancels_reach_who_was_put_off),
        cmocka_unit_test(direct_requests_beyond_the_line_are_refused_as_at_the_door),
        cmocka_unit_test(no_more_fly_than_may),
        cmocka_unit_test(a_server_that_cannot_be_secured_fails_all_that_were_aboard),
        cmocka_unit_test(whatever_happens_while_many_are_aboard_nobody_is_lost),
        cmocka_unit_test(a_twin_that_was_put_off_flies_on_at_its_server),
        cmocka_unit_test(so_it_does_where_no_more_may_fly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
