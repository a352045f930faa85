/* The two GOAWAYs of a drain, and what frames.c keeps per connection: no socket, a connection that is all memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/front/client.h"
#include "gateway/front/guard/goaway.h"
#include "gateway/front/guard/internal.h"

#if SHEAF_GUARD_IS_ON

typedef struct {
    sheaf_front_t front;
    sheaf_epoch_t epoch;
    sheaf_snapshot_t snapshot;
    sheaf_clock_t clock;
    sheaf_metrics_t metrics;
    sheaf_client_t client;
    h2o_socket_t sock;
    h2o_http2_conn_t conn;
} kit_t;

static void on_written(h2o_socket_t *sock, const char *err) {}

static int set_up(void **state)
{
    kit_t *kit = *state = calloc(1, sizeof(*kit));
    h2o_linklist_t *conns = &kit->front.clients_face.context.http2._conns;

    kit->clock.now_ms = 5000;
    kit->snapshot.conf.limits.control_frames = 10;
    kit->epoch.env.snapshot = &kit->snapshot;
    kit->front.env.clock = &kit->clock;
    kit->front.env.metrics = &kit->metrics;
    kit->front.epoch = &kit->epoch;
    kit->client.front = &kit->front;
    kit->client.sock = &kit->sock;
    sheaf_frames_init(&kit->client.frames, 10, kit->clock.now_ms);
    kit->client.frames.is_http2 = true;
    kit->sock.on_close.data = &kit->client;
    kit->conn.sock = &kit->sock;
    h2o_buffer_init(&kit->conn._write.buf, &h2o_socket_buffer_prototype);
    kit->sock._cb.write = on_written; /* a write is under way: the loop is not asked for another */
    kit->conn.num_streams.pull.open = 1;
    kit->conn.pull_stream_ids.max_open = 7;
    h2o_linklist_init_anchor(conns);
    h2o_linklist_insert(conns, &kit->conn._conns);
    return 0;
}

static int tear_down(void **state)
{
    kit_t *kit = *state;

    h2o_buffer_dispose(&kit->conn._write.buf);
    free(kit);
    return 0;
}

/* What was written since it was asked last is this one frame. */
static void assert_written(kit_t *kit, const void *frame, size_t len)
{
    assert_int_equal(kit->conn._write.buf->size, len);
    if (len > 0)
        assert_memory_equal(kit->conn._write.buf->bytes, frame, len);
    h2o_buffer_consume(&kit->conn._write.buf, len);
}

#define SAYS(kit, frame) assert_written(kit, frame, sizeof(frame) - 1)

static void a_drain_says_goaway_twice_a_second_apart(void **state)
{
    kit_t *kit = *state;

    sheaf_goaway_step(&kit->front);
    SAYS(kit, "\0\0\10\7\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0");
    kit->clock.now_ms += SHEAF_GOAWAY_NOTICE_MS - 1;
    sheaf_goaway_step(&kit->front);
    SAYS(kit, "");
    assert_int_equal(kit->client.frames.last_stream, UINT32_MAX);
    kit->conn.pull_stream_ids.max_open = 9; /* one came meanwhile */
    kit->clock.now_ms++;
    sheaf_goaway_step(&kit->front);
    SAYS(kit, "\0\0\10\7\0\0\0\0\0\0\0\0\11\0\0\0\0");
    assert_int_equal(kit->client.frames.last_stream, 9);
    sheaf_goaway_step(&kit->front); /* a stream is open: it stays */
    SAYS(kit, "");
}

static void before_the_preface_nothing_is_said(void **state)
{
    kit_t *kit = *state;

    kit->client.frames.is_http2 = false;
    sheaf_goaway_step(&kit->front);
    SAYS(kit, "");
}

static void nothing_is_said_on_a_connection_that_is_ending(void **state)
{
    kit_t *kit = *state;

    kit->conn.state = H2O_HTTP2_CONN_STATE_HALF_CLOSED;
    sheaf_goaway_step(&kit->front);
    sheaf_goaway_tell(&kit->client);
    SAYS(kit, "");
}

