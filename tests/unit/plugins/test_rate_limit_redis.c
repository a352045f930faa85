/* rate_limit through a real Redis. Waits are for real answers; timeouts are wound by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/plugins/host.h"
#include "tests/plugins/redis_liar.h"
#include "tests/plugins/redis_server.h"

extern const sheaf_plugin_t sheaf_plugin_rate_limit;

static redis_server_t server;

static host_t *limiter(const char *algorithm, const char *on_error)
{
    host_t *host = host_new(&sheaf_plugin_rate_limit);

    host_set(host, "limits[0].rate", "5");
    host_set(host, "limits[0].per", "1h");
    host_set(host, "limits[1].rate", "100");
    host_set(host, "limits[1].per", "2h");
    host_set(host, "algorithm", algorithm);
    host_set(host, "redis.address", server.address);
    host_set(host, "redis.prefix", algorithm);
    host_set(host, "redis.on_error", on_error);
    return host;
}

static host_t *opened(const char *algorithm, const char *on_error)
{
    host_t *host = limiter(algorithm, on_error);

    assert_null(host_open(host));
    return host;
}

static void wait_for(host_t *host, sheaf_p_ref_t item)
{
    for (int i = 0; host_outcome(item).is_waiting; i++) {
        assert_true(i < 1000);
        host_poll(host, 1000);
    }
}

static sheaf_p_ref_t asked(host_t *host, sheaf_p_verdict_t expected)
{
    sheaf_p_ref_t item = host_item(host, host_request(host, "POST", "/batch"), "POST", "/login");

    assert_int_equal(host_ask_item(item), expected);
    return item;
}

/* Asks `count` items, all at once; how many passed. */
static int passing(host_t *host, int count)
{
    sheaf_p_ref_t items[100];
    int passed = 0;

    for (int i = 0; i < count; i++)
        items[i] = asked(host, SHEAF_P_LATER);
    for (int i = 0; i < count; i++) {
        wait_for(host, items[i]);
        assert_int_equal(host_outcome(items[i]).faults, 0);
        passed += !host_outcome(items[i]).is_answered;
    }
    return passed;
}

static void machines_count_together(const char *algorithm, const char *policy)
{
    host_t *one = opened(algorithm, "allow"), *other = opened(algorithm, "allow");
    sheaf_p_ref_t item;

    assert_int_equal(passing(one, 3), 3);
    assert_int_equal(passing(other, 100), 2);
    assert_int_equal(host_counted(other, "refused"), 98);
    assert_int_equal(host_counted(other, "undecided"), 0);

    item = asked(one, SHEAF_P_LATER);
    wait_for(one, item);
    assert_int_equal(host_outcome(item).status, 429);
    host_result(item, 0);
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "ratelimit-policy"), policy);
    assert_string_not_equal(host_field(item, SHEAF_P_RESULT, "retry-after"), "");
    assert_memory_equal(host_field(item, SHEAF_P_RESULT, "ratelimit"), "\"default\";r=0;t=", 16);
    assert_non_null(strstr(host_field(item, SHEAF_P_RESULT, "ratelimit"), "\"default-1\";r=95;t="));
    host_free(one);
    host_free(other);
}

static void machines_share_a_token_bucket(void **unused)
{
    machines_count_together("token_bucket", "\"default\";q=5;w=3600, \"default-1\";q=100;w=7200");
}

static void machines_share_a_sliding_window(void **unused)
{
    machines_count_together("sliding_window", "\"default\";q=5;w=3600, \"default-1\";q=100;w=7200");
}

static void a_bucket_fills_again_by_the_clock_of_redis(void **unused)
{
    host_t *host = host_new(&sheaf_plugin_rate_limit);
    int passed = 0;

    host_set(host, "limits[0].rate", "50");
    host_set(host, "limits[0].per", "1s");
    host_set(host, "limits[0].burst", "1");
    host_set(host, "redis.address", server.address);
    host_set(host, "redis.prefix", "fills");
    assert_null(host_open(host));
    for (int i = 0; i < 100000 && passed < 5; i++) /* each 20 ms one */
        passed += passing(host, 1);
    assert_int_equal(passed, 5);
    assert_true(host_counted(host, "refused") > 0);
    host_free(host);
}

