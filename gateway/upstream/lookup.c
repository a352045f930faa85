/* upstream/lookup.c - see lookup.h. */
#include "gateway/upstream/lookup.h"

#include <ares.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "gateway/base/error.h"
#include "gateway/base/list.h"
#include "gateway/base/pool.h"

#define QUERY_TIMEOUT_MS 1000 /* of one query to one DNS server, doubled with every try */
#define QUERY_TRIES      3
#define LOOK_MS          1000 /* how often at most the state of resolv.conf is asked for */
#define CLASS_IN         1
#define TYPE_SRV         33

struct sheaf_lookups {
    uv_loop_t *loop;
    sheaf_clock_t *clock;
    sheaf_deadlines_t *deadlines;
    ares_channel channel; /* made when the first real name is asked: literals need no resolv.conf */
    bool has_channel;
    const char *path;  /* of resolv.conf; NULL: the servers were given by hand */
    uint16_t port;     /* of the servers it names; 0: 53 */
    bool is_changing;  /* the channel is being closed because another one takes its place */
    struct stat state; /* of the file when it was read */
    uint64_t looked_ms;
    sheaf_link_t queries; /* under way */
    sheaf_link_t sockets;
    uint32_t open_count; /* poll handles not closed yet */
    sheaf_deadline_t timer;
    void (*on_closed)(void *data);
    void *data;
};

/* What c-ares points at: it cannot forget a single query, so this outlives a lookup that is cancelled. */
typedef struct sheaf_query {
    sheaf_link_t link;
    sheaf_lookups_t *lookups;
    sheaf_lookup_t *lookup; /* NULL: nobody wants to know */
    const char *text;
    bool is_service;
} query_t;

typedef struct ares_watch {
    uv_poll_t poll;
    sheaf_link_t link;
    sheaf_lookups_t *lookups;
    ares_socket_t fd;
} ares_watch_t;

/* In the order of a lookup. */
static void start(sheaf_lookups_t *lookups, sheaf_lookup_t *lookup, const char *text, bool is_service);
static void ask_channel(query_t *query);
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable); /* c-ares wants to be told */
static void on_socket_ready(uv_poll_t *poll, int status, int events);
static void on_timer(sheaf_deadline_t *node);
/* The answers: maybe from inside ask_channel() (hosts file, localhost), and with ARES_EDESTRUCTION from ares_destroy(). */
static void on_host(void *arg, int status, int timeouts, struct ares_addrinfo *result);
static void on_service(void *arg, int status, int timeouts, unsigned char *bytes, int len);

sheaf_lookups_t *sheaf_lookups_new(uv_loop_t *loop, sheaf_clock_t *clock, sheaf_deadlines_t *deadlines)
{
    sheaf_lookups_t *lookups = sheaf_zalloc(sizeof(*lookups));

    lookups->loop = loop;
    lookups->clock = clock;
    lookups->deadlines = deadlines;
    lookups->timer.on_expired = on_timer;
    lookups->path = "/etc/resolv.conf";
    sheaf_list_init(&lookups->queries);
    sheaf_list_init(&lookups->sockets);
    return lookups;
}

static void free_if_closed(sheaf_lookups_t *lookups)
{
    void (*on_closed)(void *) = lookups->on_closed;
    void *data = lookups->data;

    if (on_closed == NULL || lookups->open_count != 0)
        return;
    free(lookups);
    on_closed(data);
}

void sheaf_lookups_free(sheaf_lookups_t *lookups, void (*on_closed)(void *data), void *data)
{
    if (lookups->has_channel)
        ares_destroy(lookups->channel); /* closes its sockets through on_socket_state() */
    lookups->has_channel = false;
    SHEAF_ASSERT(sheaf_list_is_empty(&lookups->queries));
    sheaf_deadline_clear(lookups->deadlines, &lookups->timer);
    lookups->on_closed = on_closed;
    lookups->data = data;
    free_if_closed(lookups);
}

/* --- the channel --- */

