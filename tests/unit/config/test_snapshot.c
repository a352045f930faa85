#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/report.h"
#include "config/snapshot.h"
#include "config/yaml.h"

#define LISTEN "listen:\n  - address: 127.0.0.1:8080\n"

static sheaf_snapshot_t *load(const char *text)
{
    char *report;
    sheaf_snapshot_t *snapshot = sheaf_snapshot_load("test.yaml", sheaf_str_of(text), &report);

    if (snapshot == NULL)
        fail_msg("%s", report);
    free(report);
    return snapshot;
}

static char *refusal(sheaf_str_t text)
{
    char *report;

    assert_null(sheaf_snapshot_load("test.yaml", text, &report));
    return report;
}

static bool is(sheaf_str_t text, const char *want)
{
    return sheaf_str_eq(text, sheaf_str_of(want));
}

/* --- the example of the contract --- */

static void check_example_upstreams(const sheaf_conf_t *conf)
{
    const sheaf_upstream_conf_t *users = &conf->upstreams.items[0], *orders = &conf->upstreams.items[1];

    assert_int_equal(conf->upstreams.count, 2);
    assert_true(is(users->map_key, "users"));
    assert_int_equal(users->servers.count, 1);
    assert_true(is(users->servers.items[0].url.host, "127.0.0.1"));
    assert_int_equal(users->servers.items[0].url.port, 9001);
    assert_int_equal(users->connect_timeout_ms, 250);
    assert_int_equal(users->timeout_ms, 2000);
    assert_int_equal(users->max_connections, 512);
    assert_int_equal(users->max_waiting, 1024);
    assert_int_equal(users->keepalive_ms, 60000);
    assert_true(is(orders->map_key, "orders"));
    assert_int_equal(orders->servers.count, 2);
    assert_int_equal(orders->servers.items[1].url.port, 9003);
    assert_int_equal(orders->connect_timeout_ms, 1000);
    assert_int_equal(orders->timeout_ms, 10000);
}

static void check_example_routes(const sheaf_snapshot_t *snapshot)
{
    const sheaf_route_conf_t *routes = snapshot->conf.routes.items;
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_match_t match;

    assert_int_equal(snapshot->conf.routes.count, 3);
    assert_true(is(routes[0].match, "/users/{id}"));
    assert_int_equal(routes[0].methods.count, 3);
    assert_true(is(routes[0].methods.items[2], "DELETE"));
    assert_int_equal(routes[0].upstream, 0);
    assert_int_equal(routes[0].timeout_ms, 500);
    assert_int_equal(routes[0].encoded_slashes, SHEAF_ENCODED_SLASHES_REFUSE);
    assert_int_equal(routes[0].max_body_bytes, 1 << 20);
    assert_int_equal(routes[1].encoded_slashes, SHEAF_ENCODED_SLASHES_KEEP);
    assert_int_equal(routes[1].upstream, 1);
    assert_int_equal(routes[1].timeout_ms, 0);
    assert_null(routes[1].rewrite);
    assert_true(is(routes[2].match, "/orders/{rest...}"));

    assert_true(sheaf_router_find(snapshot->routes, SHEAF_STR("/users/42"), SHEAF_STR("GET"), &match));
    assert_int_equal(match.route, 0);
    assert_true(is(sheaf_rewrite_apply(routes[0].rewrite, &match, pool), "/v1/people/42"));
    assert_true(sheaf_router_find(snapshot->routes, SHEAF_STR("/orders/7/lines"), SHEAF_STR("PUT"), &match));
    assert_int_equal(match.route, 2);
    sheaf_pool_free(pool);
}

static void check_example_endpoint(const sheaf_conf_t *conf)
{
    const sheaf_endpoint_conf_t *batch = &conf->endpoints.items[0];

    assert_int_equal(conf->endpoints.count, 1);
    assert_true(is(batch->path, "/batch"));
    assert_int_equal(batch->kind, SHEAF_KIND_BATCH);
    assert_int_equal(batch->max_items, 100);
    assert_int_equal(batch->max_body_bytes, 1 << 20);
    assert_int_equal(batch->max_item_body_bytes, 1 << 20);
    assert_int_equal(batch->budget_bytes, 64 << 20);
    assert_int_equal(batch->timeout_ms, 30000);
    assert_int_equal(batch->parallel, 64);
    assert_int_equal(batch->order, SHEAF_ORDER_REQUEST);
    assert_int_equal(batch->status, SHEAF_STATUS_ALWAYS);
    assert_int_equal(batch->linger_ms, 20);
    assert_true(is(batch->base, "/"));
    assert_int_equal(batch->change_sets, SHEAF_CHANGE_SETS_REFUSE);
    assert_int_equal(batch->on_error, SHEAF_ON_ERROR_DEFAULT);
    assert_int_equal(batch->on_client_abort, SHEAF_ON_CLIENT_ABORT_CANCEL);
    assert_int_equal(batch->dialect, SHEAF_DIALECT_SHEAF);
}

