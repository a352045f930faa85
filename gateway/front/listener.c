#include "gateway/front/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/front/client.h"

/* Workers share the socket. One that took all that waits would leave nothing to the others, which were woken too. */
#define ACCEPTS_PER_TURN 8
#define REST_MS          100

typedef struct {
    uv_poll_t poll;
    sheaf_front_t *front;
    int fd;
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

static void take(listener_t *listener, int fd)
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
    sheaf_client_accept(front, listener->is_admin ? &front->admin_face : &front->clients_face, &stream->stream);
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

static void on_readable(uv_poll_t *poll, int status, int events)
{
    listener_t *listener = SHEAF_OWNER(poll, listener_t, poll);

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            take(listener, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(listener);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* --- opening and closing --- */

static bool is_unix_socket(int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);

    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 && name.ss_family == AF_UNIX;
}

sheaf_err_t sheaf_listener_open(sheaf_front_t *front, int fd, bool is_admin, sheaf_fail_t *fail)
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
    listener->is_admin = is_admin;
    listener->is_pipe = is_unix_socket(fd);
    listener->rest.on_expired = on_rested;
    sheaf_list_push_back(&front->listeners, &listener->link);
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    return SHEAF_OK;
}

static void on_listener_closed(uv_handle_t *handle)
{
    free(SHEAF_OWNER(handle, listener_t, poll));
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
        if (fd == SHEAF_LISTENERS_ALL || listener->fd == fd || (fd == SHEAF_LISTENERS_CLIENT && !listener->is_admin))
            close_listener(listener);
    }
}
