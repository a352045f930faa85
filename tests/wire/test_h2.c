/* HTTP/2 means the same however its bytes are cut: whole, in pieces of every size, in two at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/upstream/h2_talk.h"

#define STREAMS 4

/* What the backend says; four requests (the last one HEAD) are on the conn. */
static void say_answers(peer_t *peer)
{
    peer_hello(peer);
    peer_head(peer, 3, false, ":status: 103\nlink: </a>");
    peer_head(peer, 1, false, ":status: 200\ncontent-length: 5\nx: y");
    peer_data(peer, 1, false, "he");
    peer_head(peer, 3, false, ":status: 404\nx: y");
    peer_says(peer, NGHTTP2_PING, 0, 0, "12345678", 8);
    peer_data(peer, 3, false, "gone");
    peer_data(peer, 1, true, "llo");
    peer_head(peer, 7, true, ":status: 200\ncontent-length: 70");
    peer_says(peer, 0xbe, 0, 0, "unknown", 7);
    peer_head(peer, 3, true, "x-trailer: 1");
    peer_setting(peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2);
    peer_answer(peer, 5, "and the rest");
}

static void say_padded(peer_t *peer)
{
    size_t len;
    uint8_t padded[64] = {5, 'h', 'i'}, head[64] = {3, 0, 0, 0, 0, 16}, *block;

    peer_hello(peer);
    block = peer_block(peer, ":status: 200\nx: y", &len);
    memcpy(head + 6, block, len);
    peer_says(peer, NGHTTP2_HEADERS, NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY, 1, head, 6 + len + 3);
    free(block);
    block = peer_block(peer, "z: 0", &len);
    peer_says(peer, NGHTTP2_CONTINUATION, 0, 1, NULL, 0);
    peer_says(peer, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, block, len);
    free(block);
    peer_says(peer, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, padded, 8);
    peer_says(peer, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_END_STREAM, 1, padded + 20, 1);
}

static void say_faults(peer_t *peer)
{
    peer_hello(peer);
    peer_head(peer, 1, false, ":status: 200\ncontent-length: 2");
    peer_data(peer, 1, false, "too long");
    peer_data(peer, 1, true, "and late");
    peer_head(peer, 3, false, ":status: 200\nX: y\nz: z");
    peer_data(peer, 3, true, "late");
    peer_u32(peer, NGHTTP2_RST_STREAM, 5, NGHTTP2_REFUSED_STREAM);
    peer_head(peer, 7, false, ":status: 200");
    peer_data(peer, 7, true, "a body for HEAD");
}

static void say_goaway(peer_t *peer)
{
    peer_hello(peer);
    peer_goaway(peer, 3, NGHTTP2_ENHANCE_YOUR_CALM);
    peer_answer(peer, 3, "three");
    peer_answer(peer, 7, "seven");
    peer_answer(peer, 5, "five");
    peer_u32(peer, NGHTTP2_WINDOW_UPDATE, 0, 0);
    peer_answer(peer, 1, "one");
}

static void say_http1(peer_t *peer)
{
    static const char text[] = "HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n";

    bytes_add(&peer->said, text, sizeof(text) - 1);
}

static void say_cut(peer_t *peer)
{
    say_answers(peer);
    peer->said.len -= 30;
}

static void say_too_large_a_frame(peer_t *peer)
{
    uint8_t head[9] = {1, 0, 0, NGHTTP2_DATA, 0, 0, 0, 0, 1};

    say_answers(peer);
    bytes_add(&peer->said, head, sizeof(head));
    peer_says(peer, NGHTTP2_PING, 0, 0, "12345678", 8);
}