static void every_value_of_the_example_lands_in_its_member(void **state)
{
    char *report;
    sheaf_snapshot_t *snapshot = sheaf_snapshot_load_file("tests/golden/config/example/in.yaml", &report);
    const sheaf_conf_t *conf;
    uint8_t ip[16];

    (void)state;
    assert_string_equal(report, "");
    free(report);
    conf = &snapshot->conf;
    assert_int_equal(conf->listen.count, 1);
    assert_true(is(conf->listen.items[0].address.host, "127.0.0.1"));
    assert_int_equal(conf->listen.items[0].address.port, 8080);
    assert_int_equal(conf->admin.address.port, 9090);
    assert_int_equal(conf->workers, 1);
    assert_true(sheaf_ip_parse(SHEAF_STR("127.9.9.9"), ip));
    assert_true(sheaf_cidr_has(conf->trusted_proxies.items, conf->trusted_proxies.count, ip));
    assert_int_equal(conf->drain.delay_ms, 0);
    assert_int_equal(conf->drain.timeout_ms, 30000);
    assert_int_equal(conf->log.format, SHEAF_LOG_FORMAT_JSON);
    assert_int_equal(conf->log.level, SHEAF_LOG_LEVEL_INFO);
    assert_int_equal(conf->limits.send_timeout_ms, 30000);
    assert_int_equal(conf->limits.aborts, 100);
    check_example_upstreams(conf);
    check_example_routes(snapshot);
    check_example_endpoint(conf);
    sheaf_snapshot_drop(snapshot);
}

/* --- the rest --- */

static void an_endpoint_is_found_by_its_exact_path(void **state)
{
    static const char *const paths[] = {"/batch", "/a", "/a/b", "/v1/$batch", "/zebra", "/B"};
    static const char *const absent[] = {"", "/", "/batc", "/batch/", "/batch2", "/b", "/zebrb", "/a/"};
    sheaf_snapshot_t *snapshot = load(LISTEN "endpoints:\n  - path: /batch\n  - path: /a\n  - path: /a/b\n"
                                             "  - path: /v1/$batch\n  - path: /zebra\n  - path: /B\n");
    sheaf_match_t match;

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(paths); i++)
        assert_ptr_equal(sheaf_snapshot_endpoint(snapshot, sheaf_str_of(paths[i]), SHEAF_STR("POST"), &match),
                         &snapshot->conf.endpoints.items[i]);
    for (size_t i = 0; i < SHEAF_COUNT(absent); i++)
        assert_false(sheaf_snapshot_has_endpoint(snapshot, sheaf_str_of(absent[i])));
    sheaf_snapshot_drop(snapshot);
}

static void endpoints_of_one_path_are_told_apart_by_their_methods(void **state)
{
    sheaf_snapshot_t *snapshot =
        load(LISTEN "endpoints:\n  - {path: \"/p/{id}\"}\n"
                    "  - {path: \"/p/{name}\", kind: aggregate, items: [{id: a, url: \"/a/${params.name}\"}]}\n");
    const sheaf_endpoint_conf_t *endpoints = snapshot->conf.endpoints.items;
    sheaf_match_t match;

    (void)state;
    assert_true(sheaf_str_eq(endpoints[0].path, SHEAF_STR("/p/{id}")));
    assert_ptr_equal(sheaf_snapshot_endpoint(snapshot, SHEAF_STR("/p/7"), SHEAF_STR("POST"), &match), &endpoints[0]);
    assert_ptr_equal(sheaf_snapshot_endpoint(snapshot, SHEAF_STR("/p/7"), SHEAF_STR("HEAD"), &match), &endpoints[1]);
    assert_int_equal(match.param_count, 1);
    assert_true(sheaf_str_eq(match.params[0], SHEAF_STR("7")));
    assert_null(sheaf_snapshot_endpoint(snapshot, SHEAF_STR("/p/7"), SHEAF_STR("PUT"), &match));
    assert_true(sheaf_str_eq(match.allow, SHEAF_STR("GET, HEAD, POST")));
    assert_false(sheaf_snapshot_has_endpoint(snapshot, SHEAF_STR("/p")));
    sheaf_snapshot_drop(snapshot);
}

