/* The lingering close on a pair of sockets, by a hand-wound clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/front/lingering.h"

static sheaf_clock_t hand;
static sheaf_deadlines_t deadlines;
static sheaf_metrics_t metrics;
static sheaf_front_t front;
static sheaf_client_t client;
static uv_loop_t loop;
static int ours, theirs; /* a pair: what lingers, and its client */

int sheaf_client_fd(const sheaf_client_t *it)
{
    return ours;
}

static int set_up(void **state)
{
    int pair[2];

    memset(&front, 0, sizeof(front));
    memset(&metrics, 0, sizeof(metrics));
    memset(&client, 0, sizeof(client));
    hand.now_ms = 1000000;
    sheaf_deadlines_init(&deadlines, &hand);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    ours = pair[0];
    theirs = pair[1];
    front.env = (sheaf_front_env_t){.loop = &loop, .clock = &hand, .deadlines = &deadlines, .metrics = &metrics};
    sheaf_list_init(&front.lingering);
    client.front = &front;
    client.lingering_fd = -1;
    return 0;
}

static int tear_down(void **state)
{
    sheaf_lingering_end_all(&front);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_true(sheaf_deadlines_next(&deadlines) == SHEAF_NEVER);
    assert_int_equal(front.lingering_count, 0);
    assert_int_equal(metrics.values[SHEAF_METRIC_CLIENT_CONNS_LINGERING], 0);
    sheaf_deadlines_fini(&deadlines);
    close(theirs);
    return 0;
}

static void turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void wind(uint64_t ms)
{
    hand.now_ms += ms;
    sheaf_deadlines_run(&deadlines);
    turn();
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void our_side_ends_at_once(void **state)
{
    char byte;

    sheaf_lingering_start(&front, ours);
    assert_int_equal(front.lingering_count, 1);
    assert_int_equal(metrics.values[SHEAF_METRIC_CLIENT_CONNS_LINGERING], 1);
    assert_int_equal(read(theirs, &byte, 1), 0);
}

static void a_silent_client_is_closed_after_five_seconds(void **state)
{
    sheaf_lingering_start(&front, ours);
    wind(4999);
    assert_true(is_open(ours));
    wind(1);
    assert_false(is_open(ours));
}

static void what_comes_is_thrown_away_and_renews_the_silence(void **state)
{
    static char bytes[10000];

    sheaf_lingering_start(&front, ours);
    for (int i = 0; i < 5; i++) {
        wind(4000);
        assert_int_equal(write(theirs, bytes, sizeof(bytes)), sizeof(bytes));
        turn();
        assert_true(is_open(ours));
    }
    wind(5000);
    assert_false(is_open(ours));
}

static void nobody_lingers_longer_than_thirty_seconds(void **state)
{
    sheaf_lingering_start(&front, ours);
    for (int i = 0; i < 29; i++) {
        assert_int_equal(write(theirs, "x", 1), 1);
        turn();
        wind(1000);
        assert_true(is_open(ours));
    }
    assert_int_equal(write(theirs, "x", 1), 1);
    turn();
    wind(1000);
    assert_false(is_open(ours));
}

static void a_client_that_closes_is_let_go(void **state)
{
    sheaf_lingering_start(&front, ours);
    shutdown(theirs, SHUT_WR);
    turn();
    turn();
    assert_false(is_open(ours));
}

static void nothing_lingers_once_the_front_is_closing(void **state)
{
    front.is_closing = true;
    sheaf_lingering_start(&front, ours);
    assert_int_equal(front.lingering_count, 0);
    assert_false(is_open(ours));
}

static void a_copy_is_kept_once_and_only_while_there_is_room(void **state)
{
    int kept;

    front.lingering_count = SHEAF_LINGERING_MOST;
    sheaf_lingering_keep(&client);
    assert_int_equal(client.lingering_fd, -1);
    front.lingering_count = 0;
    sheaf_lingering_keep(&client);
    kept = client.lingering_fd;
    assert_true(kept >= 0 && kept != ours);
    sheaf_lingering_keep(&client);
    assert_int_equal(client.lingering_fd, kept);
    close(kept);
    close(ours);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(our_side_ends_at_once),
        TEST(a_silent_client_is_closed_after_five_seconds),
        TEST(what_comes_is_thrown_away_and_renews_the_silence),
        TEST(nobody_lingers_longer_than_thirty_seconds),
        TEST(a_client_that_closes_is_let_go),
        TEST(nothing_lingers_once_the_front_is_closing),
        TEST(a_copy_is_kept_once_and_only_while_there_is_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