static host_t *of_one_prefix(const char *algorithm, const char *per)
{
    host_t *host = host_new(&sheaf_plugin_rate_limit);

    host_set(host, "limits[0].rate", "5");
    host_set(host, "limits[0].per", per);
    host_set(host, "algorithm", algorithm);
    host_set(host, "redis.address", server.address);
    assert_null(host_open(host));
    return host;
}

static void limits_may_be_changed_over_what_is_there(void **unused)
{
    static const struct {
        const char *algorithm, *per;
    } ways[] = {{"sliding_window", "1h"}, {"token_bucket", "1h"}, {"sliding_window", "2h"}, {"token_bucket", "3h"}};

    for (size_t i = 0; i < 4; i++) {
        host_t *host = of_one_prefix(ways[i].algorithm, ways[i].per);

        assert_int_equal(passing(host, 20), 5);
        assert_int_equal(host_counted(host, "undecided"), 0);
        host_free(host);
    }
    for (int i = 0, passed = 0; passed == 0; i++) { /* a bucket of an hour that is one of a second now */
        host_t *strict = i == 0 ? of_one_prefix("token_bucket", "1h") : NULL,
               *host = of_one_prefix("token_bucket", "1s");

        if (strict != NULL) {
            passing(strict, 20);
            host_free(strict);
        }
        passed = passing(host, 1);
        host_free(host);
    }
}

static void a_redis_that_stands_still_is_waited_for_no_longer_than_said(void **unused)
{
    static const struct {
        const char *on_error;
        uint32_t status;
    } ways[] = {{"allow", 0}, {"deny", 503}, {"local", 0}};

    for (int i = 0; i < 3; i++) {
        host_t *host = opened("token_bucket", ways[i].on_error);
        sheaf_p_ref_t item = asked(host, SHEAF_P_LATER);

        wait_for(host, item);
        kill(server.pid, SIGSTOP);
        item = asked(host, SHEAF_P_LATER);
        host_wind(host, 49);
        assert_true(host_outcome(item).is_waiting);
        host_wind(host, 1);
        assert_false(host_outcome(item).is_waiting);
        assert_int_equal(host_outcome(item).status, ways[i].status);
        assert_int_equal(host_counted(host, "undecided"), 1);
        kill(server.pid, SIGCONT);
        while (host_poll(host, 200) > 0) /* the late answer harms nobody */
            continue;
        assert_int_equal(host_outcome(item).faults, 0);
        host_free(host);
    }
}

static void a_redis_that_is_silent_for_a_second_is_left_alone(void **unused)
{
    host_t *host = opened("token_bucket", "local");
    int waits = 0, passed = 0;

    wait_for(host, asked(host, SHEAF_P_LATER));
    kill(server.pid, SIGSTOP);
    for (int i = 0; i < 100; i++) {
        sheaf_p_ref_t item = host_item(host, host_request(host, "POST", "/batch"), "POST", "/login");
        const sheaf_p_verdict_t verdict = host_ask_item(item);

        waits += verdict == SHEAF_P_LATER;
        if (verdict == SHEAF_P_LATER)
            host_wind(host, 50);
        passed += !host_outcome(item).is_answered;
    }
    kill(server.pid, SIGCONT);
    assert_in_range(waits, 15, 60);
    assert_int_equal(passed, 5); /* this machine's own count holds meanwhile */
    host_free(host);
}

static void who_waits_when_redis_dies_is_told_and_the_next_one_is_found(void **unused)
{
    host_t *host = opened("sliding_window", "deny");
    sheaf_p_ref_t item;

    wait_for(host, asked(host, SHEAF_P_LATER));
    host_logged(host);
    kill(server.pid, SIGSTOP);
    item = asked(host, SHEAF_P_LATER);
    redis_server_kill(&server);
    wait_for(host, item);
    assert_int_equal(host_outcome(item).status, 503);
    assert_string_equal(host_field(item, SHEAF_P_RESULT, "retry-after"), "1");
    asked(host, SHEAF_P_ANSWER); /* at once */
    host_wind(host, 3000);       /* it tries again, in vain */
    assert_string_equal(host_logged(host), "warn redis is lost, or cannot be reached\n");

    redis_server_start(&server);
    host_wind(host, 6250);                  /* the longest rest */
    assert_int_equal(passing(host, 10), 5); /* the script has to be sent again */
    assert_string_equal(host_logged(host), "info redis answers again\n");
    host_free(host);
}

