/* first_byte_timeout and idle_timeout: how long a backend may be silent, before an answer and within one. */
#include "tests/unit/upstream/harness.h"

#define HALF "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi"

static worker_t *watching(uint64_t first_byte_ms, uint64_t idle_ms)
{
    worker_t *w = worker_new();
    uint16_t ports[] = {w->a.port, w->b.port};

    worker_use(w, "127.0.0.1", ports, 2);
    w->conf->first_byte_timeout_ms = first_byte_ms;
    w->conf->idle_timeout_ms = idle_ms;
    return w;
}

/* The backend says more to the request that got half an answer. */
static void say_more(worker_t *w, const char *text)
{
    backend_say(w->a.conn[0], text, strlen(text));
}

static void a_backend_that_begins_no_answer_in_time_is_504(void **state)
{
    worker_t *w = watching(50, 0);
    uint64_t sent_ms = w->clock.now_ms;
    ask_t ask;

    worker_open(w);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_blamed(&ask, "no answer began in time");
    assert_in_range(w->clock.now_ms - sent_ms, 50, 1000);
    worker_end(w);
}

static void an_answer_that_stands_still_is_504(void **state)
{
    worker_t *w = watching(0, 50);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, HALF);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_blamed(&ask, "the answer made no progress");
    assert_int_equal(ask.status, 200);
    worker_end(w);
}

static uv_timer_t drip;
static worker_t *dripping;
static int drops;

static void on_drip(uv_timer_t *timer)
{
    if (drops-- > 0)
        say_more(dripping, "x");
    else
        uv_timer_stop(timer);
}

static void an_answer_that_comes_slowly_but_comes_may_take_its_time(void **state)
{
    worker_t *w = watching(250, 250);
    uint64_t sent_ms = w->clock.now_ms;
    ask_t ask;

    worker_open(w);
    step_text(&w->a, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nhi");
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until(w, &ask.has_head);
    dripping = w;
    drops = 12;
    uv_timer_init(&w->loop, &drip);
    uv_timer_start(&drip, on_drip, 30, 30);
    worker_until(w, &ask.is_done);
    uv_close((uv_handle_t *)&drip, NULL);
    assert_answer(&ask, 200, "hixxxxxxxxxxxx");
    assert_true(w->clock.now_ms - sent_ms > 300);
    worker_end(w);
}

static void on_piece(uv_timer_t *timer)
{
    say_more(dripping, timer->data);
    worker_has_slept(dripping);
}

/* And not when the loop lay down that its bytes have woken. */
static void silence_within_an_answer_begins_with_its_last_bytes(void **state)
{
    worker_t *w = watching(2000, 2000);
    ask_t ask;

    worker_open(w);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    worker_until_count(w, &w->a.requests, 1);
    dripping = w;
    uv_timer_init(&w->loop, &drip);
    drip.data = HALF;
    uv_timer_start(&drip, on_piece, 0, 0);
    worker_until(w, &ask.has_head);
    drip.data = "ho";
    uv_timer_start(&drip, on_piece, 20, 0);
    worker_until(w, &ask.is_done);
    uv_close((uv_handle_t *)&drip, NULL);
    assert_answer(&ask, 200, "hiho");
    worker_end(w);
}

static void silence_before_an_answer_is_retried_where_that_is_listed(void **state)
{
    static const uint32_t lists[] = {1u << SHEAF_RETRY_ON_TIMEOUT, 1u << SHEAF_RETRY_ON_504,
                                     1u << SHEAF_RETRY_ON_RESET};

    for (size_t i = 0; i < SHEAF_COUNT(lists); i++) {
        worker_t *w = watching(50, 0);
        ask_t ask;

        w->conf->retry = (sheaf_retry_conf_t){.mark = {1, 1}, .attempts = 2, .on = lists[i], .budget_percent = 20};
        worker_open(w); /* a is silent */
        step_text(&w->b, OK_HI);
        ask_get(&ask, w, "/");
        ask.exchange.is_repeatable = true;
        ask_whole(&ask);
        assert_int_equal(ask.err, lists[i] == 1u << SHEAF_RETRY_ON_RESET ? SHEAF_ERR_TIMEOUT : SHEAF_OK);
        worker_end(w);
    }
}

static void a_conn_that_rests_is_not_watched(void **state)
{
    worker_t *w = watching(50, 50);
    ask_t ask;

    worker_open(w);
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    ask_get(&ask, w, "/"); /* b is silent, for longer than a's conn rests */
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 1);
    worker_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_that_begins_no_answer_in_time_is_504),
        cmocka_unit_test(an_answer_that_stands_still_is_504),
        cmocka_unit_test(an_answer_that_comes_slowly_but_comes_may_take_its_time),
        cmocka_unit_test(silence_within_an_answer_begins_with_its_last_bytes),
        cmocka_unit_test(silence_before_an_answer_is_retried_where_that_is_listed),
        cmocka_unit_test(a_conn_that_rests_is_not_watched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
