/* The time of a connection, by a hand-wound clock. The floor's neighbours are played here: the archive's are not linked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/front/client.h"
#include "gateway/front/guard/goaway.h"

static sheaf_limits_conf_t limits;
static sheaf_clock_t hand;
static sheaf_deadlines_t deadlines;
static sheaf_metrics_t metrics;
static sheaf_front_t front;
static sheaf_client_t client;
static uint32_t goaways;

const sheaf_limits_conf_t *sheaf_front_limits(const sheaf_front_t *of)
{
    return &limits;
}

void sheaf_client_cut(sheaf_client_t *it)
{
    it->is_cut = true;
}

void sheaf_goaway_tell(sheaf_client_t *it)
{
    goaways++;
}

static int set_up(void **state)
{
    memset(&client, 0, sizeof(client));
    memset(&metrics, 0, sizeof(metrics));
    limits = (sheaf_limits_conf_t){.handshake_timeout_ms = 10000,
                                   .head_timeout_ms = 10000,
                                   .body_timeout_ms = 30000,
                                   .body_rate_bytes = 4096,
                                   .idle_timeout_ms = 60000};
    goaways = 0;
    hand.now_ms = 1000000;
    sheaf_deadlines_init(&deadlines, &hand);
    front.env = (sheaf_front_env_t){.clock = &hand, .deadlines = &deadlines, .metrics = &metrics};
    client.front = &front;
    sheaf_pace_init(&client);
    return 0;
}

static int tear_down(void **state)
{
    sheaf_pace_end(&client);
    assert_true(sheaf_deadlines_next(&deadlines) == SHEAF_NEVER);
    sheaf_deadlines_fini(&deadlines);
    return 0;
}

/* Winds the clock on and fires what is due; whether the connection is cut. */
static bool is_cut_after(uint64_t ms)
{
    hand.now_ms += ms;
    sheaf_deadlines_run(&deadlines);
    return client.is_cut;
}

static uint64_t counted(sheaf_metric_t metric)
{
    return metrics.values[metric];
}

static void a_new_connection_has_the_time_of_one_head(void **state)
{
    assert_false(is_cut_after(9999));
    assert_true(is_cut_after(1));
    assert_int_equal(counted(SHEAF_METRIC_REFUSED_SLOW_HEAD), 1);
}

static void a_drip_of_one_head_gains_no_time(void **state)
{
    for (int i = 0; i < 9; i++) {
        sheaf_pace_enter(&client, SHEAF_PHASE_HEAD);
        assert_false(is_cut_after(1000));
    }
    sheaf_pace_enter(&client, SHEAF_PHASE_HEAD);
    assert_true(is_cut_after(1000));
}

static void a_handshake_has_a_time_of_its_own(void **state)
{
    limits.handshake_timeout_ms = 3000;
    sheaf_pace_enter(&client, SHEAF_PHASE_HANDSHAKE);
    assert_false(is_cut_after(2999));
    assert_true(is_cut_after(1));
    assert_int_equal(counted(SHEAF_METRIC_TLS_TIMEOUT), 1);
}

static void after_its_timeout_a_body_must_bring_its_rate(void **state)
{
    sheaf_pace_enter(&client, SHEAF_PHASE_BODY);
    sheaf_pace_body(&client, 10 * 4096); /* ten seconds more */
    assert_false(is_cut_after(39999));
    assert_true(is_cut_after(1));
    assert_int_equal(counted(SHEAF_METRIC_REFUSED_SLOW_BODY), 1);
}

static void an_honest_slow_upload_goes_on_for_minutes(void **state)
{
    sheaf_pace_enter(&client, SHEAF_PHASE_BODY);
    for (int second = 0; second < 600; second++) {
        sheaf_pace_body(&client, 8192);
        assert_false(is_cut_after(1000));
    }
}

static void a_head_beside_a_body_does_not_forgive_the_body(void **state)
{
    sheaf_pace_enter(&client, SHEAF_PHASE_BODY);
    for (int i = 0; i < 14; i++) { /* another stream's heads come and go meanwhile */
        sheaf_pace_enter(&client, SHEAF_PHASE_HEAD);
        assert_false(is_cut_after(1000));
        sheaf_pace_enter(&client, SHEAF_PHASE_BODY);
        assert_false(is_cut_after(1000));
    }
    sheaf_pace_enter(&client, SHEAF_PHASE_HEAD);
    assert_true(is_cut_after(2000));
}

static void the_next_body_begins_anew(void **state)
{
    sheaf_pace_enter(&client, SHEAF_PHASE_BODY);
    sheaf_pace_body(&client, 1 << 20);
    assert_false(is_cut_after(29000));
    sheaf_pace_enter(&client, SHEAF_PHASE_BUSY);
    sheaf_pace_enter(&client, SHEAF_PHASE_BODY);
    assert_false(is_cut_after(29999));
    assert_true(is_cut_after(1));
}

static void a_busy_connection_has_no_deadline(void **state)
{
    sheaf_pace_enter(&client, SHEAF_PHASE_BUSY);
    assert_false(is_cut_after(3600000));
    assert_false(is_cut_after(3600000));
}

static void an_idle_http1_connection_is_cut(void **state)
{
    sheaf_pace_enter(&client, SHEAF_PHASE_BUSY);
    sheaf_pace_enter(&client, SHEAF_PHASE_IDLE);
    assert_false(is_cut_after(59999));
    assert_true(is_cut_after(1));
    assert_int_equal(counted(SHEAF_METRIC_CLIENT_IDLE), 1);
    assert_int_equal(goaways, 0);
}

static void an_idle_http2_connection_hears_goaway_first(void **state)
{
    client.frames.is_http2 = true;
    sheaf_pace_enter(&client, SHEAF_PHASE_IDLE);
    assert_false(is_cut_after(60000));
    assert_int_equal(goaways, 1);
    assert_false(is_cut_after(999));
    assert_true(is_cut_after(1));
    assert_int_equal(goaways, 1);
}

static void admins_are_not_timed(void **state)
{
    sheaf_pace_end(&client);
    memset(&client.pace, 0, sizeof(client.pace));
    client.is_admin = true;
    sheaf_pace_init(&client);
    sheaf_pace_enter(&client, SHEAF_PHASE_IDLE);
    assert_true(sheaf_deadlines_next(&deadlines) == SHEAF_NEVER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_connection_has_the_time_of_one_head),
        TEST(a_drip_of_one_head_gains_no_time),
        TEST(a_handshake_has_a_time_of_its_own),
        TEST(after_its_timeout_a_body_must_bring_its_rate),
        TEST(an_honest_slow_upload_goes_on_for_minutes),
        TEST(a_head_beside_a_body_does_not_forgive_the_body),
        TEST(the_next_body_begins_anew),
        TEST(a_busy_connection_has_no_deadline),
        TEST(an_idle_http1_connection_is_cut),
        TEST(an_idle_http2_connection_hears_goaway_first),
        TEST(admins_are_not_timed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
