/* upstream/balance.c - see balance.h. */
#include "gateway/upstream/balance.h"

#include <stdlib.h>

#include "gateway/upstream/turn.h"

#define NO_RANK UINT32_MAX

/* --- the servers --- */

static void set_ring(sheaf_balance_t *balance)
{
    sheaf_ring_member_t *members = sheaf_alloc(balance->end * sizeof(*members));
    uint32_t count = 0;

    for (uint32_t i = 0; i < balance->end; i++) {
        const sheaf_server_t *server = &balance->servers[i];

        if (!server->is_vacant)
            members[count++] = (sheaf_ring_member_t){sheaf_str_of(server->name->text), server->port, i, server->weight};
    }
    sheaf_ring_fini(&balance->ring);
    sheaf_ring_init(&balance->ring, members, count);
    free(members);
}

/* What follows from who is there: at first, and when a service has changed. */
static void settle(sheaf_balance_t *balance)
{
    const sheaf_server_t *one = NULL;

    balance->present_count = 0;
    balance->is_even = true;
    for (uint32_t i = 0; i < balance->count; i++) {
        const sheaf_server_t *server = &balance->servers[i];

        if (server->is_vacant)
            continue;
        one = one != NULL ? one : server;
        balance->present_count++;
        balance->end = i + 1;
        balance->is_even &= server->weight == one->weight && server->rank == one->rank;
    }
    if (balance->kind == SHEAF_TURN_HASH)
        set_ring(balance);
}

static void on_service_changed(void *keeper)
{
    sheaf_balance_t *balance = keeper;

    settle(balance);
    if (balance->on_changed != NULL)
        balance->on_changed(balance);
}

static void on_server_left(void *keeper, sheaf_server_t *server)
{
    sheaf_balance_t *balance = keeper;

    if (balance->on_left != NULL)
        balance->on_left(balance, server);
}

static sheaf_server_t *add_service(sheaf_balance_t *balance, sheaf_server_t *gate, const sheaf_upstream_conf_t *conf,
                                   const sheaf_server_conf_t *server, struct ssl_ctx_st *context,
                                   sheaf_resolver_t *resolver)
{
    sheaf_service_t *service = &balance->services[balance->service_count++];

    sheaf_service_init(service, gate, conf, server, context, resolver);
    service->keeper = balance;
    service->on_left = on_server_left;
    service->on_changed = on_service_changed;
    return gate + SHEAF_SERVICE_SIZE;
}

void sheaf_balance_init(sheaf_balance_t *balance, const sheaf_upstream_conf_t *conf, struct ssl_ctx_st *context,
                        sheaf_resolver_t *resolver, uint64_t seed)
{
    sheaf_server_t *server;

    SHEAF_ASSERT(conf->servers.count > 0);
    *balance = (sheaf_balance_t){
        .kind = conf->balance,
        .hash = conf->hash,
        .hash_bound = conf->hash_bound,
        .chance = seed,
    };
    for (uint32_t i = 0; i < conf->servers.count; i++)
        balance->count += conf->servers.items[i].service.len != 0 ? SHEAF_SERVICE_SIZE : 1;
    balance->servers = server = sheaf_zalloc(balance->count * sizeof(*balance->servers));
    balance->services = sheaf_zalloc(conf->servers.count * sizeof(*balance->services));
    for (uint32_t i = 0; i < conf->servers.count; i++) {
        if (conf->servers.items[i].service.len != 0)
            server = add_service(balance, server, conf, &conf->servers.items[i], context, resolver);
        else
            sheaf_server_init(server++, conf, &conf->servers.items[i], context, resolver);
    }
    settle(balance);
}

void sheaf_balance_fini(sheaf_balance_t *balance)
{
    for (uint32_t i = 0; i < balance->service_count; i++)
        sheaf_service_fini(&balance->services[i]);
    for (uint32_t i = 0; i < balance->count; i++)
        sheaf_server_fini(&balance->servers[i]);
    sheaf_ring_fini(&balance->ring);
    free(balance->services);
    free(balance->servers);
}

