#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "gateway/http/router.h"
#include "gateway/http/template.h"

#define NONE SHEAF_NO_ROUTE

typedef struct add {
    const char *match;
    const char *methods; /* "GET,POST"; NULL: any */
} add_t;

static uint32_t split_methods(const char *text, sheaf_str_t *methods)
{
    sheaf_str_t rest = text != NULL ? sheaf_str_of(text) : SHEAF_STR_NONE;
    uint32_t count = 0;

    while (rest.base != NULL)
        methods[count++] = sheaf_str_cut(&rest, ',');
    return count;
}

static sheaf_err_t add(sheaf_router_t *router, uint32_t route, add_t what, uint32_t *ret_clash, sheaf_fail_t *fail)
{
    sheaf_str_t methods[8];
    uint32_t count = split_methods(what.methods, methods);

    return sheaf_router_add(router, route, sheaf_str_of(what.match), methods, count, ret_clash, fail);
}

static sheaf_router_t *router_of(sheaf_pool_t *pool, const add_t *adds, size_t count)
{
    sheaf_router_t *router = sheaf_router_new(pool);
    sheaf_fail_t fail;
    uint32_t clash;

    for (size_t i = 0; i < count; i++) {
        if (add(router, (uint32_t)i, adds[i], &clash, &fail) != SHEAF_OK)
            fail_msg("%s: %s", adds[i].match, fail.detail);
    }
    sheaf_router_build(router);
    return router;
}

static void the_most_specific_template_wins(void **state)
{
    static const add_t adds[] = {
        {"/", NULL},
        {"/users", NULL},
        {"/users/", NULL},
        {"/users/{id}", NULL},
        {"/users/me", NULL},
        {"/users/{id}/orders", NULL},
        {"/users/me/{what}", NULL},
        {"/files/{rest...}", NULL},
        {"/files/{kind}/x", NULL},
        {"/files/a/{b}/c", NULL},
        {"/{any...}", NULL},
        {"/caf\xc3\xa9/a b", NULL},
        {"/a-segment-that-is-longer-than-a-node-has-room/{x}", NULL},
        {"/a//b", NULL},
    };
    static const struct {
        const char *path;
        uint32_t want;
        const char *params; /* joined with "|" */
    } rows[] = {
        {"/", 0, ""},
        {"/users", 1, ""},
        {"/users/", 2, ""},
        {"/users/42", 3, "42"},
        {"/users/me", 4, ""},
        {"/users/42/orders", 5, "42"},
        {"/users/me/orders", 6, "orders"},
        {"/users/42/", 10, "users/42/"},
        {"/users//orders", 10, "users//orders"},
        {"/files/", 7, ""},
        {"/files/a/b", 7, "a/b"},
        {"/files/a/x", 8, "a"},
        {"/files/a/x/c", 9, "x"},
        {"/files/a/x/d", 7, "a/x/d"},
        {"/files//", 7, "/"},
        {"/files", 10, "files"},
        {"/caf%C3%A9/a%20b", 11, ""},
        {"/a-segment-that-is-longer-than-a-node-has-room/y", 12, "y"},
        {"/a-segment-that-is-longer-than-a-node-has-rook/y", 10, "a-segment-that-is-longer-than-a-node-has-rook/y"},
        {"/a//b", 13, ""},
        {"/Users", 10, "Users"},
    };
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_router_t *router = router_of(pool, adds, SHEAF_COUNT(adds));

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        char params[256] = "";
        sheaf_match_t match;

        sheaf_router_find(router, sheaf_str_of(rows[i].path), SHEAF_STR("GET"), &match);
        for (uint32_t p = 0; p < match.param_count; p++)
            sprintf(params + strlen(params), "%s%.*s", p > 0 ? "|" : "", SHEAF_STR_ARG(match.params[p]));
        if (match.route != rows[i].want || strcmp(params, rows[i].params) != 0)
            fail_msg("%s went to %u with %s", rows[i].path, match.route, params);
    }
    sheaf_pool_free(pool);
}