static void without_endpoints_none_is_found(void **state)
{
    sheaf_snapshot_t *snapshot = load(LISTEN);

    (void)state;
    assert_false(sheaf_snapshot_has_endpoint(snapshot, SHEAF_STR("/batch")));
    sheaf_snapshot_drop(snapshot);
}

static void a_base_ends_in_a_slash_and_follows_dollar_batch(void **state)
{
    sheaf_snapshot_t *snapshot =
        load(LISTEN "endpoints:\n  - path: /v1/$batch\n  - path: /v1/batch\n  - path: /$batch\n"
                    "  - {path: /w, base: /v2/x}\n  - {path: /x, base: /v2/./y/../}\n");
    const sheaf_endpoint_conf_t *endpoints = snapshot->conf.endpoints.items;

    (void)state;
    assert_true(is(endpoints[0].base, "/v1/"));
    assert_true(is(endpoints[1].base, "/"));
    assert_true(is(endpoints[2].base, "/"));
    assert_true(is(endpoints[3].base, "/v2/x/"));
    assert_true(is(endpoints[4].base, "/v2/"));
    sheaf_snapshot_drop(snapshot);
}

static bool same_upstream(const char *a, const char *b)
{
    char text[512];
    sheaf_snapshot_t *x, *y;
    bool is_same;

    snprintf(text, sizeof(text), LISTEN "upstreams:\n  u: {servers: [\"http://a:1\", \"http://b:2\"]%s}\n", a);
    x = load(text);
    snprintf(text, sizeof(text), LISTEN "upstreams:\n  u: {%s}\n", b);
    y = load(text);
    is_same = sheaf_upstream_conf_eq(&x->conf.upstreams.items[0], &y->conf.upstreams.items[0]);
    sheaf_snapshot_drop(x);
    sheaf_snapshot_drop(y);
    return is_same;
}

#define BY_KEY "servers: [\"http://a:1\", \"http://b:2\"], balance: hash, "
/* A member that the comparison forgets would leave a changed setting unused after a reload. */
static void upstreams_that_differ_in_a_setting_of_failing_well_are_not_equal(void **state)
{
    static const char *const settings[][2] = {
        {"retry: {}", "retry: {attempts: 3}"},
        {"retry: {}", "retry: {on: [connect]}"},
        {"retry: {}", "retry: {methods: [GET]}"},
        {"retry: {methods: [PUT]}", "retry: {methods: [GET]}"},
        {"retry: {}", "retry: {budget: 21%}"},
        {"retry: {}", "retry: {backoff: 26ms}"},
        {"outlier: {}", "outlier: {errors: 6}"},
        {"outlier: {}", "outlier: {ratio: 6%}"},
        {"outlier: {}", "outlier: {interval: 11s}"},
        {"outlier: {}", "outlier: {eject: 11s}"},
        {"outlier: {}", "outlier: {max_eject: 6m}"},
        {"outlier: {}", "outlier: {max_ejected: 51%}"},
        {"breaker: {}", "breaker: {errors: 51%}"},
        {"breaker: {}", "breaker: {requests: 21}"},
        {"breaker: {}", "breaker: {window: 11s}"},
        {"breaker: {}", "breaker: {open: 6s}"},
        {"breaker: {}", "breaker: {probes: 2}"},
        {"shed: false", "shed: true"},
        {"shed: false", "adaptive: {}"},
        {"shed: false", "max_in_flight: 1"},
        {"adaptive: {}", "adaptive: {min: 9}"},
        {"adaptive: {}", "adaptive: {max: 9}"},
        {"adaptive: {}", "adaptive: {window: 9s}"},
        {"adaptive: {}", "adaptive: {tolerance: 201%}"},
        {"adaptive: {}", "adaptive: {measure: 9s}"},
        {"health: {}", "health: {path: /a}"},
        {"health: {}", "health: {interval: 6s}"},
        {"health: {}", "health: {timeout: 2s}"},
        {"health: {}", "health: {expect: 200}"},
        {"health: {}", "health: {expect: [2xx, 404]}"},
        {"health: {}", "health: {unhealthy: 4}"},
        {"health: {}", "health: {healthy: 3}"},
        {"hedge: {}", "hedge: {after: p98}"},
        {"hedge: {}", "hedge: {after: 20ms}"},
        {"hedge: {after: 20ms}", "hedge: {after: 21ms}"},
        {"hedge: {}", "hedge: {budget: 6%}"},
        {"hedge: {}", "timeout: 10s"},
    };
    char a[160], b[160];

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(settings); i++) {
        snprintf(a, sizeof(a), ", %s", settings[i][0]);
        snprintf(b, sizeof(b), "servers: [\"http://a:1\", \"http://b:2\"], %s", settings[i][0]);
        assert_true(same_upstream(a, b));
        snprintf(b, sizeof(b), "servers: [\"http://a:1\", \"http://b:2\"], %s", settings[i][1]);
        assert_false(same_upstream(a, b));
    }
}

