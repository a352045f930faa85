#include "gateway/front/listener.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/front/client.h"
#include "gateway/front/greeting.h"
#include "gateway/front/peer.h"

/* Workers share the socket. One that took all that waits would leave nothing to the others, which were woken too. */
#define ACCEPTS_PER_TURN 8
#define REST_MS          100
#define WAITING_MOST     4096 /* as many as the queue holds */

typedef struct {
    uv_poll_t poll;
    sheaf_front_t *front;
    int fd;
    char *address; /* as configured */
    const sheaf_listener_conf_t
        *conf;      /* in the current epoch; NULL: the admin listener, or one that is about to close */
    SSL_CTX *tls;   /* held: a connection that still greets may outlive the epoch; NULL: clear text */
    uint32_t holds; /* one while it is open, one per connection that still greets */
    bool is_admin, is_pipe;
    sheaf_link_t link;
    sheaf_deadline_t rest; /* out of descriptors: polling goes on when it is over */
} listener_t;

typedef union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
} stream_t;

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_stream_closed(uv_handle_t *handle)
{
    free(handle);
}

static void drop(listener_t *listener)
{
    if (--listener->holds > 0)
        return;
    SSL_CTX_free(listener->tls);
    free(listener->address);
    free(listener);
}

/* From here on the connection is libh2o's. */
static void admit(listener_t *listener, int fd, const struct sockaddr *name, socklen_t name_len)
{
    sheaf_front_t *front = listener->front;
    stream_t *stream = sheaf_zalloc(sizeof(*stream));
    int status;

    if (listener->is_pipe) {
        uv_pipe_init(front->env.loop, &stream->pipe, 0);
        status = uv_pipe_open(&stream->pipe, fd);
    } else {
        uv_tcp_init(front->env.loop, &stream->tcp);
        status = uv_tcp_open(&stream->tcp, fd);
        uv_tcp_nodelay(&stream->tcp, 1);
    }
    if (status != 0) {
        close(fd);
        uv_close(&stream->handle, on_stream_closed);
        return;
    }
    sheaf_client_accept(front, listener->is_admin ? &front->admin_face : &front->clients_face, listener->address,
                        listener->tls, &stream->stream, name, name_len);
}

/* --- proxies that say whom they stand for --- */

/* Who may connect to a unix socket is a matter of its mode. */
static bool is_trusted(const listener_t *listener, const struct sockaddr *name)
{
    const sheaf_cidrs_t *trusted = &listener->conf->proxy_trusted;
    uint8_t ip[16];

    if (listener->is_pipe)
        return true;
    if (trusted->items == NULL) /* not written */
        trusted = &listener->front->epoch->env.snapshot->conf.trusted_proxies;
    sheaf_peer_ip(name, ip);
    return sheaf_cidr_has(trusted->items, trusted->count, ip);
}

static void on_greeted(void *data, int fd, const sheaf_proxy_header_t *header)
{
    listener_t *listener = data;
    sheaf_sockname_t name;
    socklen_t len = sizeof(name);

    if (fd >= 0 && header->names_client)
        admit(listener, fd, &header->client.any, header->client_len);
    else if (fd >= 0 && getpeername(fd, &name.any, &len) == 0)
        admit(listener, fd, &name.any, len);
    else if (fd >= 0)
        close(fd);
    drop(listener);
}

static void take(listener_t *listener, int fd, const struct sockaddr *name, socklen_t name_len)
{
    sheaf_front_t *front = listener->front;

    if (listener->conf == NULL || !listener->conf->proxy_protocol) {
        admit(listener, fd, name, name_len);
    } else if (!is_trusted(listener, name)) {
        sheaf_count(front->env.metrics, SHEAF_METRIC_PROXY_UNTRUSTED, 1);
        close(fd);
    } else if (sheaf_greeting_start(front, fd, on_greeted, listener)) {
        listener->holds++;
    }
}

/* --- out of descriptors: the queue holds who waits, and polling would only spin --- */

static void on_rested(sheaf_deadline_t *node)
{
    uv_poll_start(&SHEAF_OWNER(node, listener_t, rest)->poll, UV_READABLE, on_readable);
}

static void rest(listener_t *listener)
{
    uv_poll_stop(&listener->poll);
    sheaf_deadline_set(listener->front->env.deadlines, &listener->rest, listener->front->env.clock->now_ms + REST_MS);
}

static bool is_full(const sheaf_front_t *front)
{
    uint64_t most = sheaf_front_limits(front)->connections;

    return front->client_count + front->greeting_count >= (most > 0 ? most : front->clients_most);
}