static void an_item_that_ended_meanwhile_is_left_alone(void **unused)
{
    host_t *host = opened("token_bucket", "deny");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = host_item(host, request, "GET", "/");

    assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
    host_done(request);
    while (host_poll(host, 200) > 0)
        continue;
    host_free(host);
}

static void a_worker_that_ends_leaves_nothing_behind(void **unused)
{
    host_t *host = opened("token_bucket", "deny");

    for (int i = 0; i < 10; i++)
        asked(host, SHEAF_P_LATER);
    host_free(host); /* a sanitizer looks on */
}

static void questions_in_the_pipeline_are_bounded(void **unused)
{
    host_t *host = opened("token_bucket", "deny");

    for (int i = 0; i < 4096; i++)
        asked(host, SHEAF_P_LATER);
    asked(host, SHEAF_P_ANSWER);
    host_free(host);
}

static void a_password_is_sent_and_a_wrong_one_is_told(void **unused)
{
    redis_server_t locked, open_server = server;
    host_t *right, *wrong;

    redis_server_new(&locked, "se cret");
    server = locked; /* limiter() looks here */
    right = limiter("token_bucket", "deny");
    wrong = limiter("token_bucket", "deny");
    server = open_server;
    host_set(right, "redis.password_file", "se cret\n");
    host_set(wrong, "redis.password", "secret");
    assert_null(host_open(right));
    assert_null(host_open(wrong));
    assert_int_equal(passing(right, 7), 5);
    assert_int_equal(passing(wrong, 7), 0);
    assert_non_null(strstr(host_logged(wrong), "error redis refuses the password\n"));
    host_free(right);
    host_free(wrong);
    redis_server_free(&locked);
}

/* --- one that says more than it was asked --- */

static host_t *opened_at(redis_liar_t *liar)
{
    redis_server_t honest = server;
    host_t *host;

    snprintf(server.address, sizeof(server.address), "%s", liar->address); /* limiter() looks here */
    host = opened("token_bucket", "deny");
    server = honest;
    redis_liar_accept(liar);
    return host;
}

static void say(const redis_liar_t *liar, const char *text)
{
    redis_liar_say(liar, text, strlen(text));
}

static void what_nobody_asked_for_costs_the_connection_alone(void **unused)
{
    static const char *const words[] = {"+OK\r\n",      ":1\r\n", "$-1\r\n",    "*1\r\n:1\r\n",
                                        "$2\r\nab\r\n", "*0\r\n", "-ERR no\r\n"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        redis_liar_t liar;
        host_t *host;

        redis_liar_new(&liar);
        host = opened_at(&liar);
        say(&liar, words[i]);
        for (int n = 0; n < 20 && host_counted(host, "redis_lost") == 0; n++)
            host_poll(host, 100);
        assert_int_equal(host_counted(host, "redis_lost"), 1);
        host_free(host);
        redis_liar_free(&liar);
    }
}

static void a_second_answer_to_one_question_costs_the_connection_alone(void **unused)
{
    redis_liar_t liar;
    host_t *host;
    sheaf_p_ref_t item;

    redis_liar_new(&liar);
    host = opened_at(&liar);
    item = asked(host, SHEAF_P_LATER);
    host_poll(host, 100); /* it goes out */
    say(&liar, "*6\r\n:1\r\n:0\r\n:4\r\n:1000\r\n:99\r\n:1000\r\n*6\r\n:1\r\n:0\r\n:4\r\n:1000\r\n:99\r\n:1000\r\n");
    wait_for(host, item);
    for (int n = 0; n < 20 && host_counted(host, "redis_lost") == 0; n++)
        host_poll(host, 100);
    assert_int_equal(host_counted(host, "redis_lost"), 1);
    assert_int_equal(host_outcome(item).faults, 0);
    asked(host, SHEAF_P_ANSWER);
    host_free(host);
    redis_liar_free(&liar);
}

