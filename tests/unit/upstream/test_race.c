/* Connects that hang: they time out, or another address overtakes them. */
#include "gateway/upstream/race.h"
#include "tests/unit/upstream/site.h"

/* A listener whose queue is full answers no SYN: the kernel drops them. */
typedef struct hang {
    int listener, fill[4];
} hang_t;

/* On `*port`, or on any when it is 0. */
static void hang_start(hang_t *hang, const char *ip, uint16_t *port)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    int yes = 1;

    uv_ip4_addr(ip, *port, &address);
    hang->listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(hang->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    assert_int_equal(bind(hang->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(hang->listener, 0), 0);
    getsockname(hang->listener, (struct sockaddr *)&address, &len);
    *port = ntohs(address.sin_port);
    for (int i = 0; i < 4; i++) {
        hang->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(hang->fill[i], (struct sockaddr *)&address, sizeof(address));
    }
}

static void hang_stop(hang_t *hang)
{
    for (int i = 0; i < 4; i++)
        close(hang->fill[i]);
    close(hang->listener);
}

static void a_connect_that_hangs_times_out(void **state)
{
    worker_t *w = worker_new();
    uint16_t port = 0;
    hang_t hang;
    ask_t ask;

    hang_start(&hang, "127.0.0.1", &port);
    worker_use(w, "127.0.0.1", &port, 1);
    w->conf->connect_timeout_ms = 40;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_CONNECT_TIMEOUT);
    hang_stop(&hang);
    worker_end(w);
}

/* --- a name of which some addresses lead nowhere --- */

/* Sends `count` at once; returns how long they took. Of two that dial one begins with the one address, one with the
 * other. */
static uint64_t ask_at_once(site_t *s, ask_t *asks, int count)
{
    uint64_t from = uv_now(&s->w->loop);
    int done = 0;

    for (int i = 0; i < count; i++) {
        ask_get(&asks[i], s->w, "/");
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    worker_until_count(s->w, &done, count);
    return uv_now(&s->w->loop) - from;
}

static void an_address_that_hangs_is_overtaken_by_another_one(void **state)
{
    site_t s;
    hang_t hang;
    ask_t asks[3];
    uint64_t took;

    site_start(&s);
    s.dns.host = 3;
    s.dns.more[0] = 2;
    s.w->conf->connect_timeout_ms = 4000;
    hang_start(&hang, "127.0.0.3", &s.w->a.port);
    for (int i = 0; i < 5; i++)
        step_text(&s.w->b, OK_HI);
    took = ask_at_once(&s, asks, 2);
    assert_answer(&asks[0], 200, "hi");
    assert_answer(&asks[1], 200, "hi");
    assert_in_range(took, SHEAF_RACE_AFTER_MS - 10, 2000);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_RACED), 1);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 0); /* the loser is closed */

    ask_at_once(&s, asks, 3); /* one of them dials, and who was overtaken is passed over */
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_RACED), 1);
    assert_int_equal(s.w->b.conns, 3);
    hang_stop(&hang);
    site_end(&s);
}

static void cancel_or_a_deadline_in_a_race_ends_both_conns(void **state)
{
    site_t s;
    hang_t hang, other;
    ask_t cancelled, late;

    site_start(&s);
    s.dns.host = 3;
    s.dns.more[0] = 4;
    s.w->conf->connect_timeout_ms = 4000;
    hang_start(&hang, "127.0.0.3", &s.w->a.port);
    hang_start(&other, "127.0.0.4", &s.w->a.port);
    ask_get(&cancelled, s.w, "/");
    ask_get(&late, s.w, "/");
    /* 500: a busy machine may take long to see both races begin */
    late.exchange.deadline_ms = s.w->clock.now_ms + SHEAF_RACE_AFTER_MS + 500;
    ask_send(&cancelled);
    ask_send(&late);
    worker_until_metric(s.w, SHEAF_METRIC_CONNS_RACED, 2);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 4);
    ask_cancel(&cancelled);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 2);
    worker_until(s.w, &late.is_done);
    assert_int_equal(late.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 0);
    hang_stop(&hang);
    hang_stop(&other);
    site_end(&s);
}

static void the_rival_goes_on_when_the_first_gives_up_and_the_first_when_the_rival_is_refused(void **state)
{
    site_t s;
    hang_t hang, other;
    ask_t asks[2];
    uint64_t took;

    site_start(&s);
    s.dns.host = 3;
    s.dns.more[0] = 4;
    s.w->conf->connect_timeout_ms = 300;
    hang_start(&hang, "127.0.0.3", &s.w->a.port);
    hang_start(&other, "127.0.0.4", &s.w->a.port);
    took = ask_at_once(&s, asks, 1);
    assert_int_equal(asks[0].err, SHEAF_ERR_CONNECT_TIMEOUT);
    assert_in_range(took, SHEAF_RACE_AFTER_MS + 290, SHEAF_RACE_AFTER_MS + 900); /* until the second one gave up, too */
    hang_stop(&other);                                                           /* nobody listens there any more */
    site_end(&s);

    site_start(&s);
    s.dns.host = 4;
    s.dns.more[0] = 3;
    s.w->conf->connect_timeout_ms = 300;
    hang_start(&other, "127.0.0.3", &s.w->a.port);
    took = ask_at_once(&s, asks, 2);
    for (int i = 0; i < 2; i++)
        assert_true(asks[i].err == SHEAF_ERR_CONNECT_TIMEOUT || asks[i].err == SHEAF_ERR_REFUSED);
    assert_in_range(took, 290, 2000);
    hang_stop(&hang);
    hang_stop(&other);
    site_end(&s);
}

static void a_race_takes_no_conn_beyond_the_limit(void **state)
{
    site_t s;
    hang_t hang;
    ask_t ask;

    site_start(&s);
    s.dns.host = 3;
    s.dns.more[0] = 4; /* refuses */
    s.w->conf->connect_timeout_ms = 300;
    s.w->conf->max_connections = 1;
    hang_start(&hang, "127.0.0.3", &s.w->a.port);
    ask_at_once(&s, &ask, 1);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_RACED), 0);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_OPENED), 0);
    hang_stop(&hang);
    site_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_that_hangs_times_out),
        cmocka_unit_test(an_address_that_hangs_is_overtaken_by_another_one),
        cmocka_unit_test(cancel_or_a_deadline_in_a_race_ends_both_conns),
        cmocka_unit_test(the_rival_goes_on_when_the_first_gives_up_and_the_first_when_the_rival_is_refused),
        cmocka_unit_test(a_race_takes_no_conn_beyond_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
