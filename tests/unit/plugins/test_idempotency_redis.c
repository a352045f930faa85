/* idempotency through a real Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/plugins/redis_server.h"
#include "tests/unit/plugins/idempotency_redis_host.h"

static redis_server_t server;

static host_t *gateway(const char *on_error)
{
    host_t *host = gateway_at(server.address, on_error);

    assert_null(host_open(host));
    return host;
}

static void machines_know_of_each_other(void **unused)
{
    host_t *one = gateway("deny"), *other = gateway("deny");
    sheaf_p_ref_t item = item_with(one, "k", "{}"), again = item_with(other, "k", "{}");

    assert_int_equal(decided(one, item), 0);
    assert_int_equal(decided(other, again), 409);
    assert_string_equal(host_outcome(again).slug, "idempotency-running");
    assert_string_equal(host_field(again, SHEAF_P_RESULT, "retry-after"), "1");
    assert_int_equal(tried(other, "k", "{\"a\":1}"), 422);
    answered(one, item, 201, "{\"id\":7}");

    again = item_with(other, "k", "{}");
    assert_int_equal(decided(other, again), 201);
    assert_string_equal(host_outcome(again).body, "{\"id\":7}");
    assert_string_equal(host_outcome(again).content_type, "application/json");
    assert_string_equal(host_field(again, SHEAF_P_RESULT, "location"), "/orders/7");
    assert_string_equal(host_field(again, SHEAF_P_RESULT, "idempotency-replayed"), "true");
    assert_string_equal(host_field(again, SHEAF_P_RESULT, "set-cookie"), "");
    assert_int_equal(tried(other, "k", "{\"a\":1}"), 422);
    assert_int_equal(host_counted(other, "replayed"), 1);
    assert_int_equal(host_counted(other, "mismatches"), 2);
    host_free(one);
    host_free(other);
}

static void what_failed_may_be_tried_again_anywhere_and_what_may_run_may_not(void **unused)
{
    host_t *one = gateway("deny"), *other = gateway("deny");
    sheaf_p_ref_t failed = item_with(one, "f", "{}"), doubt = item_with(one, "d", "{}");

    assert_int_equal(decided(one, failed), 0);
    assert_int_equal(decided(one, doubt), 0);
    host_fact(doubt, SHEAF_P_ERROR, "timeout");
    answered(one, doubt, 504, "");
    answered(one, failed, 503, "");
    assert_int_equal(tried(other, "f", "{}"), 0);
    assert_int_equal(tried(other, "d", "{}"), 409);
    host_free(one);
    host_free(other);
}

static host_t *short_lived(const char *key)
{
    host_t *host = gateway_at(server.address, "deny");

    host_set(host, key, "1s");
    assert_null(host_open(host));
    return host;
}

static void an_answer_is_forgotten_when_its_time_is_over(void **unused)
{
    host_t *host = short_lived("ttl");
    sheaf_p_ref_t item = item_with(host, "k", "{}");
    uint32_t status = 201;

    assert_int_equal(decided(host, item), 0);
    answered(host, item, 201, "{}");
    assert_int_equal(tried(host, "k", "{}"), 201);
    for (int i = 0; i < 100 && status == 201; i++) { /* by the clock of Redis */
        host_poll(host, 50);
        status = tried(host, "k", "{}");
    }
    assert_int_equal(status, 0);
    host_free(host);
}

static void who_comes_back_after_its_lease_changes_nothing_of_the_next_one(void **unused)
{
    host_t *host = short_lived("lease");
    sheaf_p_ref_t item = item_with(host, "k", "{}");
    uint32_t status = 409;

    assert_int_equal(decided(host, item), 0);
    for (int i = 0; i < 100 && status == 409; i++) {
        host_poll(host, 50);
        status = tried(host, "k", "{}");
    }
    assert_int_equal(status, 0);
    answered(host, item, 201, "{}");
    assert_int_equal(tried(host, "k", "{}"), 409);
    host_free(host);
}

