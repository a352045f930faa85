/* upstream/balance.c - see balance.h. */
#include "gateway/upstream/balance.h"

#include <stdlib.h>

static sheaf_str_t host_line_new(sheaf_str_t authority)
{
    static const char before[] = " HTTP/1.1\r\nhost: ", after[] = "\r\n";
    size_t len = sizeof(before) - 1 + authority.len + sizeof(after) - 1;
    char *line = sheaf_alloc(len);

    memcpy(line, before, sizeof(before) - 1);
    memcpy(line + sizeof(before) - 1, authority.base, authority.len);
    memcpy(line + len - 2, after, 2);
    return sheaf_str(line, len);
}

void sheaf_balance_init(sheaf_balance_t *balance, const sheaf_upstream_conf_t *conf, sheaf_resolver_t *resolver)
{
    SHEAF_ASSERT(conf->servers.count > 0);
    balance->count = conf->servers.count;
    balance->next = balance->other = 0;
    balance->servers = sheaf_zalloc(balance->count * sizeof(*balance->servers));
    for (uint32_t i = 0; i < balance->count; i++) {
        sheaf_server_t *server = &balance->servers[i];

        server->name = sheaf_name_hold(resolver, conf->servers.items[i].host);
        server->port = conf->servers.items[i].port;
        server->host_line = host_line_new(conf->servers.items[i].authority);
        sheaf_list_init(&server->idle);
    }
}

void sheaf_balance_fini(sheaf_balance_t *balance)
{
    for (uint32_t i = 0; i < balance->count; i++) {
        sheaf_name_drop(balance->servers[i].name);
        free((char *)balance->servers[i].host_line.base);
    }
    free(balance->servers);
}

static bool same_address(const sheaf_sockaddr_t *a, const sheaf_sockaddr_t *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_port == b->v6.sin6_port && memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
}

static sheaf_peer_t *find_peer(sheaf_peer_t *peers, uint32_t count, const sheaf_sockaddr_t *address)
{
    for (uint32_t i = 0; i < count; i++)
        if (same_address(&peers[i].address, address))
            return &peers[i];
    return NULL;
}

/* Takes over a new answer of the name; what is known of an address that stays, stays. */
static void refresh_peers(sheaf_server_t *server)
{
    sheaf_peer_t old[SHEAF_NAME_MAX_ADDRESSES];
    uint32_t old_count = server->peer_count;

    if (server->version == server->name->version)
        return;
    memcpy(old, server->peers, sizeof(old));
    server->version = server->name->version;
    server->peer_count = server->name->count;
    for (uint32_t i = 0; i < server->peer_count; i++) {
        sheaf_peer_t *peer = &server->peers[i], *known;

        *peer = (sheaf_peer_t){.address = server->name->addresses[i]};
        if (peer->address.any.sa_family == AF_INET)
            peer->address.v4.sin_port = htons(server->port);
        else
            peer->address.v6.sin6_port = htons(server->port);
        known = find_peer(old, old_count, &peer->address);
        if (known != NULL)
            peer->shunned_until_ms = known->shunned_until_ms;
    }
}

static bool is_shunned(const sheaf_server_t *server, uint64_t now_ms)
{
    if (server->outlier.is_ejected)
        return true;
    for (uint32_t i = 0; i < server->peer_count; i++)
        if (server->peers[i].shunned_until_ms <= now_ms)
            return false;
    return server->peer_count != 0;
}

sheaf_server_t *sheaf_balance_turn(sheaf_balance_t *balance, uint64_t now_ms)
{
    uint32_t first = balance->next;

    if (balance->count == 1)
        return balance->servers;
    for (uint32_t i = 0; i < balance->count; i++) {
        uint32_t at = (first + i) % balance->count;

        if (is_shunned(&balance->servers[at], now_ms))
            continue;
        balance->next = (at + 1) % balance->count;
        return &balance->servers[at];
    }
    balance->next = (first + 1) % balance->count;
    return &balance->servers[first];
}

uint64_t sheaf_balance_bit(const sheaf_balance_t *balance, const sheaf_server_t *server)
{
    return (uint64_t)1 << ((server - balance->servers) & 63);
}

sheaf_server_t *sheaf_balance_other(sheaf_balance_t *balance, uint64_t tried, uint64_t now_ms)
{
    for (uint32_t i = 0; tried != 0 && i < balance->count; i++) {
        uint32_t at = (balance->other + i) % balance->count;
        sheaf_server_t *server = &balance->servers[at];

        if ((tried & sheaf_balance_bit(balance, server)) != 0 || is_shunned(server, now_ms))
            continue;
        balance->other = (at + 1) % balance->count;
        return server;
    }
    return sheaf_balance_turn(balance, now_ms);
}

/* 9 apart, so that servers with few addresses hardly ever share a bit. */
static sheaf_tried_t bit_of(uint32_t server, uint32_t peer)
{
    return (sheaf_tried_t)1 << ((server * 9 + peer) & 63);
}

static sheaf_peer_t *untried_peer(sheaf_server_t *server, uint32_t index, sheaf_tried_t *tried, uint64_t good_at_ms)
{
    for (uint32_t i = 0; i < server->peer_count; i++) {
        uint32_t at = (server->next + i) % server->peer_count;

        if ((*tried & bit_of(index, at)) != 0 || server->peers[at].shunned_until_ms > good_at_ms)
            continue;
        *tried |= bit_of(index, at);
        server->next = (at + 1) % server->peer_count;
        return &server->peers[at];
    }
    return NULL;
}

sheaf_pick_t sheaf_balance_pick(sheaf_balance_t *balance, sheaf_server_t *server, uint64_t now_ms, sheaf_tried_t *tried,
                                sheaf_server_t **ret_server, sheaf_sockaddr_t *ret_address)
{
    uint32_t first = (uint32_t)(server - balance->servers);
    const uint64_t good_at_ms[] = {now_ms, UINT64_MAX}; /* at last those that refused, too */

    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < balance->count; i++) {
            uint32_t at = (first + i) % balance->count;
            const sheaf_peer_t *peer;

            *ret_server = &balance->servers[at];
            if (pass == 0 && (*ret_server)->outlier.is_ejected)
                continue;
            if (!sheaf_name_is_ready((*ret_server)->name))
                return SHEAF_PICK_LOOKUP;
            refresh_peers(*ret_server);
            peer = untried_peer(*ret_server, at, tried, good_at_ms[pass]);
            if (peer == NULL)
                continue;
            *ret_address = peer->address;
            return SHEAF_PICK_PEER;
        }
    }
    return SHEAF_PICK_NONE;
}

void sheaf_balance_note(sheaf_server_t *server, const sheaf_sockaddr_t *address, bool is_good, uint64_t now_ms)
{
    sheaf_peer_t *peer = find_peer(server->peers, server->peer_count, address);

    if (peer != NULL)
        peer->shunned_until_ms = is_good ? 0 : now_ms + SHEAF_BALANCE_SHUN_MS;
}
