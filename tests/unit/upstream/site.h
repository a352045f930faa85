/* tests/unit/upstream/site.h - a group whose names are asked of a scripted DNS server. */
#ifndef TESTS_UNIT_UPSTREAM_SITE_H
#define TESTS_UNIT_UPSTREAM_SITE_H

#include "gateway/upstream/group.h"
#include "tests/unit/upstream/dns.h"
#include "tests/unit/upstream/harness.h"

typedef struct site {
    worker_t *w;
    dns_t dns;
    sheaf_conn_env_t *env;
    sheaf_resolver_t *resolver;
    sheaf_name_t *name;
    sheaf_group_t *group;
    sheaf_dispatch_t dispatch;
} site_t;

static void site_send(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    sheaf_group_send(SHEAF_OWNER(self, site_t, dispatch)->group, exchange);
}

static void site_cancel(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    (void)self;
    sheaf_group_cancel(exchange);
}

/* Backends `a` at 127.0.0.1 and `b` at 127.0.0.2, on one port; the name leads to `a` first. Change what is to be otherwise
 * before site_open(). */
static void site_prepare(site_t *s)
{
    worker_t *w = worker_new();
    struct sockaddr_in address;

    *s = (site_t){.w = w, .dispatch = {.send = site_send, .cancel = site_cancel}, .env = calloc(1, sizeof(*s->env))};
    backend_stop(&w->b);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    uv_tcp_init(&w->loop, &w->b.listener);
    w->b.listener.data = &w->b;
    uv_ip4_addr("127.0.0.2", w->a.port, &address);
    assert_int_equal(uv_tcp_bind(&w->b.listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&w->b.listener, 128, backend_on_conn), 0);
    w->b.is_listening = true;

    dns_start(&s->dns, w);
    s->dns.ttl_s = 60;
    s->env->loop = &w->loop;
    s->env->clock = &w->clock;
    s->env->deadlines = &w->deadlines;
    s->env->metrics = &w->metrics;
    s->env->upstats = w->upstats;
    s->resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    assert_true(sheaf_resolver_use_servers(s->resolver, s->dns.port));
    s->name = sheaf_name_hold(s->resolver, SHEAF_STR("backend.test"));
    worker_use(w, "backend.test", (uint16_t[]){w->a.port, w->a.port}, 2);
    w->conf->servers.count = 1;
}

static void site_open(site_t *s)
{
    worker_t *w = s->w;

    s->group = sheaf_group_new(s->env, &w->soon, s->resolver, w->snapshot, w->conf);
    w->view = &s->dispatch; /* where harness.h sends */
}

static void site_start(site_t *s)
{
    site_prepare(s);
    site_open(s);
}

static void site_end(site_t *s)
{
    worker_t *w = s->w;

    w->view = NULL;
    sheaf_group_free(s->group);
    sheaf_name_drop(s->name);
    while (s->env->open_count != 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    sheaf_resolver_free(s->resolver, worker_on_upstreams_closed, w);
    worker_until(w, &w->is_closed);
    w->is_closed = false;
    dns_stop(&s->dns);
    sheaf_flight_free_spare(s->env);
    free(s->env);
    worker_end(w);
}

/* The answer of the DNS server expires, and the next exchange, which goes to `backend` as before, brings a new one. */
static void site_expire(site_t *s, backend_t *backend)
{
    int queries = s->dns.a_queries, requests = backend->requests;
    ask_t ask;

    s->name->expires_ms = s->w->clock.now_ms;
    step_text(backend, OK_HI);
    ask_get(&ask, s->w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi"); /* waited for nobody */
    assert_int_equal(backend->requests, requests + 1);
    worker_until_count(s->w, &s->dns.a_queries, queries + 1);
    s->w->is_late = false;
    while (s->name->is_asked)
        uv_run(&s->w->loop, UV_RUN_ONCE);
}

#endif