void sheaf_balance_rebase(sheaf_balance_t *balance, const sheaf_upstream_conf_t *conf)
{
    balance->hash = conf->hash;
}

/* The lowest rank, from `least` on, that a server has; NO_RANK: none has. */
static uint32_t rank_from(const sheaf_balance_t *balance, uint32_t least)
{
    uint32_t rank = NO_RANK;

    for (uint32_t i = 0; i < balance->end; i++) {
        const sheaf_server_t *server = &balance->servers[i];

        if (!server->is_vacant && server->rank >= least && server->rank < rank)
            rank = server->rank;
    }
    return rank;
}

/* --- whose turn it is --- */

static void sum_open(sheaf_balance_t *balance)
{
    balance->open_weight = balance->open_flying = 0;
    for (uint32_t i = 0; i < balance->end; i++) {
        const sheaf_server_t *server = &balance->servers[i];

        balance->open_weight += server->is_open ? server->weight : 0;
        balance->open_flying += server->is_open ? server->flying : 0;
    }
}

/* Opens those of the lowest rank that has one which did not just refuse; when all did, those of the lowest rank. */
static void open_servers(sheaf_balance_t *balance, uint64_t now_ms)
{
    uint32_t rank = NO_RANK;
    bool are_good;

    for (uint32_t i = 0; i < balance->end; i++) {
        sheaf_server_t *server = &balance->servers[i];

        server->is_open = !sheaf_server_is_shunned(server, now_ms);
        if (server->is_open && server->rank < rank)
            rank = server->rank;
    }
    are_good = rank != NO_RANK;
    if (!are_good)
        rank = rank_from(balance, 0);
    for (uint32_t i = 0; i < balance->end; i++) {
        sheaf_server_t *server = &balance->servers[i];

        server->is_open = server->rank == rank && (are_good ? server->is_open : !server->is_vacant);
    }
    sum_open(balance);
}

/* All equal, taken in turn: no need to look at every one of them. When all just refused, the next one all the same. */
static sheaf_server_t *next_of_even(sheaf_balance_t *balance, uint64_t now_ms)
{
    uint32_t at = balance->next, chosen = NO_RANK;

    for (uint32_t i = 0; i < balance->end; i++, at++) {
        const sheaf_server_t *server;
        bool is_good;

        if (at >= balance->end) /* no division for each exchange */
            at = 0;
        server = &balance->servers[at];
        is_good = !sheaf_server_is_shunned(server, now_ms);

        if (is_good || (chosen == NO_RANK && !server->is_vacant))
            chosen = at;
        if (is_good)
            break;
    }
    balance->next = chosen + 1;
    return &balance->servers[chosen];
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
    for (uint32_t i = 0; i < balance->service_count; i++)
        sheaf_name_refresh(balance->services[i].name);
    if (balance->is_even && balance->kind == SHEAF_TURN_ROUND_ROBIN)
        return next_of_even(balance, now_ms);
    open_servers(balance, now_ms);
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
    for (uint32_t i = 0; i < balance->end && server->rank != 0; i++)
        if (balance->servers[i].rank < server->rank && !sheaf_server_is_shunned(&balance->servers[i], now_ms))
            return false;
    return true;
}

/* --- another attempt --- */

uint64_t sheaf_balance_bit(const sheaf_balance_t *balance, const sheaf_server_t *server)
{
    return (uint64_t)1 << ((server - balance->servers) & 63);
}

static sheaf_server_t *other_of(sheaf_balance_t *balance, uint32_t rank, uint64_t tried, uint64_t now_ms)
{
    for (uint32_t i = 0; i < balance->end; i++) {
        uint32_t at = (balance->other + i) % balance->end;
        sheaf_server_t *server = &balance->servers[at];

        if (server->rank != rank || (tried & sheaf_balance_bit(balance, server)) != 0 ||
            sheaf_server_is_shunned(server, now_ms))
            continue;
        balance->other = (at + 1) % balance->end;
        return server;
    }
    return NULL;
}