static void arm_timer(sheaf_lookups_t *lookups)
{
    struct timeval most = {.tv_sec = 60}, room, *next;
    uint64_t in_ms;

    if (!lookups->has_channel || sheaf_list_is_empty(&lookups->sockets)) {
        sheaf_deadline_clear(lookups->deadlines, &lookups->timer);
        return;
    }
    next = ares_timeout(lookups->channel, &most, &room);
    in_ms = (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000;
    sheaf_deadline_set(lookups->deadlines, &lookups->timer, lookups->clock->now_ms + in_ms + 1);
}

static bool open_channel(sheaf_lookups_t *lookups)
{
    struct ares_options options = {
        .timeout = QUERY_TIMEOUT_MS,
        .tries = QUERY_TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = lookups,
        .resolvconf_path = (char *)(uintptr_t)lookups->path,
        .udp_port = lookups->port,
        .tcp_port = lookups->port,
    };
    int given = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

    if (lookups->has_channel)
        return true;
    if (lookups->path != NULL) {
        given |= ARES_OPT_RESOLVCONF;
        if (stat(lookups->path, &lookups->state) != 0) /* before it is read: later changes are seen */
            memset(&lookups->state, 0, sizeof(lookups->state));
    }
    if (lookups->port != 0)
        given |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
    lookups->has_channel = ares_init_options(&lookups->channel, &options, given) == ARES_SUCCESS;
    return lookups->has_channel;
}

void sheaf_lookups_use_file(sheaf_lookups_t *lookups, const char *path, uint16_t port)
{
    SHEAF_ASSERT(!lookups->has_channel);
    lookups->path = path;
    lookups->port = port;
}

bool sheaf_lookups_use_servers(sheaf_lookups_t *lookups, const char *servers)
{
    lookups->path = NULL;
    return open_channel(lookups) && ares_set_servers_ports_csv(lookups->channel, servers) == ARES_SUCCESS;
}

static bool has_changed(sheaf_lookups_t *lookups)
{
    const struct stat *old = &lookups->state;
    struct stat now;

    if (!lookups->has_channel || lookups->path == NULL || lookups->clock->now_ms - lookups->looked_ms < LOOK_MS)
        return false;
    lookups->looked_ms = lookups->clock->now_ms;
    if (stat(lookups->path, &now) != 0) /* it is being replaced, perhaps */
        return false;
    return now.st_ino != old->st_ino || now.st_dev != old->st_dev || now.st_size != old->st_size ||
           now.st_mtim.tv_sec != old->st_mtim.tv_sec || now.st_mtim.tv_nsec != old->st_mtim.tv_nsec;
}

/* A channel cannot be told to read the file again (c-ares 1.18): another one takes its place. Never from inside a
 * callback of c-ares: lookups start from the soon-queue and from whoever asks. */
static void read_again(sheaf_lookups_t *lookups)
{
    sheaf_link_t asked;

    lookups->is_changing = true; /* what is being asked for stays so */
    ares_destroy(lookups->channel);
    lookups->is_changing = lookups->has_channel = false;
    sheaf_list_init(&asked);
    while (!sheaf_list_is_empty(&lookups->queries)) {
        sheaf_link_t *link = lookups->queries.next;

        sheaf_list_remove(link);
        sheaf_list_push_back(&asked, link);
    }
    while (!sheaf_list_is_empty(&asked)) {
        query_t *query = SHEAF_OWNER(asked.next, query_t, link);

        sheaf_list_remove(&query->link);
        sheaf_list_push_back(&lookups->queries, &query->link);
        ask_channel(query);
    }
}

/* --- asking --- */

void sheaf_lookup_host(sheaf_lookups_t *lookups, sheaf_lookup_t *lookup, const char *text)
{
    start(lookups, lookup, text, false);
}

void sheaf_lookup_service(sheaf_lookups_t *lookups, sheaf_lookup_t *lookup, const char *text)
{
    start(lookups, lookup, text, true);
}

void sheaf_lookup_cancel(sheaf_lookup_t *lookup)
{
    if (lookup->query == NULL)
        return;
    lookup->query->lookup = NULL;
    lookup->query = NULL;
}

static void start(sheaf_lookups_t *lookups, sheaf_lookup_t *lookup, const char *text, bool is_service)
{
    query_t *query = sheaf_zalloc(sizeof(*query));

    SHEAF_ASSERT(lookup->query == NULL);
    if (has_changed(lookups))
        read_again(lookups);
    query->lookups = lookups;
    query->lookup = lookup;
    query->text = text;
    query->is_service = is_service;
    lookup->query = query;
    sheaf_list_push_back(&lookups->queries, &query->link);
    ask_channel(query);
}

static void ask_channel(query_t *query)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    sheaf_lookups_t *lookups = query->lookups;

    if (!open_channel(lookups)) {
        on_host(query, ARES_ENOTINITIALIZED, 0, NULL);
        return;
    }
    if (query->is_service)
        ares_search(lookups->channel, query->text, CLASS_IN, TYPE_SRV, on_service, query);
    else
        ares_getaddrinfo(lookups->channel, query->text, NULL, &hints, on_host, query);
    arm_timer(lookups);
}

/* --- its sockets and its time --- */

static void on_watch_closed(uv_handle_t *handle)
{
    ares_watch_t *watch = handle->data;
    sheaf_lookups_t *lookups = watch->lookups;

    free(watch);
    lookups->open_count--;
    free_if_closed(lookups);
}

