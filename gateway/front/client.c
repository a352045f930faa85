#include "gateway/front/client.h"

#include <stdlib.h>
#include <sys/socket.h>

#define REFILL_PER_SECOND 10.0

static void on_socket_closed(void *data)
{
    sheaf_client_t *client = data;
    sheaf_front_t *front = client->front;

    sheaf_list_remove(&client->link);
    if (!client->is_admin) {
        front->client_count--;
        sheaf_gauge(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS_OPEN, -1);
    }
    free(client);
    sheaf_front_stir(front);
}

static void on_handle_closed(uv_handle_t *handle)
{
    free(handle);
}

void sheaf_client_accept(sheaf_front_t *front, sheaf_face_t *face, uv_stream_t *stream)
{
    sheaf_client_t *client = sheaf_zalloc(sizeof(*client));

    client->front = front;
    client->is_admin = face->is_admin;
    client->tokens = 1;
    client->refilled_ms = front->env.clock->now_ms;
    client->sock = h2o_uv_socket_create(stream, on_handle_closed);
    client->sock->on_close.cb = on_socket_closed;
    client->sock->on_close.data = client;
    sheaf_list_push_back(&front->clients, &client->link);
    if (!client->is_admin) {
        front->client_count++;
        sheaf_count(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS, 1);
        sheaf_gauge(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS_OPEN, 1);
    }
    client->tokens = (double)front->epoch->env.snapshot->conf.limits.aborts;
    h2o_accept(&face->accept, client->sock);
}

sheaf_client_t *sheaf_client_of(h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn)->on_close.data;
}

int sheaf_client_fd(const sheaf_client_t *client)
{
    return h2o_socket_get_fd(client->sock);
}

void sheaf_client_cut(sheaf_client_t *client)
{
    if (client->is_cut)
        return;
    client->is_cut = true;
    shutdown(sheaf_client_fd(client), SHUT_RDWR);
}

void sheaf_client_request_over(sheaf_client_t *client, bool is_abandoned, uint32_t burst)
{
    uint64_t now_ms = client->front->env.clock->now_ms;

    client->requests--;
    client->tokens += (double)(now_ms - client->refilled_ms) * REFILL_PER_SECOND / 1000.0;
    client->refilled_ms = now_ms;
    client->tokens += is_abandoned ? -1.0 : 1.0;
    if (client->tokens > (double)burst)
        client->tokens = (double)burst;
    if (client->tokens < 0)
        sheaf_client_cut(client);
}
