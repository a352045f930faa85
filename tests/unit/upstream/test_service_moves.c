/* Servers of a service come, they go, and nobody who flies falls. */
#include "tests/unit/upstream/zone.h"

static void who_leaves_ends_what_it_has_and_gets_nothing_more(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"}, {1, 1, "b.test"});
    site_t s;
    ask_t flying, ask;

    site_of_service(&s, &zone);
    site_open(&s);
    let_both_answer(&s, 1);
    ask_often(&s, 2);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 2);
    step_text(&s.w->a, ""); /* waits for its answer */
    ask_get(&flying, s.w, "/flying");
    ask_send(&flying);
    worker_until_count(s.w, &s.w->a.requests, 2);
    ask_get(&ask, s.w, "/"); /* a second conn, that will rest */
    step_text(&s.w->b, OK_HI);
    ask_whole(&ask);

    tell(&s, ZONE({1, 1, "b.test"}));
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1);
    let_both_answer(&s, 4);
    ask_often(&s, 4);
    assert_shares(&s, 2, 6);
    assert_false(flying.is_done);
    assert_int_equal(s.group->balance.servers[1].conn_count, 1);
    backend_say(s.w->a.conn[0], OK_HI, strlen(OK_HI));
    worker_until(s.w, &flying.is_done);
    assert_answer(&flying, 200, "hi");
    assert_int_equal(s.group->balance.servers[1].conn_count, 0); /* closed behind it */
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1);
    site_end(&s);
}

static void who_leaves_with_idle_conns_has_them_closed_at_once(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"}, {1, 1, "b.test"});
    site_t s;

    site_of_service(&s, &zone);
    site_open(&s);
    let_both_answer(&s, 2);
    ask_often(&s, 2);
    tell(&s, ZONE({1, 1, "a.test"}));
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1);
    ask_often(&s, 1);
    assert_shares(&s, 2, 1);
    assert_int_equal(s.w->a.conns, 1);
    site_end(&s);
}

static void who_stays_keeps_its_place_and_its_conns(void **state)
{
    zone_t zone = ZONE({1, 1, "b.test"});
    site_t s;

    site_of_service(&s, &zone);
    site_open(&s);
    let_both_answer(&s, 9);
    ask_often(&s, 1);
    s.group->balance.servers[1].outlier.errors = 3;
    tell(&s, ZONE({5, 70, "r.test"}, {2, 9, "b.test"}));
    ask_often(&s, 1);
    tell(&s, ZONE({2, 9, "b.test"}, {2, 1, "gone.test"}, {5, 70, "r.test"}));
    ask_often(&s, 1);
    tell(&s, ZONE({2, 9, "b.test"}));
    ask_often(&s, 1);
    assert_int_equal(s.w->b.conns, 1);
    assert_int_equal(s.group->balance.servers[1].outlier.errors, 3);
    assert_int_equal(s.group->balance.present_count, 1);
    site_end(&s);
}

static void who_comes_back_finds_its_place_although_something_flies_there(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"});
    site_t s;
    ask_t flying;

    site_of_service(&s, &zone);
    site_open(&s);
    step_text(&s.w->a, "");
    ask_get(&flying, s.w, "/flying");
    ask_send(&flying);
    worker_until_count(s.w, &s.w->a.requests, 1);
    tell(&s, ZONE({1, 1, "b.test"}));
    assert_true(s.group->balance.servers[1].is_vacant && !s.group->balance.servers[2].is_vacant);
    tell(&s, ZONE({1, 1, "a.test"}));
    assert_true(!s.group->balance.servers[1].is_vacant && s.group->balance.servers[2].is_vacant);
    step_text(&s.w->a, OK_HI);
    backend_say(s.w->a.conn[0], OK_HI, strlen(OK_HI));
    worker_until(s.w, &flying.is_done);
    ask_often(&s, 1);
    assert_int_equal(s.w->a.conns, 1); /* and the conn goes on */
    site_end(&s);
}