static void upstreams_are_equal_when_servers_limits_and_times_are(void **state)
{
    static const char *const different[] = {
        "servers: [\"http://a:1\"]",
        "servers: [\"http://b:2\", \"http://a:1\"]",
        "servers: [\"http://a:1\", \"http://b:3\"]",
        "servers: [\"http://a:1\", \"http://c:2\"]",
        "servers: [\"http://a:1\", \"http://b:2\"], timeout: 9s",
        "servers: [\"http://a:1\", \"http://b:2\"], connect_timeout: 9s",
        "servers: [\"http://a:1\", \"http://b:2\"], max_connections: 9",
        "servers: [\"http://a:1\", \"http://b:2\"], max_waiting: 9",
        "servers: [\"http://a:1\", \"http://b:2\"], keepalive: 9s",
        "servers: [\"http://a:1\", \"https://b:2\"]",
        "servers: [\"http://a:1\", {url: \"http://b:2\", weight: 2}]",
        "servers: [\"http://a:1\", {url: \"http://b:2\", backup: true}]",
        "servers: [\"http://a:1\", \"http://b:2\"], balance: random_two",
        "servers: [\"http://a:1\", \"http://b:2\"], balance: hash",
        "servers: [\"http://a:1\", \"http://b:2\"], first_byte_timeout: 9s",
        "servers: [\"http://a:1\", \"http://b:2\"], idle_timeout: 9s",
        "servers: [\"http://a:1\", \"http://b:2\"], retry: {}",
        "servers: [\"http://a:1\", \"http://b:2\"], outlier: {}",
        "servers: [\"http://a:1\", \"http://b:2\"], breaker: {}",
        "servers: [\"http://a:1\", \"http://b:2\"], health: {}",
    };

    (void)state;
    assert_true(same_upstream("", "servers: [\"http://a:1\", \"http://B:2\"]"));
    assert_true(same_upstream(", timeout: 10s", "servers: [\"http://a:1\", \"http://b:2\"]"));
    assert_true(same_upstream(", balance: round_robin", "servers: [\"http://a:1\", {url: \"http://b:2\", weight: 1}]"));
    assert_false(same_upstream(", balance: hash", BY_KEY "hash: id"));
    assert_false(same_upstream(", balance: hash, hash: header a", BY_KEY "hash: header b"));
    assert_false(same_upstream(", balance: hash", BY_KEY "hash_bound: 200"));
    assert_true(same_upstream(", balance: hash, hash: header a", BY_KEY "hash: header A"));
    for (size_t i = 0; i < SHEAF_COUNT(different); i++)
        assert_false(same_upstream("", different[i]));
}

static void a_snapshot_lives_until_its_last_drop(void **state)
{
    sheaf_snapshot_t *snapshot = load(LISTEN);

    (void)state;
    assert_ptr_equal(sheaf_snapshot_hold(snapshot), snapshot);
    sheaf_snapshot_drop(snapshot);
    assert_int_equal(snapshot->conf.listen.count, 1);
    sheaf_snapshot_drop(snapshot);
    sheaf_snapshot_drop(NULL);
}

static void a_snapshot_keeps_nothing_of_the_text(void **state)
{
    char *text = strdup(LISTEN "upstreams: {users: {servers: [\"http://a\"]}}\n"
                               "routes: [{match: \"/u/{id}\", upstream: users, rewrite: \"/{id}\"}]\n");
    sheaf_snapshot_t *snapshot = load(text);
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_match_t match;

    (void)state;
    memset(text, 'x', strlen(text));
    free(text);
    assert_true(sheaf_router_find(snapshot->routes, SHEAF_STR("/u/1"), SHEAF_STR("GET"), &match));
    assert_true(is(sheaf_rewrite_apply(snapshot->conf.routes.items[0].rewrite, &match, pool), "/1"));
    assert_true(is(snapshot->conf.upstreams.items[0].map_key, "users"));
    sheaf_pool_free(pool);
    sheaf_snapshot_drop(snapshot);
}