static void an_idle_client_is_told_its_last_request(void **state)
{
    kit_t *kit = *state;

    sheaf_goaway_tell(&kit->client);
    SAYS(kit, "\0\0\10\7\0\0\0\0\0\0\0\0\7\0\0\0\0");
    assert_int_equal(kit->client.frames.last_stream, 7);
    sheaf_goaway_step(&kit->front); /* and a drain does not take it back */
    SAYS(kit, "");
}

/* --- frames --- */

static void control_frames_are_paid_until_the_budget_is_used_up(void **state)
{
    kit_t *kit = *state;

    assert_true(sheaf_frames_pay(&kit->client, 10));
    assert_true(sheaf_frames_pay(&kit->client, 0)); /* costs nothing, ever */
    assert_false(sheaf_frames_pay(&kit->client, 1));
    assert_int_equal(atomic_load(&kit->metrics.values[SHEAF_METRIC_REFUSED_CONTROL]), 1);
    kit->clock.now_ms += 1000;
    assert_true(sheaf_frames_pay(&kit->client, 10));
    assert_false(sheaf_frames_pay(&kit->client, 1));
}

static void a_request_that_was_cut_bears_the_reason(void **state)
{
    static const sheaf_err_t reasons[] = {SHEAF_ERR_TOO_LARGE, SHEAF_ERR_OVERLOADED, SHEAF_ERR_BAD_REQUEST};
    kit_t *kit = *state;

    for (size_t i = 0; i < SHEAF_COUNT(reasons); i++) {
        h2o_req_t req;

        memset(&req, 0, sizeof(req));
        h2o_mem_init_pool(&req.pool);
        assert_int_equal(sheaf_cuts_why(&req), SHEAF_OK);
        sheaf_cuts_add(&kit->client.frames.cuts, &req, (uint32_t)i * 2 + 1, reasons[i]);
        assert_int_equal(sheaf_cuts_why(&req), reasons[i]);
        assert_int_equal(kit->client.frames.cuts.slots[i].stream_id, i * 2 + 1);
        assert_false(kit->client.frames.cuts.slots[i].is_reset);
        h2o_mem_clear_pool(&req.pool);
    }
}

static void of_the_streams_that_were_cut_the_oldest_is_forgotten(void **state)
{
    kit_t *kit = *state;
    sheaf_frames_t *frames = &kit->client.frames;

    for (uint32_t i = 0; i <= SHEAF_CUTS_MOST; i++)
        sheaf_frames_refuse(frames, i * 2 + 1, true);
    assert_int_equal(frames->cuts.slots[0].stream_id, SHEAF_CUTS_MOST * 2 + 1);
    assert_int_equal(frames->cuts.slots[1].stream_id, 3);
    assert_true(frames->cuts.slots[0].is_reset); /* nobody needs to be told again */
    sheaf_frames_refuse(frames, 99, false);
    assert_int_equal(frames->cuts.slots[1].stream_id, 3); /* a request without a body: nothing else comes */
    assert_int_equal(frames->refused, 99);
}

static void resets_of_others_are_written_as_they_are(void **state)
{
    kit_t *kit = *state;

    h2o_http2__encode_rst_stream_frame(&kit->conn._write.buf, 3, 1);
    SAYS(kit, "\0\0\4\3\0\0\0\0\3\0\0\0\1");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_drain_says_goaway_twice_a_second_apart),
        TEST(before_the_preface_nothing_is_said),
        TEST(nothing_is_said_on_a_connection_that_is_ending),
        TEST(an_idle_client_is_told_its_last_request),
        TEST(control_frames_are_paid_until_the_budget_is_used_up),
        TEST(a_request_that_was_cut_bears_the_reason),
        TEST(of_the_streams_that_were_cut_the_oldest_is_forgotten),
        TEST(resets_of_others_are_written_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
