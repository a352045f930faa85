#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/snapshot.h"

static sheaf_snapshot_t *load(const char *routes)
{
    char text[4096], *report;
    sheaf_snapshot_t *snapshot;

    snprintf(text, sizeof(text),
             "listen: [{address: \"127.0.0.1:0\"}]\nupstreams: {a: {servers: [\"http://10.0.0.1\"]}}\nroutes:\n%s",
             routes);
    snapshot = sheaf_snapshot_load("test.yaml", sheaf_str_of(text), &report);
    assert_string_equal(report, "");
    free(report);
    return snapshot;
}

/* The index of the route that answers, -404 or -405, and what is allowed instead. */
static char allowed[64];

static int find(const sheaf_snapshot_t *snapshot, sheaf_exposure_t who, const char *method, const char *path)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_match_t match;
    const sheaf_route_conf_t *route = sheaf_snapshot_route(snapshot, SHEAF_STR("h.example"), sheaf_str_of(path),
                                                           sheaf_str_of(method), who, pool, &match);

    snprintf(allowed, sizeof(allowed), "%.*s", SHEAF_STR_ARG(match.allow));
    sheaf_pool_free(pool);
    if (route == NULL)
        return match.allow.base != NULL ? -405 : -404;
    assert_ptr_equal(route, &snapshot->conf.routes.items[match.route]);
    return (int)match.route;
}

static void a_route_is_there_only_for_those_it_is_exposed_to(void **state)
{
    sheaf_snapshot_t *snapshot = load("  - {match: /both, upstream: a}\n"
                                      "  - {match: /items, expose: [batch], upstream: a}\n"
                                      "  - {match: /direct, expose: [direct], upstream: a}\n");
    static const struct {
        const char *path;
        int direct, batch;
    } rows[] = {{"/both", 0, 0}, {"/items", -404, 1}, {"/direct", 2, -404}};

    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        assert_int_equal(find(snapshot, SHEAF_EXPOSURE_DIRECT, "GET", rows[i].path), rows[i].direct);
        assert_int_equal(find(snapshot, SHEAF_EXPOSURE_BATCH, "GET", rows[i].path), rows[i].batch);
    }
    sheaf_snapshot_drop(snapshot);
}

/* A catch-all for items must not open what the more specific route keeps from them. */
static void a_hidden_route_gives_way_to_no_other(void **state)
{
    sheaf_snapshot_t *snapshot = load("  - {match: \"/{all...}\", upstream: a}\n"
                                      "  - {match: /admin, expose: [direct], upstream: a}\n");

    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_BATCH, "GET", "/admin"), -404);
    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_BATCH, "GET", "/adminx"), 0);
    sheaf_snapshot_drop(snapshot);
}

static void other_methods_are_told_of_where_one_of_them_is_exposed(void **state)
{
    sheaf_snapshot_t *snapshot = load("  - {match: /a, methods: [GET], expose: [direct], upstream: a}\n"
                                      "  - {match: /b, methods: [GET], expose: [direct], upstream: a}\n"
                                      "  - {match: /b, methods: [PUT], upstream: a}\n");

    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_BATCH, "PUT", "/a"), -404);
    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_DIRECT, "PUT", "/a"), -405);
    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_BATCH, "GET", "/b"), -404);
    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_BATCH, "DELETE", "/b"), -405);
    sheaf_snapshot_drop(snapshot);
}

static void methods_that_are_there_for_others_only_are_not_named(void **state)
{
    sheaf_snapshot_t *snapshot = load("  - {match: /a, methods: [GET], expose: [direct], upstream: a}\n"
                                      "  - {match: /a, methods: [POST, DELETE], expose: [batch], upstream: a}\n"
                                      "  - {match: /a, methods: [PATCH], upstream: a}\n"
                                      "  - {match: /b, methods: [GET, POST], upstream: a, hosts: [h.example]}\n"
                                      "  - {match: /b, methods: [PUT], expose: [batch], upstream: a, "
                                      "hosts: [h.example]}\n");

    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_DIRECT, "PUT", "/a"), -405);
    assert_string_equal(allowed, "GET, HEAD, PATCH");
    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_BATCH, "PUT", "/a"), -405);
    assert_string_equal(allowed, "DELETE, PATCH, POST");
    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_DIRECT, "DELETE", "/b"), -405);
    assert_string_equal(allowed, "GET, HEAD, POST");
    assert_int_equal(find(snapshot, SHEAF_EXPOSURE_BATCH, "DELETE", "/b"), -405);
    assert_string_equal(allowed, "GET, HEAD, POST, PUT");
    sheaf_snapshot_drop(snapshot);
}

static void the_host_that_is_sent_is_the_servers_the_clients_or_a_name(void **state)
{
    sheaf_snapshot_t *snapshot = load("  - {match: /a, upstream: a}\n"
                                      "  - {match: /b, upstream: a, host: upstream}\n"
                                      "  - {match: /c, upstream: a, host: client}\n"
                                      "  - {match: /d, upstream: a, host: \"api.internal:8080\"}\n");
    const sheaf_route_conf_t *routes = snapshot->conf.routes.items;

    assert_null(sheaf_route_host(&routes[0], SHEAF_STR("c.example")).base);
    assert_null(sheaf_route_host(&routes[1], SHEAF_STR("c.example")).base);
    assert_true(sheaf_str_eq(sheaf_route_host(&routes[2], SHEAF_STR("c.example:81")), SHEAF_STR("c.example:81")));
    assert_true(sheaf_str_eq(sheaf_route_host(&routes[3], SHEAF_STR("c.example")), SHEAF_STR("api.internal:8080")));
    /* what is no host is never sent as one */
    assert_null(sheaf_route_host(&routes[2], SHEAF_STR("")).base);
    assert_null(sheaf_route_host(&routes[2], SHEAF_STR_NONE).base);
    assert_null(sheaf_route_host(&routes[2], SHEAF_STR("a\r\nx: y")).base);
    assert_null(sheaf_route_host(&routes[2], SHEAF_STR("a/b")).base);
    sheaf_snapshot_drop(snapshot);
}

static void requests_are_dealt_by_their_shares(void **state)
{
    static sheaf_split_conf_t splits[] = {{.upstream = 1, .share_percent = 5}, {.upstream = 2, .share_percent = 20}};
    sheaf_route_conf_t route = {.upstream = 0};
    uint32_t counts[3] = {0};

    assert_int_equal(sheaf_route_upstream(&route, 99), 0);
    route.split.items = splits;
    route.split.count = 2;
    for (uint64_t dice = 0; dice < 1000; dice++)
        counts[sheaf_route_upstream(&route, dice)]++;
    assert_int_equal(counts[0], 750);
    assert_int_equal(counts[1], 50);
    assert_int_equal(counts[2], 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_is_there_only_for_those_it_is_exposed_to),
        cmocka_unit_test(a_hidden_route_gives_way_to_no_other),
        cmocka_unit_test(other_methods_are_told_of_where_one_of_them_is_exposed),
        cmocka_unit_test(methods_that_are_there_for_others_only_are_not_named),
        cmocka_unit_test(the_host_that_is_sent_is_the_servers_the_clients_or_a_name),
        cmocka_unit_test(requests_are_dealt_by_their_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
