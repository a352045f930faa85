/* Servers that a service's SRV records name: who of them is asked, and how often. */
#include "tests/unit/upstream/zone.h"

static void targets_are_asked_by_weight_and_by_the_host_of_the_url(void **state)
{
    zone_t zone = ZONE({1, 30, "a.test"}, {1, 10, "b.test"});
    site_t s;

    site_of_service(&s, &zone);
    site_open(&s);
    let_both_answer(&s, 8);
    ask_often(&s, 8);
    assert_shares(&s, 6, 2);
    assert_non_null(strstr(s.w->b.last, "host: backend.test\r\n"));
    assert_int_equal(s.dns.srv_queries, 1);
    assert_int_equal(s.group->balance.present_count, 2);
    site_end(&s);
}

static void a_weight_of_nothing_counts_as_one(void **state)
{
    zone_t zone = ZONE({1, 0, "a.test"}, {1, 3, "b.test"});
    site_t s;

    site_of_service(&s, &zone);
    site_open(&s);
    let_both_answer(&s, 8);
    ask_often(&s, 8);
    assert_shares(&s, 2, 6);
    site_end(&s);
}

static void the_weight_of_a_service_is_that_of_each_of_its_records_times_it(void **state)
{
    zone_t zone = ZONE({1, 1, "b.test"});
    site_t s;

    site_of_service(&s, &zone);
    s.w->conf->servers.items[0].weight = 3;
    s.w->conf->servers.items[1].url.host = SHEAF_STR("127.0.0.1");
    s.w->conf->servers.count = 2;
    site_open(&s);
    let_both_answer(&s, 12);
    ask_often(&s, 1); /* the name is looked up for it */
    s.w->a.requests = s.w->b.requests = 0;
    ask_often(&s, 8);
    assert_shares(&s, 2, 6);
    site_end(&s);
}

static void who_waits_for_the_first_answer_is_spread_over_all_it_names(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"}, {1, 1, "b.test"});
    site_t s;
    ask_t asks[8], cancelled;
    int done = 0;

    site_of_service(&s, &zone);
    site_open(&s);
    s.w->conf->max_connections = 16;
    let_both_answer(&s, 4);
    ask_get(&cancelled, s.w, "/");
    ask_send(&cancelled);
    for (int i = 0; i < 8; i++) {
        ask_get(&asks[i], s.w, "/");
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    ask_cancel(&cancelled);
    worker_until_count(s.w, &done, 8);
    assert_shares(&s, 4, 4);
    assert_int_equal(s.dns.srv_queries, 1);
    site_end(&s);
}

/* Over HTTP/2 they wait aboard one conn, whose server is still to be known; then each goes where its turn is. */
static void who_waits_aboard_one_conn_is_spread_all_the_same(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"}, {1, 1, "b.test"});
    site_t s;
    ask_t asks[8];

    site_of_service(&s, &zone);
    site_open(&s);
    s.w->conf->protocol = SHEAF_PROTOCOL_HTTP2;
    s.w->conf->max_streams = 100;
    s.w->a.is_deaf = s.w->b.is_deaf = true;
    for (int i = 0; i < 8; i++) {
        ask_get(&asks[i], s.w, "/");
        ask_send(&asks[i]);
    }
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 1);
    worker_until_metric(s.w, SHEAF_METRIC_CONNS_ACTIVE, 2);
    for (int i = 0; i < 8; i++)
        assert_int_equal(((sheaf_flight_t *)asks[i].exchange.flight)->conn->flight_count, 4);
    for (int i = 0; i < 8; i++)
        ask_cancel(&asks[i]);
    site_end(&s);
}

/* The answer is there, and nobody was told yet: who is sent just then waits for a moment, and finds the servers. */
static void who_comes_right_behind_the_first_answer_finds_its_servers(void **state)
{
    static sheaf_targets_t targets;
    zone_t zone = ZONE({1, 1, "a.test"});
    sheaf_name_t *name;
    site_t s;
    ask_t ask;

    site_of_service(&s, &zone);
    site_open(&s);
    step_text(&s.w->a, OK_HI);
    name = s.group->balance.services[0].name;
    targets = (sheaf_targets_t){.ttl_s = 60, .count = 1, .items = {{1, 1, s.w->a.port, "a.test."}}};
    name->lookup.on_answer(&name->lookup, &(sheaf_lookup_answer_t){.ttl_s = 60, .count = 1, .targets = &targets});
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(s.dns.srv_queries, 0);
    site_end(&s);
}

static void priorities_are_asked_in_their_order(void **state)
{
    zone_t zone = ZONE({10, 1, "b.test"}, {5, 1, "r.test"}, {7, 1, "r2.test"}, {200, 1, "a.test"});
    site_t s;

    site_of_service(&s, &zone);
    site_open(&s);
    let_both_answer(&s, 4);
    ask_often(&s, 3); /* the first two refuse */
    assert_shares(&s, 0, 3);
    assert_true(metric(s.w, SHEAF_METRIC_EXCHANGES_BACKUP) == 3);
    tell(&s, ZONE({10, 1, "b.test"}, {9, 1, "a.test"}));
    ask_often(&s, 3);
    assert_shares(&s, 3, 3);
    assert_true(metric(s.w, SHEAF_METRIC_EXCHANGES_BACKUP) == 3);
    site_end(&s);
}

static void servers_of_the_configuration_and_of_a_service_stand_side_by_side(void **state)
{
    zone_t zone = ZONE({1, 1, "b.test"});
    site_t s;

    site_of_service(&s, &zone);
    s.w->conf->servers.items[1].url.host = SHEAF_STR("127.0.0.1");
    s.w->conf->servers.count = 2;
    s.w->conf->servers.items[1].backup = true;
    site_open(&s);
    let_both_answer(&s, 8);
    ask_often(&s, 2);
    assert_shares(&s, 0, 2);
    tell(&s, ZONE({0, 0, ""})); /* decidedly not there: the backup is */
    ask_often(&s, 2);
    assert_shares(&s, 2, 2);
    tell(&s, ZONE({3, 1, "b.test"}));
    ask_often(&s, 2);
    assert_shares(&s, 2, 4);
    site_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_asked_by_weight_and_by_the_host_of_the_url),
        cmocka_unit_test(a_weight_of_nothing_counts_as_one),
        cmocka_unit_test(the_weight_of_a_service_is_that_of_each_of_its_records_times_it),
        cmocka_unit_test(who_waits_for_the_first_answer_is_spread_over_all_it_names),
        cmocka_unit_test(who_waits_aboard_one_conn_is_spread_all_the_same),
        cmocka_unit_test(who_comes_right_behind_the_first_answer_finds_its_servers),
        cmocka_unit_test(priorities_are_asked_in_their_order),
        cmocka_unit_test(servers_of_the_configuration_and_of_a_service_stand_side_by_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
