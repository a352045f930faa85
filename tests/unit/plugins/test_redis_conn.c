/* The connection to Redis that plugins are built with, against one that says what it likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "plugins/redis/redis_conn.h"
#include "tests/plugins/host.h"
#include "tests/plugins/redis_liar.h"

#define ANSWER_BYTES 1000

static const sheaf_p_counter_t counters[] = {{.name = "lost", .manual = "Lost."}, {.name = NULL}};

static void *open_nothing(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    return host_api() == open->api ? open->worker : NULL;
}

static const sheaf_plugin_t plugin = {.size = sizeof(sheaf_plugin_t),
                                      .abi_major = SHEAF_P_ABI_MAJOR,
                                      .name = "plugin",
                                      .version = "1.0",
                                      .manual = "Nothing.",
                                      .counters = counters,
                                      .open = open_nothing};

typedef struct bench {
    host_t *host;
    redis_liar_t liar;
    redis_conn_t *conn;
    redis_script_t script;
    int told, silences, dialed, note; /* note: of the last one that was told */
    char said[2000];                  /* what was told: texts in <>, numbers */
} bench_t;

static void write_reply(char *said, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_INTEGER)
        sprintf(said + strlen(said), "%lld", reply->integer);
    else if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_ERROR)
        sprintf(said + strlen(said), "<%.*s>", (int)reply->len, reply->str);
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        write_reply(said, reply->element[i]);
}

static void on_answer(void *owner, const void *note, const redisReply *reply)
{
    bench_t *bench = owner;

    bench->told++;
    bench->silences += reply == NULL;
    memcpy(&bench->note, note, sizeof(bench->note));
    bench->said[0] = 0;
    if (reply != NULL)
        write_reply(bench->said, reply);
}

static void on_dialed(void *owner)
{
    ((bench_t *)owner)->dialed++;
}

static bench_t *bench_in(int64_t database)
{
    bench_t *bench = calloc(1, sizeof(*bench));
    redis_conn_conf_t conf = {.database = database,
                              .timeout_ms = 5000,
                              .answer_bytes = ANSWER_BYTES,
                              .on_answer = on_answer,
                              .on_dialed = on_dialed,
                              .owner = bench};

    bench->host = host_new(&plugin);
    assert_null(host_open(bench->host));
    redis_liar_new(&bench->liar);
    assert_true(redis_address_read(sheaf_p_str(bench->liar.address, strlen(bench->liar.address)), &conf.address));
    redis_script_init(&bench->script, "return 'all of it'");
    bench->conn = redis_conn_new(host_api(), bench->host, &conf);
    assert_non_null(bench->conn);
    redis_liar_accept(&bench->liar);
    return bench;
}

static bench_t *bench_new(void)
{
    return bench_in(0);
}

static void bench_free(bench_t *bench)
{
    redis_conn_free(bench->conn);
    redis_liar_free(&bench->liar);
    host_free(bench->host);
    free(bench);
}

static bool ask(bench_t *bench, int note, sheaf_p_str_t word)
{
    static redis_question_t question;

    redis_question_begin(&question, &bench->script);
    redis_question_key(&question, "key-%d", note);
    redis_question_word(&question, word);
    return redis_conn_ask(bench->conn, &question, &note, sizeof(note));
}

static void say(bench_t *bench, const char *text, size_t len)
{
    redis_liar_say(&bench->liar, text, len);
}

static void settle(bench_t *bench)
{
    while (host_poll(bench->host, 50) > 0)
        continue;
}

static void until_told(bench_t *bench, int told)
{
    for (int i = 0; i < 200 && bench->told < told; i++)
        host_poll(bench->host, 20);
    assert_int_equal(bench->told, told);
}

