#include "gateway/front/client.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/front/lingering.h"
#include "gateway/front/peer.h"
#include "gateway/front/tls.h"

#define ABORTS_PER_SECOND 10

static void on_socket_closed(void *data)
{
    sheaf_client_t *client = data;
    sheaf_front_t *front = client->front;

    sheaf_stream_forget(client);
    sheaf_pace_end(client);
    sheaf_shadow_fini(&client->shadow);
    sheaf_cuts_fini(&client->frames.cuts);
    sheaf_list_remove(&client->link);
    if (client->lingering_fd >= 0)
        sheaf_lingering_start(front, client->lingering_fd);
    if (client->group != NULL)
        sheaf_crowd_leave(front->crowd, client->group);
    if (!client->is_admin) {
        front->client_count--;
        sheaf_gauge(front->env.metrics, SHEAF_METRIC_CLIENT_CONNS_OPEN, -1);
    }
    sheaf_tls_end(client);
    free(client->address);
    free(client);
    sheaf_front_stir(front);
}

static void on_handle_closed(uv_handle_t *handle)
{
    free(handle);
}

/* One address does not take all the room; proxies that we trust speak for many. */
static bool is_welcome(sheaf_client_t *client)
{
    sheaf_front_t *front = client->front;
    const sheaf_conf_t *conf = &front->epoch->env.snapshot->conf;

    if (client->is_admin || !client->has_ip ||
        sheaf_cidr_has(conf->trusted_proxies.items, conf->trusted_proxies.count, client->ip))
        return true;
    client->group = sheaf_crowd_join(front->crowd, client->ip, conf->limits.connections_per_client);
    if (client->group == NULL)
        sheaf_count(front->env.metrics, SHEAF_METRIC_REFUSED_CROWD, 1);
    return client->group != NULL;
}

void sheaf_client_accept(sheaf_front_t *front, sheaf_face_t *face, const char *address, struct ssl_ctx_st *tls,
                         uv_stream_t *stream, const struct sockaddr *name, socklen_t name_len)
{
    const sheaf_limits_conf_t *limits = sheaf_front_limits(front);
    sheaf_client_t *client = sheaf_zalloc(sizeof(*client));

    client->front = front;
    client->address = strdup(address);
    SHEAF_ASSERT(client->address != NULL);
    client->lingering_fd = -1;
    client->is_admin = face->is_admin;
    client->has_ip = name->sa_family == AF_INET || name->sa_family == AF_INET6;
    sheaf_peer_ip(name, client->ip);
    sheaf_bucket_init(&client->aborts, limits->aborts, front->env.clock->now_ms);
    sheaf_frames_init(&client->frames, limits->control_frames, front->env.clock->now_ms);
    sheaf_stream_init(&client->stream);
    sheaf_pace_init(client);
    client->uv = stream;
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
    if (!is_welcome(client))
        h2o_socket_close(client->sock);
    else if (tls != NULL)
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

void sheaf_client_request_begun(sheaf_client_t *client)
{
    client->requests++;
    if (!client->frames.is_http2 || client->pace.phase == SHEAF_PHASE_IDLE) /* beside it, other uploads may go on */
        sheaf_pace_enter(client, SHEAF_PHASE_BUSY);
}

void sheaf_client_request_over(sheaf_client_t *client, sheaf_ending_t ending)
{
    static const double costs[] = {-1, 0, 1};
    uint64_t burst = sheaf_front_limits(client->front)->aborts;

    if (--client->requests == 0 && client->pace.phase == SHEAF_PHASE_BUSY)
        sheaf_pace_enter(client, SHEAF_PHASE_IDLE);
    if (sheaf_bucket_take(&client->aborts, burst, ABORTS_PER_SECOND, client->front->env.clock->now_ms, costs[ending]))
        return;
    if (!client->is_cut)
        sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_ABORTS, 1);
    sheaf_client_cut(client);
}
