/* Which places are the client's own: batch/view. */
#include "gateway/batch/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

/* Upstream 0 has http://a.internal:8080, 1 has http://b.internal, 2 has http://c.internal. */
static void name_servers(sim_t *sim)
{
    static const char *const authorities[] = {"a.internal:8080", "b.internal", "c.internal"};
    sheaf_pool_t *pool = sim->snapshot.pool;
    sheaf_conf_t *conf = &sim->snapshot.conf;

    conf->upstreams.count = SHEAF_COUNT(authorities);
    conf->upstreams.items = sheaf_pool_zalloc(pool, conf->upstreams.count * sizeof(*conf->upstreams.items));
    for (uint32_t i = 0; i < conf->upstreams.count; i++) {
        conf->upstreams.items[i].servers.items = sheaf_pool_zalloc(pool, sizeof(sheaf_server_conf_t));
        conf->upstreams.items[i].servers.items[0].url.authority = sheaf_str_of(authorities[i]);
        conf->upstreams.items[i].servers.count = 1;
    }
    for (uint32_t i = 0; i < conf->routes.count; i++)
        conf->routes.items[i].fallback = UINT32_MAX;
}

/* What becomes of `url` when an item's backend says it; a static buffer. */
static const char *told(sim_t *sim, const char *url)
{
    static char text[256];
    sheaf_item_t *item = sim_item(sim, "p");
    sheaf_stance_t stance = sheaf_stance_of(item);
    sheaf_view_t view = sheaf_view_of(&stance);
    sheaf_str_t value = sheaf_str_of(url);

    sheaf_relocate_url(&view, item->pool, value, &value);
    snprintf(text, sizeof(text), "%.*s", SHEAF_STR_ARG(value));
    return text;
}

static void plan(sim_t *sim)
{
    sim_batch(sim, "p GET /any/1");
    sim_start(sim);
}

static void finish(sim_t *sim)
{
    sim_answer(sim, "p", 200, "1");
}

static void any_server_that_the_route_may_ask_is_the_backend(void **state)
{
    static sheaf_split_conf_t splits[] = {{.upstream = 1, .share_percent = 0}, {.upstream = 2, .share_percent = 100}};
    sim_t *sim = *state;

    name_servers(sim);
    sim->snapshot.conf.routes.items[3].split.items = splits;
    sim->snapshot.conf.routes.items[3].split.count = SHEAF_COUNT(splits);
    plan(sim);
    assert_int_equal(sim_item(sim, "p")->exchange.upstream, 2);
    assert_string_equal(told(sim, "http://a.internal:8080/x"), "/x");
    assert_string_equal(told(sim, "http://b.internal/x"), "/x");
    assert_string_equal(told(sim, "http://c.internal/x"), "/x");
    assert_string_equal(told(sim, "http://d.internal/x"), "http://d.internal/x");
    finish(sim);
}

/* Each url with what the client is told. */
static void expect(sim_t *sim, const char *const rows[][2], size_t count)
{
    name_servers(sim);
    plan(sim);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(told(sim, rows[i][0]), rows[i][1] != NULL ? rows[i][1] : rows[i][0]);
    finish(sim);
}

static void the_clients_host_by_another_scheme_is_another_place(void **state)
{
    static const char *const rows[][2] = {
        {"http://api.example/x", "/x"},     {"http://api.example:80/x", "/x"},   {"//api.example/x", "/x"},
        {"https://api.example/x", NULL},    {"https://api.example:443/x", NULL}, {"https://api.example:80/x", NULL},
        {"http://api.example:443/x", NULL}, {"https://a.internal:8080/x", "/x"}, /* a server's name is its own by any */
    };

    expect(*state, rows, SHEAF_COUNT(rows));
}

static void a_redirect_to_https_leads_on_where_backends_get_the_clients_host(void **state)
{
    static const char *const rows[][2] = {{"http://api.example/x", "/x"}, {"https://api.example/x", NULL}};
    sim_t *sim = *state;

    sim->snapshot.conf.routes.items[3].host = SHEAF_STR(SHEAF_ROUTE_HOST_CLIENT);
    expect(sim, rows, SHEAF_COUNT(rows));
}

static void a_trusted_proxy_says_what_the_client_speaks(void **state)
{
    static const char *const rows[][2] = {
        {"https://api.example/x", "/x"},
        {"https://api.example:443/x", "/x"},
        {"//api.example:443/x", "/x"},
        {"http://api.example/x", NULL},
    };
    sim_t *sim = *state;

    memcpy(sim->outer.peer + 12, (uint8_t[]){10, 0, 0, 1}, 4);
    sim_outer(sim, "x-forwarded-proto", "HTTPS, http");
    expect(sim, rows, SHEAF_COUNT(rows));
}

static void others_may_say_of_schemes_what_they_like(void **state)
{
    static const char *const rows[][2] = {{"http://api.example/x", "/x"}, {"https://api.example/x", NULL}};
    sim_t *sim = *state;

    sim_outer(sim, "x-forwarded-proto", "https");
    expect(sim, rows, SHEAF_COUNT(rows));
}

static void a_port_is_compared_as_it_is_written(void **state)
{
    static const char *const rows[][2] = {
        {"https://api.example:8443/x", "/x"}, {"https://api.example/x", NULL}, {"http://api.example:8443/x", NULL}};
    sim_t *sim = *state;

    sim->outer.scheme = SHEAF_STR("https");
    sim->outer.host = SHEAF_STR("api.example:8443");
    expect(sim, rows, SHEAF_COUNT(rows));
}