static void an_answer_may_come_in_any_two_pieces(void **unused)
{
    static const char answer[] = "*3\r\n:17\r\n$6\r\na\r\nb\r\n\r\n$0\r\n\r\n";
    bench_t *bench = bench_new();
    const size_t len = sizeof(answer) - 1;

    for (size_t cut = 1; cut < len; cut++) {
        const int told = bench->told;

        assert_true(ask(bench, (int)cut, sheaf_p_str("", 0)));
        settle(bench);
        say(bench, answer, cut);
        settle(bench);
        assert_int_equal(bench->told, told);
        say(bench, answer + cut, len - cut);
        until_told(bench, told + 1);
        assert_int_equal(bench->note, cut);
        assert_string_equal(bench->said, "17<a\r\nb\r\n><>");
    }
    assert_int_equal(host_counted(bench->host, "lost"), 0);
    bench_free(bench);
}

static void hears(bench_t *bench, const char *expected, size_t len)
{
    char heard[4096];

    settle(bench);
    assert_int_equal(redis_liar_hear(&bench->liar, heard, sizeof(heard)), len);
    assert_memory_equal(heard, expected, len);
}

static void a_script_is_sent_whole_first_and_where_redis_does_not_know_it(void **unused)
{
    static const char whole[] =
        "*5\r\n$4\r\nEVAL\r\n$18\r\nreturn 'all of it'\r\n$1\r\n1\r\n$5\r\nkey-7\r\n$3\r\na\0b\r\n";
    bench_t *bench = bench_new();
    char by_sha[200];
    int len;

    assert_true(ask(bench, 7, sheaf_p_str("a\0b", 3)));
    hears(bench, whole, sizeof(whole) - 1);
    say(bench, ":1\r\n", 4);
    until_told(bench, 1);

    assert_true(ask(bench, 7, sheaf_p_str("a-b", 3)));
    len = snprintf(by_sha, sizeof(by_sha),
                   "*5\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$5\r\nkey-7\r\n$3\r\na-b\r\n", bench->script.sha);
    hears(bench, by_sha, (size_t)len);
    say(bench, ":2\r\n", 4);
    until_told(bench, 2);

    assert_true(ask(bench, 7, sheaf_p_str("a\0b", 3)));
    settle(bench);
    redis_liar_hear(&bench->liar, by_sha, sizeof(by_sha));
    say(bench, "-NOSCRIPT no\r\n", 14);
    hears(bench, whole, sizeof(whole) - 1);
    say(bench, "-NOSCRIPT no\r\n", 14); /* once is enough */
    until_told(bench, 3);
    assert_string_equal(bench->said, "<NOSCRIPT no>");
    bench_free(bench);
}

static void one_that_refuses_the_database_is_not_believed(void **unused)
{
    bench_t *bench = bench_in(20);

    assert_true(ask(bench, 1, sheaf_p_str("", 0)));
    settle(bench);
    say(bench, "-ERR DB index is out of range\r\n:17\r\n", 36);
    until_told(bench, 1);
    assert_int_equal(bench->silences, 1);
    assert_int_equal(host_counted(bench->host, "lost"), 1);
    assert_string_equal(host_logged(bench->host),
                        "error redis refuses the database\nwarn redis is lost, or cannot be reached\n");
    bench_free(bench);
}

/* The second question is answered by data that are older than what the first one was to tell. */
static void one_that_has_no_data_yet_is_not_back(void **unused)
{
    static const char *const words[] = {"-LOADING it\r\n:1\r\n", "-MASTERDOWN x\r\n:1\r\n", "-READONLY one\r\n:1\r\n"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        bench_t *bench = bench_new();

        assert_true(ask(bench, 1, sheaf_p_str("", 0)));
        assert_true(ask(bench, 2, sheaf_p_str("", 0)));
        settle(bench);
        say(bench, words[i], strlen(words[i]));
        until_told(bench, 2);
        assert_int_equal(bench->note, 2);
        assert_int_equal(bench->silences, 1);
        assert_false(ask(bench, 3, sheaf_p_str("", 0)));
        host_wind(bench->host, 200);
        assert_int_equal(bench->dialed, 1);
        bench_free(bench);
    }
}

