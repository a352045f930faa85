/* Retries on real sockets: what the owner of an exchange, and the backends, see of them. */
#include "tests/unit/upstream/failing.h"

static void assert_retries(worker_t *w, uint64_t count)
{
    assert_int_equal(metric(w, SHEAF_METRIC_RETRIES), count);
    assert_int_equal(upstat(w, SHEAF_UPSTAT_RETRIES), count);
    assert_int_equal(metric(w, SHEAF_METRIC_EXCHANGES_RESTING), 0);
}

static void an_answer_to_retry_never_reaches_its_owner_and_another_server_is_asked(void **state)
{
    static const char *const bad[] = {
        BUSY,
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 504 Gateway Timeout\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 100000\r\n\r\nnot all of it",
        "HTTP/1.1 503 Service Unavailable\r\n\r\nuntil the end",
    };

    for (size_t i = 0; i < SHEAF_COUNT(bad); i++) {
        worker_t *w = retrying(2);
        ask_t ask;

        worker_open(w);
        step_text(&w->a, bad[i]);
        step_text(&w->b, OK_HI);
        get_whole(&ask, w);
        assert_answer(&ask, 200, "hi");
        assert_int_equal(w->a.requests, 1);
        assert_int_equal(w->b.requests, 1);
        assert_retries(w, 1);
        worker_end(w);
    }
}

/* The primary takes connections, so balance alone would never leave it. */
static void a_second_attempt_goes_to_the_backup_when_there_is_no_other_server(void **state)
{
    worker_t *w = retrying(2);
    ask_t ask;

    w->conf->servers.items[1].backup = true;
    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->b, OK_HI);
    get_whole(&ask, w);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(w->a.requests, 1);
    assert_int_equal(w->b.requests, 1);
    worker_end(w);
}

static void a_conn_whose_answer_was_thrown_away_whole_is_used_again(void **state)
{
    worker_t *w = retrying(1);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->a, OK_HI);
    get_whole(&ask, w);
    assert_answer(&ask, 200, "hi");
    assert_string_equal(w->a.log, "0:GET / 0:GET / ");
    worker_end(w);
}

static void a_reset_before_the_head_is_retried_and_one_behind_it_is_final(void **state)
{
    static const struct {
        const char *bytes;
        sheaf_err_t err;
    } cases[] = {
        {"", SHEAF_OK}, {"HTTP/1.1 20", SHEAF_OK}, {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", SHEAF_ERR_RESET}};

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        worker_t *w = retrying(2);
        ask_t ask;

        worker_open(w);
        step_close(&w->a, cases[i].bytes);
        step_text(&w->b, OK_HI);
        get_whole(&ask, w);
        assert_int_equal(ask.err, cases[i].err);
        assert_retries(w, cases[i].err == SHEAF_OK);
        worker_end(w);
    }
}

static void a_post_is_not_sent_twice_unless_its_owner_vouches_for_it(void **state)
{
    for (int is_vouched = 0; is_vouched < 2; is_vouched++) {
        worker_t *w = retrying(2);
        ask_t ask;

        worker_open(w);
        step_close(&w->a, "");
        step_text(&w->b, OK_HI);
        ask_post(&ask, w, "/", SHEAF_STR("x"));
        ask.exchange.is_repeatable = is_vouched;
        ask_whole(&ask);
        assert_int_equal(ask.err, is_vouched ? SHEAF_OK : SHEAF_ERR_RESET);
        assert_int_equal(w->a.requests + w->b.requests, 1 + is_vouched);
        worker_end(w);
    }
}

static void the_last_attempt_is_passed_on_as_it_is(void **state)
{
    worker_t *w = retrying(2);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY);
    step_text(&w->b, BUSY);
    get_whole(&ask, w);
    assert_answer(&ask, 503, "busy");
    assert_retries(w, 1);
    worker_end(w);
}

static void without_the_section_nothing_is_retried(void **state)
{
    worker_t *w = retrying(2);
    ask_t ask;

    w->conf->retry.mark = (sheaf_mark_t){0, 0};
    worker_open(w);
    step_text(&w->a, BUSY);
    get_whole(&ask, w);
    assert_answer(&ask, 503, "busy");
    assert_retries(w, 0);
    worker_end(w);
}

