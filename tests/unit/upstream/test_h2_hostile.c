/* HTTP/2 from a backend that breaks the rules: of an answer, then that one is lost; of the connection, then all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/http/wire.h"
#include "tests/unit/upstream/h2_talk.h"

#define WINDOW 65535

/* --- one answer --- */

typedef struct fault {
    const char *method;
    const char *heads[3]; /* field blocks */
    const char *body;     /* NULL: the last block is the end; "": nothing follows */
    const char *why;
} fault_t;

static const fault_t faults[] = {
    {"GET", {"x: y"}, NULL, "an answer without :status"},
    {"GET", {":status: 200\n:status: 200"}, NULL, "more than one :status"},
    {"GET", {":status: 99"}, NULL, "a status outside 100 to 599"},
    {"GET", {":status: 600"}, NULL, "a status outside 100 to 599"},
    {"GET", {":status: 2000"}, NULL, "a status outside 100 to 599"},
    {"GET", {":status: +20"}, NULL, "a status outside 100 to 599"},
    {"GET", {"x: y\n:status: 200"}, NULL, "a pseudo field behind others"},
    {"GET", {":status: 200\n:path: /"}, NULL, "a pseudo field other than :status"},
    {"GET", {":status: 200\nX: y"}, NULL, "a header name that is no lower-case token"},
    {"GET", {":status: 200\nx y: z"}, NULL, "a header name that is no lower-case token"},
    {"GET", {":status: 200\nx: a\rb"}, NULL, "a header value that holds a control or ends in white space"},
    {"GET", {":status: 200\nx:  a"}, NULL, "a header value that holds a control or ends in white space"},
    {"GET", {":status: 200\nx: a "}, NULL, "a header value that holds a control or ends in white space"},
    {"GET", {":status: 200\nconnection: close"}, NULL, "a field of HTTP/1 connections"},
    {"GET", {":status: 200\nkeep-alive: timeout=1"}, NULL, "a field of HTTP/1 connections"},
    {"GET", {":status: 200\nupgrade: h2c"}, NULL, "a field of HTTP/1 connections"},
    {"GET", {":status: 200\nproxy-connection: close"}, NULL, "a field of HTTP/1 connections"},
    {"GET", {":status: 200\ntransfer-encoding: chunked"}, NULL, "a field of HTTP/1 connections"},
    {"GET", {":status: 200\ncontent-length: 2\ncontent-length: 2"}, "hi", "more than one Content-Length"},
    {"GET", {":status: 200\ncontent-length: 2, 2"}, "hi", "a malformed Content-Length"},
    {"GET", {":status: 200\ncontent-length: -2"}, "hi", "a malformed Content-Length"},
    {"GET", {":status: 200\ncontent-length: 9223372036854775808"}, "hi", "a malformed Content-Length"},
    {"GET", {":status: 200\ncontent-length: 1"}, "hi", "a body longer than its Content-Length"},
    {"GET", {":status: 200\ncontent-length: 3"}, "hi", "a body shorter than its Content-Length"},
    {"GET", {":status: 200\ncontent-length: 3"}, NULL, "a body shorter than its Content-Length"},
    {"GET", {":status: 200\ncontent-length: 0"}, "hi", "a body longer than its Content-Length"},
    {"GET", {":status: 204"}, "hi", "a body where none may be"},
    {"GET", {":status: 304\ncontent-length: 2"}, "hi", "a body where none may be"},
    {"HEAD", {":status: 200\ncontent-length: 2"}, "hi", "a body where none may be"},
    {"GET", {":status: 101"}, "", "101 without an upgrade"},
    {"GET", {":status: 100"}, NULL, "a 1xx answer and nothing behind it"},
    {"GET", {":status: 100"}, "hi", "a body before its head"},
    {"GET", {":status: 200", ":status: 200"}, NULL, "a :status in trailers"},
    {"GET", {":status: 200", "x: y"}, "", "trailers that are not the end"},
    {"GET", {":status: 200", ":path: /"}, NULL, "a pseudo field other than :status"},
    {"GET", {":status: 200", "X: y"}, NULL, "a header name that is no lower-case token"},
};

