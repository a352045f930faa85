/* Health of servers that a service's SRV records name: who comes is asked, who leaves is forgotten. */
#include "tests/unit/upstream/site.h"
#include "tests/unit/upstream/probes.h"

typedef struct zone {
    const char *targets; /* a letter for each: 'a' is backend a */
    unsigned port;
} zone_t;

static void put_zone(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    const zone_t *zone = dns->data;
    char target[] = "x.test";

    for (const char *at = zone->targets; type == DNS_SRV && *at != '\0'; at++) {
        target[0] = *at;
        dns_put_srv(reply, 1, 1, zone->port, target, 60);
    }
    if (type == DNS_A)
        dns_put_a(reply, reply->name[0] == 'a' ? 1 : 2, 60);
}

/* The worker asks the targets of the service from here on. */
static void site_watch(site_t *s, zone_t *zone, sheaf_slate_t *slate)
{
    site_prepare(s);
    zone->port = s->w->a.port;
    s->dns.script = put_zone;
    s->dns.data = zone;
    s->env->slate = slate;
    s->w->conf->servers.items[0].service = SHEAF_STR("http");
    s->w->conf->health = quick(2000);
    s->w->a.health = s->w->b.health = FINE;
    site_open(s);
    sheaf_slate_begin_round(slate);
    sheaf_monitor_begin(&s->group->monitor);
    sheaf_slate_end_round(slate);
}

static void tell(site_t *s, const char *targets)
{
    zone_t *zone = s->dns.data;
    sheaf_name_t *name = s->group->balance.services[0].name;
    uint32_t version = name->version;

    zone->targets = targets;
    name->expires_ms = s->w->clock.now_ms;
    sheaf_name_refresh(name);
    while (s->group->balance.services[0].gate->version == version)
        uv_run(&s->w->loop, UV_RUN_ONCE);
}

static void ask_times(site_t *s, int times, int a, int b)
{
    worker_t *w = s->w;
    ask_t ask;

    w->a.requests = w->b.requests = w->a.step_count = w->b.step_count = 0;
    for (int i = 0; i < times; i++) {
        step_text(&w->a, OK_HI);
        step_text(&w->b, OK_HI);
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
    assert_int_equal(w->a.requests, a);
    assert_int_equal(w->b.requests, b);
}

static void targets_are_asked_as_they_come_and_forgotten_as_they_leave(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    zone_t zone = {.targets = "ab"};
    site_t s;

    site_watch(&s, &zone, slate);
    s.w->a.health = SICK;
    ask_times(&s, 2, 1, 1); /* which looks the service up */
    worker_until_metric(s.w, SHEAF_METRIC_SERVERS_UNHEALTHY, 1);
    ask_times(&s, 4, 0, 4);
    tell(&s, "b");
    assert_int_equal(metric(s.w, SHEAF_METRIC_SERVERS_UNHEALTHY), 0);
    ask_times(&s, 2, 0, 2);
    tell(&s, "ba");
    assert_int_equal(metric(s.w, SHEAF_METRIC_SERVERS_UNHEALTHY), 0);
    ask_times(&s, 2, 1, 1); /* as one that nothing is known of */
    worker_until_metric(s.w, SHEAF_METRIC_SERVERS_UNHEALTHY, 1);
    s.w->a.health = FINE;
    worker_until_metric(s.w, SHEAF_METRIC_SERVERS_UNHEALTHY, 0);
    site_end(&s);
    sheaf_slate_free(slate);
}

static void the_only_target_that_is_left_is_used_although_it_is_unhealthy(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    zone_t zone = {.targets = "ab"};
    site_t s;

    site_watch(&s, &zone, slate);
    s.w->a.health = SICK;
    ask_times(&s, 2, 1, 1);
    worker_until_metric(s.w, SHEAF_METRIC_SERVERS_UNHEALTHY, 1);
    tell(&s, "a");
    ask_times(&s, 2, 2, 0);
    assert_int_equal(metric(s.w, SHEAF_METRIC_SERVERS_UNHEALTHY), 1);
    site_end(&s);
    sheaf_slate_free(slate);
}

/* Its place goes to another one while the probe is on its way. */
static void a_target_may_leave_while_it_is_asked(void **state)
{
    sheaf_slate_t *slate = sheaf_slate_new(256);
    zone_t zone = {.targets = "ab"};
    site_t s;

    site_watch(&s, &zone, slate);
    ask_times(&s, 2, 1, 1);
    s.w->a.health = ""; /* says nothing: the probe goes on and on */
    worker_until_count(s.w, &s.w->a.probes, s.w->a.probes + 1);
    for (int i = 0; i < 40; i++) {
        char targets[] = "bx";

        targets[1] = (char)('c' + i % 20);
        tell(&s, targets);
    }
    ask_times(&s, 2, 0, 2);
    site_end(&s);
    sheaf_slate_free(slate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_asked_as_they_come_and_forgotten_as_they_leave),
        cmocka_unit_test(the_only_target_that_is_left_is_used_although_it_is_unhealthy),
        cmocka_unit_test(a_target_may_leave_while_it_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
