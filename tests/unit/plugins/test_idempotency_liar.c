/* idempotency through something that is no Redis, and says what it likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/plugins/redis_liar.h"
#include "tests/unit/plugins/idempotency_redis_host.h"

static host_t *gateway_to(redis_liar_t *liar)
{
    host_t *host;

    redis_liar_new(liar);
    host = gateway_at(liar->address, "deny");
    assert_null(host_open(host));
    redis_liar_accept(liar);
    return host;
}

static void an_answer_may_come_in_any_two_pieces(void **unused)
{
    static const char answer[] = "*2\r\n$4\r\ndone\r\n$11\r\n\xc9\0\1\0\0\0hello\r\n";
    const size_t len = sizeof(answer) - 1;
    redis_liar_t liar;
    host_t *host = gateway_to(&liar);

    for (size_t cut = 1; cut < len; cut++) {
        sheaf_p_ref_t item = item_with(host, "k", "{}");

        assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
        host_poll(host, 50);
        redis_liar_say(&liar, answer, cut);
        host_poll(host, 50);
        assert_true(host_outcome(item).is_waiting);
        redis_liar_say(&liar, answer + cut, len - cut);
        wait_for(host, item);
        assert_int_equal(host_outcome(item).status, 201);
        assert_string_equal(host_outcome(item).body, "hello");
    }
    host_free(host);
    redis_liar_free(&liar);
}

typedef struct lie {
    const char *answer;
    size_t len;
    uint32_t status;
} lie_t;

#define LIE(text, status)                                                                                              \
    {                                                                                                                  \
        text, sizeof(text) - 1, status                                                                                 \
    }

static void what_is_no_answer_is_none(void **unused)
{
    static const lie_t lies[] = {
        LIE("-ERR no\r\n", 503),
        LIE("+OK\r\n", 503),
        LIE(":1\r\n", 503),
        LIE("$-1\r\n", 503),
        LIE("*-1\r\n", 503),
        LIE("*0\r\n", 503),
        LIE("*1\r\n$3\r\nnew\r\n", 503),
        LIE("*2\r\n$3\r\nnew\r\n:0\r\n", 503),
        LIE("*2\r\n:0\r\n$0\r\n\r\n", 503),
        LIE("*2\r\n$4\r\nnews\r\n$0\r\n\r\n", 503),
        LIE("*3\r\n$3\r\nnew\r\n$0\r\n\r\n$0\r\n\r\n", 503),
        LIE("*2\r\n*1\r\n:1\r\n$0\r\n\r\n", 503),
        LIE("*2\r\n$999999999\r\n", 503),
        LIE("HTTP/1.1 400 Bad Request\r\n\r\n", 503),
        LIE("*2\r\n$4\r\ndone\r\n$0\r\n\r\n", 409),
        LIE("*2\r\n$4\r\ndone\r\n$6\r\n\xff\xff\1\0\1\0\r\n", 409),                /* status 65535 */
        LIE("*2\r\n$4\r\ndone\r\n$6\r\n\0\0\1\0\0\0\r\n", 409),                    /* status 0 */
        LIE("*2\r\n$4\r\ndone\r\n$10\r\n\xc8\0\1\0\1\0\xff\xff\xff\xff\r\n", 200), /* a field that is not there */
        LIE("*2\r\n$4\r\ndone\r\n$12\r\n\xc8\0\1\0\1\0\1\0\1\0\r\n\r\n", 200),     /* a field that is none */
    };

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        redis_liar_t liar;
        host_t *host = gateway_to(&liar);
        sheaf_p_ref_t item = item_with(host, "k", "{}");

        assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
        host_poll(host, 50);
        redis_liar_say(&liar, lies[i].answer, lies[i].len);
        for (int n = 0; n < 5 && host_outcome(item).is_waiting; n++)
            host_poll(host, 20);
        if (host_outcome(item).is_waiting)
            host_wind(host, 250);
        assert_int_equal(host_outcome(item).status, lies[i].status);
        assert_int_equal(host_outcome(item).faults, 0);
        host_free(host);
        redis_liar_free(&liar);
    }
}

