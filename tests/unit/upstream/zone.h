/* tests/unit/upstream/zone.h - a site whose one server is the service http of backend.test, and the records that say so. */
#ifndef TESTS_UNIT_UPSTREAM_ZONE_H
#define TESTS_UNIT_UPSTREAM_ZONE_H

#include "tests/unit/upstream/site.h"

typedef struct record {
    unsigned priority, weight;
    const char *target; /* "a.test" is backend a, "b.test" backend b, "r....test" refuses, "gone.test" has no address */
} record_t;

typedef struct zone {
    record_t records[40];
    unsigned count, port;
} zone_t;

static void put_zone(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    const zone_t *zone = dns->data;

    if (type == DNS_SRV) {
        assert_string_equal(reply->name, "_http._tcp.backend.test");
        for (unsigned i = 0; i < zone->count; i++) {
            const record_t *one = &zone->records[i];

            dns_put_srv(reply, one->priority, one->weight, zone->port, one->target, 60);
        }
    } else if (strcmp(reply->name, "gone.test") == 0) {
        reply->bytes[3] = 0x83; /* NXDOMAIN */
    } else if (type == DNS_A) {
        dns_put_a(reply, reply->name[0] == 'a' ? 1 : reply->name[0] == 'b' ? 2 : 99, 60);
    }
}

/* A site whose one server is the service http of backend.test. */
static void site_of_service(site_t *s, zone_t *zone)
{
    site_prepare(s);
    zone->port = s->w->a.port;
    s->dns.script = put_zone;
    s->dns.data = zone;
    s->w->conf->servers.items[0].service = SHEAF_STR("http");
}

#define ZONE(...)                                                                                                      \
    (zone_t)                                                                                                           \
    {                                                                                                                  \
        .records = {__VA_ARGS__}, .count = sizeof((record_t[]){__VA_ARGS__}) / sizeof(record_t)                        \
    }

/* What DNS says changes, and is heard of. */
static void tell(site_t *s, zone_t zone)
{
    zone_t *told = s->dns.data;
    unsigned port = told->port;
    sheaf_name_t *name = s->group->balance.services[0].name;

    *told = zone;
    told->port = port;
    name->expires_ms = s->w->clock.now_ms;
    ask_name(s->w, name);
}

static void let_both_answer(site_t *s, int count)
{
    for (int i = 0; i < count; i++) {
        step_text(&s->w->a, OK_HI);
        step_text(&s->w->b, OK_HI);
    }
}

/* One after the other; all are answered. */
static void ask_often(site_t *s, int count)
{
    ask_t ask;

    for (int i = 0; i < count; i++) {
        ask_get(&ask, s->w, "/");
        ask_whole(&ask);
        assert_answer(&ask, 200, "hi");
    }
}

static void assert_shares(site_t *s, int a, int b)
{
    assert_int_equal(s->w->a.requests, a);
    assert_int_equal(s->w->b.requests, b);
}

#endif
