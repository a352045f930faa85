/* Names that lead elsewhere than they did: what flies, what rests, and what comes. */
#include "tests/unit/upstream/site.h"

static void conns_in_use_notice_that_a_name_has_moved_and_what_flies_ends_where_it_is(void **state)
{
    site_t s;
    ask_t first[3], flying, ask;
    int done = 0;

    site_start(&s);
    for (int i = 0; i < 3; i++) {
        step_text(&s.w->a, OK_HI);
        ask_get(&first[i], s.w, "/first");
        first[i].counter = &done;
        ask_send(&first[i]);
    }
    worker_until_count(s.w, &done, 3);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 3);
    step_text(&s.w->a, ""); /* the next one waits for its answer */
    ask_get(&flying, s.w, "/flying");
    ask_send(&flying);
    worker_until_count(s.w, &s.w->a.requests, 4);

    s.dns.host = 2;
    site_expire(&s, &s.w->a);
    assert_in_range(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1, 2); /* to where the name was */
    step_text(&s.w->b, OK_HI);
    step_text(&s.w->b, OK_HI);
    ask_get(&ask, s.w, "/moved");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_string_equal(s.w->b.log, "0:GET /moved ");
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1);

    assert_false(flying.is_done);
    for (int i = 0; i < 3; i++)
        if (s.w->a.conn[i] != NULL)
            backend_say(s.w->a.conn[i], OK_HI, strlen(OK_HI));
    worker_until(s.w, &flying.is_done);
    assert_answer(&flying, 200, "hi");
    ask_whole(&ask);
    assert_int_equal(s.w->b.requests, 2);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1); /* its conn is not used again */
    site_end(&s);
}

static void a_name_that_stays_keeps_its_conns(void **state)
{
    site_t s;
    ask_t ask;

    site_start(&s);
    step_text(&s.w->a, OK_HI);
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    for (int i = 0; i < 3; i++)
        site_expire(&s, &s.w->a);
    assert_int_equal(s.w->a.conns, 1);
    site_end(&s);
}

static void a_lookup_that_fails_changes_nothing_for_those_who_use_the_name(void **state)
{
    site_t s;
    ask_t ask;

    site_start(&s);
    step_text(&s.w->a, OK_HI);
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    s.dns.is_broken = true;
    site_expire(&s, &s.w->a);
    assert_true(s.name->detail[0] != '\0');
    site_expire(&s, &s.w->a);
    assert_int_equal(s.w->a.conns, 1); /* kept */
    backend_drop(s.w->a.conn[0]);
    worker_until_metric(s.w, SHEAF_METRIC_CONNS_IDLE, 0);
    step_text(&s.w->a, OK_HI);
    ask_whole(&ask); /* and dialed anew */
    assert_answer(&ask, 200, "hi");
    assert_int_equal(s.w->a.conns, 2);
    site_end(&s);
}

/* --- names that are not found --- */

static void put_all_but_gone(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    if (strcmp(reply->name, "gone.test") == 0)
        reply->bytes[3] = 0x83; /* NXDOMAIN */
    else
        dns_default(dns, type, reply);
}

static void a_server_whose_name_is_not_found_is_ejected(void **state)
{
    site_t s;
    ask_t ask;

    site_prepare(&s);
    s.dns.script = put_all_but_gone;
    s.w->conf->servers.items[1] = s.w->conf->servers.items[0];
    s.w->conf->servers.items[0].url.host = SHEAF_STR("gone.test");
    s.w->conf->servers.count = 2;
    s.w->conf->outlier = (sheaf_outlier_conf_t){.mark = {1, 1},
                                                .errors = 1,
                                                .interval_ms = 10000,
                                                .eject_ms = 60000,
                                                .max_eject_ms = 60000,
                                                .max_ejected_percent = 50};
    site_open(&s);
    for (int i = 0; i < 4; i++) {
        step_text(&s.w->a, OK_HI);
        ask_get(&ask, s.w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi"); /* from the other one */
    }
    assert_true(s.group->balance.servers[0].outlier.is_ejected);
    assert_false(s.group->balance.servers[1].outlier.is_ejected);
    assert_int_equal(metric(s.w, SHEAF_METRIC_EJECTIONS), 1);
    site_end(&s);
}

/* 39 that refuse, and `a` somewhere among them. */
static void put_many(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    for (uint8_t i = 0; i < 40 && type == DNS_A; i++)
        dns_put_a(reply, i == 33 ? 1 : (uint8_t)(100 + i), 60);
}

static void one_good_address_among_forty_is_found(void **state)
{
    site_t s;
    ask_t ask;

    site_prepare(&s);
    s.dns.script = put_many;
    s.dns.is_short = true;
    site_open(&s);
    step_text(&s.w->a, OK_HI);
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_int_equal(s.name->count, 40);
    site_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conns_in_use_notice_that_a_name_has_moved_and_what_flies_ends_where_it_is),
        cmocka_unit_test(a_name_that_stays_keeps_its_conns),
        cmocka_unit_test(a_lookup_that_fails_changes_nothing_for_those_who_use_the_name),
        cmocka_unit_test(a_server_whose_name_is_not_found_is_ejected),
        cmocka_unit_test(one_good_address_among_forty_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
