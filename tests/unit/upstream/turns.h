/* tests/unit/upstream/turns.h - a balance on servers whose names are literals: no sockets, time is wound by hand, and
 * chance begins at a seed. */
#ifndef TESTS_UNIT_UPSTREAM_TURNS_H
#define TESTS_UNIT_UPSTREAM_TURNS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/upstream/balance.h"

#define MOST 64

typedef struct bench {
    sheaf_clock_t clock;
    sheaf_resolver_t *resolver;
    sheaf_server_conf_t servers[MOST];
    sheaf_upstream_conf_t conf;
    sheaf_balance_t balance;
    sheaf_exchange_t exchange;
    char hosts[MOST][32];
    uint32_t got[MOST];
} bench_t;

/* `weights` from server 10.0.0.0 on; a negative one is that of a backup. */
static bench_t *bench_new(sheaf_turn_t kind, const int *weights, uint32_t count)
{
    bench_t *b = calloc(1, sizeof(*b));

    b->clock.now_ms = 1000;
    b->resolver = sheaf_resolver_new(NULL, &b->clock, NULL, NULL);
    b->conf.balance = (uint8_t)kind;
    b->conf.hash_bound = 125;
    b->conf.servers.items = b->servers;
    b->conf.servers.count = count;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(b->hosts[i], sizeof(b->hosts[i]), "10.0.0.%u", i);
        b->servers[i].url.host = b->servers[i].url.authority = sheaf_str_of(b->hosts[i]);
        b->servers[i].url.port = 80;
        b->servers[i].weight = (uint64_t)abs(weights[i]);
        b->servers[i].backup = weights[i] < 0;
    }
    sheaf_balance_init(&b->balance, &b->conf, NULL, b->resolver, 42);
    b->exchange.target = SHEAF_STR("/");
    return b;
}

static void on_closed(void *data)
{
    free(data);
}

static void bench_free(bench_t *b)
{
    sheaf_balance_fini(&b->balance);
    sheaf_resolver_free(b->resolver, on_closed, b);
}

static uint32_t turn(bench_t *b)
{
    return (uint32_t)(sheaf_balance_turn(&b->balance, &b->exchange, b->clock.now_ms) - b->balance.servers);
}

static void turns(bench_t *b, uint32_t count)
{
    memset(b->got, 0, sizeof(b->got));
    for (uint32_t i = 0; i < count; i++)
        b->got[turn(b)]++;
}

/* The server refuses a connection: as the group tells it. */
static void refuse(bench_t *b, uint32_t index)
{
    sheaf_server_t *server;
    sheaf_sockaddr_t address;
    sheaf_tried_t tried = 0;

    assert_int_equal(
        sheaf_balance_pick(&b->balance, &b->balance.servers[index], b->clock.now_ms, &tried, &server, &address),
        SHEAF_PICK_PEER);
    assert_ptr_equal(server, &b->balance.servers[index]);
    sheaf_balance_note(server, &address, false, b->clock.now_ms);
}

static uint32_t turn_of_key(bench_t *b, uint32_t key)
{
    char text[32];

    b->exchange.target = sheaf_str(text, (size_t)snprintf(text, sizeof(text), "/users/%u", key));
    return turn(b);
}

#define BENCH(kind, ...) bench_new(kind, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

#endif
