/* What an exchange sees of one answer, whatever the backend sends. */
#include "tests/unit/upstream/harness.h"

static void the_request_goes_out_as_it_should(void **state)
{
    worker_t *w = worker_new();
    sheaf_header_t own[] = {{SHEAF_STR("accept"), SHEAF_STR("a/b")}};
    sheaf_header_block_t shared = {.wire = SHEAF_STR("via: 1.1 sheaf\r\n")};
    ask_t ask;

    worker_open(w);
    step_text(&w->a, OK_HI);
    ask_post(&ask, w, "/x?y=1", SHEAF_STR("{\"a\":1}"));
    ask.exchange.headers = (sheaf_headers_t){own, 1, 1};
    ask.exchange.shared = &shared;
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_string_equal(w->a.last, "POST /x?y=1 HTTP/1.1\r\nhost: backend.test\r\naccept: a/b\r\nvia: 1.1 sheaf\r\n"
                                   "content-length: 7\r\n\r\n{\"a\":1}");
    worker_end(w);
}

/* One answer on a conn of its own; `stays`: the conn is kept for the next exchange. */
static void check_answer(const char *text, bool then_close, sheaf_err_t err, uint16_t status, const char *body,
                         bool stays)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, text);
    w->a.steps[0].then_close = then_close;
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, err);
    if (err == SHEAF_OK)
        assert_answer(&ask, status, body);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), stays ? 1 : 0);
    worker_end(w);
}

static void bodies_of_every_framing_are_read(void **state)
{
    check_answer(OK_HI, false, SHEAF_OK, 200, "hi", true);
    check_answer("HTTP/1.1 204 No Content\r\n\r\n", false, SHEAF_OK, 204, "", true);
    check_answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, SHEAF_OK, 200, "", true);
    check_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: 1\r\n\r\n",
                 false, SHEAF_OK, 200, "abcde", true);
    check_answer("HTTP/1.1 200 OK\r\n\r\nto the end", true, SHEAF_OK, 200, "to the end", false);
    check_answer("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, SHEAF_OK, 200, "hi", false);
    check_answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", false, SHEAF_OK, 200, "hi",
                 false);
    check_answer("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", false, SHEAF_OK, 503, "no", true);
}

static void interim_answers_are_skipped_but_not_for_ever(void **state)
{
    char many[2048] = "";

    check_answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" OK_HI, false, SHEAF_OK, 200,
                 "hi", true);
    check_answer("HTTP/1.1 101 Switching Protocols\r\n\r\n", false, SHEAF_ERR_MALFORMED, 0, "", false);
    for (int i = 0; i < 17; i++)
        strcat(many, "HTTP/1.1 102 Processing\r\n\r\n");
    strcat(many, OK_HI);
    check_answer(many, false, SHEAF_ERR_MALFORMED, 0, "", false);
}

static void ambiguous_answers_are_refused_and_the_conn_dropped(void **state)
{
    check_answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", false, SHEAF_ERR_MALFORMED, 0,
                 "", false);
    check_answer("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi", false, SHEAF_ERR_MALFORMED, 0, "", false);
    check_answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
                 SHEAF_ERR_MALFORMED, 0, "", false);
    check_answer("SSH-2.0-OpenSSH_9.2\r\n\r\n", false, SHEAF_ERR_MALFORMED, 0, "", false);
    check_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, SHEAF_ERR_MALFORMED, 0, "",
                 false);
}

static void half_an_answer_is_a_reset(void **state)
{
    check_answer("HTTP/1.1 200 OK\r\nContent-Le", true, SHEAF_ERR_RESET, 0, "", false);
    check_answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", true, SHEAF_ERR_RESET, 0, "", false);
    check_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, SHEAF_ERR_RESET, 0, "",
                 false);
    check_answer("", true, SHEAF_ERR_RESET, 0, "", false);
}

/* Without a length its end is the close: one that was broken off is not its end, however close behind the bytes it comes. */
static void an_answer_that_ends_by_a_close_does_not_end_by_a_reset(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, "HTTP/1.1 200 OK\r\n\r\nhal");
    w->a.steps[0].then_reset = true;
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    worker_end(w);
}

/* What had begun is not sent again whatever `retry` says; who wonders why reads it here. */
static void the_detail_tells_an_answer_that_was_cut_from_one_that_never_began(void **state)
{
    static const struct {
        const char *text;
        const char *detail;
    } cases[] = {
        {"", ""},
        {"HTTP/1.1 200 OK\r\nContent-Le", ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "within its answer: the backend closed the connection"},
    };

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        worker_t *w = worker_new();
        ask_t ask;

        worker_open(w);
        step_text(&w->a, cases[i].text);
        w->a.steps[0].then_close = true;
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_int_equal(ask.err, SHEAF_ERR_RESET);
        assert_blamed(&ask, cases[i].detail);
        worker_end(w);
    }
}

