/* upstream/resolve.c - see resolve.h. */
#include "gateway/upstream/resolve.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/pool.h"

#define KEPT_MIN_MS 1000
#define KEPT_MAX_MS 60000
#define STALE_MS    60000
#define RETRY_MS    1000 /* after a failed lookup */

struct sheaf_resolver {
    sheaf_lookups_t *lookups;
    sheaf_clock_t *clock;
    sheaf_soon_t *soon;
    uint64_t min_ms, max_ms; /* that an answer is kept */
    sheaf_link_t names;
};

/* In the order of a lookup. */
static void start_lookup(sheaf_name_t *name);
static void on_answer(sheaf_lookup_t *lookup, const sheaf_lookup_answer_t *answer); /* maybe from inside */
static void on_answer_due(sheaf_task_t *task);                                      /* tells who waits */

sheaf_resolver_t *sheaf_resolver_new(uv_loop_t *loop, sheaf_clock_t *clock, sheaf_deadlines_t *deadlines,
                                     sheaf_soon_t *soon)
{
    sheaf_resolver_t *resolver = sheaf_zalloc(sizeof(*resolver));

    resolver->lookups = sheaf_lookups_new(loop, clock, deadlines);
    resolver->clock = clock;
    resolver->soon = soon;
    sheaf_resolver_bound(resolver, KEPT_MIN_MS, KEPT_MAX_MS);
    sheaf_list_init(&resolver->names);
    return resolver;
}

void sheaf_resolver_free(sheaf_resolver_t *resolver, void (*on_closed)(void *data), void *data)
{
    sheaf_lookups_t *lookups = resolver->lookups;

    SHEAF_ASSERT(sheaf_list_is_empty(&resolver->names));
    free(resolver);
    sheaf_lookups_free(lookups, on_closed, data);
}

bool sheaf_resolver_use_servers(sheaf_resolver_t *resolver, const char *servers)
{
    return sheaf_lookups_use_servers(resolver->lookups, servers);
}

void sheaf_resolver_use_file(sheaf_resolver_t *resolver, const char *path, uint16_t port)
{
    sheaf_lookups_use_file(resolver->lookups, path, port);
}

void sheaf_resolver_bound(sheaf_resolver_t *resolver, uint64_t min_ms, uint64_t max_ms)
{
    resolver->min_ms = min_ms;
    resolver->max_ms = max_ms;
}

/* --- names --- */

static bool parse_literal(const char *text, sheaf_sockaddr_t *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (text[0] == '/') {
        ret_address->any.sa_family = AF_UNIX;
        return true;
    }
    if (inet_pton(AF_INET, text, &ret_address->v4.sin_addr) == 1) {
        ret_address->v4.sin_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, text, &ret_address->v6.sin6_addr) == 1) {
        ret_address->v6.sin6_family = AF_INET6;
        return true;
    }
    return false;
}

/* A copy of `count` things in place of `old`. */
static void *copied(void *old, const void *things, uint32_t count, size_t size)
{
    void *copy = sheaf_alloc(count * size + 1); /* never nothing */

    memcpy(copy, things, count * size);
    free(old);
    return copy;
}

static sheaf_name_t *name_new(sheaf_resolver_t *resolver, sheaf_str_t text, bool is_service)
{
    sheaf_name_t *name = sheaf_zalloc(sizeof(*name) + text.len + 1);
    sheaf_sockaddr_t address;

    memcpy(name->text, text.base, text.len);
    name->resolver = resolver;
    name->is_service = is_service;
    name->task.run = on_answer_due;
    name->lookup.on_answer = on_answer;
    sheaf_list_init(&name->watchers);
    sheaf_list_init(&name->waiters);
    sheaf_list_push_back(&resolver->names, &name->link);
    if (is_service || !parse_literal(name->text, &address))
        return name;
    name->addresses = copied(NULL, &address, 1, sizeof(address));
    name->is_literal = true;
    name->count = name->version = 1;
    name->expires_ms = SHEAF_NEVER;
    return name;
}

static sheaf_name_t *hold(sheaf_resolver_t *resolver, sheaf_str_t text, bool is_service)
{
    sheaf_name_t *name = NULL;

    for (sheaf_link_t *l = resolver->names.next; l != &resolver->names && name == NULL; l = l->next) {
        sheaf_name_t *other = SHEAF_OWNER(l, sheaf_name_t, link);

        if (other->is_service == is_service && sheaf_str_eq(sheaf_str_of(other->text), text))
            name = other;
    }
    if (name == NULL)
        name = name_new(resolver, text, is_service);
    name->holds++;
    return name;
}

sheaf_name_t *sheaf_name_hold(sheaf_resolver_t *resolver, sheaf_str_t text)
{
    return hold(resolver, text, false);
}

sheaf_name_t *sheaf_name_hold_service(sheaf_resolver_t *resolver, sheaf_str_t text)
{
    return hold(resolver, text, true);
}

