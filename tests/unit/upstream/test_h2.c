/* HTTP/2 as a backend sees it that keeps to the rules: requests, answers, goodbyes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/upstream/h2_talk.h"

#define WINDOW 65535

static void the_request_goes_out_as_it_should(void **state)
{
    talk_t talk;
    asked_t a = {.name = "a"};
    peer_frame_t frame;
    sheaf_header_t own[] = {{SHEAF_STR("accept"), SHEAF_STR("a/b")}},
                   both[] = {{SHEAF_STR("via"), SHEAF_STR("2 sheaf")}};
    sheaf_header_block_t shared = {.list = {both, 1, 1}};
    char *fields;

    talk_begin(&talk, 10, WINDOW);
    a.exchange = (sheaf_exchange_t){.method = SHEAF_STR("POST"),
                                    .target = SHEAF_STR("/x?y=1"),
                                    .headers = {own, 1, 1},
                                    .shared = &shared,
                                    .body = SHEAF_STR("{\"a\":1}"),
                                    .has_body = true};
    a.id = sheaf_h2_submit(talk.h2, &a.exchange, &a);
    assert_int_equal(a.id, 1);
    assert_true(sheaf_h2_is_unsent(talk.h2, a.id));
    peer_hello(&talk.peer);
    talk_on(&talk);
    assert_false(sheaf_h2_is_unsent(talk.h2, a.id));
    assert_false(sheaf_h2_is_sending(talk.h2, a.id));

    assert_true(heard(&talk, NGHTTP2_SETTINGS, &frame));
    assert_int_equal(frame.len, 18);
    assert_true(heard(&talk, NGHTTP2_WINDOW_UPDATE, &frame));
    assert_int_equal(get_u32(frame.payload), 3 * WINDOW);
    assert_true(heard(&talk, NGHTTP2_HEADERS, &frame));
    assert_int_equal(frame.flags, NGHTTP2_FLAG_END_HEADERS);
    fields = peer_fields(&talk.peer, &frame);
    assert_string_equal(fields, ":method: POST\n:scheme: http\n:authority: backend.test\n:path: /x?y=1\naccept: a/b\n"
                                "via: 2 sheaf\ncontent-length: 7\n");
    free(fields);
    assert_true(heard(&talk, NGHTTP2_DATA, &frame));
    assert_int_equal(frame.flags, NGHTTP2_FLAG_END_STREAM);
    assert_memory_equal(frame.payload, "{\"a\":1}", 7);
    talk_end(&talk);
}

static void an_exchange_with_a_host_of_its_own_names_that_as_authority(void **state)
{
    talk_t talk;
    asked_t a = {.name = "a"};
    peer_frame_t frame;
    char *fields;

    talk_begin(&talk, 10, WINDOW);
    a.exchange =
        (sheaf_exchange_t){.method = SHEAF_STR("GET"), .target = SHEAF_STR("/"), .host = SHEAF_STR("shop.example:81")};
    a.id = sheaf_h2_submit(talk.h2, &a.exchange, &a);
    gateway_speaks(&talk);
    assert_true(heard(&talk, NGHTTP2_HEADERS, &frame));
    fields = peer_fields(&talk.peer, &frame);
    assert_string_equal(fields, ":method: GET\n:scheme: http\n:authority: shop.example:81\n:path: /\n");
    free(fields);
    talk_end(&talk);
}

static void an_empty_body_is_announced_and_no_body_is_not(void **state)
{
    talk_t talk;
    asked_t a, b;
    peer_frame_t frame;
    char *fields;

    talk_begin(&talk, 10, WINDOW);
    ask(&talk, &a, "a", "GET");
    b = a;
    b.exchange.has_body = true;
    b.id = sheaf_h2_submit(talk.h2, &b.exchange, &b);
    gateway_speaks(&talk);
    assert_true(heard(&talk, NGHTTP2_HEADERS, &frame));
    assert_int_equal(frame.flags, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM);
    fields = peer_fields(&talk.peer, &frame);
    assert_null(strstr(fields, "content-length"));
    free(fields);
    assert_true(heard(&talk, NGHTTP2_HEADERS, &frame));
    assert_int_equal(frame.flags, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM);
    fields = peer_fields(&talk.peer, &frame);
    assert_non_null(strstr(fields, "content-length: 0\n"));
    free(fields);
    talk_end(&talk);
}

static void answers_come_in_any_order(void **state)
{
    talk_t talk;
    asked_t a, b, c;

    talk_begin(&talk, 10, WINDOW);
    ask(&talk, &a, "a", "GET");
    ask(&talk, &b, "b", "GET");
    ask(&talk, &c, "c", "HEAD");
    peer_hello(&talk.peer);
    peer_head(&talk.peer, b.id, false, ":status: 200\ncontent-length: 4\nx: y");
    peer_head(&talk.peer, c.id, true, ":status: 404\ncontent-length: 9");
    peer_data(&talk.peer, b.id, false, "b");
    peer_answer(&talk.peer, a.id, "of a");
    peer_data(&talk.peer, b.id, false, "bb");
    peer_data(&talk.peer, b.id, true, "b");
    talk_on(&talk);
    assert_string_equal(told(&talk), "change\n"
                                     "b: 200 length 4 content-length=4 x=y\n"
                                     "c: 404 length 0 content-length=9\nc: complete \n"
                                     "a: 200 length -1 content-type=text/plain\na: complete of a\n"
                                     "b: complete bbbb\n");
    assert_int_equal(sheaf_h2_open_streams(talk.h2), 0);
    ask_end(&a);
    ask_end(&b);
    talk_end(&talk);
}

static void interim_answers_and_trailers_are_dropped(void **state)
{
    talk_t talk;
    asked_t a;

    talk_begin(&talk, 10, WINDOW);
    ask(&talk, &a, "a", "GET");
    peer_hello(&talk.peer);
    peer_head(&talk.peer, 1, false, ":status: 103\nlink: x");
    peer_head(&talk.peer, 1, false, ":status: 100");
    peer_head(&talk.peer, 1, false, ":status: 200");
    peer_data(&talk.peer, 1, false, "hi");
    peer_head(&talk.peer, 1, true, "grpc-status: 0");
    talk_on(&talk);
    assert_string_equal(told(&talk), "change\na: 200 length -1\na: complete hi\n");
    ask_end(&a);
    talk_end(&talk);
}

static void no_more_streams_fly_than_both_sides_want(void **state)
{
    talk_t talk;
    asked_t asked[4];

    talk_begin(&talk, 3, WINDOW);
    assert_int_equal(sheaf_h2_free_streams(talk.h2), 3);
    for (int i = 0; i < 4; i++)
        ask(&talk, &asked[i], "x", "GET");
    assert_int_equal(asked[2].id, 5);
    assert_int_equal(asked[3].id, 0);
    peer_setting(&talk.peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2);
    peer_answer(&talk.peer, 1, "");
    talk_on(&talk);
    assert_int_equal(sheaf_h2_open_streams(talk.h2), 2);
    assert_int_equal(sheaf_h2_free_streams(talk.h2), 0);
    peer_answer(&talk.peer, 3, "");
    talk_on(&talk);
    assert_int_equal(sheaf_h2_free_streams(talk.h2), 1);
    talk_end(&talk);
}

static void what_is_cancelled_before_it_went_out_is_never_heard_of(void **state)
{
    talk_t talk;
    asked_t a, b;
    peer_frame_t frame;
    char *target = strdup("/gone");

    talk_begin(&talk, 3, WINDOW);
    memset(&a, 0, sizeof(a));
    a.exchange.method = SHEAF_STR("GET");
    a.exchange.target = sheaf_str_of(target);
    a.id = sheaf_h2_submit(talk.h2, &a.exchange, &a);
    ask(&talk, &b, "b", "GET");
    sheaf_h2_cancel(talk.h2, a.id);
    free(target);
    assert_false(sheaf_h2_is_unsent(talk.h2, a.id));
    assert_int_equal(sheaf_h2_open_streams(talk.h2), 1);
    assert_int_equal(sheaf_h2_free_streams(talk.h2), 1); /* the cancelled one still has its place in the session */
    gateway_speaks(&talk);
    assert_int_equal(sheaf_h2_free_streams(talk.h2), 2);
    assert_true(heard(&talk, NGHTTP2_HEADERS, &frame));
    assert_int_equal(frame.id, b.id);
    assert_false(heard(&talk, NGHTTP2_RST_STREAM, &frame));
    peer_hello(&talk.peer);
    peer_answer(&talk.peer, b.id, "hi");
    talk_on(&talk);
    assert_non_null(strstr(told(&talk), "b: complete hi\n"));
    ask_end(&b);
    talk_end(&talk);
}