static void a_redis_that_stands_still_is_waited_for_no_longer_than_said(void **unused)
{
    host_t *strict = gateway("deny"), *lax = gateway("allow");
    sheaf_p_ref_t refused_one = item_with(strict, "s", "{}"), passed = item_with(lax, "l", "{}");

    assert_int_equal(tried(strict, "warm", "{}"), 0);
    assert_int_equal(tried(lax, "warm too", "{}"), 400);
    assert_int_equal(tried(lax, "warm-too", "{}"), 0);
    kill(server.pid, SIGSTOP);
    assert_int_equal(host_ask_item(refused_one), SHEAF_P_LATER);
    assert_int_equal(host_ask_item(passed), SHEAF_P_LATER);
    host_wind(strict, 249);
    assert_true(host_outcome(refused_one).is_waiting);
    host_wind(strict, 1);
    host_wind(lax, 250);
    assert_int_equal(host_outcome(refused_one).status, 503);
    assert_string_equal(host_outcome(refused_one).slug, "idempotency-unavailable");
    assert_string_equal(host_field(refused_one, SHEAF_P_RESULT, "retry-after"), "1");
    assert_false(host_outcome(passed).is_waiting);
    assert_false(host_outcome(passed).is_answered);
    kill(server.pid, SIGCONT);
    settle(strict); /* what was refused holds nothing */
    settle(lax);
    assert_int_equal(tried(strict, "s", "{}"), 0);
    assert_int_equal(tried(lax, "l", "{}"), 409); /* and what passed is protected from here on */
    answered(lax, passed, 201, "{}");
    assert_int_equal(tried(strict, "l", "{}"), 201);
    host_free(strict);
    host_free(lax);
}

/* A rest, longer than the first ones are, in steps that are shorter than any timeout. */
static void come_back(host_t *host)
{
    for (int i = 0; i < 50; i++) {
        host_wind(host, 50);
        while (host_poll(host, 20) > 0)
            continue;
    }
    settle(host);
}

/* Redis dies while it runs, and has forgotten everything when it is back. */
static void what_was_done_is_not_done_again_after_redis_died(void **unused)
{
    host_t *host = gateway("deny");
    sheaf_p_ref_t item = item_with(host, "k", "{}");

    assert_int_equal(decided(host, item), 0);
    redis_server_kill(&server);
    until_lost(host);
    assert_int_equal(host_ask_item(item_with(host, "k", "{}")), SHEAF_P_ANSWER); /* at once: 503 */
    answered(host, item, 201, "{\"id\":7}");
    assert_int_equal(tried(host, "k", "{}"), 503);
    redis_server_start(&server);
    come_back(host);
    assert_int_equal(tried(host, "k", "{}"), 201);
    assert_int_equal(host_counted(host, "run"), 1);
    host_free(host);
}

/* It runs still when Redis is back and has forgotten it. */
static void what_runs_is_told_to_a_redis_that_is_back(void **unused)
{
    host_t *host = gateway("deny"), *other = gateway("deny");
    sheaf_p_ref_t item = item_with(host, "k", "{}"), over = item_with(host, "o", "{}");

    assert_int_equal(decided(host, item), 0);
    assert_int_equal(decided(host, over), 0);
    answered(host, over, 500, "{}");
    redis_server_kill(&server);
    until_lost(host);
    redis_server_start(&server);
    come_back(host);
    come_back(other);
    assert_int_equal(tried(other, "k", "{}"), 409);
    assert_int_equal(tried(host, "k", "{\"a\":1}"), 422);
    assert_int_equal(tried(other, "o", "{}"), 0);
    answered(host, item, 201, "{\"id\":7}");
    assert_int_equal(tried(other, "k", "{}"), 201);
    host_free(host);
    host_free(other);
}