/* Adds /m/{rest...}, which is /inner/{rest...} to its backend, as it asks for `item`. */
static void plan_folder(sim_t *sim, const char *item)
{
    sheaf_pool_t *pool = sim->snapshot.pool;
    uint32_t index = sim->snapshot.conf.routes.count;

    sim_route(sim, "/m/{rest...}", NULL, "/inner/{rest...}");
    name_servers(sim);
    sim->snapshot.ways_back = sheaf_pool_zalloc(pool, 16 * sizeof(*sim->snapshot.ways_back));
    sim->snapshot.ways_back[index] = sheaf_way_back_new(pool, SHEAF_STR("/m/{rest...}"), SHEAF_STR("/inner/{rest...}"));
    sim_batch(sim, item);
    sim_start(sim);
}

static void a_folder_is_told_with_the_slash_that_its_route_answers_with(void **state)
{
    plan_folder(*state, "p GET /m/x");
    assert_string_equal(told(*state, "/inner"), "/m/");
    assert_string_equal(told(*state, "/inner/"), "/m/");
    finish(*state);
}

/* A backend that takes slashes away would be asked for the same again and again. */
static void unless_another_route_leads_to_what_the_backend_named(void **state)
{
    sim_route(*state, "/m", NULL, "/inner");
    plan_folder(*state, "p GET /m/");
    assert_string_equal(told(*state, "/inner"), "/m");
    assert_string_equal(told(*state, "/inner?a=/inner#b"), "/m?a=/inner#b");
    assert_string_equal(told(*state, "http://a.internal:8080/inner"), "/m");
    assert_string_equal(told(*state, "/inner/"), "/m/");
    assert_string_equal(told(*state, "/inner/x"), "/m/x");
    finish(*state);
}

static void a_route_that_leads_elsewhere_is_not_it(void **state)
{
    sim_route(*state, "/m", NULL, "/other");
    plan_folder(*state, "p GET /m/");
    assert_string_equal(told(*state, "/inner"), "/m/");
    finish(*state);
}

static void nor_is_one_of_another_upstream(void **state)
{
    sim_t *sim = *state;

    sim_route(sim, "/m", NULL, "/inner");
    sim->snapshot.conf.routes.items[sim->snapshot.conf.routes.count - 1].upstream = 1;
    plan_folder(sim, "p GET /m/");
    assert_string_equal(told(sim, "/inner"), "/m/");
    finish(sim);
}

static void a_redirect_to_https_of_a_backend_that_knows_the_clients_host_has_its_path_turned(void **state)
{
    sim_t *sim = *state;

    plan_folder(sim, "p GET /m/x");
    assert_string_equal(told(sim, "https://api.example/inner/x"), "https://api.example/inner/x");
    sim_item(sim, "p")->exchange.host = sim->outer.host;
    assert_string_equal(told(sim, "https://api.example/inner/x"), "https://api.example/m/x");
    assert_string_equal(told(sim, "https://api.example:443/inner/y?a"), "https://api.example:443/m/y?a");
    assert_string_equal(told(sim, "http://api.example/inner/y"), "/m/y");
    assert_string_equal(told(sim, "https://api.example:8443/inner/x"), "https://api.example:8443/inner/x");
    assert_string_equal(told(sim, "https://api.example/login"), "https://api.example/login");
    finish(sim);
}

static void a_redirect_to_the_same_place_by_https_keeps_the_scheme(void **state)
{
    sim_t *sim = *state;

    plan_folder(sim, "p GET /m/x?a=1");
    assert_string_equal(told(sim, "https://a.internal:8080/inner/x?a=1"), "https://api.example/m/x?a=1");
    assert_string_equal(told(sim, "https://a.internal:8080/inner/x?a=1#b"), "https://api.example/m/x?a=1#b");
    assert_string_equal(told(sim, "http://a.internal:8080/inner/x?a=1"), "/m/x?a=1");
    assert_string_equal(told(sim, "https://a.internal:8080/inner/x"), "/m/x");
    assert_string_equal(told(sim, "https://a.internal:8080/inner/y?a=1"), "/m/y?a=1");
    finish(sim);
}

static void but_not_where_nobody_knows_the_port_of_it(void **state)
{
    sim_t *sim = *state;

    sim->outer.host = SHEAF_STR("api.example:8080");
    plan_folder(sim, "p GET /m/x");
    assert_string_equal(told(sim, "https://a.internal:8080/inner/x"), "/m/x");
    finish(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(any_server_that_the_route_may_ask_is_the_backend),
        SIM_STORY(the_clients_host_by_another_scheme_is_another_place),
        SIM_STORY(a_redirect_to_https_leads_on_where_backends_get_the_clients_host),
        SIM_STORY(a_trusted_proxy_says_what_the_client_speaks),
        SIM_STORY(others_may_say_of_schemes_what_they_like),
        SIM_STORY(a_port_is_compared_as_it_is_written),
        SIM_STORY(a_folder_is_told_with_the_slash_that_its_route_answers_with),
        SIM_STORY(unless_another_route_leads_to_what_the_backend_named),
        SIM_STORY(a_route_that_leads_elsewhere_is_not_it),
        SIM_STORY(nor_is_one_of_another_upstream),
        SIM_STORY(a_redirect_to_https_of_a_backend_that_knows_the_clients_host_has_its_path_turned),
        SIM_STORY(a_redirect_to_the_same_place_by_https_keeps_the_scheme),
        SIM_STORY(but_not_where_nobody_knows_the_port_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
