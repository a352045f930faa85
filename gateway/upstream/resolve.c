/* upstream/resolve.c - see resolve.h. */
#include "gateway/upstream/resolve.h"

#include <ares.h>
#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "gateway/base/pool.h"

#define KEPT_MIN_MS      1000
#define KEPT_MAX_MS      60000
#define STALE_MS         60000
#define RETRY_MS         1000 /* after a failed lookup */
#define QUERY_TIMEOUT_MS 1000 /* of one query to one DNS server, doubled with every try */
#define QUERY_TRIES      3
#define LOOK_MS          1000 /* how often at most the state of resolv.conf is asked for */

struct sheaf_resolver {
    uv_loop_t *loop;
    sheaf_clock_t *clock;
    sheaf_deadlines_t *deadlines;
    sheaf_soon_t *soon;
    ares_channel channel; /* made when the first real name is asked: literals need no resolv.conf */
    bool has_channel;
    const char *path;  /* of resolv.conf; NULL: the servers were given by hand */
    uint16_t port;     /* of the servers it names; 0: 53 */
    bool is_changing;  /* the channel is being closed because another one takes its place */
    struct stat state; /* of the file when it was read */
    uint64_t looked_ms;
    uint64_t min_ms, max_ms; /* that an answer is kept */
    sheaf_link_t names;
    sheaf_link_t sockets;
    uint32_t open_count; /* poll handles not closed yet */
    sheaf_deadline_t timer;
    void (*on_closed)(void *data);
    void *data;
};

typedef struct ares_watch {
    uv_poll_t poll;
    sheaf_link_t link;
    sheaf_resolver_t *resolver;
    ares_socket_t fd;
} ares_watch_t;

/* In the order of a lookup. */
static void start_lookup(sheaf_name_t *name);
static void ask_channel(sheaf_name_t *name);
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable); /* c-ares wants to be told */
static void on_socket_ready(uv_poll_t *poll, int status, int events);
static void on_timer(sheaf_deadline_t *node);
static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *result); /* maybe from inside */
static void on_answer_due(sheaf_task_t *task);                                               /* tells who waits */

sheaf_resolver_t *sheaf_resolver_new(uv_loop_t *loop, sheaf_clock_t *clock, sheaf_deadlines_t *deadlines,
                                     sheaf_soon_t *soon)
{
    sheaf_resolver_t *resolver = sheaf_zalloc(sizeof(*resolver));

    resolver->loop = loop;
    resolver->clock = clock;
    resolver->deadlines = deadlines;
    resolver->soon = soon;
    resolver->timer.on_expired = on_timer;
    resolver->path = "/etc/resolv.conf";
    sheaf_resolver_bound(resolver, KEPT_MIN_MS, KEPT_MAX_MS);
    sheaf_list_init(&resolver->names);
    sheaf_list_init(&resolver->sockets);
    return resolver;
}

static void free_if_closed(sheaf_resolver_t *resolver)
{
    void (*on_closed)(void *) = resolver->on_closed;
    void *data = resolver->data;

    if (on_closed == NULL || resolver->open_count != 0)
        return;
    free(resolver);
    on_closed(data);
}

void sheaf_resolver_free(sheaf_resolver_t *resolver, void (*on_closed)(void *data), void *data)
{
    SHEAF_ASSERT(sheaf_list_is_empty(&resolver->names));
    if (resolver->has_channel)
        ares_destroy(resolver->channel); /* closes its sockets through on_socket_state() */
    resolver->has_channel = false;
    sheaf_deadline_clear(resolver->deadlines, &resolver->timer);
    resolver->on_closed = on_closed;
    resolver->data = data;
    free_if_closed(resolver);
}

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

static sheaf_name_t *name_new(sheaf_resolver_t *resolver, sheaf_str_t text)
{
    sheaf_name_t *name = sheaf_zalloc(sizeof(*name) + text.len + 1);

    memcpy(name->text, text.base, text.len);
    name->resolver = resolver;
    name->task.run = on_answer_due;
    sheaf_list_init(&name->waiters);
    sheaf_list_push_back(&resolver->names, &name->link);
    if (parse_literal(name->text, &name->addresses[0])) {
        name->is_literal = true;
        name->count = name->version = 1;
        name->expires_ms = SHEAF_NEVER;
    }
    return name;
}

