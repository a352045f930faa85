#include "tests/sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- the world --- */

static uint64_t read_us(sheaf_clock_t *clock)
{
    return clock->now_ms * 1000;
}

static void encode_in_order(sim_t *sim)
{
    sheaf_batch_t *batch = sim->batch;

    while (batch->first_unsent < batch->count &&
           sheaf_batch_item(batch, batch->first_unsent)->state == SHEAF_ITEM_SETTLED) {
        uint32_t index = batch->first_unsent;

        sheaf_batch_encoded(batch, index);
        if (sim->sends)
            sheaf_batch_sent(batch, index);
    }
}

static void on_item(sheaf_batch_t *batch, uint32_t index)
{
    sim_t *sim = batch->watch_data;
    size_t len = strlen(sim->settled);

    assert_int_equal(sheaf_batch_item(batch, index)->state, SHEAF_ITEM_SETTLED);
    assert_true(sheaf_batch_item(batch, index)->status >= 200);
    assert_int_equal(sim->done, 0);
    sim->heard[index]++;
    sim->heard_count++;
    if (len < sizeof(sim->settled) - 130)
        snprintf(sim->settled + len, sizeof(sim->settled) - len, "%s%.*s", len == 0 ? "" : " ",
                 SHEAF_STR_ARG(sheaf_batch_item(batch, index)->id));
    if (batch->held_bytes > sim->most_held)
        sim->most_held = batch->held_bytes;
    if (sim_is_off(sim, NULL) || !sim->encodes)
        return;
    if (batch->order == SHEAF_ORDER_REQUEST)
        encode_in_order(sim);
    else if (sim->sends)
        sheaf_batch_sent(batch, index);
    else
        sheaf_batch_encoded(batch, index);
}

static void on_done(sheaf_batch_t *batch)
{
    sim_t *sim = batch->watch_data;

    assert_int_equal(batch->open, 0);
    assert_int_equal(batch->flying, 0);
    assert_true(sheaf_list_is_empty(&sim->flying));
    sim->done++;
}

static void on_order(sheaf_batch_t *batch)
{
    sim_t *sim = batch->watch_data;

    if (sim->encodes && batch->order == SHEAF_ORDER_REQUEST)
        encode_in_order(sim);
}

static const sheaf_watch_t watch = {.on_item = on_item, .on_order = on_order, .on_done = on_done};

/* --- the snapshot, by hand --- */

void sim_route(sim_t *sim, const char *match, const char *methods, const char *rewrite)
{
    sheaf_pool_t *pool = sim->snapshot.pool;
    sheaf_route_conf_t *route = &sim->snapshot.conf.routes.items[sim->snapshot.conf.routes.count];
    sheaf_str_t names[8], rest = methods == NULL ? SHEAF_STR_NONE : sheaf_str_of(methods);
    uint32_t count = 0, clash;

    while (rest.len > 0)
        names[count++] = sheaf_str_cut(&rest, ' ');
    *route = (sheaf_route_conf_t){.match = sheaf_str_of(match),
                                  .expose = 1u << SHEAF_EXPOSURE_BATCH | 1u << SHEAF_EXPOSURE_DIRECT,
                                  .forward_credentials = true,
                                  .max_body_bytes = 1 << 20};
    if (rewrite != NULL)
        assert_int_equal(sheaf_rewrite_new(pool, route->match, sheaf_str_of(rewrite), &route->rewrite, NULL), SHEAF_OK);
    assert_int_equal(sheaf_router_add(sim->snapshot.routes, sim->snapshot.conf.routes.count, route->match, names, count,
                                      &clash, NULL),
                     SHEAF_OK);
    sim->snapshot.conf.routes.count++;
}