static void a_place_is_given_on_only_when_nothing_points_at_it(void **state)
{
    static char names[40][32];
    zone_t zone = ZONE({1, 1, "a.test"});
    site_t s;
    ask_t flying;
    const sheaf_balance_t *balance;

    site_of_service(&s, &zone);
    site_open(&s);
    balance = &s.group->balance;
    step_text(&s.w->a, "");
    ask_get(&flying, s.w, "/flying");
    ask_send(&flying);
    worker_until_count(s.w, &s.w->a.requests, 1);
    for (int round = 0; round < 9; round++) {
        zone_t other = {.count = SHEAF_SRV_MAX_TARGETS};

        for (unsigned i = 0; i < other.count; i++) {
            snprintf(names[i], sizeof(names[i]), "r%u-%d.test", i, round);
            other.records[i] = (record_t){1, 1, names[i]};
        }
        tell(&s, other);
        assert_int_equal(balance->present_count, SHEAF_SRV_MAX_TARGETS);
        assert_true(balance->servers[1].is_vacant);
        assert_string_equal(balance->servers[1].name->text, "a.test.");
    }
    backend_say(s.w->a.conn[0], OK_HI, strlen(OK_HI));
    worker_until(s.w, &flying.is_done);
    assert_answer(&flying, 200, "hi");
    tell(&s, ZONE({1, 1, "b.test"}));
    assert_string_equal(balance->servers[1].name->text, "b.test.");
    step_text(&s.w->b, OK_HI);
    ask_often(&s, 1);
    site_end(&s);
}

static int changes;

static void count_change(sheaf_balance_t *balance)
{
    (void)balance;
    changes++;
}

/* One comes each second, where TTLs are short: what is made of the servers is not made anew each time. */
static void an_answer_that_says_the_same_is_no_change(void **state)
{
    zone_t zone = ZONE({1, 30, "a.test"}, {1, 10, "b.test"});
    site_t s;

    site_of_service(&s, &zone);
    site_open(&s);
    let_both_answer(&s, 1);
    ask_often(&s, 1);
    changes = 0;
    s.group->balance.on_changed = count_change;
    tell(&s, ZONE({1, 10, "b.test"}, {1, 30, "a.test"}));
    assert_int_equal(changes, 0);
    tell(&s, ZONE({1, 30, "a.test"}, {1, 20, "b.test"}));
    assert_int_equal(changes, 1);
    tell(&s, ZONE({1, 30, "a.test"}, {2, 20, "b.test"}));
    assert_int_equal(changes, 2);
    tell(&s, ZONE({1, 30, "a.test"}));
    assert_int_equal(changes, 3);
    site_end(&s);
}

static void a_lookup_that_fails_changes_nothing(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"});
    site_t s;

    site_of_service(&s, &zone);
    site_open(&s);
    let_both_answer(&s, 5);
    ask_often(&s, 1);
    s.dns.is_broken = true;
    tell(&s, ZONE({1, 1, "b.test"}));
    ask_often(&s, 1);
    s.dns.is_broken = false;
    s.dns.is_gone = true; /* not even a name that is not there any more */
    tell(&s, ZONE({1, 1, "b.test"}));
    ask_often(&s, 1);
    s.dns.is_gone = false;
    tell(&s, ZONE({1, 1, "a/b"})); /* nothing that could be used */
    ask_often(&s, 1);
    assert_shares(&s, 4, 0);
    assert_int_equal(s.w->a.conns, 1);
    tell(&s, ZONE({1, 1, "b.test"}));
    ask_often(&s, 1);
    assert_shares(&s, 4, 1);
    site_end(&s);
}

static void without_any_answer_it_is_a_resolve_error_that_names_the_service(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"});
    site_t s;
    ask_t ask;

    site_of_service(&s, &zone);
    site_open(&s);
    s.dns.is_gone = true;
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESOLVE);
    assert_non_null(strstr(ask.detail, "_http._tcp.backend.test"));
    s.dns.is_gone = false;
    tell(&s, ZONE({1, 1, "gone.test"}));
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESOLVE);
    assert_non_null(strstr(ask.detail, "gone.test"));
    tell(&s, ZONE({0, 0, ""}));
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_RESOLVE);
    assert_non_null(strstr(ask.detail, "not offered"));
    tell(&s, ZONE({1, 1, "a.test"}));
    let_both_answer(&s, 1);
    ask_often(&s, 1);
    site_end(&s);
}