static void what_died_before_it_was_decided_is_told(void **unused)
{
    host_t *strict = gateway("deny"), *lax = gateway("allow");
    sheaf_p_ref_t item = item_with(strict, "k", "{}"), other = item_with(lax, "l", "{}");

    assert_int_equal(tried(strict, "warm", "{}"), 0);
    assert_int_equal(tried(lax, "warm-too", "{}"), 0);
    kill(server.pid, SIGSTOP);
    assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
    assert_int_equal(host_ask_item(other), SHEAF_P_LATER);
    redis_server_kill(&server);
    wait_for(strict, item);
    wait_for(lax, other);
    assert_int_equal(host_outcome(item).status, 503);
    assert_false(host_outcome(other).is_answered);
    assert_int_equal(host_ask_item(item_with(lax, "m", "{}")), SHEAF_P_PASS);
    assert_int_equal(host_counted(lax, "undecided"), 2);
    host_free(strict);
    host_free(lax);
}

static sheaf_p_ref_t direct_with(host_t *host)
{
    sheaf_p_ref_t item, request = host_direct(host, "POST", "/orders", &item);

    host_header(request, SHEAF_P_CLIENT, "idempotency-key", "k");
    return item;
}

static void a_direct_answer_is_known_elsewhere_as_far_as_it_has_come(void **unused)
{
    host_t *one = gateway("deny"), *other = gateway("deny");
    sheaf_p_ref_t item = direct_with(one), again = direct_with(other);

    assert_int_equal(decided(one, item), 0);
    answered(one, item, 201, "{\"id\":7}");
    assert_int_equal(decided(other, again), 409);
    assert_string_equal(host_outcome(again).slug, "idempotency-running");
    host_passed(item, 1);
    settle(one);
    again = direct_with(other);
    assert_int_equal(decided(other, again), 201);
    assert_string_equal(host_outcome(again).body, "{\"id\":7}");
    host_free(one);
    host_free(other);
}

/* Redis is gone while the first half is told: what is said when it is back is the whole, and last. */
static void of_two_ends_the_later_one_stands(void **unused)
{
    host_t *host = gateway("deny");
    sheaf_p_ref_t item = direct_with(host), again;

    assert_int_equal(decided(host, item), 0);
    redis_server_kill(&server);
    answers(item, 201, "{\"id\":7}");
    until_lost(host);
    host_passed(item, 1);
    redis_server_start(&server);
    come_back(host);
    again = direct_with(host);
    assert_int_equal(decided(host, again), 201);
    assert_string_equal(host_outcome(again).body, "{\"id\":7}");
    host_free(host);
}

static void what_ended_before_it_was_sent_leaves_its_key_free(void **unused)
{
    host_t *host = gateway("deny");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch"), item = item_of(host, request, "k", "{}");

    assert_int_equal(host_ask_item(item), SHEAF_P_LATER);
    host_done(request);
    settle(host);
    assert_int_equal(tried(host, "k", "{}"), 0);
    host_free(host);
}

/* Redis dies and forgets; the configuration is replaced meanwhile. The new one's connection is there first. */
static host_t *reloaded_while_redis_died(host_t *old)
{
    host_t *new;

    redis_server_kill(&server);
    until_lost(old);
    new = gateway("deny");
    redis_server_start(&server);
    for (int i = 0; i < 20; i++) {
        host_wind(new, 500);
        settle(new);
    }
    return new;
}

static void what_is_owed_outlives_a_reload(void **unused)
{
    host_t *old = gateway("deny"), *new;
    sheaf_p_ref_t item = item_with(old, "k", "{}");

    assert_int_equal(decided(old, item), 0);
    new = reloaded_while_redis_died(old);
    answers(item, 201, "{\"id\":7}");
    assert_int_equal(tried(new, "k", "{}"), 503); /* the old one comes first */
    host_free(old);
    settle(new);
    assert_int_equal(tried(new, "k", "{}"), 201);
    host_free(new);
}

static void and_so_does_what_nobody_knows_the_end_of(void **unused)
{
    host_t *old = gateway("deny"), *new;
    sheaf_p_ref_t item = item_with(old, "k", "{}");

    assert_int_equal(decided(old, item), 0);
    new = reloaded_while_redis_died(old);
    assert_int_equal(tried(new, "k", "{}"), 503);
    host_fact(item, SHEAF_P_ERROR, "timeout");
    host_result(item, 504);
    host_free(old);
    settle(new);
    assert_int_equal(tried(new, "k", "{}"), 409);
    assert_int_equal(tried(new, "l", "{}"), 0);
    host_free(new);
}

