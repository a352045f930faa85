/* upstream/balance.h - which server of an upstream is next, and which of its addresses.
 *
 * Among the servers that are open the upstream's `balance` chooses (turn.h). Open are those of the lowest rank that did
 * not just refuse (no backups, then the priorities of services, then backups); when all did, all of the lowest rank.
 * Servers of a service come and go (service.h), others are as the configuration has them. The addresses of a server
 * whose name has several are taken in turn. An address that just refused is passed over for two seconds when another
 * one exists, and so is a server whose name was not found; then one exchange tries it, and the rest follows once it
 * took the connection: a server that swallows what is sent costs one of them a timeout, not all. Pure but for the
 * names, which it holds. */
#ifndef SHEAF_UPSTREAM_BALANCE_H
#define SHEAF_UPSTREAM_BALANCE_H

#include "gateway/http/exchange.h"
#include "gateway/upstream/ring.h"
#include "gateway/upstream/service.h"

typedef struct sheaf_balance {
    sheaf_server_t *servers;
    uint32_t count;                                                         /* with those that are vacant */
    uint32_t present_count;                                                 /* without; at least one */
    void (*on_left)(struct sheaf_balance *balance, sheaf_server_t *server); /* may be NULL: it is vacant from now on */
    void (*on_changed)(struct sheaf_balance *balance);                      /* may be NULL: others are there */
    void (*on_back)(struct sheaf_balance *balance); /* may be NULL: one that was left out may be taken again */
    char detail[96];                                /* why a name was not found last */
    sheaf_service_t *services;                      /* private, as all below */
    uint32_t service_count;
    uint32_t end;   /* all behind it are vacant */
    uint32_t next;  /* whose turn it is where all are equal */
    uint32_t other; /* turns of second attempts: they do not upset those of first ones */
    bool is_even;   /* equal weights, one rank */
    uint8_t kind;   /* SHEAF_TURN_... */
    sheaf_hash_by_t hash;
    uint64_t hash_bound; /* percent */
    sheaf_ring_t ring;   /* empty unless SHEAF_TURN_HASH */
    uint64_t chance;
    uint64_t open_weight, open_flying; /* of the open ones together */
} sheaf_balance_t;

/* What one exchange has tried. A bit stands for a peer; where two share one, a second chance is lost, no more. */
typedef uint64_t sheaf_tried_t;

typedef enum sheaf_pick {
    SHEAF_PICK_PEER,   /* dial it */
    SHEAF_PICK_LOOKUP, /* ask for what is unknown of the server (sheaf_server_unknown), then pick again */
    SHEAF_PICK_NONE,   /* everything was tried; of names that were not found balance->detail tells */
} sheaf_pick_t;

/* `conf` must live as long, or an equal one take its place; `context` is for servers that speak TLS, NULL when there is
 * none; `seed` is where chance begins. */
void sheaf_balance_init(sheaf_balance_t *balance, const sheaf_upstream_conf_t *conf, struct ssl_ctx_st *context,
                        sheaf_resolver_t *resolver, uint64_t seed);
void sheaf_balance_fini(sheaf_balance_t *balance);

/* An equal configuration (sheaf_upstream_conf_eq): the old one can go. */
void sheaf_balance_rebase(sheaf_balance_t *balance, const sheaf_upstream_conf_t *conf);

/* The server whose turn it is to take `exchange`. */
sheaf_server_t *sheaf_balance_turn(sheaf_balance_t *balance, const sheaf_exchange_t *exchange, uint64_t now_ms);

/* The server for `exchange`: one that did not fail it yet where it was sent before and there is one, the next one on the ring
 * where it has a key; else whose turn it is. */
sheaf_server_t *sheaf_balance_for(sheaf_balance_t *balance, const sheaf_exchange_t *exchange, uint64_t now_ms);

/* The next server, for another attempt, that is neither in `tried` (a bit for each) nor shunned, backups last; or NULL. */
sheaf_server_t *sheaf_balance_other(sheaf_balance_t *balance, uint64_t tried, uint64_t now_ms);
/* The bit of a server; where more than 64 share them, a second choice is lost, no more. */
uint64_t sheaf_balance_bit(const sheaf_balance_t *balance, const sheaf_server_t *server);

/* May a conn of `server` that got free take what waits, without asking whose turn it is? Not where keys have servers,
 * and not a backup once it is not needed any more. */
bool sheaf_balance_suits(const sheaf_balance_t *balance, const sheaf_server_t *server, uint64_t now_ms);

/* The address to dial: of `server` if one is left there, else of those after it; first those of its rank, those that just
 * refused or are left out last. Marks it as tried. */
sheaf_pick_t sheaf_balance_pick(sheaf_balance_t *balance, sheaf_server_t *server, uint64_t now_ms, sheaf_tried_t *tried,
                                sheaf_server_t **ret_server, sheaf_sockaddr_t *ret_address);

/* An address of `server` to dial beside `other`, which takes long: not tried, did not just refuse, of the other family
 * before any. False: there is none. */
bool sheaf_balance_pick_beside(sheaf_balance_t *balance, sheaf_server_t *server, const sheaf_sockaddr_t *other,
                               uint64_t now_ms, sheaf_tried_t *tried, sheaf_sockaddr_t *ret_address);

/* Does the server's name still have this address? Looks it up again when it is time; `*version` is the answer for which
 * the caller knew it, and becomes the newest one. */
bool sheaf_balance_has(sheaf_server_t *server, const sheaf_sockaddr_t *address, uint32_t *version);

/* An address did or did not take a connection. */
void sheaf_balance_note(sheaf_server_t *server, const sheaf_sockaddr_t *address, bool is_good, uint64_t now_ms);

#endif