void sheaf_name_drop(sheaf_name_t *name)
{
    SHEAF_ASSERT(name->holds > 0);
    if (--name->holds != 0)
        return;
    sheaf_list_remove(&name->link);
    sheaf_soon_cancel(&name->task);
    sheaf_lookup_cancel(&name->lookup);
    free(name->addresses);
    free(name->targets);
    free(name);
}

bool sheaf_name_is_fresh(const sheaf_name_t *name)
{
    return name->expires_ms > name->resolver->clock->now_ms;
}

bool sheaf_name_is_ready(sheaf_name_t *name)
{
    uint64_t now_ms = name->resolver->clock->now_ms;

    if (sheaf_name_is_fresh(name))
        return true;
    if (name->count == 0 || (name->detail[0] == '\0' && now_ms >= name->expires_ms + STALE_MS))
        return false;
    sheaf_name_refresh(name);
    return true;
}

void sheaf_name_refresh(sheaf_name_t *name)
{
    if (!sheaf_name_is_fresh(name) && !name->is_asked)
        start_lookup(name);
}

void sheaf_name_ask(sheaf_name_t *name, sheaf_name_waiter_t *waiter)
{
    sheaf_list_push_back(&name->waiters, &waiter->link);
    if (sheaf_name_is_fresh(name))
        sheaf_soon(name->resolver->soon, &name->task);
    else if (!name->is_asked)
        start_lookup(name);
}

void sheaf_name_watch(sheaf_name_t *name, sheaf_name_waiter_t *watcher)
{
    sheaf_list_push_back(&name->watchers, &watcher->link);
}

void sheaf_name_forget(sheaf_name_waiter_t *waiter)
{
    sheaf_list_remove(&waiter->link);
}

/* --- lookups --- */

static void start_lookup(sheaf_name_t *name)
{
    name->is_asked = true;
    if (name->is_service)
        sheaf_lookup_service(name->resolver->lookups, &name->lookup, name->text);
    else
        sheaf_lookup_host(name->resolver->lookups, &name->lookup, name->text);
}

static uint64_t within_bounds(const sheaf_resolver_t *resolver, uint64_t ttl_ms)
{
    if (ttl_ms > resolver->max_ms)
        return resolver->max_ms;
    return ttl_ms < resolver->min_ms ? resolver->min_ms : ttl_ms;
}

static void keep(sheaf_name_t *name, const sheaf_lookup_answer_t *answer)
{
    if (name->is_service)
        name->targets = copied(name->targets, answer->targets->items, answer->count, sizeof(*name->targets));
    else
        name->addresses = copied(name->addresses, answer->addresses, answer->count, sizeof(*name->addresses));
    name->count = answer->count;
    name->version++;
}

/* Without a good answer the last one stays, when there is one. */
static void on_answer(sheaf_lookup_t *lookup, const sheaf_lookup_answer_t *answer)
{
    sheaf_name_t *name = SHEAF_OWNER(lookup, sheaf_name_t, lookup);
    uint64_t kept_ms = RETRY_MS;
    const char *error = answer->error;

    name->is_asked = false;
    name->detail[0] = '\0';
    if (error == NULL) {
        kept_ms = within_bounds(name->resolver, (uint64_t)answer->ttl_s * 1000);
        keep(name, answer);
        error = answer->count == 0 ? "its SRV record says that it is not offered" : NULL;
    }
    if (error != NULL)
        snprintf(name->detail, sizeof(name->detail), "%.48s: %.44s", name->text, error);
    name->expires_ms = name->resolver->clock->now_ms + kept_ms;
    sheaf_soon(name->resolver->soon, &name->task);
}

static void tell_watchers(sheaf_name_t *name)
{
    for (sheaf_link_t *link = name->watchers.next, *after; link != &name->watchers; link = after) {
        sheaf_name_waiter_t *watcher = SHEAF_OWNER(link, sheaf_name_waiter_t, link);

        after = link->next;
        watcher->on_resolved(watcher);
    }
}

/* Whoever is told may drop the name or wait again: hold it, and tell only those who wait now. */
static void on_answer_due(sheaf_task_t *task)
{
    sheaf_name_t *name = SHEAF_OWNER(task, sheaf_name_t, task);
    sheaf_link_t told;

    name->holds++;
    tell_watchers(name);
    sheaf_list_init(&told);
    while (!sheaf_list_is_empty(&name->waiters)) {
        sheaf_link_t *link = name->waiters.next;

        sheaf_list_remove(link);
        sheaf_list_push_back(&told, link);
    }
    while (!sheaf_list_is_empty(&told)) {
        sheaf_name_waiter_t *waiter = SHEAF_OWNER(told.next, sheaf_name_waiter_t, link);

        sheaf_list_remove(&waiter->link); /* from `told`; forget() of another one finds that ring too */
        waiter->on_resolved(waiter);
    }
    sheaf_name_drop(name);
}
