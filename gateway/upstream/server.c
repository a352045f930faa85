/* upstream/server.c - see server.h. */
#include "gateway/upstream/server.h"

#include <stdlib.h>

#include "gateway/base/pool.h"

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

    return url->is_tls ? sheaf_tls_peer_new(context, name, url->authority) : NULL;
}

void sheaf_server_init(sheaf_server_t *server, const sheaf_upstream_conf_t *upstream, const sheaf_server_conf_t *conf,
                       struct ssl_ctx_st *context, sheaf_resolver_t *resolver)
{
    const sheaf_server_url_t *url = &conf->url;

    server->name = sheaf_name_hold(resolver, url->host);
    server->port = url->port;
    server->label = joined(SHEAF_STR(""), url->is_unix ? url->host : url->authority, SHEAF_STR(""));
    server->host_line = joined(SHEAF_STR(" HTTP/1.1\r\nhost: "), url->authority, SHEAF_STR("\r\n"));
    server->tls = tls_of(upstream, url, context);
    server->weight = (uint32_t)conf->weight;
    server->is_backup = conf->backup;
    sheaf_list_init(&server->idle);
}

void sheaf_server_fini(sheaf_server_t *server)
{
    sheaf_name_drop(server->name);
    sheaf_tls_peer_free(server->tls);
    free((char *)server->label.base);
    free((char *)server->host_line.base);
    free(server->peers);
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

    if (server->version == server->name->version)
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
    if (server->outlier.is_ejected || sheaf_name_has_failed(server->name))
        return true;
    for (uint32_t i = 0; i < server->peer_count; i++)
        if (server->peers[i].shunned_until_ms <= now_ms)
            return false;
    return server->peer_count != 0;
}