static void a_refused_stream_was_not_processed_and_any_other_may_have_been(void **state)
{
    talk_t talk;
    asked_t a, b, c;

    talk_begin(&talk, 3, WINDOW);
    ask(&talk, &a, "a", "GET");
    ask(&talk, &b, "b", "GET");
    ask(&talk, &c, "c", "GET");
    peer_hello(&talk.peer);
    peer_u32(&talk.peer, NGHTTP2_RST_STREAM, a.id, NGHTTP2_REFUSED_STREAM);
    peer_u32(&talk.peer, NGHTTP2_RST_STREAM, b.id, NGHTTP2_INTERNAL_ERROR);
    peer_head(&talk.peer, c.id, false, ":status: 200");
    peer_u32(&talk.peer, NGHTTP2_RST_STREAM, c.id, NGHTTP2_REFUSED_STREAM);
    talk_on(&talk);
    assert_string_equal(told(&talk), "change\na: refused the server reset the stream: REFUSED_STREAM\n"
                                     "b: reset the server reset the stream: INTERNAL_ERROR\n"
                                     "c: 200 length -1\nc: reset the server reset the stream: REFUSED_STREAM\n");
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_OPEN);
    talk_end(&talk);
}

static void goaway_refuses_what_is_beyond_it_and_lets_the_rest_end(void **state)
{
    talk_t talk;
    asked_t a, b, c;

    talk_begin(&talk, 3, WINDOW);
    ask(&talk, &a, "a", "GET");
    ask(&talk, &b, "b", "GET");
    peer_hello(&talk.peer);
    talk_on(&talk);
    ask(&talk, &c, "c", "GET"); /* and does not go out */
    peer_goaway(&talk.peer, a.id, NGHTTP2_NO_ERROR);
    gateway_reads(&talk, talk.peer.said.bytes, talk.peer.said.len);
    talk.peer.said.len = 0;
    assert_string_equal(told(&talk), "change\nc: refused the server went away before it took the request\n"
                                     "b: refused the server went away before it took the request\nchange\n");
    assert_true(sheaf_h2_is_closing(talk.h2));
    assert_int_equal(sheaf_h2_free_streams(talk.h2), 0);
    assert_int_equal(sheaf_h2_open_streams(talk.h2), 1);
    peer_answer(&talk.peer, a.id, "last");
    talk_on(&talk);
    assert_non_null(strstr(told(&talk), "a: complete last\n"));
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_OPEN);
    assert_string_equal(sheaf_h2_detail(talk.h2), "");
    ask_end(&a);
    talk_end(&talk);
}