static void the_hash_tells_texts_and_environments_apart(void **state)
{
    static const char text[] = LISTEN "workers: ${env.SHEAF_TEST_WORKERS:-1}\n";
    sheaf_snapshot_t *a = load(text), *b = load(text), *c = load(LISTEN), *d;

    (void)state;
    setenv("SHEAF_TEST_WORKERS", "2", 1);
    d = load(text);
    unsetenv("SHEAF_TEST_WORKERS");
    assert_true(a->hash == b->hash);
    assert_true(a->hash != c->hash);
    assert_true(a->hash != d->hash);
    assert_int_equal(d->conf.workers, 2);
    sheaf_snapshot_drop(a);
    sheaf_snapshot_drop(b);
    sheaf_snapshot_drop(c);
    sheaf_snapshot_drop(d);
}

static void a_file_that_cannot_be_read_is_an_error_of_the_report(void **state)
{
    char *report;

    (void)state;
    assert_null(sheaf_snapshot_load_file("tests/golden/config/none.yaml", &report));
    assert_string_equal(report, "tests/golden/config/none.yaml: error: cannot be read: No such file or directory\n");
    free(report);
    assert_null(sheaf_snapshot_load_file("config", &report));
    assert_string_equal(report, "config: error: cannot be read: Is a directory\n");
    free(report);
}

static void a_text_over_8_mib_is_refused_unread(void **state)
{
    size_t len = SHEAF_YAML_MAX_BYTES + 1;
    char *text = malloc(len), *report;

    (void)state;
    memset(text, '\n', len);
    report = refusal(sheaf_str(text, len));
    assert_string_equal(report, "test.yaml: error: larger than 8 MiB\n");
    free(report);
    free(text);
}

/* CPU seconds that refusing a text of `len` bytes takes. */
static double refusal_cost(const char *text, size_t len)
{
    clock_t start = clock();

    free(refusal(sheaf_str(text, len)));
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void a_text_full_of_errors_gives_a_bounded_report(void **state)
{
    enum { ROOM = 1 << 20 };
    char *text = malloc(ROOM), *report;
    size_t len = 0;

    (void)state;
    for (uint32_t i = 0; len < ROOM - 64; i++)
        len += (size_t)snprintf(text + len, 64, "k%u: v\n", i / 2); /* unknown, and every second one a duplicate */
    assert_true(refusal_cost(text, len) < 20);                      /* squared, it would be minutes */
    report = refusal(sheaf_str(text, len));
    assert_non_null(strstr(report, "more are not shown\n"));
    assert_true(strlen(report) < 1000 * 512);
    free(report);
    free(text);
}

static void an_alias_bomb_is_refused(void **state)
{
    char text[4096], *report;
    size_t len = (size_t)snprintf(text, sizeof(text), "a0: &a0 [x, x]\n");

    (void)state;
    for (int i = 1; i < 60; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
    report = refusal(sheaf_str(text, len));
    assert_non_null(strstr(report, "test.yaml:1:5: error: anchors and aliases are not supported"));
    free(report);
}

static void places_survive_the_way_to_an_offset_and_back(void **state)
{
    static const char text[] = "a\n\xC3\xA4"
                               "b\r\n\rc\td";
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_report_t report;

    (void)state;
    sheaf_report_init(&report, pool, "x", sheaf_str_of(text));
    assert_int_equal(report.line_count, 4);
    for (size_t i = 0; i < sizeof(text); i++) {
        sheaf_mark_t mark = sheaf_report_mark(&report, i);

        if (i != 3 && text[i] != '\n') /* not inside a character, not at a line's end */
            assert_int_equal(sheaf_report_offset(&report, mark), i);
    }
    assert_int_equal(sheaf_report_mark(&report, 4).line, 2);
    assert_int_equal(sheaf_report_mark(&report, 4).column, 2);
    sheaf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_of_the_example_lands_in_its_member),
        cmocka_unit_test(an_endpoint_is_found_by_its_exact_path),
        cmocka_unit_test(endpoints_of_one_path_are_told_apart_by_their_methods),
        cmocka_unit_test(without_endpoints_none_is_found),
        cmocka_unit_test(a_base_ends_in_a_slash_and_follows_dollar_batch),
        cmocka_unit_test(upstreams_that_differ_in_a_setting_of_failing_well_are_not_equal),
        cmocka_unit_test(upstreams_are_equal_when_servers_limits_and_times_are),
        cmocka_unit_test(a_snapshot_lives_until_its_last_drop),
        cmocka_unit_test(a_snapshot_keeps_nothing_of_the_text),
        cmocka_unit_test(the_hash_tells_texts_and_environments_apart),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error_of_the_report),
        cmocka_unit_test(a_text_over_8_mib_is_refused_unread),
        cmocka_unit_test(a_text_full_of_errors_gives_a_bounded_report),
        cmocka_unit_test(an_alias_bomb_is_refused),
        cmocka_unit_test(places_survive_the_way_to_an_offset_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
