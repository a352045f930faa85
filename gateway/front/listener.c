#include "gateway/front/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/front/client.h"

#define BACKLOG 4096

typedef struct {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    sheaf_front_t *front;
    int fd;
    bool is_admin, is_pipe;
    sheaf_link_t link;
} listener_t;

typedef union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
} stream_t;

static void on_stream_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_connection(uv_stream_t *stream, int status)
{
    listener_t *listener = stream->data;
    sheaf_front_t *front = listener->front;
    stream_t *client;

    if (status != 0)
        return; /* EMFILE and the like: libuv tries again when the loop comes round */
    client = sheaf_zalloc(sizeof(*client));
    if (listener->is_pipe)
        uv_pipe_init(front->env.loop, &client->pipe, 0);
    else
        uv_tcp_init(front->env.loop, &client->tcp);
    if (uv_accept(stream, &client->stream) != 0) {
        uv_close(&client->handle, on_stream_closed);
        return;
    }
    if (!listener->is_pipe)
        uv_tcp_nodelay(&client->tcp, 1);
    sheaf_client_accept(front, listener->is_admin ? &front->admin_face : &front->clients_face, &client->stream);
}

static bool is_unix_socket(int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);

    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 && name.ss_family == AF_UNIX;
}

static int open_handle(listener_t *listener, uv_loop_t *loop)
{
    int status;

    if (listener->is_pipe) {
        uv_pipe_init(loop, &listener->handle.pipe, 0);
        status = uv_pipe_open(&listener->handle.pipe, listener->fd);
    } else {
        uv_tcp_init(loop, &listener->handle.tcp);
        status = uv_tcp_open(&listener->handle.tcp, listener->fd);
    }
    listener->handle.stream.data = listener;
    return status != 0 ? status : uv_listen(&listener->handle.stream, BACKLOG, on_connection);
}

static void on_listener_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_listener(listener_t *listener)
{
    sheaf_list_remove(&listener->link);
    uv_close((uv_handle_t *)&listener->handle.stream, on_listener_closed);
}

sheaf_err_t sheaf_listener_open(sheaf_front_t *front, int fd, bool is_admin, sheaf_fail_t *fail)
{
    listener_t *listener = sheaf_zalloc(sizeof(*listener));
    int status;

    listener->front = front;
    listener->fd = fd;
    listener->is_admin = is_admin;
    listener->is_pipe = is_unix_socket(fd);
    sheaf_list_push_back(&front->listeners, &listener->link);
    status = open_handle(listener, front->env.loop);
    if (status == 0)
        return SHEAF_OK;
    close_listener(listener);
    return sheaf_fail(fail, SHEAF_ERR_SYSTEM, "cannot accept: %s", uv_strerror(status));
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