sheaf_name_t *sheaf_name_hold(sheaf_resolver_t *resolver, sheaf_str_t text)
{
    sheaf_name_t *name = NULL;

    for (sheaf_link_t *l = resolver->names.next; l != &resolver->names && name == NULL; l = l->next) {
        sheaf_name_t *other = SHEAF_OWNER(l, sheaf_name_t, link);

        if (sheaf_str_eq(sheaf_str_of(other->text), text))
            name = other;
    }
    if (name == NULL)
        name = name_new(resolver, text);
    name->holds++;
    return name;
}

void sheaf_name_drop(sheaf_name_t *name)
{
    SHEAF_ASSERT(name->holds > 0);
    if (--name->holds != 0)
        return;
    sheaf_list_remove(&name->link);
    sheaf_soon_cancel(&name->task);
    if (name->is_asked)
        name->resolver = NULL; /* c-ares still points at it: on_addresses() frees it */
    else
        free(name);
}

static bool is_fresh(const sheaf_name_t *name)
{
    return name->expires_ms > name->resolver->clock->now_ms;
}

bool sheaf_name_is_ready(sheaf_name_t *name)
{
    uint64_t now_ms = name->resolver->clock->now_ms;

    if (is_fresh(name))
        return true;
    if (name->count == 0 || (name->detail[0] == '\0' && now_ms >= name->expires_ms + STALE_MS))
        return false;
    sheaf_name_refresh(name);
    return true;
}

void sheaf_name_refresh(sheaf_name_t *name)
{
    if (!is_fresh(name) && !name->is_asked)
        start_lookup(name);
}

void sheaf_name_ask(sheaf_name_t *name, sheaf_name_waiter_t *waiter)
{
    sheaf_list_push_back(&name->waiters, &waiter->link);
    if (is_fresh(name))
        sheaf_soon(name->resolver->soon, &name->task);
    else if (!name->is_asked)
        start_lookup(name);
}

void sheaf_name_forget(sheaf_name_waiter_t *waiter)
{
    sheaf_list_remove(&waiter->link);
}

/* --- c-ares --- */

