/* upstream/balance.c - see balance.h. */
#include "gateway/upstream/balance.h"

#include <stdlib.h>

#include "gateway/upstream/turn.h"

void sheaf_balance_init(sheaf_balance_t *balance, const sheaf_upstream_conf_t *conf, struct ssl_ctx_st *context,
                        sheaf_resolver_t *resolver, uint64_t seed)
{
    SHEAF_ASSERT(conf->servers.count > 0);
    *balance = (sheaf_balance_t){
        .count = conf->servers.count,
        .is_even = true,
        .kind = conf->balance,
        .hash = conf->hash,
        .hash_bound = conf->hash_bound,
        .chance = seed,
    };
    balance->servers = sheaf_zalloc(balance->count * sizeof(*balance->servers));
    for (uint32_t i = 0; i < balance->count; i++) {
        sheaf_server_init(&balance->servers[i], conf, &conf->servers.items[i], context, resolver);
        balance->is_even &=
            !conf->servers.items[i].backup && conf->servers.items[i].weight == conf->servers.items[0].weight;
    }
    if (balance->kind == SHEAF_TURN_HASH)
        sheaf_ring_init(&balance->ring, conf);
}

void sheaf_balance_fini(sheaf_balance_t *balance)
{
    for (uint32_t i = 0; i < balance->count; i++)
        sheaf_server_fini(&balance->servers[i]);
    sheaf_ring_fini(&balance->ring);
    free(balance->servers);
}

void sheaf_balance_rebase(sheaf_balance_t *balance, const sheaf_upstream_conf_t *conf)
{
    balance->hash = conf->hash;
}

/* --- whose turn it is --- */

/* Opens the servers that are backups or not, those that just refused among them or not; false when there is none. */
static bool open_those(sheaf_balance_t *balance, bool are_backups, bool with_shunned, uint64_t now_ms)
{
    balance->open_weight = balance->open_flying = 0;
    for (uint32_t i = 0; i < balance->count; i++) {
        sheaf_server_t *server = &balance->servers[i];

        server->is_open =
            server->is_backup == are_backups && (with_shunned || !sheaf_server_is_shunned(server, now_ms));
        balance->open_weight += server->is_open ? server->weight : 0;
        balance->open_flying += server->is_open ? server->flying : 0;
    }
    return balance->open_weight != 0;
}

/* All equal, taken in turn: no need to look at every one of them. */
static sheaf_server_t *next_of_even(sheaf_balance_t *balance, uint64_t now_ms)
{
    uint32_t first = balance->next;

    for (uint32_t i = 0; i < balance->count; i++) {
        uint32_t at = (first + i) % balance->count;

        if (sheaf_server_is_shunned(&balance->servers[at], now_ms))
            continue;
        balance->next = (at + 1) % balance->count;
        return &balance->servers[at];
    }
    balance->next = (first + 1) % balance->count;
    return &balance->servers[first];
}

/* What of the exchange chooses its server; empty when it has no such thing. */
static sheaf_str_t key_of(const sheaf_hash_by_t *by, const sheaf_exchange_t *exchange)
{
    sheaf_str_t rest = exchange->target;
    const sheaf_header_t *header;

    if (by->what == SHEAF_HASH_BY_ID)
        return exchange->id;
    if (by->what == SHEAF_HASH_BY_PATH)
        return sheaf_str_cut(&rest, '?');
    header = sheaf_headers_find(&exchange->headers, by->header);
    if (header == NULL && exchange->shared != NULL)
        header = sheaf_headers_find(&exchange->shared->list, by->header);
    return header != NULL ? header->value : SHEAF_STR_NONE;
}

static sheaf_server_t *turn_by_key(sheaf_balance_t *balance, const sheaf_exchange_t *exchange)
{
    sheaf_str_t key = key_of(&balance->hash, exchange);

    return key.len != 0 ? sheaf_turn_hash(balance, key) : sheaf_turn_round_robin(balance);
}

sheaf_server_t *sheaf_balance_turn(sheaf_balance_t *balance, const sheaf_exchange_t *exchange, uint64_t now_ms)
{
    if (balance->count == 1)
        return balance->servers;
    if (balance->is_even && balance->kind == SHEAF_TURN_ROUND_ROBIN)
        return next_of_even(balance, now_ms);
    if (!open_those(balance, false, false, now_ms) && !open_those(balance, true, false, now_ms))
        open_those(balance, false, true, now_ms);
    switch (balance->kind) {
    case SHEAF_TURN_LEAST_REQUESTS:
        return sheaf_turn_least_requests(balance);
    case SHEAF_TURN_RANDOM_TWO:
        return sheaf_turn_random_two(balance);
    case SHEAF_TURN_HASH:
        return turn_by_key(balance, exchange);
    default:
        return sheaf_turn_round_robin(balance);
    }
}

bool sheaf_balance_suits(const sheaf_balance_t *balance, const sheaf_server_t *server, uint64_t now_ms)
{
    if (balance->count == 1)
        return true;
    if (balance->kind == SHEAF_TURN_HASH)
        return false;
    for (uint32_t i = 0; i < balance->count && server->is_backup; i++)
        if (!balance->servers[i].is_backup && !sheaf_server_is_shunned(&balance->servers[i], now_ms))
            return false;
    return true;
}

/* --- another attempt --- */

uint64_t sheaf_balance_bit(const sheaf_balance_t *balance, const sheaf_server_t *server)
{
    return (uint64_t)1 << ((server - balance->servers) & 63);
}

