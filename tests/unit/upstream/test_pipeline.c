/* Pipelining on real sockets: who may stand behind whom, and whose answer it is. */
#include "tests/unit/upstream/piping.h"

static void requests_leave_before_the_first_is_answered_and_answers_come_in_their_order(void **state)
{
    worker_t *w = piping(1);
    ask_t asks[3];

    send_and_see(w, asks, 3);
    assert_string_equal(w->a.log, "0:GET /0 0:GET /1 0:GET /2 ");
    say(w, 0, FIRST);
    worker_until(w, &asks[0].is_done);
    assert_false(asks[1].is_done);
    say(w, 0, SECOND THIRD);
    until_done(w, asks, 3);
    for (int i = 0; i < 3; i++)
        assert_own_answer(&asks[i], i);
    assert_int_equal(w->a.conns, 1);
    assert_int_equal(metric(w, SHEAF_METRIC_PIPELINE_CUTS), 0);
    worker_end(w);
}

static void what_is_asked_in_one_turn_leaves_in_one_write(void **state)
{
    worker_t *w = piping(1);
    uint64_t before = metric(w, SHEAF_METRIC_BACKEND_BYTES_OUT), one;
    ask_t asks[3];

    send_all(w, asks, 1);
    one = metric(w, SHEAF_METRIC_BACKEND_BYTES_OUT) - before;
    for (int i = 1; i < 3; i++) {
        ask_get(&asks[i], w, targets[i]);
        ask_send(&asks[i]);
    }
    assert_int_equal(metric(w, SHEAF_METRIC_BACKEND_BYTES_OUT), before + one);
    answer_by_target(&w->a);
    until_done(w, asks, 3);
    for (int i = 0; i < 3; i++)
        assert_own_answer(&asks[i], i);
    assert_int_equal(metric(w, SHEAF_METRIC_BACKEND_BYTES_OUT), before + 3 * one);
    worker_end(w);
}

/* Before the turn is over: nothing of it has left, so the others wait for no answer to it. */
static void who_is_cancelled_before_it_was_sent_is_not_sent(void **state)
{
    for (int gone = 0; gone < 3; gone++) {
        worker_t *w = piping(1);
        ask_t asks[3];

        answer_by_target(&w->a);
        send_all(w, asks, 3);
        ask_cancel(&asks[gone]);
        for (int i = 0; i < 3; i++)
            if (i != gone) {
                worker_until(w, &asks[i].is_done);
                assert_own_answer(&asks[i], i);
            }
        if (gone != 0)
            assert_null(strstr(w->a.log, targets[gone]));
        worker_end(w);
    }
}

static void a_conn_takes_no_more_than_its_depth_and_the_rest_waits(void **state)
{
    worker_t *w = piping(1);
    ask_t asks[MANY], more;

    send_and_see(w, asks, MANY);
    ask_get(&more, w, "/more");
    ask_send(&more);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
    say(w, 0, FIRST);
    worker_until_count(w, &w->a.requests, 1 + MANY + 1);
    assert_true(asks[0].is_done);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), MANY);
    ask_cancel(&more);
    for (int i = 1; i < MANY; i++)
        ask_cancel(&asks[i]);
    worker_end(w);
}

static void a_conn_that_has_not_carried_an_exchange_takes_one(void **state)
{
    worker_t *w = worker_new();
    ask_t asks[2];

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->pipeline = MANY;
    w->conf->max_connections = 1;
    worker_open(w);
    step_text(&w->a, FIRST);
    step_text(&w->a, SECOND);
    send_all(w, asks, 2);
    until_done(w, asks, 2);
    assert_own_answer(&asks[1], 1);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), 0);
    worker_end(w);
}

static void without_the_setting_nothing_stands_behind_anything(void **state)
{
    worker_t *w = worker_new();
    ask_t asks[3];

    worker_use(w, "127.0.0.1", &w->a.port, 1);
    w->conf->max_connections = 1;
    worker_open(w);
    step_text(&w->a, FIRST);
    step_text(&w->a, SECOND);
    step_text(&w->a, THIRD);
    send_all(w, asks, 3);
    until_done(w, asks, 3);
    assert_own_answer(&asks[2], 2);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), 0);
    worker_end(w);
}