static void say_fault(talk_t *talk, const fault_t *fault, int32_t id)
{
    for (size_t i = 0; i < 3 && fault->heads[i] != NULL; i++) {
        bool is_last = fault->body == NULL && (i == 2 || fault->heads[i + 1] == NULL);

        peer_head(&talk->peer, id, is_last, fault->heads[i]);
    }
    if (fault->body != NULL && *fault->body != '\0')
        peer_data(&talk->peer, id, true, fault->body);
}

static void a_malformed_answer_is_lost_and_the_others_are_not(void **state)
{
    for (size_t i = 0; i < SHEAF_COUNT(faults); i++) {
        char want[128];
        peer_frame_t frame;
        talk_t talk;
        asked_t a, b;

        talk_begin(&talk, 10, WINDOW);
        ask(&talk, &a, "a", faults[i].method);
        ask(&talk, &b, "b", "GET");
        peer_hello(&talk.peer);
        say_fault(&talk, &faults[i], a.id);
        peer_answer(&talk.peer, b.id, "of b");
        talk_on(&talk);
        snprintf(want, sizeof(want), "a: malformed %s\n", faults[i].why);
        if (strstr(told(&talk), want) == NULL)
            fail_msg("fault %zu: wanted %sgot %s", i, want, told(&talk));
        assert_non_null(strstr(told(&talk), "b: complete of b\n"));
        assert_true(heard(&talk, NGHTTP2_RST_STREAM, &frame));
        assert_int_equal(frame.id, a.id);
        assert_int_equal(get_u32(frame.payload), NGHTTP2_PROTOCOL_ERROR);
        assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_OPEN);
        assert_int_equal(sheaf_h2_free_streams(talk.h2), 10);
        ask_end(&a);
        ask_end(&b);
        talk_end(&talk);
    }
}

static void check_head(const char *lines, const char *want)
{
    talk_t talk;
    asked_t a;

    talk_begin(&talk, 10, WINDOW);
    ask(&talk, &a, "a", "GET");
    peer_hello(&talk.peer);
    peer_head(&talk.peer, a.id, true, lines);
    talk_on(&talk);
    assert_non_null(strstr(told(&talk), want));
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_OPEN);
    talk_end(&talk);
}

static void heads_are_bounded(void **state)
{
    size_t len = 0;
    char *lines = malloc(1 << 20);

    len = (size_t)sprintf(lines, ":status: 200");
    for (int i = 0; i < SHEAF_WIRE_MAX_HEADERS; i++)
        len += (size_t)sprintf(lines + len, "\nx: y");
    check_head(lines, "a: complete");
    strcpy(lines + len, "\nx: y");
    check_head(lines, "a: malformed too many header fields");

    len = (size_t)sprintf(lines, ":status: 200\nx: ");
    memset(lines + len, 'y', 65000);
    strcpy(lines + len + 65000, "\nz: z");
    check_head(lines, "a: complete");
    memset(lines + len, 'y', 65450);
    strcpy(lines + len + 65450, "\nz: z");
    check_head(lines, "a: malformed the head is larger than 64 KiB");
    free(lines);
}

static void interim_answers_come_to_an_end(void **state)
{
    talk_t talk;
    asked_t a;

    talk_begin(&talk, 10, WINDOW);
    ask(&talk, &a, "a", "GET");
    peer_hello(&talk.peer);
    for (int i = 0; i <= SHEAF_H2_MAX_INTERIM; i++)
        peer_head(&talk.peer, a.id, false, ":status: 103");
    talk_on(&talk);
    assert_string_equal(told(&talk), "change\na: malformed too many 1xx answers\n");
    talk_end(&talk);
}