static void sim_configure(sim_t *sim)
{
    sheaf_pool_t *pool = sim->snapshot.pool = sheaf_pool_new();
    sheaf_conf_t *conf = &sim->snapshot.conf;
    sheaf_str_t post = SHEAF_STR("POST");
    uint32_t clash;

    sim->snapshot.holds = 2; /* the sim's, and one more: it is not dropped but lives in the sim */
    sim->snapshot.routes = sheaf_router_new(pool);
    conf->upstreams.items = sheaf_pool_zalloc(pool, sizeof(*conf->upstreams.items));
    conf->upstreams.items[0].timeout_ms = 10000;
    conf->upstreams.count = 1;
    conf->routes.items = sheaf_pool_zalloc(pool, 16 * sizeof(*conf->routes.items));
    conf->endpoints.items = sheaf_pool_zalloc(pool, sizeof(*conf->endpoints.items));
    conf->endpoints.count = 1;
    sim->snapshot.endpoints = sheaf_router_new(pool);
    if (sheaf_router_add(sim->snapshot.endpoints, 0, SHEAF_STR("/batch"), &post, 1, &clash, NULL) != SHEAF_OK)
        abort();
    sheaf_router_build(sim->snapshot.endpoints);
    conf->trusted_proxies.items = sheaf_pool_zalloc(pool, sizeof(sheaf_cidr_t));
    conf->trusted_proxies.items[0] = (sheaf_cidr_t){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10}, 104}; /* 10/8 */
    conf->trusted_proxies.count = 1;
    conf->limits.inherited_bytes = 16 << 10;
    sim->endpoint = conf->endpoints.items;
    *sim->endpoint = (sheaf_endpoint_conf_t){.path = SHEAF_STR("/batch"),
                                             .method = post,
                                             .max_items = 100,
                                             .max_body_bytes = 1 << 20,
                                             .max_item_body_bytes = 1 << 20,
                                             .budget_bytes = 64 << 20,
                                             .timeout_ms = 30000,
                                             .parallel = 64};
    sim_route(sim, "/users/{id}", "GET PATCH DELETE", "/v1/people/{id}");
    sim_route(sim, "/orders", NULL, NULL);
    sim_route(sim, "/orders/{rest...}", NULL, NULL);
    sim_route(sim, "/any/{rest...}", NULL, NULL);
    for (uint32_t i = 1; i <= 2; i++) {
        conf->routes.items[i].encoded_slashes = SHEAF_ENCODED_SLASHES_KEEP;
        conf->routes.items[i].timeout_ms = 500;
    }
}

sim_t *sim_new(void)
{
    sim_t *sim = sheaf_zalloc(sizeof(*sim));

    sim->clock = (sheaf_clock_t){.now_ms = 1000000, .read_us = read_us};
    sheaf_deadlines_init(&sim->deadlines, &sim->clock);
    sheaf_soon_init(&sim->soon);
    sim_dispatch_init(sim);
    sim->encodes = sim->sends = true;
    sim_configure(sim);
    sim->outer = (sheaf_outer_t){.headers = &sim->outer_headers,
                                 .peer = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7},
                                 .scheme = SHEAF_STR("http"),
                                 .host = SHEAF_STR("api.example")};
    return sim;
}

void sim_free(sim_t *sim)
{
    assert_true(sheaf_list_is_empty(&sim->flying));
    if (sim->batch != NULL)
        sheaf_batch_free(sim->batch);
    assert_int_equal(sheaf_deadlines_next(&sim->deadlines), SHEAF_NEVER);
    assert_true(sheaf_soon_is_empty(&sim->soon));
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_BATCHES_IN_FLIGHT], 0);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_ITEMS_IN_FLIGHT], 0);
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_RESULT_BYTES_HELD], 0);
    assert_int_equal(sim->snapshot.holds, 2);
    sheaf_deadlines_fini(&sim->deadlines);
    sheaf_pool_free(sim->snapshot.pool);
    free(sim);
}

/* --- making a batch --- */

void sim_outer(sim_t *sim, const char *name, const char *value)
{
    sheaf_headers_add(&sim->outer_headers, sim->snapshot.pool, sheaf_str_of(name), sheaf_str_of(value));
}

sheaf_batch_t *sim_open(sim_t *sim)
{
    sheaf_batch_env_t env = {&sim->clock,    &sim->deadlines, &sim->soon, &sim->dispatch,
                             &sim->snapshot, &sim->metrics,   sim->hooks, sim->mirrors};

    sheaf_router_build(sim->snapshot.routes);
    sim->batch = sheaf_batch_new(&env, sim->endpoint, &sim->outer);
    return sim->batch;
}

static void split_after(sheaf_pool_t *pool, sheaf_str_t list, sheaf_draft_t *draft)
{
    sheaf_edge_t *edges = sheaf_pool_zalloc(pool, (list.len + 1) * sizeof(*edges));

    draft->depends_on = edges;
    while (list.base != NULL)
        edges[draft->depends_on_count++].id = sheaf_str_cut(&list, ',');
}

static void take_word(sheaf_pool_t *pool, sheaf_str_t word, sheaf_str_t *rest, sheaf_draft_t *draft)
{
    if (sheaf_str_eq(word, SHEAF_STR("after"))) {
        split_after(pool, sheaf_str_cut(rest, ' '), draft);
    } else if (sheaf_str_eq(word, SHEAF_STR("with"))) {
        sheaf_str_t name = sheaf_str_cut(rest, ':');
        sheaf_str_t value = sheaf_str_trim(*rest);

        sheaf_headers_add(&draft->headers, pool, name, value);
        *rest = SHEAF_STR_NONE;
    } else if (sheaf_str_eq(word, SHEAF_STR("each"))) {
        draft->for_each = sheaf_str_cut(rest, ' ');
    } else if (sheaf_str_eq(word, SHEAF_STR("for"))) {
        sheaf_str_t ms = sheaf_str_cut(rest, 'm');

        assert_true(sheaf_str_to_u64(ms, &draft->timeout_ms));
        sheaf_str_cut(rest, ' ');
    } else {
        assert_true(sheaf_str_eq(word, SHEAF_STR("body")));
        draft->body = *rest;
        draft->has_body = draft->body_is_json = draft->body_is_value = true;
        *rest = SHEAF_STR_NONE;
    }
}