/* Not sent while another one flies on the only conn, whichever of the two came first. */
static void only_safe_requests_without_a_body_stand_in_a_pipeline(void **state)
{
    for (int kind = 0; kind < 4; kind++) {
        worker_t *w = piping(1);
        ask_t odd, get;
        bool is_odd_first = kind % 2 == 0;
        ask_t *first = is_odd_first ? &odd : &get, *second = is_odd_first ? &get : &odd;

        ask_get(&get, w, "/get");
        ask_post(&odd, w, "/odd", SHEAF_STR("body"));
        if (kind > 1) /* safe, but it has a body */
            odd.exchange.method = SHEAF_STR("GET");
        ask_send(first);
        ask_send(second);
        step_text(&w->a, "");
        step_text(&w->a, SECOND);
        worker_until_count(w, &w->a.requests, 2);
        assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_WAITING), 1);
        say(w, 0, FIRST);
        worker_until(w, &second->is_done);
        assert_own_answer(first, 0);
        assert_own_answer(second, 1);
        assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), 0);
        worker_end(w);
    }
}

static void another_conn_is_opened_before_anything_stands_behind_anything(void **state)
{
    worker_t *w = piping(2);
    ask_t asks[2];

    send_all(w, asks, 2);
    step_text(&w->a, FIRST);
    step_text(&w->a, SECOND);
    until_done(w, asks, 2);
    assert_int_equal(w->a.conns, 2);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), 0);
    worker_end(w);
}

/* The first two requests take a conn each, the next two go behind one each. */
static void the_shortest_queue_is_taken(void **state)
{
    worker_t *w = piping_on_two();
    ask_t asks[4];

    send_all(w, asks, 4);
    worker_until_count(w, &w->a.requests, 3 + 4);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_PIPELINED), 2);
    for (int conn = 0; conn < 2; conn++) {
        char wanted[] = {(char)('0' + conn), ':', '\0'};
        char *at = strstr(w->a.log, wanted);

        assert_non_null(at);
        at = strstr(at + 1, wanted);
        assert_non_null(at);
        assert_null(strstr(at + 1, wanted));
    }
    for (int i = 0; i < 4; i++)
        ask_cancel(&asks[i]);
    worker_end(w);
}

static ask_t late;

static void send_late(ask_t *ask)
{
    ask_get(&late, ask->worker, "/3");
    ask_send(&late);
}

/* A third answer has come with the first two, and somebody is sent from inside: it is not theirs. */
static void bytes_that_came_before_a_request_was_sent_are_not_its_answer(void **state)
{
    worker_t *w = piping(1);
    ask_t asks[2];

    send_and_see(w, asks, 2);
    asks[0].then = send_late;
    answer_by_target(&w->a);
    say(w, 0, FIRST SECOND THIRD);
    worker_until(w, &late.is_done);
    assert_own_answer(&asks[0], 0);
    assert_own_answer(&asks[1], 1);
    assert_own_answer(&late, 3);
    assert_int_equal(w->a.conns, 2);
    worker_end(w);
}

/* The first is answered before the turn is over in which the others were asked. */
static void answer_first(worker_t *w, ask_t *asks, int count, const char *answer, void (*then)(ask_t *ask))
{
    step_text(&w->a, "");
    send_all(w, asks, 1);
    asks[0].then = then;
    worker_until_count(w, &w->a.requests, 2);
    answer_by_target(&w->a);
    say(w, 0, answer);
    for (int i = 1; i < count; i++) {
        ask_get(&asks[i], w, targets[i]);
        ask_send(&asks[i]);
    }
    uv_prepare_stop(&w->prepare); /* what is soon comes after what can be read */
    worker_until(w, &asks[0].is_done);
    uv_prepare_start(&w->prepare, worker_on_prepare);
}

static void an_answer_that_came_before_its_request_left_is_nobodys(void **state)
{
    worker_t *w = piping(1);
    ask_t asks[2];

    answer_first(w, asks, 2, FIRST "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", NULL);
    until_done(w, asks, 2);
    assert_own_answer(&asks[0], 0);
    assert_own_answer(&asks[1], 1);
    assert_int_equal(w->a.conns, 2);
    worker_end(w);
}

static ask_t *last;

static void cancel_last(ask_t *ask)
{
    (void)ask;
    ask_cancel(last);
}