/* --- the connection --- */

static void assert_failed(talk_t *talk, uint32_t code, const char *detail)
{
    peer_frame_t frame;

    assert_int_equal(sheaf_h2_state(talk->h2), SHEAF_H2_FAILED);
    assert_string_equal(sheaf_h2_detail(talk->h2), detail);
    assert_true(heard(talk, NGHTTP2_GOAWAY, &frame));
    assert_int_equal(get_u32(frame.payload + 4), code);
    assert_int_equal(sheaf_h2_free_streams(talk->h2), 0);
    talk->told.len = 0;
    peer_answer(&talk->peer, 1, "too late");
    talk_on(talk);
    assert_string_equal(told(talk), "");
    talk_end(talk);
}

/* A conn with one request on it, whose answer has begun. */
static void meet(talk_t *talk, asked_t *a)
{
    talk_begin(talk, 10, WINDOW);
    ask(talk, a, "a", "GET");
    peer_hello(&talk->peer);
    peer_head(&talk->peer, a->id, false, ":status: 200");
    talk_on(talk);
    assert_int_equal(sheaf_h2_state(talk->h2), SHEAF_H2_OPEN);
}

static void what_is_not_http2_is_told(void **state)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    talk_t talk;
    asked_t a;

    talk_begin(&talk, 10, WINDOW);
    ask(&talk, &a, "a", "GET");
    bytes_add(&talk.peer.said, text, sizeof(text) - 1);
    talk_on(&talk);
    assert_failed(&talk, NGHTTP2_PROTOCOL_ERROR, "HTTP/2 failed: what came is not HTTP/2");
}

static void a_push_was_not_asked_for(void **state)
{
    talk_t talk;
    asked_t a;
    uint8_t payload[4] = {0, 0, 0, 2};

    meet(&talk, &a);
    peer_says(&talk.peer, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, a.id, payload, sizeof(payload));
    talk_on(&talk);
    assert_failed(&talk, NGHTTP2_PROTOCOL_ERROR, "HTTP/2 failed: the server pushed, which it was told not to");
}

static void frames_that_break_the_rules_end_all(void **state)
{
    static char large[20000], full[16001];
    talk_t talk;
    asked_t a;

    meet(&talk, &a);
    peer_says(&talk.peer, NGHTTP2_DATA, 0, a.id, large, sizeof(large));
    talk_on(&talk);
    assert_failed(&talk, NGHTTP2_FRAME_SIZE_ERROR, "HTTP/2 failed: the server broke the protocol");

    meet(&talk, &a);
    peer_says(&talk.peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, a.id, "\xff\xff\xff\xff\xff\xff", 6);
    talk_on(&talk);
    assert_failed(&talk, NGHTTP2_COMPRESSION_ERROR, "HTTP/2 failed: the server broke the protocol");

    for (int32_t id = 0; id <= 7; id += 7) { /* 7: idle */
        meet(&talk, &a);
        peer_data(&talk.peer, id, false, "hi");
        talk_on(&talk);
        assert_failed(&talk, NGHTTP2_PROTOCOL_ERROR, "HTTP/2 failed: the server broke the protocol");
    }

    talk_begin(&talk, 10, WINDOW);
    ask(&talk, &a, "a", "GET");
    peer_hello(&talk.peer);
    peer_data(&talk.peer, a.id, false, "a body before any head");
    talk_on(&talk);
    assert_failed(&talk, NGHTTP2_PROTOCOL_ERROR, "HTTP/2 failed: the server broke the protocol");

    meet(&talk, &a);
    peer_u32(&talk.peer, NGHTTP2_WINDOW_UPDATE, 0, INT32_MAX);
    talk_on(&talk);
    assert_failed(&talk, NGHTTP2_FLOW_CONTROL_ERROR, "HTTP/2 failed: Flow control error");

    meet(&talk, &a);
    talk.eats = false;
    memset(full, 'x', 16000);
    for (int i = 0; i < 5; i++)
        peer_data(&talk.peer, a.id, false, full);
    talk_on(&talk);
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_FAILED);
    talk_end(&talk);
    ask_end(&a);
}