static sheaf_server_t *other_among(sheaf_balance_t *balance, bool is_backup, uint64_t tried, uint64_t now_ms)
{
    for (uint32_t i = 0; i < balance->count; i++) {
        uint32_t at = (balance->other + i) % balance->count;
        sheaf_server_t *server = &balance->servers[at];

        if (server->is_backup != is_backup || (tried & sheaf_balance_bit(balance, server)) != 0 ||
            sheaf_server_is_shunned(server, now_ms))
            continue;
        balance->other = (at + 1) % balance->count;
        return server;
    }
    return NULL;
}

sheaf_server_t *sheaf_balance_other(sheaf_balance_t *balance, uint64_t tried, uint64_t now_ms)
{
    sheaf_server_t *server = other_among(balance, false, tried, now_ms);

    return server != NULL ? server : other_among(balance, true, tried, now_ms);
}

sheaf_server_t *sheaf_balance_for(sheaf_balance_t *balance, const sheaf_exchange_t *exchange, uint64_t now_ms)
{
    sheaf_server_t *other = exchange->tried == 0 ? NULL : sheaf_balance_other(balance, exchange->tried, now_ms);

    return other != NULL ? other : sheaf_balance_turn(balance, exchange, now_ms);
}

/* --- which address --- */

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

/* Among the servers that are backups or not, from `first` on. */
static sheaf_pick_t pick_among(sheaf_balance_t *balance, uint32_t first, bool are_backups, uint64_t good_at_ms,
                               sheaf_tried_t *tried, sheaf_server_t **ret_server, sheaf_sockaddr_t *ret_address)
{
    for (uint32_t i = 0; i < balance->count; i++) {
        uint32_t at = (first + i) % balance->count;
        sheaf_server_t *server = &balance->servers[at];
        const sheaf_peer_t *peer;

        if (server->is_backup != are_backups || (good_at_ms != UINT64_MAX && server->outlier.is_ejected))
            continue;
        *ret_server = server;
        if (!sheaf_name_is_ready(server->name))
            return SHEAF_PICK_LOOKUP;
        sheaf_server_refresh(server);
        peer = untried_peer(server, at, tried, good_at_ms);
        if (peer == NULL)
            continue;
        *ret_address = peer->address;
        return SHEAF_PICK_PEER;
    }
    return SHEAF_PICK_NONE;
}

/* An address that refused is tried by one exchange: the others pass it over until that one has told. */
static void hold_back(sheaf_server_t *server, const sheaf_sockaddr_t *address, uint64_t now_ms)
{
    sheaf_peer_t *peer = sheaf_server_peer(server, address);

    if (peer != NULL && peer->shunned_until_ms != 0)
        peer->shunned_until_ms = now_ms + SHEAF_SERVER_SHUN_MS;
}

sheaf_pick_t sheaf_balance_pick(sheaf_balance_t *balance, sheaf_server_t *server, uint64_t now_ms, sheaf_tried_t *tried,
                                sheaf_server_t **ret_server, sheaf_sockaddr_t *ret_address)
{
    uint32_t first = (uint32_t)(server - balance->servers);
    bool is_backup = server->is_backup; /* chosen for a reason: a second attempt, or the others refuse */
    const struct {
        bool are_backups;
        uint64_t good_at_ms; /* at last those that refused, too */
    } passes[] = {{is_backup, now_ms}, {!is_backup, now_ms}, {false, UINT64_MAX}, {true, UINT64_MAX}};
    sheaf_pick_t pick = SHEAF_PICK_NONE;

    for (uint32_t i = 0; i < SHEAF_COUNT(passes) && pick == SHEAF_PICK_NONE; i++)
        pick = pick_among(balance, first, passes[i].are_backups, passes[i].good_at_ms, tried, ret_server, ret_address);
    if (pick == SHEAF_PICK_PEER)
        hold_back(*ret_server, ret_address, now_ms);
    return pick;
}

bool sheaf_balance_pick_beside(sheaf_balance_t *balance, sheaf_server_t *server, const sheaf_sockaddr_t *other,
                               uint64_t now_ms, sheaf_tried_t *tried, sheaf_sockaddr_t *ret_address)
{
    uint32_t index = (uint32_t)(server - balance->servers), best = server->peer_count;

    for (uint32_t i = server->peer_count; i-- > 0;) {
        const sheaf_peer_t *peer = &server->peers[i];

        if ((*tried & bit_of(index, i)) != 0 || peer->shunned_until_ms > now_ms)
            continue;
        if (best == server->peer_count || peer->address.any.sa_family != other->any.sa_family)
            best = i;
    }
    if (best == server->peer_count)
        return false;
    *tried |= bit_of(index, best);
    *ret_address = server->peers[best].address;
    return true;
}

void sheaf_balance_note(sheaf_server_t *server, const sheaf_sockaddr_t *address, bool is_good, uint64_t now_ms)
{
    sheaf_peer_t *peer = sheaf_server_peer(server, address);

    if (peer != NULL)
        peer->shunned_until_ms = is_good ? 0 : now_ms + SHEAF_SERVER_SHUN_MS;
}

bool sheaf_balance_has(sheaf_server_t *server, const sheaf_sockaddr_t *address, uint32_t *version)
{
    sheaf_name_refresh(server->name);
    if (*version == server->name->version)
        return true;
    sheaf_server_refresh(server);
    *version = server->version;
    return sheaf_server_peer(server, address) != NULL;
}