static void backtracking_leaves_no_parameter_behind(void **state)
{
    static const add_t adds[] = {{"/{a}/{b}/x", NULL}, {"/p/{b}/y", NULL}, {"/p/q/{c}/{d}", NULL}, {"/{r...}", NULL}};
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_router_t *router = router_of(pool, adds, SHEAF_COUNT(adds));
    sheaf_match_t match;

    (void)state;
    assert_true(sheaf_router_find(router, SHEAF_STR("/p/q/x"), SHEAF_STR("GET"), &match));
    assert_int_equal(match.route, 0);
    assert_int_equal(match.param_count, 2);
    assert_true(sheaf_str_eq(match.params[0], SHEAF_STR("p")) && sheaf_str_eq(match.params[1], SHEAF_STR("q")));
    assert_true(sheaf_router_find(router, SHEAF_STR("/p/q/z"), SHEAF_STR("GET"), &match));
    assert_int_equal(match.route, 3);
    assert_int_equal(match.param_count, 1);
    assert_true(sheaf_str_eq(match.params[0], SHEAF_STR("p/q/z")));
    sheaf_pool_free(pool);
}

static void a_method_that_no_route_takes_is_answered_with_allow(void **state)
{
    static const add_t adds[] = {{"/a", "PATCH,GET"}, {"/a", "DELETE"}, {"/{x}", NULL}, {"/h", "GET"}, {"/h", "HEAD"}};
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_router_t *router = router_of(pool, adds, SHEAF_COUNT(adds));
    sheaf_match_t match;

    (void)state;
    assert_true(sheaf_router_find(router, SHEAF_STR("/a"), SHEAF_STR("HEAD"), &match)); /* GET implies HEAD */
    assert_int_equal(match.route, 0);
    assert_true(sheaf_router_find(router, SHEAF_STR("/a"), SHEAF_STR("DELETE"), &match));
    assert_int_equal(match.route, 1);
    assert_false(sheaf_router_find(router, SHEAF_STR("/a"), SHEAF_STR("POST"), &match)); /* never on to /{x} */
    assert_int_equal(match.route, NONE);
    assert_true(sheaf_str_eq(match.allow, SHEAF_STR("DELETE, GET, HEAD, PATCH")));
    assert_true(sheaf_router_find(router, SHEAF_STR("/h"), SHEAF_STR("HEAD"), &match)); /* an explicit HEAD wins */
    assert_int_equal(match.route, 4);
    assert_false(sheaf_router_find(router, SHEAF_STR("/a/b"), SHEAF_STR("GET"), &match));
    assert_null(match.allow.base);
    sheaf_pool_free(pool);
}

static void templates_that_stand_twice_clash(void **state)
{
    static const struct {
        add_t first, second;
        bool do_clash;
    } rows[] = {
        {{"/a", NULL}, {"/a", NULL}, true},
        {{"/a/{x}", NULL}, {"/a/{y}", NULL}, true},
        {{"/a/{x...}", NULL}, {"/a/{y...}", "GET"}, true},
        {{"/a", "GET"}, {"/a", NULL}, true},
        {{"/a", "GET,POST"}, {"/a", "PUT,POST"}, true},
        {{"/a", "GET"}, {"/a", "HEAD"}, false},
        {{"/a", "HEAD"}, {"/a", "GET"}, false},
        {{"/a", "GET"}, {"/a", "POST"}, false},
        {{"/a/{x}", NULL}, {"/a/{x...}", NULL}, false},
        {{"/a", NULL}, {"/a/", NULL}, false},
        {{"/%7ea", NULL}, {"/~a", NULL}, true},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_pool_t *pool = sheaf_pool_new();
        sheaf_router_t *router = sheaf_router_new(pool);
        sheaf_fail_t fail;
        uint32_t clash;

        assert_int_equal(add(router, 7, rows[i].first, &clash, &fail), SHEAF_OK);
        assert_int_equal(add(router, 8, rows[i].second, &clash, &fail), rows[i].do_clash ? SHEAF_ERR_CONFIG : SHEAF_OK);
        assert_int_equal(clash, rows[i].do_clash ? 7 : NONE);
        sheaf_pool_free(pool);
    }
}

