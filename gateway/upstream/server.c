/* upstream/server.c - see server.h. */
#include "gateway/upstream/server.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/pool.h"
#include "gateway/upstream/h1.h"

static sheaf_str_t joined(sheaf_str_t before, sheaf_str_t middle, sheaf_str_t after)
{
    size_t len = before.len + middle.len + after.len;
    char *text = sheaf_alloc(len + 1); /* never nothing */

    memcpy(text, before.base, before.len);
    memcpy(text + before.len, middle.base, middle.len);
    memcpy(text + before.len + middle.len, after.base, after.len);
    return sheaf_str(text, len);
}

static sheaf_tls_peer_t *tls_of(const sheaf_upstream_conf_t *conf, const sheaf_server_url_t *url,
                                struct ssl_ctx_st *context)
{
    sheaf_str_t name = conf->tls.server_name.len > 0 ? conf->tls.server_name : url->host;

    return url->is_tls ? sheaf_tls_peer_new(context, name) : NULL;
}

/* RFC 2782: a service's name is in front of its domain's, "_http._tcp.example.com". NULL: the server is no service. */
static sheaf_name_t *service_of(const sheaf_server_conf_t *conf, sheaf_resolver_t *resolver)
{
    sheaf_str_t rest = conf->service;
    char text[SHEAF_SRV_HOST_SIZE];
    bool is_whole;

    if (rest.len == 0)
        return NULL;
    is_whole = rest.base[0] == '_' || sheaf_str_cut(&rest, '.').len != conf->service.len;
    snprintf(text, sizeof(text), is_whole ? "%.*s.%.*s" : "_%.*s._tcp.%.*s", SHEAF_STR_ARG(conf->service),
             SHEAF_STR_ARG(conf->url.host));
    return sheaf_name_hold_service(resolver, sheaf_str_of(text));
}

void sheaf_server_init(sheaf_server_t *server, const sheaf_upstream_conf_t *upstream, const sheaf_server_conf_t *conf,
                       struct ssl_ctx_st *context, sheaf_resolver_t *resolver)
{
    const sheaf_server_url_t *url = &conf->url;

    server->service = service_of(conf, resolver);
    server->name = server->service != NULL ? sheaf_name_hold_service(resolver, sheaf_str_of(server->service->text))
                                           : sheaf_name_hold(resolver, url->host);
    server->port = url->port;
    server->label = joined(SHEAF_STR(""), url->is_unix ? url->host : url->authority, SHEAF_STR(""));
    server->host_line = joined(SHEAF_STR(SHEAF_H1_HOST_START), url->authority, SHEAF_STR("\r\n"));
    server->tls = tls_of(upstream, url, context);
    server->may_be_h2 = server->tls != NULL;
    server->weight = (uint32_t)conf->weight;
    server->rank = conf->backup ? SHEAF_SERVER_RANK_BACKUP : 0;
    sheaf_list_init(&server->idle);
    sheaf_list_init(&server->roomy);
}

void sheaf_server_fini(sheaf_server_t *server)
{
    sheaf_name_drop(server->name);
    if (server->service != NULL)
        sheaf_name_drop(server->service);
    sheaf_tls_peer_free(server->tls);
    free((char *)server->label.base);
    free((char *)server->host_line.base);
    free(server->peers);
}

/* Whom it trusts, and by which name, stays as it is; what others told of their sessions is not its own. */
void sheaf_server_move(sheaf_server_t *server, sheaf_resolver_t *resolver, sheaf_str_t host, uint16_t port)
{
    sheaf_name_t *name = sheaf_name_hold(resolver, host);
    sheaf_tls_peer_t *tls = server->tls;
    char text[8];

    SHEAF_ASSERT(server->is_vacant && server->conn_count == 0);
    sheaf_name_drop(server->name);
    free((char *)server->label.base);
    free(server->peers);
    snprintf(text, sizeof(text), ":%u", port);
    server->name = name;
    server->port = port;
    server->label = joined(sheaf_str(host.base, host.len - 1), sheaf_str_of(text), SHEAF_STR("")); /* no root dot */
    server->tls = tls == NULL ? NULL : sheaf_tls_peer_like(tls);
    server->outlier = (sheaf_outlier_t){0};
    server->is_unhealthy = false;
    server->may_be_h2 = tls != NULL;
    server->takes_streams = 0;
    server->credit = 0;
    server->quiet_until_ms = 0;
    server->unsaid = 0;
    server->peers = NULL;
    server->version = server->next = server->peer_count = 0;
    sheaf_tls_peer_free(tls);
}

/* All but what is its own, so that what servers will have some day is borrowed, too. Rank and service are those of a turn. */
void sheaf_server_borrow(sheaf_server_t *borrower, const sheaf_server_t *server)
{
    const sheaf_server_t own = *borrower;

    SHEAF_ASSERT(own.conn_count == 0 && !server->is_gate);
    *borrower = *server;
    borrower->service = NULL;
    borrower->rank = 0;
    borrower->flying = borrower->conn_count = 0;
    borrower->version = own.version;
    borrower->next = own.next;
    borrower->peer_count = own.peer_count;
    borrower->peers = own.peers;
    sheaf_list_init(&borrower->idle);
    sheaf_list_init(&borrower->roomy);
}

sheaf_name_t *sheaf_server_unknown(const sheaf_server_t *server)
{
    if (server->service != NULL && !sheaf_name_is_ready(server->service))
        return server->service;
    if (server->is_gate &&
        server->version != server->service->version) /* it came just now, and its servers come next */
        return server->service;
    return sheaf_name_is_ready(server->name) ? NULL : server->name;
}

/* --- its addresses --- */

static bool same_address(const sheaf_sockaddr_t *a, const sheaf_sockaddr_t *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_UNIX)
        return true; /* a server has but one path */
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_port == b->v6.sin6_port && memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
}

sheaf_peer_t *sheaf_server_peer(const sheaf_server_t *server, const sheaf_sockaddr_t *address)
{
    for (uint32_t i = 0; i < server->peer_count; i++)
        if (same_address(&server->peers[i].address, address))
            return &server->peers[i];
    return NULL;
}

static sheaf_sockaddr_t with_port(sheaf_sockaddr_t address, uint16_t port)
{
    if (address.any.sa_family == AF_INET)
        address.v4.sin_port = htons(port);
    else if (address.any.sa_family == AF_INET6)
        address.v6.sin6_port = htons(port);
    return address;
}

void sheaf_server_refresh(sheaf_server_t *server)
{
    uint32_t count = server->name->count;
    sheaf_peer_t *peers;

    if (server->version == server->name->version || server->name->is_service)
        return;
    peers = sheaf_alloc((count + 1) * sizeof(*peers)); /* never nothing */
    for (uint32_t i = 0; i < count; i++) {
        const sheaf_peer_t *known;

        peers[i] = (sheaf_peer_t){.address = with_port(server->name->addresses[i], server->port)};
        known = sheaf_server_peer(server, &peers[i].address);
        if (known != NULL)
            peers[i].shunned_until_ms = known->shunned_until_ms;
    }
    free(server->peers);
    server->peers = peers;
    server->peer_count = count;
    server->version = server->name->version;
}

bool sheaf_server_is_shunned(const sheaf_server_t *server, uint64_t now_ms)
{
    if (server->is_vacant || sheaf_server_is_out(server) || sheaf_name_has_failed(server->name))
        return true;
    for (uint32_t i = 0; i < server->peer_count; i++)
        if (server->peers[i].shunned_until_ms <= now_ms)
            return false;
    return server->peer_count != 0;
}