sheaf_server_t *sheaf_balance_other(sheaf_balance_t *balance, uint64_t tried, uint64_t now_ms)
{
    sheaf_server_t *server = NULL;

    for (uint32_t rank = rank_from(balance, 0); rank != NO_RANK && server == NULL; rank = rank_from(balance, rank + 1))
        server = other_of(balance, rank, tried, now_ms);
    return server;
}

static void open_untried(sheaf_balance_t *balance, uint32_t rank, uint64_t tried, uint64_t now_ms)
{
    for (uint32_t i = 0; i < balance->end; i++) {
        sheaf_server_t *server = &balance->servers[i];

        server->is_open = server->rank == rank && (tried & sheaf_balance_bit(balance, server)) == 0 &&
                          !sheaf_server_is_shunned(server, now_ms);
    }
    sum_open(balance);
}

/* A key has a second server, too: the one that would have it if the first were not there. */
sheaf_server_t *sheaf_balance_for(sheaf_balance_t *balance, const sheaf_exchange_t *exchange, uint64_t now_ms)
{
    sheaf_server_t *other = exchange->tried == 0 ? NULL : sheaf_balance_other(balance, exchange->tried, now_ms);
    sheaf_str_t key;

    if (other == NULL)
        return sheaf_balance_turn(balance, exchange, now_ms);
    key = balance->kind == SHEAF_TURN_HASH ? key_of(&balance->hash, exchange) : SHEAF_STR_NONE;
    if (key.len == 0)
        return other;
    open_untried(balance, other->rank, exchange->tried, now_ms);
    return sheaf_turn_hash(balance, key);
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

/* Among the servers of `rank`, from `first` on. */
static sheaf_pick_t pick_among(sheaf_balance_t *balance, uint32_t first, uint32_t rank, uint64_t good_at_ms,
                               sheaf_tried_t *tried, sheaf_server_t **ret_server, sheaf_sockaddr_t *ret_address)
{
    for (uint32_t i = 0; i < balance->end; i++) {
        uint32_t at = (first + i) % balance->end;
        sheaf_server_t *server = &balance->servers[at];
        const sheaf_peer_t *peer;

        if (server->is_vacant || server->rank != rank || (good_at_ms != UINT64_MAX && sheaf_server_is_out(server)))
            continue;
        *ret_server = server;
        if (sheaf_server_unknown(server) != NULL)
            return SHEAF_PICK_LOOKUP;
        if (sheaf_name_has_failed(server->name))
            memcpy(balance->detail, server->name->detail, sizeof(balance->detail));
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

/* Its own rank was chosen for a reason: a second attempt, or the others refuse. At last those that refused, too. */
sheaf_pick_t sheaf_balance_pick(sheaf_balance_t *balance, sheaf_server_t *server, uint64_t now_ms, sheaf_tried_t *tried,
                                sheaf_server_t **ret_server, sheaf_sockaddr_t *ret_address)
{
    uint32_t first = (uint32_t)(server - balance->servers), rank;
    sheaf_pick_t pick = pick_among(balance, first, server->rank, now_ms, tried, ret_server, ret_address);

    for (rank = rank_from(balance, 0); pick == SHEAF_PICK_NONE && rank != NO_RANK; rank = rank_from(balance, rank + 1))
        pick = pick_among(balance, first, rank, now_ms, tried, ret_server, ret_address);
    for (rank = rank_from(balance, 0); pick == SHEAF_PICK_NONE && rank != NO_RANK; rank = rank_from(balance, rank + 1))
        pick = pick_among(balance, first, rank, UINT64_MAX, tried, ret_server, ret_address);
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
    if (server->is_vacant)
        return false;
    if (server->service != NULL)
        sheaf_name_refresh(server->service);
    sheaf_name_refresh(server->name);
    if (*version == server->name->version)
        return true;
    sheaf_server_refresh(server);
    *version = server->version;
    return sheaf_server_peer(server, address) != NULL;
}