static void a_refused_connection_is_tried_again_once_every_address_was(void **state)
{
    worker_t *w = retrying(1);
    ask_t ask;

    backend_stop(&w->a);
    worker_open(w);
    ask_post(&ask, w, "/", SHEAF_STR("x")); /* nothing was sent: safe whatever it is */
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_REFUSED);
    assert_retries(w, 1);
    worker_end(w);
}

static void retry_after_beyond_the_deadline_passes_the_answer_on(void **state)
{
    worker_t *w = retrying(1);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY_FOR "60" REST);
    get_whole(&ask, w);
    assert_answer(&ask, 503, "busy");
    assert_int_equal(w->a.requests, 1);
    worker_end(w);
}

static void retry_after_is_waited_for(void **state)
{
    worker_t *w = retrying(1);
    uint64_t sent_ms;
    ask_t ask;

    worker_open(w);
    step_text(&w->a, BUSY_FOR "1" REST);
    step_text(&w->a, OK_HI);
    get_repeatable(&ask, w, "/");
    sent_ms = w->clock.now_ms;
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_true(w->clock.now_ms - sent_ms >= 1000);
    worker_end(w);
}

static void a_retry_does_not_outlive_the_deadline(void **state)
{
    worker_t *w = retrying(1);
    uint64_t sent_ms;
    ask_t ask;

    w->conf->retry.attempts = 10;
    worker_open(w);
    for (int i = 0; i < 3; i++)
        step_text(&w->a, BUSY);
    get_repeatable(&ask, w, "/"); /* the fourth attempt gets no answer */
    sent_ms = w->clock.now_ms;
    ask.exchange.deadline_ms = sent_ms + 200;
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(w->a.requests, 4);
    assert_in_range(w->clock.now_ms - sent_ms, 200, 1000);
    worker_end(w);
}

static void an_exchange_at_rest_can_be_cancelled(void **state)
{
    worker_t *w = retrying(1);
    ask_t ask;

    w->conf->retry.backoff_ms = 1000;
    worker_open(w);
    step_text(&w->a, BUSY);
    get_repeatable(&ask, w, "/");
    ask_send(&ask);
    worker_until_metric(w, SHEAF_METRIC_EXCHANGES_RESTING, 1);
    ask_cancel(&ask);
    assert_false(ask.is_done || ask.has_head);
    assert_int_equal(w->a.requests, 1);
    assert_retries(w, 1);
    worker_end(w);
}

static void a_backend_that_only_fails_sees_no_more_than_the_budget(void **state)
{
    worker_t *w = retrying(1);
    uint64_t sent_ms = w->clock.now_ms;
    ask_t asks[40];
    int seconds;

    w->conf->retry.attempts = 10;
    worker_open(w);
    for (int i = 0; i < MAX_STEPS; i++)
        step_text(&w->a, BUSY);
    ask_many(w, asks, 40);
    for (int i = 0; i < 40; i++)
        assert_answer(&asks[i], 503, "busy");
    seconds = (int)((w->clock.now_ms - sent_ms) / 1000) + 2; /* begun ones count */
    assert_in_range(w->a.requests, 40 + 8, 40 + 8 + 3 * seconds);
    assert_true(metric(w, SHEAF_METRIC_RETRIES_REFUSED) > 0);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_to_retry_never_reaches_its_owner_and_another_server_is_asked),
        cmocka_unit_test(a_second_attempt_goes_to_the_backup_when_there_is_no_other_server),
        cmocka_unit_test(a_conn_whose_answer_was_thrown_away_whole_is_used_again),
        cmocka_unit_test(a_reset_before_the_head_is_retried_and_one_behind_it_is_final),
        cmocka_unit_test(a_post_is_not_sent_twice_unless_its_owner_vouches_for_it),
        cmocka_unit_test(the_last_attempt_is_passed_on_as_it_is),
        cmocka_unit_test(without_the_section_nothing_is_retried),
        cmocka_unit_test(a_refused_connection_is_tried_again_once_every_address_was),
        cmocka_unit_test(retry_after_beyond_the_deadline_passes_the_answer_on),
        cmocka_unit_test(retry_after_is_waited_for),
        cmocka_unit_test(a_retry_does_not_outlive_the_deadline),
        cmocka_unit_test(an_exchange_at_rest_can_be_cancelled),
        cmocka_unit_test(a_backend_that_only_fails_sees_no_more_than_the_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