/* More than was agreed, however it is said: whoever asked is told that there is no answer, and that is all. */
static void an_answer_that_is_too_large_costs_the_connection_alone(void **unused)
{
    static const char *const begins[] = {"$536870912\r\n", "$1001\r\n",           "-", "*65\r\n", "*2000000000\r\n",
                                         "*1\r\n*1\r\n",   "*1\r\n$536870912\r\n"};
    char filling[2000];

    memset(filling, '1', sizeof(filling));
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        bench_t *bench = bench_new();

        assert_true(ask(bench, 1, sheaf_p_str("", 0)));
        settle(bench);
        say(bench, begins[i], strlen(begins[i]));
        say(bench, filling, sizeof(filling));
        until_told(bench, 1);
        assert_int_equal(bench->silences, 1);
        assert_int_equal(host_counted(bench->host, "lost"), 1);
        assert_false(ask(bench, 2, sheaf_p_str("", 0)));
        bench_free(bench);
    }
}

static void who_waits_for_an_answer_that_breaks_off_is_told_so(void **unused)
{
    static const char answer[] = "*2\r\n:17\r\n$6\r\na\r\nb\r\n\r\n";

    for (size_t cut = 0; cut < sizeof(answer) - 1; cut++) {
        bench_t *bench = bench_new();

        assert_true(ask(bench, 1, sheaf_p_str("", 0)));
        assert_true(ask(bench, 2, sheaf_p_str("", 0)));
        settle(bench);
        if (cut > 0)
            say(bench, answer, cut);
        shutdown(bench->liar.conn, SHUT_WR);
        until_told(bench, 2);
        assert_int_equal(bench->silences, 2);
        assert_int_equal(host_counted(bench->host, "lost"), 1);
        bench_free(bench);
    }
}

static void an_answer_as_large_as_agreed_is_one(void **unused)
{
    bench_t *bench = bench_new();
    char filling[ANSWER_BYTES];

    memset(filling, '1', sizeof(filling));
    assert_true(ask(bench, 1, sheaf_p_str("", 0)));
    settle(bench);
    say(bench, "*2\r\n:1\r\n$1000\r\n", 15);
    say(bench, filling, sizeof(filling));
    settle(bench);
    say(bench, "\r\n", 2);
    until_told(bench, 1);
    assert_int_equal(strlen(bench->said), 1 + 1 + ANSWER_BYTES + 1);
    bench_free(bench);
}

static void what_is_asked_of_one_that_does_not_listen_is_bounded(void **unused)
{
    bench_t *bench = bench_new();
    char *large = calloc(1, 1 << 20);
    int taken = 0;

    while (taken < 100 && ask(bench, taken, sheaf_p_str(large, 1 << 20)))
        taken++;
    assert_in_range(taken, 15, 17);
    host_wind(bench->host, 5000);
    assert_int_equal(bench->told, taken);
    assert_int_equal(bench->silences, taken);
    free(large);
    bench_free(bench);
}

static void a_question_that_does_not_fit_is_not_asked(void **unused)
{
    bench_t *bench = bench_new();
    redis_question_t question;

    redis_question_begin(&question, &bench->script);
    for (int i = 0; i <= REDIS_WORDS_MAX; i++)
        redis_question_word(&question, sheaf_p_str("a", 1));
    assert_false(redis_conn_ask(bench->conn, &question, "", 0));
    redis_question_begin(&question, &bench->script);
    redis_question_key(&question, "%*d", REDIS_ROOM_MAX, 1);
    assert_false(redis_conn_ask(bench->conn, &question, "", 0));
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_may_come_in_any_two_pieces),
        cmocka_unit_test(a_script_is_sent_whole_first_and_where_redis_does_not_know_it),
        cmocka_unit_test(one_that_refuses_the_database_is_not_believed),
        cmocka_unit_test(one_that_has_no_data_yet_is_not_back),
        cmocka_unit_test(an_answer_that_is_too_large_costs_the_connection_alone),
        cmocka_unit_test(who_waits_for_an_answer_that_breaks_off_is_told_so),
        cmocka_unit_test(an_answer_as_large_as_agreed_is_one),
        cmocka_unit_test(what_is_asked_of_one_that_does_not_listen_is_bounded),
        cmocka_unit_test(a_question_that_does_not_fit_is_not_asked),
    };

    signal(SIGPIPE, SIG_IGN); /* as Sheaf does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