static void who_asks_more_than_redis_answers_in_time_is_counted_here(void **unused)
{
    host_t *host = opened("token_bucket", "allow");
    sheaf_p_ref_t items[50];
    int passed = 0;

    wait_for(host, asked(host, SHEAF_P_LATER));
    kill(server.pid, SIGSTOP); /* slow it is, not gone */
    for (int i = 0; i < 50; i++)
        items[i] = asked(host, SHEAF_P_LATER);
    host_wind(host, 50);
    kill(server.pid, SIGCONT);
    for (int i = 0; i < 50; i++)
        passed += !host_outcome(items[i]).is_answered;
    assert_int_equal(passed, 5);
    assert_int_equal(host_counted(host, "undecided"), 50);
    host_free(host);
}

static void what_the_pipeline_has_no_room_for_is_counted_here(void **unused)
{
    host_t *host = opened("token_bucket", "allow");
    int passed = 0;

    for (int i = 0; i < 4096; i++)
        asked(host, SHEAF_P_LATER);
    for (int i = 0; i < 50; i++) {
        sheaf_p_ref_t item = host_item(host, host_request(host, "POST", "/batch"), "POST", "/login");

        passed += host_ask_item(item) == SHEAF_P_PASS;
    }
    assert_int_equal(passed, 5);
    host_free(host);
}

static void without_redis_allow_lets_all_pass(void **unused)
{
    host_t *host = opened("token_bucket", "allow");

    wait_for(host, asked(host, SHEAF_P_LATER));
    redis_server_kill(&server);
    for (int n = 0; n < 20 && host_counted(host, "redis_lost") == 0; n++)
        host_poll(host, 100);
    for (int i = 0; i < 50; i++)
        asked(host, SHEAF_P_PASS);
    host_free(host);
}

static int start(void **unused)
{
    signal(SIGPIPE, SIG_IGN); /* as Sheaf does */
    redis_server_new(&server, NULL);
    return 0;
}

static int stop(void **unused)
{
    redis_server_free(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(machines_share_a_token_bucket, start, stop),
        cmocka_unit_test_setup_teardown(machines_share_a_sliding_window, start, stop),
        cmocka_unit_test_setup_teardown(a_bucket_fills_again_by_the_clock_of_redis, start, stop),
        cmocka_unit_test_setup_teardown(limits_may_be_changed_over_what_is_there, start, stop),
        cmocka_unit_test_setup_teardown(a_redis_that_stands_still_is_waited_for_no_longer_than_said, start, stop),
        cmocka_unit_test_setup_teardown(a_redis_that_is_silent_for_a_second_is_left_alone, start, stop),
        cmocka_unit_test_setup_teardown(who_waits_when_redis_dies_is_told_and_the_next_one_is_found, start, stop),
        cmocka_unit_test_setup_teardown(an_item_that_ended_meanwhile_is_left_alone, start, stop),
        cmocka_unit_test_setup_teardown(a_worker_that_ends_leaves_nothing_behind, start, stop),
        cmocka_unit_test_setup_teardown(questions_in_the_pipeline_are_bounded, start, stop),
        cmocka_unit_test_setup_teardown(a_password_is_sent_and_a_wrong_one_is_told, start, stop),
        cmocka_unit_test_setup_teardown(what_nobody_asked_for_costs_the_connection_alone, start, stop),
        cmocka_unit_test_setup_teardown(a_second_answer_to_one_question_costs_the_connection_alone, start, stop),
        cmocka_unit_test_setup_teardown(who_asks_more_than_redis_answers_in_time_is_counted_here, start, stop),
        cmocka_unit_test_setup_teardown(what_the_pipeline_has_no_room_for_is_counted_here, start, stop),
        cmocka_unit_test_setup_teardown(without_redis_allow_lets_all_pass, start, stop),
    };

    if (!redis_server_is_installed()) {
        printf("skipped: there is no redis-server\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