static void who_became_the_first_unsent_is_sent_though_others_leave(void **state)
{
    worker_t *w = piping(1);
    ask_t asks[3];

    last = &asks[2];
    answer_first(w, asks, 3, FIRST, cancel_last);
    until_done(w, asks, 2);
    assert_own_answer(&asks[1], 1);
    assert_int_equal(w->a.conns, 1);
    worker_end(w);
}

/* Every framing there is, and not only answers: cut in two at every byte. */
static void answers_are_matched_wherever_they_are_cut(void **state)
{
    static const char answers[] =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n#\r\n1;a=b\r\n0\r\n0\r\nTrailer: x\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" /* to a HEAD */
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#4";
    static const uint16_t statuses[] = {200, 200, 304, 404, 200};

    for (size_t at = 0; at < sizeof(answers) - 1; at++) {
        worker_t *w = piping(1);
        uint64_t in = metric(w, SHEAF_METRIC_BACKEND_BYTES_IN);
        ask_t asks[MANY];

        for (int i = 0; i < MANY; i++) {
            ask_get(&asks[i], w, targets[i]);
            asks[i].exchange.method = i == 1 ? SHEAF_STR("HEAD") : SHEAF_STR("GET");
            ask_send(&asks[i]);
        }
        worker_until_count(w, &w->a.requests, 1 + MANY);
        backend_say(w->a.conn[0], answers, at);
        worker_until_metric(w, SHEAF_METRIC_BACKEND_BYTES_IN, in + at);
        backend_say(w->a.conn[0], answers + at, sizeof(answers) - 1 - at);
        until_done(w, asks, MANY);
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(asks[i].err, SHEAF_OK);
            assert_int_equal(asks[i].status, statuses[i]);
            assert_int_equal(asks[i].len, i == 0 || i == 4 ? 2 : 0);
        }
        assert_own_answer(&asks[0], 0);
        assert_own_answer(&asks[4], 4);
        assert_int_equal(w->a.conns, 1);
        assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
        worker_end(w);
    }
}

/* Bowing: TLS says that nothing follows, when the second answer is still to come. */
static void over_tls_it_is_the_same(void **state)
{
    for (int is_bowing = 0; is_bowing < 2; is_bowing++) {
        worker_t *w = worker_new();
        pki_t pki = pki_new((wish_t){.names = "IP:127.0.0.1"});
        ask_t asks[3];

        w->a.context = server_context(&pki, 0, false);
        w->snapshot = secure_snapshot(&pki, &w->a.port, 1, "{ca: ca}");
        w->conf = w->snapshot->conf.upstreams.items;
        w->conf->pipeline = MANY;
        w->conf->max_connections = 1;
        worker_open(w);
        step_text(&w->a, OK_HI);
        ask_get(&asks[0], w, "/first");
        ask_whole(&asks[0]);
        send_and_see(w, asks, 3);
        answer_by_target(&w->a);
        say(w, 0, FIRST);
        if (is_bowing)
            backend_bow(w->a.conn[0]);
        else
            say(w, 0, SECOND THIRD);
        until_done(w, asks, 3);
        for (int i = 0; i < 3; i++)
            assert_own_answer(&asks[i], i);
        assert_int_equal(w->a.conns, 1 + is_bowing);
        worker_end(w);
        pki_free(&pki);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_matched_wherever_they_are_cut),
        cmocka_unit_test(over_tls_it_is_the_same),
        cmocka_unit_test(requests_leave_before_the_first_is_answered_and_answers_come_in_their_order),
        cmocka_unit_test(what_is_asked_in_one_turn_leaves_in_one_write),
        cmocka_unit_test(who_is_cancelled_before_it_was_sent_is_not_sent),
        cmocka_unit_test(an_answer_that_came_before_its_request_left_is_nobodys),
        cmocka_unit_test(who_became_the_first_unsent_is_sent_though_others_leave),
        cmocka_unit_test(a_conn_takes_no_more_than_its_depth_and_the_rest_waits),
        cmocka_unit_test(a_conn_that_has_not_carried_an_exchange_takes_one),
        cmocka_unit_test(without_the_setting_nothing_stands_behind_anything),
        cmocka_unit_test(only_safe_requests_without_a_body_stand_in_a_pipeline),
        cmocka_unit_test(another_conn_is_opened_before_anything_stands_behind_anything),
        cmocka_unit_test(the_shortest_queue_is_taken),
        cmocka_unit_test(bytes_that_came_before_a_request_was_sent_are_not_its_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