/* RFC 9113 6.8: a server that drains says the highest id first, and the right one later. */
static void a_goaway_in_two_steps_refuses_what_never_went_out(void **state)
{
    talk_t talk;
    asked_t a, b;

    talk_begin(&talk, 3, WINDOW);
    ask(&talk, &a, "a", "GET");
    peer_hello(&talk.peer);
    talk_on(&talk);
    ask(&talk, &b, "b", "GET");
    peer_goaway(&talk.peer, INT32_MAX, NGHTTP2_NO_ERROR);
    gateway_reads(&talk, talk.peer.said.bytes, talk.peer.said.len);
    talk.peer.said.len = 0;
    assert_string_equal(told(&talk), "change\nb: refused the server went away before it took the request\nchange\n");
    peer_goaway(&talk.peer, a.id, NGHTTP2_ENHANCE_YOUR_CALM);
    peer_answer(&talk.peer, a.id, "last");
    talk_on(&talk);
    assert_non_null(strstr(told(&talk), "a: complete last\n"));
    assert_string_equal(sheaf_h2_detail(talk.h2), "the server ended the HTTP/2 connection: ENHANCE_YOUR_CALM");
    ask_end(&a);
    talk_end(&talk);
}

static void a_ping_is_answered_once(void **state)
{
    talk_t talk;
    peer_frame_t frame;

    talk_begin(&talk, 3, WINDOW);
    peer_hello(&talk.peer);
    peer_says(&talk.peer, NGHTTP2_PING, 0, 0, "12345678", 8);
    talk_on(&talk);
    assert_true(heard(&talk, NGHTTP2_PING, &frame));
    assert_int_equal(frame.flags, NGHTTP2_FLAG_ACK);
    assert_memory_equal(frame.payload, "12345678", 8);

    sheaf_h2_ping(talk.h2);
    sheaf_h2_ping(talk.h2);
    assert_true(sheaf_h2_is_pinged(talk.h2));
    talk_on(&talk);
    assert_true(heard(&talk, NGHTTP2_PING, &frame));
    peer_says(&talk.peer, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, frame.payload, 8);
    assert_false(heard(&talk, NGHTTP2_PING, &frame));
    talk_on(&talk);
    assert_false(sheaf_h2_is_pinged(talk.h2));
    talk_end(&talk);
}