static ares_watch_t *watch_of(sheaf_lookups_t *lookups, ares_socket_t fd)
{
    for (sheaf_link_t *l = lookups->sockets.next; l != &lookups->sockets; l = l->next) {
        ares_watch_t *watch = SHEAF_OWNER(l, ares_watch_t, link);

        if (watch->fd == fd)
            return watch;
    }
    return NULL;
}

static ares_watch_t *watch_new(sheaf_lookups_t *lookups, ares_socket_t fd)
{
    ares_watch_t *watch = sheaf_zalloc(sizeof(*watch));

    if (uv_poll_init(lookups->loop, &watch->poll, fd) != 0) {
        free(watch); /* the query then ends by its timeout */
        return NULL;
    }
    watch->poll.data = watch;
    watch->lookups = lookups;
    watch->fd = fd;
    sheaf_list_push_back(&lookups->sockets, &watch->link);
    lookups->open_count++;
    return watch;
}

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    sheaf_lookups_t *lookups = data;
    ares_watch_t *watch = watch_of(lookups, fd);

    if (!readable && !writable) { /* about to be closed */
        if (watch == NULL)
            return;
        sheaf_list_remove(&watch->link);
        uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        return;
    }
    if (watch == NULL)
        watch = watch_new(lookups, fd);
    if (watch != NULL)
        uv_poll_start(&watch->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_socket_ready);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    ares_watch_t *watch = poll->data;
    sheaf_lookups_t *lookups = watch->lookups;
    bool can_read = status < 0 || (events & UV_READABLE) != 0;
    bool can_write = status < 0 || (events & UV_WRITABLE) != 0;

    sheaf_clock_refresh(lookups->clock);
    ares_process_fd(lookups->channel, can_read ? watch->fd : ARES_SOCKET_BAD, can_write ? watch->fd : ARES_SOCKET_BAD);
    arm_timer(lookups);
}

static void on_timer(sheaf_deadline_t *node)
{
    sheaf_lookups_t *lookups = SHEAF_OWNER(node, sheaf_lookups_t, timer);

    ares_process_fd(lookups->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_timer(lookups);
}

/* --- the answer --- */

static bool is_to_be_asked_again(const query_t *query)
{
    return query->lookups->is_changing && query->lookup != NULL;
}

static void tell(query_t *query, const sheaf_lookup_answer_t *answer)
{
    sheaf_lookup_t *lookup = query->lookup;

    sheaf_list_remove(&query->link);
    free(query);
    if (lookup == NULL)
        return;
    lookup->query = NULL;
    lookup->on_answer(lookup, answer);
}

/* How many addresses of `result` were written to `addresses`; *ttl_s becomes the least of what it is made of. */
static uint32_t take_addresses(const struct ares_addrinfo *result, sheaf_sockaddr_t *addresses, int *ttl_s)
{
    uint32_t count = 0;

    for (const struct ares_addrinfo_node *node = result->nodes; node != NULL; node = node->ai_next) {
        if (count == SHEAF_LOOKUP_MAX_ADDRESSES || (size_t)node->ai_addrlen > sizeof(*addresses))
            continue;
        memcpy(&addresses[count++], node->ai_addr, (size_t)node->ai_addrlen);
        if (node->ai_ttl < *ttl_s)
            *ttl_s = node->ai_ttl;
    }
    for (const struct ares_addrinfo_cname *cname = result->cnames; cname != NULL; cname = cname->next)
        if (cname->ttl < *ttl_s)
            *ttl_s = cname->ttl;
    return count;
}

static void on_host(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    query_t *query = arg;
    sheaf_sockaddr_t addresses[SHEAF_LOOKUP_MAX_ADDRESSES] = {0};
    sheaf_lookup_answer_t answer = {.addresses = addresses};
    int ttl_s = INT_MAX;

    (void)timeouts;
    if (status == ARES_SUCCESS && result != NULL)
        answer.count = take_addresses(result, addresses, &ttl_s);
    if (result != NULL)
        ares_freeaddrinfo(result);
    if (answer.count == 0)
        answer.error = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
    answer.ttl_s = ttl_s < 0 ? 0 : (uint32_t)ttl_s; /* RFC 2181 8 */
    if (!is_to_be_asked_again(query))
        tell(query, &answer);
}

static void on_service(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    query_t *query = arg;
    sheaf_targets_t targets;
    sheaf_lookup_answer_t answer = {.targets = &targets};

    (void)timeouts;
    if (status != ARES_SUCCESS) {
        answer.error = ares_strerror(status);
    } else if (!sheaf_srv_parse(bytes, (size_t)len, &targets)) {
        answer.error = "no usable SRV record";
    } else {
        answer.count = targets.count;
        answer.ttl_s = targets.ttl_s;
    }
    if (!is_to_be_asked_again(query))
        tell(query, &answer);
}