static void an_ejection_is_forgotten_with_who_left_and_the_last_is_never_ejected(void **state)
{
    zone_t zone = ZONE({1, 2, "a.test"}, {1, 1, "b.test"});
    site_t s;
    ask_t ask;

    site_of_service(&s, &zone);
    s.w->conf->outlier = (sheaf_outlier_conf_t){.mark = {1, 1},
                                                .errors = 1,
                                                .interval_ms = 10000,
                                                .eject_ms = 60000,
                                                .max_eject_ms = 60000,
                                                .max_ejected_percent = 100};
    site_open(&s);
    for (int i = 0; i < 3; i++)
        step_text(&s.w->a, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.status, 500);
    assert_int_equal(metric(s.w, SHEAF_METRIC_SERVERS_EJECTED), 1);
    let_both_answer(&s, 2);
    ask_often(&s, 2);
    tell(&s, ZONE({1, 1, "b.test"}));
    assert_int_equal(metric(s.w, SHEAF_METRIC_SERVERS_EJECTED), 0);
    tell(&s, ZONE({1, 1, "a.test"})); /* back, as if nothing had been, and alone */
    for (int i = 0; i < 2; i++) {
        ask_whole(&ask);
        assert_int_equal(ask.status, 500);
    }
    assert_int_equal(metric(s.w, SHEAF_METRIC_EJECTIONS), 1);
    assert_int_equal(metric(s.w, SHEAF_METRIC_SERVERS_EJECTED), 0);
    site_end(&s);
}

static void a_key_stays_at_its_server_when_others_come_and_go(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"}, {1, 1, "b.test"});
    site_t s;
    ask_t ask;
    bool was_a[20];
    int moved = 0;

    site_of_service(&s, &zone);
    s.w->conf->balance = SHEAF_TURN_HASH;
    s.w->conf->hash.what = SHEAF_HASH_BY_ID;
    s.w->conf->hash_bound = 100000;
    site_open(&s);
    let_both_answer(&s, 60);
    for (int round = 0; round < 3; round++) {
        if (round == 1)
            tell(&s, ZONE({1, 33, "a.test"}, {1, 33, "b.test"}, {7, 33, "r.test"}));
        if (round == 2)
            tell(&s, ZONE({1, 1, "a.test"}));
        for (int i = 0; i < 20; i++) {
            char id[16];
            int before = s.w->a.requests;

            snprintf(id, sizeof(id), "k%d", i);
            ask_get(&ask, s.w, "/");
            ask.exchange.id = sheaf_str_of(id);
            ask_whole(&ask);
            assert_answer(&ask, 200, "hi");
            if (round == 0)
                was_a[i] = s.w->a.requests != before;
            else if (round == 1)
                assert_int_equal(s.w->a.requests != before, was_a[i]);
            else
                moved += !was_a[i];
        }
    }
    assert_in_range(moved, 1, 19);
    site_end(&s);
}

/* Every answer is another one, while exchanges fly all the time. */
static void flaps_lose_nobody(void **state)
{
    zone_t zone = ZONE({1, 1, "a.test"}, {1, 1, "b.test"});
    const zone_t sets[] = {ZONE({1, 1, "a.test"}), ZONE({1, 1, "b.test"}), ZONE({3, 1, "a.test"}, {2, 1, "b.test"}),
                           ZONE({1, 1, "b.test"}, {1, 9, "r.test"}), ZONE({1, 1, "gone.test"}, {2, 1, "a.test"})};
    site_t s;
    ask_t asks[4];
    int done = 0;

    site_of_service(&s, &zone);
    site_open(&s);
    for (int round = 0; round < 15; round++) {
        let_both_answer(&s, 4);
        for (int i = 0; i < 4; i++) {
            ask_get(&asks[i], s.w, "/");
            asks[i].counter = &done;
            ask_send(&asks[i]);
        }
        tell(&s, sets[round % (int)SHEAF_COUNT(sets)]);
        worker_until_count(s.w, &done, 4 * (round + 1));
        for (int i = 0; i < 4; i++)
            assert_answer(&asks[i], 200, "hi");
        s.w->a.step_count = s.w->a.requests; /* what is left over is forgotten */
        s.w->b.step_count = s.w->b.requests;
    }
    site_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_ends_what_it_has_and_gets_nothing_more),
        cmocka_unit_test(who_leaves_with_idle_conns_has_them_closed_at_once),
        cmocka_unit_test(who_stays_keeps_its_place_and_its_conns),
        cmocka_unit_test(who_comes_back_finds_its_place_although_something_flies_there),
        cmocka_unit_test(a_place_is_given_on_only_when_nothing_points_at_it),
        cmocka_unit_test(a_lookup_that_fails_changes_nothing),
        cmocka_unit_test(an_answer_that_says_the_same_is_no_change),
        cmocka_unit_test(without_any_answer_it_is_a_resolve_error_that_names_the_service),
        cmocka_unit_test(an_ejection_is_forgotten_with_who_left_and_the_last_is_never_ejected),
        cmocka_unit_test(a_key_stays_at_its_server_when_others_come_and_go),
        cmocka_unit_test(flaps_lose_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