static void arm_timer(sheaf_resolver_t *resolver)
{
    struct timeval most = {.tv_sec = 60}, room, *next;
    uint64_t in_ms;

    if (!resolver->has_channel || sheaf_list_is_empty(&resolver->sockets)) {
        sheaf_deadline_clear(resolver->deadlines, &resolver->timer);
        return;
    }
    next = ares_timeout(resolver->channel, &most, &room);
    in_ms = (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000;
    sheaf_deadline_set(resolver->deadlines, &resolver->timer, resolver->clock->now_ms + in_ms + 1);
}

static bool open_channel(sheaf_resolver_t *resolver)
{
    struct ares_options options = {
        .timeout = QUERY_TIMEOUT_MS,
        .tries = QUERY_TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = resolver,
        .resolvconf_path = (char *)(uintptr_t)resolver->path,
        .udp_port = resolver->port,
        .tcp_port = resolver->port,
    };
    int given = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

    if (resolver->has_channel)
        return true;
    if (resolver->path != NULL) {
        given |= ARES_OPT_RESOLVCONF;
        if (stat(resolver->path, &resolver->state) != 0) /* before it is read: later changes are seen */
            memset(&resolver->state, 0, sizeof(resolver->state));
    }
    if (resolver->port != 0)
        given |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
    resolver->has_channel = ares_init_options(&resolver->channel, &options, given) == ARES_SUCCESS;
    return resolver->has_channel;
}

void sheaf_resolver_use_file(sheaf_resolver_t *resolver, const char *path, uint16_t port)
{
    SHEAF_ASSERT(!resolver->has_channel);
    resolver->path = path;
    resolver->port = port;
}

bool sheaf_resolver_use_servers(sheaf_resolver_t *resolver, const char *servers)
{
    resolver->path = NULL;
    return open_channel(resolver) && ares_set_servers_ports_csv(resolver->channel, servers) == ARES_SUCCESS;
}

void sheaf_resolver_bound(sheaf_resolver_t *resolver, uint64_t min_ms, uint64_t max_ms)
{
    resolver->min_ms = min_ms;
    resolver->max_ms = max_ms;
}

static bool has_changed(sheaf_resolver_t *resolver)
{
    const struct stat *old = &resolver->state;
    struct stat now;

    if (!resolver->has_channel || resolver->path == NULL || resolver->clock->now_ms - resolver->looked_ms < LOOK_MS)
        return false;
    resolver->looked_ms = resolver->clock->now_ms;
    if (stat(resolver->path, &now) != 0) /* it is being replaced, perhaps */
        return false;
    return now.st_ino != old->st_ino || now.st_dev != old->st_dev || now.st_size != old->st_size ||
           now.st_mtim.tv_sec != old->st_mtim.tv_sec || now.st_mtim.tv_nsec != old->st_mtim.tv_nsec;
}

/* A channel cannot be told to read the file again (c-ares 1.18): another one takes its place. Never from inside a
 * callback of c-ares: lookups start from the soon-queue and from whoever asks. */
static void read_again(sheaf_resolver_t *resolver)
{
    resolver->is_changing = true; /* names that are being asked for stay so */
    ares_destroy(resolver->channel);
    resolver->is_changing = resolver->has_channel = false;
    for (sheaf_link_t *l = resolver->names.next; l != &resolver->names; l = l->next) {
        if (SHEAF_OWNER(l, sheaf_name_t, link)->is_asked)
            ask_channel(SHEAF_OWNER(l, sheaf_name_t, link));
    }
}

static void start_lookup(sheaf_name_t *name)
{
    if (has_changed(name->resolver))
        read_again(name->resolver);
    name->is_asked = true;
    ask_channel(name);
}

static void ask_channel(sheaf_name_t *name)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    sheaf_resolver_t *resolver = name->resolver;

    if (!open_channel(resolver)) {
        on_addresses(name, ARES_ENOTINITIALIZED, 0, NULL);
        return;
    }
    ares_getaddrinfo(resolver->channel, name->text, NULL, &hints, on_addresses, name);
    arm_timer(resolver);
}

static void on_watch_closed(uv_handle_t *handle)
{
    ares_watch_t *watch = handle->data;
    sheaf_resolver_t *resolver = watch->resolver;

    free(watch);
    resolver->open_count--;
    free_if_closed(resolver);
}

static ares_watch_t *watch_of(sheaf_resolver_t *resolver, ares_socket_t fd)
{
    for (sheaf_link_t *l = resolver->sockets.next; l != &resolver->sockets; l = l->next) {
        ares_watch_t *watch = SHEAF_OWNER(l, ares_watch_t, link);

        if (watch->fd == fd)
            return watch;
    }
    return NULL;
}

static ares_watch_t *watch_new(sheaf_resolver_t *resolver, ares_socket_t fd)
{
    ares_watch_t *watch = sheaf_zalloc(sizeof(*watch));

    if (uv_poll_init(resolver->loop, &watch->poll, fd) != 0) {
        free(watch); /* the query then ends by its timeout */
        return NULL;
    }
    watch->poll.data = watch;
    watch->resolver = resolver;
    watch->fd = fd;
    sheaf_list_push_back(&resolver->sockets, &watch->link);
    resolver->open_count++;
    return watch;
}

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    sheaf_resolver_t *resolver = data;
    ares_watch_t *watch = watch_of(resolver, fd);

    if (!readable && !writable) { /* about to be closed */
        if (watch == NULL)
            return;
        sheaf_list_remove(&watch->link);
        uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        return;
    }
    if (watch == NULL)
        watch = watch_new(resolver, fd);
    if (watch != NULL)
        uv_poll_start(&watch->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_socket_ready);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    ares_watch_t *watch = poll->data;
    sheaf_resolver_t *resolver = watch->resolver;
    bool can_read = status < 0 || (events & UV_READABLE) != 0;
    bool can_write = status < 0 || (events & UV_WRITABLE) != 0;

    ares_process_fd(resolver->channel, can_read ? watch->fd : ARES_SOCKET_BAD, can_write ? watch->fd : ARES_SOCKET_BAD);
    arm_timer(resolver);
}