/* All that was told, the state and the detail, which the caller frees. `first`: the length of the first piece. */
static char *tell_all(void (*say)(peer_t *peer), size_t first, size_t piece)
{
    talk_t talk;
    asked_t asked[STREAMS];
    size_t at = 0;

    talk_begin(&talk, 10, 65535);
    for (int i = 0; i < STREAMS; i++) {
        static const char *const names[] = {"a", "b", "c", "d"};

        ask(&talk, &asked[i], names[i], i == 3 ? "HEAD" : "GET");
    }
    gateway_speaks(&talk);
    say(&talk.peer);
    while (at < talk.peer.said.len) {
        size_t len = at == 0 && first != 0 ? first : piece;

        len = talk.peer.said.len - at < len ? talk.peer.said.len - at : len;
        gateway_reads(&talk, talk.peer.said.bytes + at, len);
        at += len;
    }
    tell(&talk, sheaf_h2_state(talk.h2) == SHEAF_H2_OPEN ? "open " : "failed ");
    tell(&talk, sheaf_h2_detail(talk.h2));
    told(&talk);
    for (int i = 0; i < STREAMS; i++)
        ask_end(&asked[i]);
    char *text = talk.told.bytes;

    talk.told.bytes = NULL;
    talk_end(&talk);
    return text;
}

static void however_it_is_cut(void (*say)(peer_t *peer), const char *want)
{
    char *whole = tell_all(say, 0, SIZE_MAX);
    size_t len;
    peer_t peer;

    assert_string_equal(whole, want);
    peer_init(&peer);
    say(&peer);
    len = peer.said.len;
    peer_fini(&peer);
    for (size_t i = 1; i < len; i++) {
        char *pieces = tell_all(say, 0, i), *two = tell_all(say, i, SIZE_MAX);

        assert_string_equal(pieces, want);
        assert_string_equal(two, want);
        free(pieces);
        free(two);
    }
    free(whole);
}

static void answers_mean_the_same_however_they_are_cut(void **state)
{
    however_it_is_cut(say_answers, "change\na: 200 length 5 content-length=5 x=y\nb: 404 length -1 x=y\n"
                                   "a: complete hello\nd: 200 length 0 content-length=70\nd: complete \n"
                                   "b: complete gone\nchange\nc: 200 length -1 content-type=text/plain\n"
                                   "c: complete and the rest\nopen ");
}

static void padding_and_continuation_mean_nothing(void **state)
{
    however_it_is_cut(say_padded, "change\na: 200 length -1 x=y z=0\na: complete hi\nopen ");
}

static void faults_are_the_same_however_they_are_cut(void **state)
{
    however_it_is_cut(say_faults, "change\na: 200 length 2 content-length=2\n"
                                  "a: malformed a body longer than its Content-Length\n"
                                  "b: malformed a header name that is no lower-case token\n"
                                  "c: refused the server reset the stream: REFUSED_STREAM\n"
                                  "d: 200 length 0\nd: malformed a body where none may be\nopen ");
}

static void a_goaway_is_the_same_however_it_is_cut(void **state)
{
    however_it_is_cut(say_goaway, "change\nd: refused the server went away before it took the request\n"
                                  "c: refused the server went away before it took the request\nchange\n"
                                  "b: 200 length -1 content-type=text/plain\nb: complete three\n"
                                  "failed HTTP/2 failed: Protocol error");
}

static void what_is_not_http2_is_the_same_however_it_is_cut(void **state)
{
    however_it_is_cut(say_http1, "failed HTTP/2 failed: what came is not HTTP/2");
}

static void an_end_in_between_is_the_same_however_it_is_cut(void **state)
{
    char *whole = tell_all(say_cut, 0, SIZE_MAX);

    assert_non_null(strstr(whole, "b: complete gone\n"));
    assert_null(strstr(whole, "c: complete"));
    however_it_is_cut(say_cut, whole);
    free(whole);
    whole = tell_all(say_too_large_a_frame, 0, SIZE_MAX);
    assert_non_null(strstr(whole, "c: complete and the rest\nfailed HTTP/2 failed: the server broke the protocol"));
    however_it_is_cut(say_too_large_a_frame, whole);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_mean_the_same_however_they_are_cut),
        cmocka_unit_test(padding_and_continuation_mean_nothing),
        cmocka_unit_test(faults_are_the_same_however_they_are_cut),
        cmocka_unit_test(a_goaway_is_the_same_however_it_is_cut),
        cmocka_unit_test(what_is_not_http2_is_the_same_however_it_is_cut),
        cmocka_unit_test(an_end_in_between_is_the_same_however_it_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
