/* HTTP/2: how much may be under way, on a stream and on its connection, in both directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/upstream/h2_talk.h"

#define WINDOW 65535

static void a_body_waits_for_the_window_and_stops_when_the_answer_is_there(void **state)
{
    talk_t talk;
    asked_t a;
    peer_frame_t frame;
    size_t total = 0;
    char *large = sheaf_zalloc(200000);

    talk_begin(&talk, 3, WINDOW);
    ask(&talk, &a, "a", "GET");
    sheaf_h2_cancel(talk.h2, a.id);
    a.exchange.has_body = true;
    a.exchange.body = sheaf_str(large, 200000);
    a.id = sheaf_h2_submit(talk.h2, &a.exchange, &a);
    peer_hello(&talk.peer);
    talk_on(&talk);
    while (heard(&talk, NGHTTP2_DATA, &frame))
        total += frame.len;
    assert_int_equal(total, 65535);
    assert_true(sheaf_h2_is_sending(talk.h2, a.id));
    assert_false(sheaf_h2_has_output(talk.h2));
    peer_u32(&talk.peer, NGHTTP2_WINDOW_UPDATE, 0, 1000);
    peer_u32(&talk.peer, NGHTTP2_WINDOW_UPDATE, a.id, 1000);
    talk_on(&talk);
    assert_true(heard(&talk, NGHTTP2_DATA, &frame));
    assert_int_equal(frame.len, 1000);

    peer_answer(&talk.peer, a.id, "enough");
    talk_on(&talk);
    assert_non_null(strstr(told(&talk), "a: complete enough\n"));
    assert_true(heard(&talk, NGHTTP2_RST_STREAM, &frame));
    assert_int_equal(get_u32(frame.payload), NGHTTP2_NO_ERROR);
    memset(large, 0, 200000);
    free(large); /* nothing of it is wanted any more */
    peer_u32(&talk.peer, NGHTTP2_WINDOW_UPDATE, 0, 100000);
    talk_on(&talk);
    assert_false(heard(&talk, NGHTTP2_DATA, &frame));
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_OPEN);
    ask_end(&a);
    talk_end(&talk);
}

static void the_backend_may_send_as_much_as_was_consumed(void **state)
{
    talk_t talk;
    asked_t a;
    peer_frame_t frame;
    static char full[16001];

    memset(full, 'x', 16000);
    talk_begin(&talk, 3, WINDOW);
    talk.eats = false;
    ask(&talk, &a, "a", "GET");
    peer_hello(&talk.peer);
    peer_head(&talk.peer, 1, false, ":status: 200");
    for (int i = 0; i < 4; i++)
        peer_data(&talk.peer, 1, false, full);
    talk_on(&talk);
    assert_int_equal(a.body.len, 64000);
    while (heard(&talk, NGHTTP2_WINDOW_UPDATE, &frame))
        assert_int_equal(frame.id, 0);
    sheaf_h2_consumed(talk.h2, 1, 40000);
    sheaf_h2_consumed(talk.h2, 99, 40000);
    talk_on(&talk);
    assert_true(heard(&talk, NGHTTP2_WINDOW_UPDATE, &frame));
    assert_int_equal(frame.id, 1);
    assert_int_equal(get_u32(frame.payload), 40000);
    ask_end(&a);
    talk_end(&talk);
}

/* What a stream did not consume would be missing from the window of all others. */
static void what_a_stream_leaves_is_given_back_to_the_connection(void **state)
{
    talk_t talk;
    peer_frame_t frame;
    static char full[16001];

    memset(full, 'x', 16000);
    talk_begin(&talk, 3, WINDOW);
    talk.eats = false;
    for (int i = 0; i < 100; i++) {
        asked_t a;

        ask(&talk, &a, "a", "GET");
        if (i == 0)
            peer_hello(&talk.peer);
        peer_head(&talk.peer, a.id, false, ":status: 200");
        for (int j = 0; j < 4; j++)
            peer_data(&talk.peer, a.id, false, full);
        talk_on(&talk);
        sheaf_h2_cancel(talk.h2, a.id);
        if (i % 2 == 0)
            peer_data(&talk.peer, a.id, true, "late");
        talk_on(&talk);
        assert_true(heard(&talk, NGHTTP2_RST_STREAM, &frame));
        assert_int_equal(get_u32(frame.payload), NGHTTP2_CANCEL);
        ask_end(&a);
    }
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_OPEN);
    assert_int_equal(sheaf_h2_free_streams(talk.h2), 3);
    talk_end(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_waits_for_the_window_and_stops_when_the_answer_is_there),
        cmocka_unit_test(the_backend_may_send_as_much_as_was_consumed),
        cmocka_unit_test(what_a_stream_leaves_is_given_back_to_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