/* After GOAWAY the session does not show a failure: its own GOAWAY does. */
static void a_fault_behind_goaway_is_seen_too(void **state)
{
    static char large[20000];
    talk_t talk;
    asked_t a;

    meet(&talk, &a);
    peer_goaway(&talk.peer, a.id, NGHTTP2_NO_ERROR);
    peer_says(&talk.peer, NGHTTP2_DATA, 0, a.id, large, sizeof(large));
    talk_on(&talk);
    assert_failed(&talk, NGHTTP2_FRAME_SIZE_ERROR, "HTTP/2 failed: FRAME_SIZE_ERROR");
}

/* So that it may be asked of another conn, whatever it is. */
static void what_never_went_out_is_known_when_the_conn_has_failed(void **state)
{
    talk_t talk;
    asked_t asked[4];

    meet(&talk, &asked[0]);
    for (int i = 1; i < 4; i++)
        ask(&talk, &asked[i], "b", "POST");
    sheaf_h2_cancel(talk.h2, asked[2].id);
    peer_says(&talk.peer, NGHTTP2_DATA, 0, 0, "x", 1);
    gateway_reads(&talk, talk.peer.said.bytes, talk.peer.said.len);
    for (int is_told = 0; is_told < 2; is_told++) {
        assert_false(sheaf_h2_is_unsent(talk.h2, asked[0].id));
        assert_true(sheaf_h2_is_unsent(talk.h2, asked[1].id));
        assert_false(sheaf_h2_is_unsent(talk.h2, asked[2].id));
        assert_true(sheaf_h2_is_unsent(talk.h2, asked[3].id));
        gateway_speaks(&talk);
    }
    assert_failed(&talk, NGHTTP2_PROTOCOL_ERROR, "HTTP/2 failed: the server broke the protocol");
}

/* Then it may have been done, and its owner has seen the head: sent again it would be answered twice. */
static void a_goaway_does_not_take_back_an_answer_that_began(void **state)
{
    talk_t talk;
    asked_t a, b;

    meet(&talk, &a);
    ask(&talk, &b, "b", "GET");
    talk_on(&talk);
    talk.told.len = 0;
    peer_goaway(&talk.peer, 0, NGHTTP2_NO_ERROR);
    talk_on(&talk);
    assert_string_equal(told(&talk), "b: refused the server went away before it took the request\n"
                                     "a: reset the server went away\nchange\n");
    talk_end(&talk);
}

static void say_nothing_of_use(talk_t *talk, int kind)
{
    uint8_t priority[5] = {0, 0, 0, 0, 1};

    if (kind == 0)
        peer_says(&talk->peer, NGHTTP2_PING, 0, 0, "12345678", 8);
    else if (kind == 1)
        peer_says(&talk->peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    else if (kind == 2)
        peer_data(&talk->peer, 1, false, "");
    else if (kind == 3)
        peer_says(&talk->peer, NGHTTP2_PRIORITY, 0, 1, priority, sizeof(priority));
    else if (kind == 4)
        peer_u32(&talk->peer, NGHTTP2_WINDOW_UPDATE, 0, 1);
    else if (kind == 5)
        peer_says(&talk->peer, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "12345678", 8);
}

static void frames_without_an_answer_in_sight_come_to_an_end(void **state)
{
    for (int kind = 0; kind < 6; kind++) {
        talk_t talk;
        asked_t a;
        int rounds = 0;

        meet(&talk, &a);
        while (sheaf_h2_state(talk.h2) == SHEAF_H2_OPEN && rounds++ < 100) {
            for (int i = 0; i < 50; i++)
                say_nothing_of_use(&talk, kind);
            talk_on(&talk);
        }
        assert_in_range(rounds, 15, 25);
        assert_failed(&talk, NGHTTP2_ENHANCE_YOUR_CALM, "HTTP/2 failed: the server keeps sending frames and no answer");
    }
}

static void frames_beside_answers_are_fine(void **state)
{
    talk_t talk;
    asked_t a;

    meet(&talk, &a);
    for (int round = 0; round < 3000; round++) {
        say_nothing_of_use(&talk, round % 6);
        say_nothing_of_use(&talk, (round + 1) % 6);
        peer_data(&talk.peer, a.id, false, "on it goes");
        talk_on(&talk);
    }
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_OPEN);
    ask_end(&a);
    talk_end(&talk);
}

