/* Large bodies towards backends that do not read: in clear text and over TLS alike. */
#include "gateway/upstream/conn.h"
#include "tests/unit/upstream/h2_backend.h"

#define BODY_SIZE   ((size_t)1 << 20)
#define PIECE_SIZE  ((size_t)66 << 10) /* the largest one, and what TLS adds to it */
#define KERNEL_SIZE (200 << 10)

/* A worker with a body for a backend whose sockets hold little of it. */
typedef struct writing {
    worker_t *w;
    bool is_tls;
    pki_t pki;
    char *body;
    uv_prepare_t watch;
    ask_t *watched;
    size_t most_held; /* by libuv */
} writing_t;

static void hold(const uv_handle_t *handle, int option, int size)
{
    uv_os_fd_t fd;

    assert_int_equal(uv_fileno(handle, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)), 0);
}

static void hold_little(const uv_handle_t *handle, int option)
{
    hold(handle, option, 64 << 10);
}

static const sheaf_conn_t *conn_of(const ask_t *ask)
{
    const sheaf_flight_t *flight = ask->exchange.flight;

    return flight == NULL ? NULL : flight->conn;
}

static void on_watch(uv_prepare_t *watch)
{
    writing_t *writing = watch->data;
    const sheaf_conn_t *conn = conn_of(writing->watched);
    size_t held = conn == NULL ? 0 : uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);

    writing->most_held = held > writing->most_held ? held : writing->most_held;
}

static void watch(writing_t *writing, ask_t *ask)
{
    uv_prepare_init(&writing->w->loop, &writing->watch);
    writing->watch.data = writing;
    writing->watched = ask;
    memset(ask, 0, sizeof(*ask));
    uv_prepare_start(&writing->watch, on_watch);
}

static writing_t *writing_new(bool is_tls)
{
    writing_t *writing = calloc(1, sizeof(*writing));
    worker_t *w = writing->w = worker_new();

    writing->is_tls = is_tls;
    if (is_tls) {
        writing->pki = pki_new((wish_t){.names = "IP:127.0.0.1"});
        w->a.context = server_context(&writing->pki, 0, false);
        w->snapshot = secure_snapshot(&writing->pki, &w->a.port, 1, "{ca: ca}");
    } else {
        w->snapshot = snapshot_of("127.0.0.1", &w->a.port, 1);
    }
    w->conf = w->snapshot->conf.upstreams.items;
    w->a.is_slow = true;
    hold_little((uv_handle_t *)&w->a.listener, SO_RCVBUF);
    writing->body = malloc(BODY_SIZE);
    for (size_t i = 0; i < BODY_SIZE; i++)
        writing->body[i] = (char)('a' + i % 23);
    return writing;
}

static void writing_end(writing_t *writing)
{
    worker_end(writing->w);
    if (writing->is_tls)
        pki_free(&writing->pki);
    free(writing->body);
    free(writing);
}

static void send_body(writing_t *writing, ask_t *ask)
{
    ask_post(ask, writing->w, "/", sheaf_str(writing->body, BODY_SIZE));
    ask_send(ask);
    hold_little((const uv_handle_t *)&conn_of(ask)->tcp, SO_SNDBUF);
}

/* Sends the body, and runs until the sockets are full of it. */
static void send_into_silence(writing_t *writing, ask_t *ask)
{
    worker_t *w = writing->w;

    if (w->view == NULL)
        worker_open(w);
    send_body(writing, ask);
    worker_until_metric(w, SHEAF_METRIC_CONNS_ACTIVE, 1);
    assert_true(conn_of(ask)->is_writing);
}

/* Its owner's memory is gone with the answer or the cancel: nothing may look at it any more. */
static void lose_body(writing_t *writing)
{
    free(writing->body);
    writing->body = NULL;
}

static void each_way(void (*story)(writing_t *writing, worker_t *w))
{
    for (int is_tls = 0; is_tls < 2; is_tls++) {
        writing_t *writing = writing_new(is_tls);

        story(writing, writing->w);
        writing_end(writing);
    }
}

/* --- the stories --- */