static void on_timer(sheaf_deadline_t *node)
{
    sheaf_resolver_t *resolver = SHEAF_OWNER(node, sheaf_resolver_t, timer);

    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_timer(resolver);
}

static uint64_t within_bounds(const sheaf_resolver_t *resolver, uint64_t ttl_ms)
{
    if (ttl_ms > resolver->max_ms)
        return resolver->max_ms;
    return ttl_ms < resolver->min_ms ? resolver->min_ms : ttl_ms;
}

/* Takes the addresses of `result`; returns for how long they are good. */
static uint64_t keep_addresses(sheaf_name_t *name, const struct ares_addrinfo *result)
{
    int ttl_s = INT_MAX;

    name->count = 0;
    for (const struct ares_addrinfo_node *node = result->nodes; node != NULL; node = node->ai_next) {
        if (name->count == SHEAF_NAME_MAX_ADDRESSES || (size_t)node->ai_addrlen > sizeof(sheaf_sockaddr_t))
            continue;
        memcpy(&name->addresses[name->count++], node->ai_addr, (size_t)node->ai_addrlen);
        if (node->ai_ttl < ttl_s)
            ttl_s = node->ai_ttl;
    }
    for (const struct ares_addrinfo_cname *cname = result->cnames; cname != NULL; cname = cname->next)
        if (cname->ttl < ttl_s)
            ttl_s = cname->ttl;
    name->version++;
    return within_bounds(name->resolver, ttl_s < 0 ? 0 : (uint64_t)ttl_s * 1000);
}

/* May run inside ares_getaddrinfo() (hosts file, localhost), and with ARES_EDESTRUCTION from ares_destroy(). */
static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    sheaf_name_t *name = arg;
    bool is_good = status == ARES_SUCCESS && result != NULL && result->nodes != NULL;

    (void)timeouts;
    if (name->resolver == NULL) {
        free(name); /* nobody asks any more */
    } else if (!name->resolver->is_changing) {
        uint64_t now_ms = name->resolver->clock->now_ms;

        name->is_asked = false;
        name->detail[0] = '\0';
        if (is_good)
            name->expires_ms = now_ms + keep_addresses(name, result);
        else {
            name->expires_ms = now_ms + RETRY_MS; /* with the last good answer, when there is one */
            snprintf(name->detail, sizeof(name->detail), "%.60s: %.30s", name->text, ares_strerror(status));
        }
        sheaf_soon(name->resolver->soon, &name->task);
    }
    if (result != NULL)
        ares_freeaddrinfo(result);
}

/* Whoever is told may drop the name or wait again: hold it, and tell only those who wait now. */
static void on_answer_due(sheaf_task_t *task)
{
    sheaf_name_t *name = SHEAF_OWNER(task, sheaf_name_t, task);
    sheaf_link_t told;

    sheaf_list_init(&told);
    while (!sheaf_list_is_empty(&name->waiters)) {
        sheaf_link_t *link = name->waiters.next;

        sheaf_list_remove(link);
        sheaf_list_push_back(&told, link);
    }
    name->holds++;
    while (!sheaf_list_is_empty(&told)) {
        sheaf_name_waiter_t *waiter = SHEAF_OWNER(told.next, sheaf_name_waiter_t, link);

        sheaf_list_remove(&waiter->link); /* from `told`; forget() of another one finds that ring too */
        waiter->on_resolved(waiter);
    }
    sheaf_name_drop(name);
}