static void malformed_templates_are_refused(void **state)
{
    static const char *const templates[] = {
        "",          "a",
        "/a/{",      "/a/}",
        "/{}",       "/{...}",
        "/{1a}",     "/{a b}",
        "/{a}.json", "/x{a}",
        "/{a...}/b", "/{a...}/",
        "/{a}/{a}",  "/{a}/{a...}",
        "/a?b",      "/a#b",
        "/a\\b",     "/./a",
        "/a/..",     "/%zz",
        "/a\nb",     "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}",
    };
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_router_t *router = sheaf_router_new(pool);

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(templates); i++) {
        sheaf_fail_t fail = {.detail = ""};
        uint32_t clash;

        if (add(router, 1, (add_t){templates[i], NULL}, &clash, &fail) != SHEAF_ERR_CONFIG || fail.detail[0] == 0)
            fail_msg("%s was taken", templates[i]);
        assert_int_equal(clash, NONE);
    }
    sheaf_pool_free(pool);
}

static void ten_thousand_routes_are_told_apart(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_router_t *router = sheaf_router_new(pool);
    sheaf_match_t match;
    uint32_t clash;
    char text[64];

    (void)state;
    for (uint32_t i = 0; i < 10000; i++) {
        sprintf(text, i % 3 == 0 ? "/s%u/{id}" : i % 3 == 1 ? "/s%u/list" : "/v1/t%u/{rest...}", i);
        assert_int_equal(add(router, i, (add_t){text, NULL}, &clash, NULL), SHEAF_OK);
    }
    sheaf_router_build(router);
    for (uint32_t i = 0; i < 10000; i++) {
        sprintf(text, i % 3 == 0 ? "/s%u/7" : i % 3 == 1 ? "/s%u/list" : "/v1/t%u/a/b", i);
        assert_true(sheaf_router_find(router, sheaf_str_of(text), SHEAF_STR("GET"), &match));
        assert_int_equal(match.route, i);
    }
    assert_false(sheaf_router_find(router, SHEAF_STR("/s10000/7"), SHEAF_STR("GET"), &match));
    sheaf_pool_free(pool);
}

/* Every segment may be "a" or any: 2^12 templates, and a path that fails in its last segment each time. */
static void an_adversarial_path_visits_each_node_once(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_router_t *router = sheaf_router_new(pool);
    sheaf_match_t match;
    uint32_t clash;
    char path[8192];

    (void)state;
    for (uint32_t i = 0; i < 4096; i++) {
        char text[128] = "";

        for (int bit = 0; bit < 12; bit++)
            sprintf(text + strlen(text), (i >> bit & 1) != 0 ? "/a" : "/{p%d}", bit);
        strcat(text, "/z");
        assert_int_equal(add(router, i, (add_t){text, NULL}, &clash, NULL), SHEAF_OK);
    }
    sheaf_router_build(router);
    assert_false(sheaf_router_find(router, SHEAF_STR("/a/a/a/a/a/a/a/a/a/a/a/a/y"), SHEAF_STR("GET"), &match));
    assert_true(sheaf_router_find(router, SHEAF_STR("/b/a/a/a/a/a/a/a/a/a/a/a/z"), SHEAF_STR("GET"), &match));
    assert_int_equal(match.route, 4094);
    for (size_t i = 0; i < sizeof(path); i += 2)
        memcpy(path + i, "/a", 2);
    assert_false(sheaf_router_find(router, sheaf_str(path, sizeof(path)), SHEAF_STR("GET"), &match));
    memset(path, '/', sizeof(path));
    assert_false(sheaf_router_find(router, sheaf_str(path, sizeof(path)), SHEAF_STR("GET"), &match));
    sheaf_pool_free(pool);
}