static void read_slowly(writing_t *writing, worker_t *w)
{
    ask_t asks[2];

    watch(writing, &asks[0]);
    step_text(&w->a, OK_HI);
    step_text(&w->a, OK_HI);
    send_into_silence(writing, &asks[0]);
    for (int i = 0; i < 10; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_true(conn_of(&asks[0])->is_writing);
    backend_hear(&w->a);
    worker_until(w, &asks[0].is_done);
    assert_answer(&asks[0], 200, "hi");
    assert_true(w->a.body_sum == sum_of(writing->body, BODY_SIZE));
    assert_in_range(writing->most_held, 1, PIECE_SIZE);

    ask_get(&asks[1], w, "/"); /* and the conn is as good as new */
    ask_whole(&asks[1]);
    assert_answer(&asks[1], 200, "hi");
    assert_int_equal(w->a.conns, 1);
    uv_close((uv_handle_t *)&writing->watch, NULL);
}

static void a_body_that_is_read_slowly_is_held_in_pieces_and_arrives_whole(void **state)
{
    each_way(read_slowly);
}

static void stop_reading(h2_conn_t *conn, int32_t id)
{
    peer_u32(&conn->peer, NGHTTP2_WINDOW_UPDATE, id, 1 << 30);
    peer_u32(&conn->peer, NGHTTP2_WINDOW_UPDATE, 0, 1 << 30);
    uv_read_stop((uv_stream_t *)&conn->tcp);
}

/* Its windows are wide open: only the socket holds the gateway back. */
static void over_http2_it_is_held_in_pieces_too(void **state)
{
    writing_t *writing = writing_new(false);
    worker_t *w = writing->w;
    h2_backend_t a;
    ask_t ask;

    h2_start(&a, &w->loop);
    hold_little((uv_handle_t *)&a.listener, SO_RCVBUF);
    a.on_request = stop_reading;
    w->conf->servers.items[0].url.port = a.port;
    w->conf->protocol = SHEAF_PROTOCOL_HTTP2;
    w->conf->max_streams = 100;
    worker_open(w);
    watch(writing, &ask);
    send_body(writing, &ask);
    worker_until_count(w, &a.requests, 1);
    worker_until(w, &conn_of(&ask)->is_writing);
    for (int i = 0; i < 10; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_true(conn_of(&ask)->is_writing);
    uv_read_start((uv_stream_t *)&a.conn[0]->tcp, h2_on_buffer, h2_on_read);
    while (a.body_len < BODY_SIZE)
        uv_run(&w->loop, UV_RUN_ONCE);
    peer_answer(&a.conn[0]->peer, 1, "hi");
    h2_flush(a.conn[0]);
    worker_until(w, &ask.is_done);
    assert_answer(&ask, 200, "hi");
    assert_in_range(writing->most_held, 1, SHEAF_CONN_WRITE_SIZE);
    uv_close((uv_handle_t *)&writing->watch, NULL);
    h2_stop(&a);
    writing_end(writing);
}

static void cancel_amid(writing_t *writing, worker_t *w)
{
    ask_t ask;

    send_into_silence(writing, &ask);
    ask_cancel(&ask);
    lose_body(writing);
    backend_hear(&w->a);
    while (w->a.conn[0] != NULL)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->a.requests, 0);
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/next");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_string_equal(w->a.log, "1:GET /next ");
}

static void a_body_may_be_cancelled_while_it_is_written(void **state)
{
    each_way(cancel_amid);
}

static void answer_amid(writing_t *writing, worker_t *w)
{
    ask_t ask;

    send_into_silence(writing, &ask);
    worker_until(w, &w->a.conn[0]->has_begun);
    backend_say(w->a.conn[0], "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno", 41);
    worker_until(w, &ask.is_done);
    lose_body(writing);
    assert_answer(&ask, 413, "no");
    assert_int_equal(metric(w, SHEAF_METRIC_CONNS_IDLE), 0);
    backend_hear(&w->a);
    step_text(&w->a, OK_HI);
    ask_get(&ask, w, "/next");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_string_equal(w->a.log, "1:GET /next ");
}

static void an_answer_that_comes_before_the_body_is_written_stands_and_ends_the_conn(void **state)
{
    each_way(answer_amid);
}

static void reset_amid(writing_t *writing, worker_t *w)
{
    ask_t ask;

    send_into_silence(writing, &ask);
    worker_until(w, &w->a.conn[0]->has_begun);
    backend_reset(w->a.conn[0]);
    worker_until(w, &ask.is_done);
    lose_body(writing);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
    assert_int_equal(w->a.conns, 1); /* it may have been acted on */
}

static void a_reset_while_a_body_is_written_ends_its_exchange(void **state)
{
    each_way(reset_amid);
}

/* The reset is told to whoever writes, and reading sees an end. */
static void cut_amid(writing_t *writing, worker_t *w)
{
    ask_t ask;

    send_into_silence(writing, &ask);
    worker_until(w, &w->a.conn[0]->has_begun);
    backend_say(w->a.conn[0], "HTTP/1.1 200 OK\r\n\r\nhal", 22);
    worker_until(w, &ask.has_head);
    backend_reset(w->a.conn[0]);
    worker_until(w, &ask.is_done);
    lose_body(writing);
    assert_int_equal(ask.err, SHEAF_ERR_RESET);
}

static void an_answer_that_is_broken_off_while_a_body_is_written_is_not_whole(void **state)
{
    each_way(cut_amid);
}

static void repeat(writing_t *writing, worker_t *w)
{
    ask_t ask;

    w->a.is_slow = false;
    step_text(&w->a, OK_HI);
    worker_open(w);
    ask_get(&ask, w, "/first");
    ask_whole(&ask);
    w->a.conn[0]->has_begun = false;
    w->a.is_slow = true;
    ask_post(&ask, w, "/", sheaf_str(writing->body, BODY_SIZE));
    ask.exchange.is_idempotent = true;
    ask_send(&ask);
    worker_until(w, &w->a.conn[0]->has_begun);
    backend_hear(&w->a);
    step_text(&w->a, OK_HI);
    backend_reset(w->a.conn[0]);
    worker_until(w, &ask.is_done);
    assert_answer(&ask, 200, "hi");
    assert_string_equal(w->a.log, "0:GET /first 1:POST / ");
    assert_true(w->a.body_sum == sum_of(writing->body, BODY_SIZE));
}

static void a_body_that_is_sent_again_begins_at_its_beginning(void **state)
{
    each_way(repeat);
}

/* first_byte_timeout is for a backend that has the whole request. */
static void be_silent(writing_t *writing, worker_t *w)
{
    uint64_t sent_ms = w->clock.now_ms;
    ask_t ask;

    w->conf->first_byte_timeout_ms = 50;
    w->conf->timeout_ms = 400;
    send_into_silence(writing, &ask);
    worker_until(w, &ask.is_done);
    lose_body(writing);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_blamed(&ask, "no answer came in time");
    assert_true(w->clock.now_ms - sent_ms >= 400);
}

static void a_backend_that_reads_nothing_has_the_whole_timeout(void **state)
{
    each_way(be_silent);
}

static void read_and_be_silent(writing_t *writing, worker_t *w)
{
    ask_t ask;

    w->conf->first_byte_timeout_ms = 100;
    send_into_silence(writing, &ask);
    worker_until(w, &w->a.conn[0]->has_begun);
    backend_hear(&w->a);
    worker_until(w, &ask.is_done);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_blamed(&ask, "no answer began in time");
    assert_int_equal(w->a.requests, 1);
}

static void one_that_has_read_all_may_be_silent_for_as_long_as_before_any_answer(void **state)
{
    each_way(read_and_be_silent);
}

static uv_timer_t pace;

/* It reads once more, see is_slow. */
static void on_pace(uv_timer_t *timer)
{
    worker_t *w = timer->data;

    if (w->a.conn[0] != NULL)
        uv_read_start((uv_stream_t *)&w->a.conn[0]->tcp, backend_on_buffer, backend_on_read);
}

/* Of a size that our kernel takes in one go, and that of the backend does not. */
static void send_to_the_kernel(writing_t *writing, ask_t *ask)
{
    writing->w->conf->first_byte_timeout_ms = 100;
    hold((uv_handle_t *)&writing->w->a.listener, SO_RCVBUF, KERNEL_SIZE / 16);
    worker_open(writing->w);
    ask_post(ask, writing->w, "/", sheaf_str(writing->body, KERNEL_SIZE));
    ask_send(ask);
    hold((const uv_handle_t *)&conn_of(ask)->tcp, SO_SNDBUF, KERNEL_SIZE);
}

static void read_slowly_what_the_kernel_has(writing_t *writing, worker_t *w)
{
    ask_t ask;

    step_text(&w->a, OK_HI);
    uv_timer_init(&w->loop, &pace);
    pace.data = w;
    uv_timer_start(&pace, on_pace, 60, 60);
    send_to_the_kernel(writing, &ask);
    worker_until(w, &ask.is_done);
    uv_close((uv_handle_t *)&pace, NULL);
    assert_answer(&ask, 200, "hi");
    assert_true(w->a.body_sum == sum_of(writing->body, KERNEL_SIZE));
}

static void what_the_kernel_has_taken_may_come_slowly_to_a_backend(void **state)
{
    each_way(read_slowly_what_the_kernel_has);
}

static h2_backend_t *paced;

static void h2_read_once(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    h2_on_read(stream, nread, buf);
    uv_read_stop(stream);
}

static void on_h2_pace(uv_timer_t *timer)
{
    h2_conn_t *conn = paced->conn[0];

    if (paced->body_len < KERNEL_SIZE) {
        uv_read_start((uv_stream_t *)&conn->tcp, h2_on_buffer, h2_read_once);
        return;
    }
    uv_timer_stop(timer);
    peer_answer(&conn->peer, 1, "hi");
    h2_flush(conn);
}

/* Its windows are wide open: all of it is in the kernel at once. */
static void over_http2_it_may_come_slowly_too(void **state)
{
    writing_t *writing = writing_new(false);
    worker_t *w = writing->w;
    h2_backend_t a;
    ask_t ask;

    h2_start(&a, &w->loop);
    a.on_request = stop_reading;
    hold((uv_handle_t *)&a.listener, SO_RCVBUF, KERNEL_SIZE / 16);
    w->conf->servers.items[0].url.port = a.port;
    w->conf->protocol = SHEAF_PROTOCOL_HTTP2;
    w->conf->max_streams = 100;
    send_to_the_kernel(writing, &ask);
    worker_until_count(w, &a.requests, 1);
    paced = &a;
    uv_timer_init(&w->loop, &pace);
    uv_timer_start(&pace, on_h2_pace, 20, 20);
    worker_until(w, &ask.is_done);
    uv_close((uv_handle_t *)&pace, NULL);
    assert_answer(&ask, 200, "hi");
    h2_stop(&a);
    writing_end(writing);
}

static void hang_with_the_rest_in_the_kernel(writing_t *writing, worker_t *w)
{
    uint64_t sent_ms = w->clock.now_ms;
    ask_t ask;

    send_to_the_kernel(writing, &ask);
    worker_until(w, &ask.is_done);
    assert_int_equal(ask.err, SHEAF_ERR_TIMEOUT);
    assert_blamed(&ask, "no answer began in time");
    assert_in_range(w->clock.now_ms - sent_ms, 100, 1000);
}

static void one_that_hangs_with_the_rest_in_the_kernel_is_found_out_all_the_same(void **state)
{
    each_way(hang_with_the_rest_in_the_kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_is_read_slowly_is_held_in_pieces_and_arrives_whole),
        cmocka_unit_test(over_http2_it_is_held_in_pieces_too),
        cmocka_unit_test(a_body_may_be_cancelled_while_it_is_written),
        cmocka_unit_test(an_answer_that_comes_before_the_body_is_written_stands_and_ends_the_conn),
        cmocka_unit_test(a_reset_while_a_body_is_written_ends_its_exchange),
        cmocka_unit_test(an_answer_that_is_broken_off_while_a_body_is_written_is_not_whole),
        cmocka_unit_test(a_body_that_is_sent_again_begins_at_its_beginning),
        cmocka_unit_test(a_backend_that_reads_nothing_has_the_whole_timeout),
        cmocka_unit_test(one_that_has_read_all_may_be_silent_for_as_long_as_before_any_answer),
        cmocka_unit_test(what_the_kernel_has_taken_may_come_slowly_to_a_backend),
        cmocka_unit_test(over_http2_it_may_come_slowly_too),
        cmocka_unit_test(one_that_hangs_with_the_rest_in_the_kernel_is_found_out_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