/* Answers all that has come with an error; how many questions it was. */
static int refuse_all(redis_liar_t *liar)
{
    char heard[16384];
    int count = 0;
    ssize_t len;

    while ((len = recv(liar->conn, heard, sizeof(heard) - 1, MSG_DONTWAIT)) > 0) {
        heard[len] = 0;
        for (const char *at = heard; (at = strstr(at, "\r\nEVAL")) != NULL; at++, count++)
            redis_liar_say(liar, "-OOM no\r\n", 9);
    }
    return count;
}

static void a_redis_that_refuses_is_told_less_and_less_often(void **unused)
{
    redis_liar_t liar;
    host_t *host;
    sheaf_p_ref_t item;
    int asked = 0;

    redis_liar_new(&liar);
    host = gateway_at(liar.address, "allow");
    assert_null(host_open(host));
    redis_liar_accept(&liar);
    item = item_with(host, "k", "{}");
    assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
    host_poll(host, 50);
    assert_int_equal(refuse_all(&liar), 1);
    wait_for(host, item);
    assert_false(host_outcome(item).is_answered);
    answers(item, 201, "{}");
    for (int i = 0; i < 600; i++) { /* a minute */
        host_wind(host, 100);
        while (host_poll(host, 1) > 0)
            continue;
        asked += refuse_all(&liar);
    }
    assert_in_range(asked, 4, 8); /* at once, after 1, 2, 4, 8, 16, 30 seconds */

    item = item_with(host, "l", "{}");
    assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
    host_poll(host, 50);
    refuse_all(&liar);
    wait_for(host, item);
    answers(item, 201, "{}");
    host_poll(host, 50);
    assert_int_equal(refuse_all(&liar), 1); /* a new one brings nobody else's along */
    assert_int_equal(host_counted(host, "redis_lost"), 0);
    host_free(host);
    redis_liar_free(&liar);
}

static void what_redis_does_not_take_is_bounded_and_told_once(void **unused)
{
    redis_liar_t liar;
    host_t *host;
    char *body = calloc(1, 900001);

    redis_liar_new(&liar);
    host = gateway_at(liar.address, "allow");
    host_set(host, "max_answer", "1MiB");
    host_set(host, "ttl", "1s");
    assert_null(host_open(host));
    redis_liar_free(&liar); /* nobody there any more */
    until_lost(host);
    host_logged(host);
    memset(body, 'x', 900000);
    for (int i = 0; i < 40; i++) {
        char key[16];
        sheaf_p_ref_t item;

        snprintf(key, sizeof(key), "k%d", i);
        item = item_with(host, key, "{}");
        assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
        answers(item, 201, body);
    }
    assert_string_equal(host_logged(host),
                        "warn answers cannot be remembered: their keys run until their lease is over\n");
    host_wind(host, 3000); /* what nobody took is forgotten when its time is over */
    assert_int_equal(tried(host, "last", "{}"), 0);
    assert_string_equal(host_logged(host), "");
    free(body);
    host_free(host);
}

static void a_configuration_that_cannot_be_is_refused(void **unused)
{
    static const char *const rows[][3] = {
        {"redis.address", "redis.example:6379", "redis.address: must be a numeric address with a port, or unix:/PATH"},
        {"redis.prefix", "a-prefix-that-is-as-long-as-a-whole-key-and-then-some-more-of-it-still",
         "redis.prefix: is too long"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = gateway_at("127.0.0.1:1", "deny");

        host_set(host, rows[i][0], rows[i][1]);
        assert_string_equal(host_open(host), rows[i][2]);
        host_free(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_may_come_in_any_two_pieces),
        cmocka_unit_test(what_is_no_answer_is_none),
        cmocka_unit_test(a_redis_that_refuses_is_told_less_and_less_often),
        cmocka_unit_test(what_redis_does_not_take_is_bounded_and_told_once),
        cmocka_unit_test(a_configuration_that_cannot_be_is_refused),
    };

    signal(SIGPIPE, SIG_IGN); /* as Sheaf does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