void sim_add(sim_t *sim, const char *line)
{
    sheaf_pool_t *pool = sim->batch->pool;
    sheaf_str_t rest = sheaf_str(sheaf_pool_cstr(pool, sheaf_str_of(line)), strlen(line));
    sheaf_draft_t draft = {0};
    sheaf_fail_t fail;

    draft.id = sheaf_str_cut(&rest, ' ');
    draft.method = sheaf_str_cut(&rest, ' ');
    draft.url = sheaf_str_cut(&rest, ' ');
    while (rest.base != NULL) {
        sheaf_str_t word = sheaf_str_cut(&rest, ' ');

        take_word(pool, word, &rest, &draft);
    }
    assert_int_equal(sheaf_batch_add(sim->batch, &draft, &fail), SHEAF_OK);
}

sheaf_batch_t *sim_batch_of(sim_t *sim, ...)
{
    sheaf_batch_t *batch = sim_open(sim);
    sheaf_fail_t fail;
    va_list lines;

    va_start(lines, sim);
    for (const char *line = va_arg(lines, const char *); line != NULL; line = va_arg(lines, const char *))
        sim_add(sim, line);
    va_end(lines);
    assert_int_equal(sheaf_batch_seal(batch, &fail), SHEAF_OK);
    return batch;
}

/* --- letting it run --- */

void sim_drain(sim_t *sim)
{
    while (!sheaf_soon_is_empty(&sim->soon))
        sheaf_soon_drain(&sim->soon, 1000);
}

void sim_start(sim_t *sim)
{
    sheaf_batch_start(sim->batch, &watch, sim);
    assert_int_equal(sim->sent_count, 0);
    sim_drain(sim);
}

void sim_wind(sim_t *sim, uint64_t ms)
{
    sim->clock.now_ms += ms;
    sheaf_deadlines_run(&sim->deadlines);
    sim_drain(sim);
}

sheaf_item_t *sim_item(sim_t *sim, const char *id)
{
    for (uint32_t i = sim->batch->oldest; i < sim->batch->count; i++)
        if (sheaf_str_eq(sheaf_batch_item(sim->batch, i)->id, sheaf_str_of(id)))
            return sheaf_batch_item(sim->batch, i);
    fail_msg("no item %s", id);
    return NULL;
}

static sheaf_item_t *owner(sheaf_link_t *link)
{
    return SHEAF_OWNER(SHEAF_OWNER(link, sheaf_exchange_t, link), sheaf_item_t, exchange);
}

sheaf_item_t *sim_oldest(sim_t *sim)
{
    return sheaf_list_is_empty(&sim->flying) ? NULL : owner(sim->flying.next);
}

const char *sim_flying(sim_t *sim)
{
    size_t len = 0;

    sim->flying_text[0] = '\0';
    for (sheaf_link_t *link = sim->flying.next; link != &sim->flying; link = link->next)
        len += (size_t)snprintf(sim->flying_text + len, sizeof(sim->flying_text) - len, "%s%.*s", len == 0 ? "" : " ",
                                SHEAF_STR_ARG(owner(link)->id));
    return sim->flying_text;
}

const char *sim_text(const sheaf_item_t *item)
{
    static char text[4096];

    if (item->body == NULL)
        return "";
    assert_true(item->body->len < sizeof(text));
    sheaf_buf_copy(item->body, text);
    text[item->body->len] = '\0';
    return text;
}

const char *sim_sent_header(const sheaf_item_t *item, const char *name)
{
    static char text[1024];
    const sheaf_header_t *h = sheaf_headers_find(&item->exchange.headers, sheaf_str_of(name));

    if (h == NULL && item->exchange.shared != NULL)
        h = sheaf_headers_find(&item->exchange.shared->list, sheaf_str_of(name));
    if (h == NULL)
        return "";
    snprintf(text, sizeof(text), "%.*s", SHEAF_STR_ARG(h->value));
    return text;
}

int sim_up(void **state)
{
    *state = sim_new();
    return 0;
}

int sim_down(void **state)
{
    sim_t *sim = *state;

    assert_int_equal(sim->done, 1);
    for (uint32_t i = 0; i < sim->batch->count && !sim->batch->is_abandoned; i++)
        assert_int_equal(sim->heard[i], !sheaf_batch_item(sim->batch, i)->is_silent);
    sim_free(sim);
    return 0;
}