static void bytes_behind_an_answer_reach_nobody(void **state)
{
    worker_t *w = worker_new();
    ask_t one, two;

    worker_open(w);
    w->conf->max_connections = 1;
    step_text(&w->a, OK_HI "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    step_text(&w->a, OK_HI);
    ask_get(&one, w, "/1");
    ask_get(&two, w, "/2");
    ask_send(&one);
    ask_send(&two); /* waits for the very conn */
    worker_until(w, &one.is_done);
    worker_until(w, &two.is_done);
    assert_answer(&one, 200, "hi");
    assert_answer(&two, 200, "hi");
    assert_string_equal(w->a.log, "0:GET /1 1:GET /2 ");
    worker_end(w);
}

static void a_head_in_pieces_is_put_together(void **state)
{
    static const char text[] =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Name: value\r\nContent-Length: 5\r\n\r\nhello";
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    for (size_t cut = 1; cut < sizeof(text) - 1; cut += 3) {
        uint64_t seen;

        w->a.step_count = w->a.requests = 0;
        w->a.log[0] = '\0';
        step_bytes(&w->a, text, cut);
        ask_get(&ask, w, "/");
        ask_send(&ask);
        seen = metric(w, SHEAF_METRIC_BACKEND_BYTES_IN);
        worker_until_metric(w, SHEAF_METRIC_BACKEND_BYTES_IN, seen + cut);
        backend_say(w->a.conn[0], text + cut, sizeof(text) - 1 - cut);
        worker_until(w, &ask.is_done);
        assert_answer(&ask, 200, "hello");
    }
    assert_int_equal(w->a.conns, 1);
    worker_end(w);
}

static void a_head_over_64_kib_is_refused(void **state)
{
    static char text[80000];
    worker_t *w = worker_new();
    ask_t ask;
    size_t len = 0;

    len += (size_t)sprintf(text, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 70; i++)
        len += (size_t)sprintf(text + len, "x-%d: %01000d\r\n", i, 0);
    len += (size_t)sprintf(text + len, "content-length: 0\r\n\r\n");
    worker_open(w);
    step_bytes(&w->a, text, len);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_MALFORMED);
    worker_end(w);
}

static void an_answer_that_is_too_large_is_cut_off(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    step_text(&w->a, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    ask_get(&ask, w, "/");
    ask.most = 4;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_ANSWER_TOO_LARGE);
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_ANSWER_TOO_LARGE);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    worker_end(w);
}

static void a_head_request_has_no_body(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n");
    ask_get(&ask, w, "/");
    ask.exchange.method = SHEAF_STR("HEAD");
    ask_whole(&ask);
    assert_answer(&ask, 200, "");
    assert_int_equal(ask.announced, 0);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    worker_end(w);
}

static void a_large_body_is_written_to_its_end(void **state)
{
    static char body[1 << 20];
    worker_t *w = worker_new();
    ask_t ask;

    memset(body, 'x', sizeof(body));
    worker_open(w);
    step_text(&w->a, OK_HI);
    ask_post(&ask, w, "/", sheaf_str(body, sizeof(body)));
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_true(metric(w, SHEAF_METRIC_BACKEND_BYTES_OUT) > sizeof(body));
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    worker_end(w);
}

static void an_answer_before_the_request_was_written_stands_and_ends_the_conn(void **state)
{
    static char body[8 << 20];
    worker_t *w = worker_new();
    ask_t ask;

    worker_open(w);
    w->a.is_deaf = true;
    ask_post(&ask, w, "/", sheaf_str(body, sizeof(body)));
    ask_send(&ask);
    worker_until_count(w, &w->a.conns, 1);
    worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 1);
    backend_say(w->a.conn[0], "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno", 41);
    worker_until(w, &ask.is_done);
    assert_answer(&ask, 413, "no");
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_goes_out_as_it_should),
        cmocka_unit_test(bodies_of_every_framing_are_read),
        cmocka_unit_test(interim_answers_are_skipped_but_not_for_ever),
        cmocka_unit_test(ambiguous_answers_are_refused_and_the_conn_dropped),
        cmocka_unit_test(half_an_answer_is_a_reset),
        cmocka_unit_test(an_answer_that_ends_by_a_close_does_not_end_by_a_reset),
        cmocka_unit_test(the_detail_tells_an_answer_that_was_cut_from_one_that_never_began),
        cmocka_unit_test(bytes_behind_an_answer_reach_nobody),
        cmocka_unit_test(a_head_in_pieces_is_put_together),
        cmocka_unit_test(a_head_over_64_kib_is_refused),
        cmocka_unit_test(an_answer_that_is_too_large_is_cut_off),
        cmocka_unit_test(a_head_request_has_no_body),
        cmocka_unit_test(a_large_body_is_written_to_its_end),
        cmocka_unit_test(an_answer_before_the_request_was_written_stands_and_ends_the_conn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