static void a_rewrite_puts_values_in_their_places(void **state)
{
    static const struct {
        const char *match, *rewrite, *path, *want; /* want NULL: the rewrite is refused */
    } rows[] = {
        {"/people/{id}", "/v1/people/{id}", "/people/42", "/v1/people/42"},
        {"/a/{x}/{y}", "/{y}/b/{x}/", "/a/1/2", "/2/b/1/"},
        {"/a/{x}", "/fixed", "/a/1", "/fixed"},
        {"/a/{x}", "/", "/a/1", "/"},
        {"/files/{rest...}", "/v2/{rest...}", "/files/a/b", "/v2/a/b"},
        {"/files/{rest...}", "/v2/{rest}", "/files/", "/v2/"},
        {"/files/{rest...}", "/{rest...}", "/files//evil.org/x", "/evil.org/x"},
        {"/files/{rest...}", "/{rest...}", "/files////", "/"},
        {"/a/{x}", "/b c/{x}", "/a/1", "/b%20c/1"},
        {"/a/{x}", "/b/{y}", NULL, NULL},
        {"/a/{x}", "b/{x}", NULL, NULL},
        {"/a/{x}", "//b/{x}", NULL, NULL},
        {"/a/{x}", "/b/{x...}", NULL, NULL},
        {"/a/{x}", "/b?c={x}", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_pool_t *pool = sheaf_pool_new();
        sheaf_router_t *router = router_of(pool, &(add_t){rows[i].match, NULL}, 1);
        sheaf_rewrite_t *rewrite = NULL;
        sheaf_fail_t fail;
        sheaf_match_t match;
        sheaf_err_t err =
            sheaf_rewrite_new(pool, sheaf_str_of(rows[i].match), sheaf_str_of(rows[i].rewrite), &rewrite, &fail);

        assert_int_equal(err, rows[i].want != NULL ? SHEAF_OK : SHEAF_ERR_CONFIG);
        if (rows[i].want != NULL) {
            assert_true(sheaf_router_find(router, sheaf_str_of(rows[i].path), SHEAF_STR("GET"), &match));
            sheaf_str_t target = sheaf_rewrite_apply(rewrite, &match, pool);

            if (!sheaf_str_eq(target, sheaf_str_of(rows[i].want)))
                fail_msg("%s became %.*s", rows[i].path, SHEAF_STR_ARG(target));
        }
        sheaf_pool_free(pool);
    }
}

static void a_parameter_has_its_place_in_the_template(void **state)
{
    sheaf_str_t template = SHEAF_STR("/a/{one}/one/{two}/{rest...}");

    (void)state;
    assert_int_equal(sheaf_template_param(template, SHEAF_STR("one")), 0);
    assert_int_equal(sheaf_template_param(template, SHEAF_STR("two")), 1);
    assert_int_equal(sheaf_template_param(template, SHEAF_STR("rest")), 2);
    assert_int_equal(sheaf_template_param(template, SHEAF_STR("a")), SHEAF_TEMPLATE_NO_PARAM);
    assert_int_equal(sheaf_template_param(SHEAF_STR("/"), SHEAF_STR("")), SHEAF_TEMPLATE_NO_PARAM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_template_wins),
        cmocka_unit_test(backtracking_leaves_no_parameter_behind),
        cmocka_unit_test(a_method_that_no_route_takes_is_answered_with_allow),
        cmocka_unit_test(templates_that_stand_twice_clash),
        cmocka_unit_test(malformed_templates_are_refused),
        cmocka_unit_test(ten_thousand_routes_are_told_apart),
        cmocka_unit_test(an_adversarial_path_visits_each_node_once),
        cmocka_unit_test(a_parameter_has_its_place_in_the_template),
        cmocka_unit_test(a_rewrite_puts_values_in_their_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
