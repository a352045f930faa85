#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http/hosts.h"

static void a_host_is_folded_to_what_is_compared(void **state)
{
    static const struct {
        const char *host, *want; /* NULL: none */
    } rows[] = {
        {"api.example.com", "api.example.com"},
        {"API.Example.COM:8080", "api.example.com"},
        {"api.example.com.", "api.example.com"},
        {"api.example.com.:80", "api.example.com"},
        {"api.example.com:", "api.example.com"},
        {"10.0.0.1:80", "10.0.0.1"},
        {"[::1]", "[::1]"},
        {"[0:0:0:0:0:0:0:1]:443", "[::1]"},
        {"[2001:DB8::A]", "[2001:db8::a]"},
        {"", NULL},
        {":80", NULL},
        {".example.com", NULL},
        {"[::1", NULL},
        {"[]", NULL},
        {"[v1.x]", NULL},
        {"[::1]x", NULL},
    };
    char room[SHEAF_HOST_MAX + 1], text[600];
    sheaf_str_t host;

    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        bool is_host = sheaf_host_fold(sheaf_str_of(rows[i].host), room, &host);

        assert_int_equal(is_host, rows[i].want != NULL);
        if (is_host)
            assert_true(sheaf_str_eq(host, sheaf_str_of(rows[i].want)));
    }
    memset(text, 'a', sizeof(text));
    assert_true(sheaf_host_fold(sheaf_str(text, SHEAF_HOST_MAX), room, &host));
    assert_false(sheaf_host_fold(sheaf_str(text, SHEAF_HOST_MAX + 1), room, &host));
    assert_false(sheaf_host_fold(SHEAF_STR_NONE, room, &host));
}

static void patterns_are_names_wildcards_and_addresses(void **state)
{
    static const char *const good[] = {"a",        "api.example.com", "API.example.com.",     "*.example.com",
                                       "10.0.0.1", "[::1]",           "xn--bcher-kva.example"};
    static const char *const bad[] = {"",     "*",    "*.",       ".",      "a..b",      "a.*.b",
                                      "*a.b", "a:80", "[::1]:80", "[::g]",  "b\xc3\xbc", "http://a",
                                      "a/b",  ".a",   "*.*.a",    "*.[::1]"};
    sheaf_fail_t fail;

    for (size_t i = 0; i < SHEAF_COUNT(good); i++)
        assert_int_equal(sheaf_host_check_pattern(sheaf_str_of(good[i]), &fail), SHEAF_OK);
    for (size_t i = 0; i < SHEAF_COUNT(bad); i++)
        assert_int_equal(sheaf_host_check_pattern(sheaf_str_of(bad[i]), &fail), SHEAF_ERR_CONFIG);
}

static void a_pattern_matches_the_hosts_it_means(void **state)
{
    static const struct {
        const char *pattern, *host;
        bool want;
    } rows[] = {
        {"a.example", "A.Example.:80", true},
        {"A.EXAMPLE.", "a.example", true},
        {"a.example", "b.a.example", false},
        {"*.example", "a.example", true},
        {"*.example", "b.a.example", true},
        {"*.example", "example", false},
        {"*.example", "aexample", false},
        {"*.example", ".example", false},
        {"[::1]", "[0::1]:1", true},
        {"*.example", "evil.com/.example", true}, /* no valid Host: the listener never lets it in */
        {"a.example", "", false},
    };

    for (size_t i = 0; i < SHEAF_COUNT(rows); i++)
        assert_int_equal(sheaf_host_matches(sheaf_str_of(rows[i].pattern), sheaf_str_of(rows[i].host)), rows[i].want);
}

static void add(sheaf_router_t *router, uint32_t route, const char *match, const char *method)
{
    sheaf_str_t methods = sheaf_str_of(method);
    uint32_t clash;

    assert_int_equal(
        sheaf_router_add(router, route, sheaf_str_of(match), &methods, methods.len > 0 ? 1 : 0, &clash, NULL),
        SHEAF_OK);
}

static void the_most_specific_host_with_a_fitting_template_decides(void **state)
{
    static const struct {
        const char *host, *path;
        int want; /* -1: 404, -2: 405 */
    } rows[] = {
        {"api.example.com", "/a", 1},     /* exact before wildcards and any */
        {"API.EXAMPLE.COM.:99", "/a", 1}, /* however it is written */
        {"api.example.com", "/b", 2},     /* the nearest wildcard has it */
        {"x.api.example.com", "/b", 2},   /* a wildcard is any number of labels */
        {"x.api.example.com", "/a", 4},   /* the longer suffix has nothing that fits, nor the shorter: any has */
        {"example.com", "/b", -1},        /* a wildcard is not the name itself */
        {"com", "/a", 4},
        {"other.com", "/c", 3},        /* *.com */
        {"api.example.com", "/c", 3},  /* from exact over two wildcards */
        {"api.example.com", "/p", -2}, /* a template that fits with other methods ends it */
        {"other.org", "/p", 5},
        {"", "/a", 4},
        {"[::1]:80", "/a", 6},
        {"[0::1]", "/a", 6},
    };
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_hosts_t *hosts = sheaf_hosts_new(pool);
    sheaf_router_t *any = sheaf_router_new(pool);

    add(sheaf_hosts_router(hosts, SHEAF_STR("Api.Example.com.")), 1, "/a", "");
    add(sheaf_hosts_router(hosts, SHEAF_STR("*.example.com")), 2, "/b", "");
    add(sheaf_hosts_router(hosts, SHEAF_STR("*.com")), 3, "/c", "");
    add(sheaf_hosts_router(hosts, SHEAF_STR("api.example.com")), 7, "/p", "POST");
    add(sheaf_hosts_router(hosts, SHEAF_STR("[0:0::1]")), 6, "/a", "");
    add(any, 4, "/a", "");
    add(any, 5, "/p", "");
    sheaf_hosts_build(hosts);
    sheaf_router_build(any);
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_match_t match;
        bool is_found = sheaf_hosts_find(hosts, any, sheaf_str_of(rows[i].host), sheaf_str_of(rows[i].path),
                                         SHEAF_STR("GET"), &match);

        assert_int_equal(is_found ? (int)match.route : match.allow.base != NULL ? -2 : -1, rows[i].want);
    }
    sheaf_pool_free(pool);
}

static void many_hosts_are_all_found_again(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_hosts_t *hosts = sheaf_hosts_new(pool);
    sheaf_router_t *any = sheaf_router_new(pool);
    sheaf_match_t match;

    for (uint32_t i = 0; i < 500; i++)
        add(sheaf_hosts_router(hosts, sheaf_pool_printf(pool, "h%u.example", i * 7 % 500)), i, "/", "");
    sheaf_hosts_build(hosts);
    sheaf_router_build(any);
    for (uint32_t i = 0; i < 500; i++) {
        sheaf_str_t host = sheaf_pool_printf(pool, "H%u.example:1", i * 7 % 500);

        assert_true(sheaf_hosts_find(hosts, any, host, SHEAF_STR("/"), SHEAF_STR("GET"), &match));
        assert_int_equal(match.route, i);
    }
    sheaf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_folded_to_what_is_compared),
        cmocka_unit_test(patterns_are_names_wildcards_and_addresses),
        cmocka_unit_test(a_pattern_matches_the_hosts_it_means),
        cmocka_unit_test(the_most_specific_host_with_a_fitting_template_decides),
        cmocka_unit_test(many_hosts_are_all_found_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
