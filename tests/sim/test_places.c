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
    sheaf_view_t view = sheaf_view_of(item);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_STORY(any_server_that_the_route_may_ask_is_the_backend),
        SIM_STORY(the_clients_host_by_another_scheme_is_another_place),
        SIM_STORY(a_redirect_to_https_leads_on_where_backends_get_the_clients_host),
        SIM_STORY(a_trusted_proxy_says_what_the_client_speaks),
        SIM_STORY(others_may_say_of_schemes_what_they_like),
        SIM_STORY(a_port_is_compared_as_it_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