static void what_a_worker_said_last_is_heard(void **unused)
{
    host_t *one = gateway("deny"), *other;
    sheaf_p_ref_t item = item_with(one, "k", "{}");
    uint32_t status = 409;

    assert_int_equal(decided(one, item), 0);
    answers(item, 201, "{}");
    host_free(one);
    other = gateway("deny");
    for (int i = 0; i < 100 && status == 409; i++)
        status = tried(other, "k", "{}");
    assert_int_equal(status, 201);
    host_free(other);
}

static void an_answer_that_others_keep_and_this_one_has_no_room_for_is_told_as_such(void **unused)
{
    host_t *large = gateway_at(server.address, "deny"), *small = gateway_at(server.address, "deny");
    sheaf_p_ref_t item;
    char *body = calloc(1, 5001);

    memset(body, 'x', 5000);
    host_set(small, "max_answer", "1KiB");
    assert_null(host_open(large));
    assert_null(host_open(small));
    item = item_with(large, "k", "{}");
    assert_int_equal(decided(large, item), 0);
    answered(large, item, 201, body);
    assert_int_equal(tried(large, "k", "{}"), 201);
    item = item_with(small, "k", "{}");
    assert_int_equal(decided(small, item), 409);
    assert_string_equal(host_outcome(item).slug, "idempotency-answered");
    assert_int_equal(host_counted(small, "redis_lost"), 0);
    free(body);
    host_free(large);
    host_free(small);
}

static void instances_of_other_prefixes_know_nothing_of_each_other(void **unused)
{
    host_t *one = gateway("deny"), *other = gateway_at(server.address, "deny");

    host_set(other, "redis.prefix", "mine:");
    assert_null(host_open(other));
    assert_int_equal(tried(one, "k", "{}"), 0);
    assert_int_equal(tried(other, "k", "{}"), 0);
    host_free(one);
    host_free(other);
}

static int start(void **unused)
{
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
        cmocka_unit_test_setup_teardown(machines_know_of_each_other, start, stop),
        cmocka_unit_test_setup_teardown(what_failed_may_be_tried_again_anywhere_and_what_may_run_may_not, start, stop),
        cmocka_unit_test_setup_teardown(an_answer_is_forgotten_when_its_time_is_over, start, stop),
        cmocka_unit_test_setup_teardown(who_comes_back_after_its_lease_changes_nothing_of_the_next_one, start, stop),
        cmocka_unit_test_setup_teardown(a_redis_that_stands_still_is_waited_for_no_longer_than_said, start, stop),
        cmocka_unit_test_setup_teardown(what_was_done_is_not_done_again_after_redis_died, start, stop),
        cmocka_unit_test_setup_teardown(what_runs_is_told_to_a_redis_that_is_back, start, stop),
        cmocka_unit_test_setup_teardown(what_died_before_it_was_decided_is_told, start, stop),
        cmocka_unit_test_setup_teardown(a_direct_answer_is_known_elsewhere_as_far_as_it_has_come, start, stop),
        cmocka_unit_test_setup_teardown(of_two_ends_the_later_one_stands, start, stop),
        cmocka_unit_test_setup_teardown(what_ended_before_it_was_sent_leaves_its_key_free, start, stop),
        cmocka_unit_test_setup_teardown(what_is_owed_outlives_a_reload, start, stop),
        cmocka_unit_test_setup_teardown(and_so_does_what_nobody_knows_the_end_of, start, stop),
        cmocka_unit_test_setup_teardown(what_a_worker_said_last_is_heard, start, stop),
        cmocka_unit_test_setup_teardown(an_answer_that_others_keep_and_this_one_has_no_room_for_is_told_as_such, start,
                                        stop),
        cmocka_unit_test_setup_teardown(instances_of_other_prefixes_know_nothing_of_each_other, start, stop),
    };

    signal(SIGPIPE, SIG_IGN); /* as Sheaf does */
    if (redis_server_is_installed())
        return cmocka_run_group_tests(tests, NULL, NULL);
    printf("skipped: there is no redis-server\n");
    return 0;
}