static void a_server_that_does_not_read_is_not_answered_for_ever(void **state)
{
    talk_t talk;
    asked_t a;

    meet(&talk, &a);
    for (int i = 0; i < 250; i++)
        say_nothing_of_use(&talk, 0);
    talk_on(&talk);
    assert_failed(&talk, NGHTTP2_ENHANCE_YOUR_CALM,
                  "HTTP/2 failed: the server makes the gateway answer and does not read");
}

static void a_head_in_very_many_pieces_ends_all(void **state)
{
    talk_t talk;
    asked_t a;

    meet(&talk, &a);
    peer_says(&talk.peer, NGHTTP2_HEADERS, 0, a.id, NULL, 0);
    for (int i = 0; i < 1100; i++)
        peer_says(&talk.peer, NGHTTP2_CONTINUATION, 0, a.id, NULL, 0);
    talk_on(&talk);
    assert_int_equal(sheaf_h2_state(talk.h2), SHEAF_H2_FAILED);
    talk_end(&talk);
}

/* Frames that HTTP/2 says to pass over; and a head for a stream that was cancelled, over and over. */
static void bytes_that_belong_to_nothing_come_to_an_end(void **state)
{
    static char large[16000];
    talk_t talk;
    asked_t a;
    int rounds = 0;

    meet(&talk, &a);
    while (sheaf_h2_state(talk.h2) == SHEAF_H2_OPEN && rounds++ < 1000) {
        peer_says(&talk.peer, 0xbe, 0, 0, large, sizeof(large));
        talk_on(&talk);
    }
    assert_in_range(rounds, 80, 90);
    assert_failed(&talk, NGHTTP2_ENHANCE_YOUR_CALM,
                  "HTTP/2 failed: the server keeps sending what belongs to no answer");

    meet(&talk, &a);
    sheaf_h2_cancel(talk.h2, a.id);
    for (rounds = 0; sheaf_h2_state(talk.h2) == SHEAF_H2_OPEN && rounds < 5000; rounds++) {
        peer_head(&talk.peer, a.id, false, ":status: 200");
        talk_on(&talk);
    }
    assert_in_range(rounds, 900, 1100);
    talk_end(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_malformed_answer_is_lost_and_the_others_are_not),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(interim_answers_come_to_an_end),
        cmocka_unit_test(what_is_not_http2_is_told),
        cmocka_unit_test(a_push_was_not_asked_for),
        cmocka_unit_test(frames_that_break_the_rules_end_all),
        cmocka_unit_test(a_goaway_does_not_take_back_an_answer_that_began),
        cmocka_unit_test(a_fault_behind_goaway_is_seen_too),
        cmocka_unit_test(what_never_went_out_is_known_when_the_conn_has_failed),
        cmocka_unit_test(frames_without_an_answer_in_sight_come_to_an_end),
        cmocka_unit_test(frames_beside_answers_are_fine),
        cmocka_unit_test(a_server_that_does_not_read_is_not_answered_for_ever),
        cmocka_unit_test(a_head_in_very_many_pieces_ends_all),
        cmocka_unit_test(bytes_that_belong_to_nothing_come_to_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