/* Takes one connection; false when the turn is over. */
static bool take_next(listener_t *listener)
{
    sheaf_front_t *front = listener->front;
    sheaf_sockname_t name;
    socklen_t len = sizeof(name);
    int fd;

    if (!listener->is_admin && is_full(front)) { /* who comes now waits in the queue, or for another worker */
        rest(listener);
        return false;
    }
    fd = accept4(listener->fd, &name.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 && !listener->is_admin && (uint32_t)fd >= front->fd_most) {
        close(fd); /* the last descriptors are for backends, logs and operators */
        rest(listener);
        return false;
    }
    if (fd >= 0) {
        take(listener, fd, &name.any, len);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        rest(listener);
    return errno == EINTR || errno == ECONNABORTED;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    listener_t *listener = SHEAF_OWNER(poll, listener_t, poll);

    (void)status;
    (void)events;
    sheaf_clock_refresh(listener->front->env.clock);
    for (int i = 0; i < ACCEPTS_PER_TURN && take_next(listener); i++)
        ;
}

/* --- opening and closing --- */

static bool is_unix_socket(int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);

    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 && name.ss_family == AF_UNIX;
}

/* One that is about to be closed keeps the last it had. */
static void bind_tls(listener_t *listener, SSL_CTX *tls)
{
    if (tls != NULL)
        SSL_CTX_up_ref(tls);
    SSL_CTX_free(listener->tls);
    listener->tls = tls;
}

static void bind_conf(listener_t *listener)
{
    const sheaf_snapshot_t *snapshot = listener->front->epoch->env.snapshot;
    const sheaf_conf_t *conf = &snapshot->conf;

    listener->conf = NULL;
    for (uint32_t i = 0; !listener->is_admin && i < conf->listen.count && listener->conf == NULL; i++) {
        if (!sheaf_str_eq(conf->listen.items[i].address.text, sheaf_str_of(listener->address)))
            continue;
        listener->conf = &conf->listen.items[i];
        bind_tls(listener, snapshot->tls[i]);
    }
}

void sheaf_listener_bind_all(sheaf_front_t *front)
{
    for (sheaf_link_t *link = front->listeners.next; link != &front->listeners; link = link->next)
        bind_conf(SHEAF_OWNER(link, listener_t, link));
}

sheaf_err_t sheaf_listener_open(sheaf_front_t *front, int fd, sheaf_str_t address, bool is_admin, sheaf_fail_t *fail)
{
    listener_t *listener = sheaf_zalloc(sizeof(*listener));
    int status = uv_poll_init(front->env.loop, &listener->poll, fd); /* also makes it non-blocking */

    if (status != 0) {
        free(listener);
        close(fd);
        return sheaf_fail(fail, SHEAF_ERR_SYSTEM, "cannot accept: %s", uv_strerror(status));
    }
    listener->front = front;
    listener->fd = fd;
    listener->address = strndup(address.base, address.len);
    SHEAF_ASSERT(listener->address != NULL);
    listener->holds = 1;
    listener->is_admin = is_admin;
    listener->is_pipe = is_unix_socket(fd);
    listener->rest.on_expired = on_rested;
    bind_conf(listener);
    sheaf_list_push_back(&front->listeners, &listener->link);
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    return SHEAF_OK;
}

static void on_listener_closed(uv_handle_t *handle)
{
    drop(SHEAF_OWNER(handle, listener_t, poll));
}

/* Who is in the queue when the last descriptor goes would be reset, and may have sent a request already. */
static void take_waiting(listener_t *listener)
{
    for (int i = 0; i < WAITING_MOST && take_next(listener); i++)
        ;
}

static void close_listener(listener_t *listener)
{
    sheaf_list_remove(&listener->link);
    sheaf_deadline_clear(listener->front->env.deadlines, &listener->rest);
    uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
    close(listener->fd); /* fine right after uv_close of a poll handle */
}

void sheaf_listener_close(sheaf_front_t *front, int fd)
{
    for (sheaf_link_t *link = front->listeners.next, *next; link != &front->listeners; link = next) {
        listener_t *listener = SHEAF_OWNER(link, listener_t, link);

        next = link->next;
        if (fd == SHEAF_LISTENERS_CLIENT && !listener->is_admin && front->env.is_draining(front->env.data))
            take_waiting(listener);
        if (fd == SHEAF_LISTENERS_ALL || listener->fd == fd || (fd == SHEAF_LISTENERS_CLIENT && !listener->is_admin))
            close_listener(listener);
    }
}