static void a_goodbye_is_said(void **state)
{
    talk_t talk;
    peer_frame_t frame;

    talk_begin(&talk, 3, WINDOW);
    peer_hello(&talk.peer);
    talk_on(&talk);
    sheaf_h2_goodbye(talk.h2);
    assert_int_equal(sheaf_h2_free_streams(talk.h2), 0);
    talk_on(&talk);
    assert_true(heard(&talk, NGHTTP2_GOAWAY, &frame));
    assert_int_equal(get_u32(frame.payload + 4), NGHTTP2_NO_ERROR);
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_OPEN);
    talk_end(&talk);
}

/* --- from inside --- */

static void cancel_it(asked_t *asked)
{
    sheaf_h2_cancel(asked->talk->h2, asked->id);
}

static void cancel_inside_is_the_last_that_is_heard(void **state)
{
    talk_t talk;
    asked_t a, b;

    talk_begin(&talk, 3, WINDOW);
    ask(&talk, &a, "a", "GET");
    ask(&talk, &b, "b", "GET");
    a.on_told = cancel_it;
    peer_hello(&talk.peer);
    peer_answer(&talk.peer, a.id, "of a");
    peer_head(&talk.peer, b.id, true, ":status: 204");
    talk_on(&talk);
    assert_string_equal(told(&talk),
                        "change\na: 200 length -1 content-type=text/plain\nb: 204 length 0\nb: complete \n");
    talk_end(&talk);
}

static void free_it(asked_t *asked)
{
    sheaf_h2_free(asked->talk->h2);
    asked->talk->h2 = NULL;
}

static void free_inside_is_the_last_that_is_heard(void **state)
{
    talk_t talk;
    asked_t a, b;

    talk_begin(&talk, 3, WINDOW);
    ask(&talk, &a, "a", "GET");
    ask(&talk, &b, "b", "GET");
    a.on_told = free_it;
    peer_hello(&talk.peer);
    peer_answer(&talk.peer, a.id, "of a");
    peer_answer(&talk.peer, b.id, "of b");
    talk_on(&talk);
    assert_string_equal(told(&talk), "change\na: 200 length -1 content-type=text/plain\n");
    talk_end(&talk);
}

static asked_t next;

static void ask_next(asked_t *asked)
{
    if (asked->is_over)
        ask(asked->talk, &next, "next", "GET");
}

static void a_request_may_be_submitted_inside(void **state)
{
    talk_t talk;
    asked_t a;
    peer_frame_t frame;

    talk_begin(&talk, 1, WINDOW);
    ask(&talk, &a, "a", "GET");
    a.on_told = ask_next;
    peer_hello(&talk.peer);
    peer_head(&talk.peer, 1, true, ":status: 204");
    talk_on(&talk);
    assert_int_equal(next.id, 3);
    assert_true(heard(&talk, NGHTTP2_HEADERS, &frame));
    assert_true(heard(&talk, NGHTTP2_HEADERS, &frame));
    assert_int_equal(frame.id, 3);
    talk_end(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_goes_out_as_it_should),
        cmocka_unit_test(an_exchange_with_a_host_of_its_own_names_that_as_authority),
        cmocka_unit_test(an_empty_body_is_announced_and_no_body_is_not),
        cmocka_unit_test(answers_come_in_any_order),
        cmocka_unit_test(interim_answers_and_trailers_are_dropped),
        cmocka_unit_test(no_more_streams_fly_than_both_sides_want),
        cmocka_unit_test(what_is_cancelled_before_it_went_out_is_never_heard_of),
        cmocka_unit_test(a_refused_stream_was_not_processed_and_any_other_may_have_been),
        cmocka_unit_test(goaway_refuses_what_is_beyond_it_and_lets_the_rest_end),
        cmocka_unit_test(a_goaway_in_two_steps_refuses_what_never_went_out),
        cmocka_unit_test(a_ping_is_answered_once),
        cmocka_unit_test(a_goodbye_is_said),
        cmocka_unit_test(cancel_inside_is_the_last_that_is_heard),
        cmocka_unit_test(free_inside_is_the_last_that_is_heard),
        cmocka_unit_test(a_request_may_be_submitted_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
