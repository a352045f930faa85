#include "gateway/front/client.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/front/lingering.h"
#include "gateway/front/peer.h"
#include "gateway/front/tls.h"

static void on_socket_closed(void *data)
{
    sheaf_client_t *client = data;
    sheaf_front_t *front = client->front;

    sheaf_list_remove(&client->link);
    if (client->lingering_fd >= 0)
        sheaf_lingering_start(front, client->lingering_fd);
    if (!client->is_admin) {
        front->client_count--;
        sheaf_gauge(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS_OPEN, -1);
    }
    sheaf_tls_end(client);
    free(client);
    sheaf_front_stir(front);
}

static void on_handle_closed(uv_handle_t *handle)
{
    free(handle);
}

void sheaf_client_accept(sheaf_front_t *front, sheaf_face_t *face, struct ssl_ctx_st *tls, uv_stream_t *stream,
                         const struct sockaddr *name, socklen_t name_len)
{
    sheaf_client_t *client = sheaf_zalloc(sizeof(*client));

    client->front = front;
    client->lingering_fd = -1;
    client->is_admin = face->is_admin;
    sheaf_patience_init(&client->patience, front->epoch->env.snapshot->conf.limits.aborts, front->env.clock->now_ms);
    sheaf_peer_ip(name, client->ip);
    client->sock = h2o_uv_socket_create(stream, on_handle_closed);
    h2o_socket_setpeername(client->sock, (struct sockaddr *)name, name_len); /* only copied */
    client->sock->on_close.cb = on_socket_closed;
    client->sock->on_close.data = client;
    sheaf_list_push_back(&front->clients, &client->link);
    if (!client->is_admin) {
        front->client_count++;
        sheaf_count(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS, 1);
        sheaf_gauge(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS_OPEN, 1);
    }
    if (tls != NULL)
        sheaf_tls_start(client, tls, &face->accept);
    else
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

void sheaf_client_retire(sheaf_client_t *client)
{
    if (client->requests == 0 && client->sock->input->size == 0 && sheaf_tls_is_still(client))
        shutdown(sheaf_client_fd(client), SHUT_RD);
}

void sheaf_client_request_over(sheaf_client_t *client, bool is_abandoned, uint64_t burst)
{
    client->requests--;
    if (!sheaf_patience_spend(&client->patience, burst, client->front->env.clock->now_ms, is_abandoned))
        sheaf_client_cut(client);
}
