/* upstream/balance.h - which server of an upstream is next, and which of its addresses.
 *
 * Servers are taken in turn, and so are the addresses of a server whose name has several. An address that just refused
 * is passed over for two seconds when another one exists. Pure but for the names, which it holds. */
#ifndef SHEAF_UPSTREAM_BALANCE_H
#define SHEAF_UPSTREAM_BALANCE_H

#include "config/snapshot.h"
#include "gateway/upstream/outlier.h"
#include "gateway/upstream/resolve.h"

#define SHEAF_BALANCE_SHUN_MS 2000

typedef struct sheaf_peer {
    sheaf_sockaddr_t address; /* with the port */
    uint64_t shunned_until_ms;
} sheaf_peer_t;

typedef struct sheaf_server {
    sheaf_name_t *name;
    uint16_t port;
    sheaf_str_t host_line;   /* " HTTP/1.1\r\nhost: AUTHORITY\r\n", owned */
    sheaf_link_t idle;       /* idle conns, most recently used first; the group's */
    uint32_t version;        /* of the name's answer in `peers` */
    sheaf_outlier_t outlier; /* how it fares; not taken while it is ejected and another one is there */
    uint32_t next;           /* whose turn it is */
    uint32_t peer_count;
    sheaf_peer_t peers[SHEAF_NAME_MAX_ADDRESSES];
} sheaf_server_t;

typedef struct sheaf_balance {
    sheaf_server_t *servers;
    uint32_t count;
    uint32_t next;
    uint32_t other; /* turns of second attempts: they do not upset those of first ones */
} sheaf_balance_t;

/* What one exchange has tried. A bit stands for a peer; where two share one, a second chance is lost, no more. */
typedef uint64_t sheaf_tried_t;

typedef enum sheaf_pick {
    SHEAF_PICK_PEER,   /* dial it */
    SHEAF_PICK_LOOKUP, /* ask for the server's name first, then pick again */
    SHEAF_PICK_NONE,   /* everything was tried */
} sheaf_pick_t;

void sheaf_balance_init(sheaf_balance_t *balance, const sheaf_upstream_conf_t *conf, sheaf_resolver_t *resolver);
void sheaf_balance_fini(sheaf_balance_t *balance);

/* The server whose turn it is. */
sheaf_server_t *sheaf_balance_turn(sheaf_balance_t *balance, uint64_t now_ms);

/* The server for an attempt after those in `tried` (a bit for each): another one that is not shunned, where there is
 * one, else the one whose turn it is. */
sheaf_server_t *sheaf_balance_other(sheaf_balance_t *balance, uint64_t tried, uint64_t now_ms);
/* The bit of a server; where more than 64 share them, a second choice is lost, no more. */
uint64_t sheaf_balance_bit(const sheaf_balance_t *balance, const sheaf_server_t *server);

/* The address to dial: of `server` if one is left there, else of those after it. Marks it as tried. */
sheaf_pick_t sheaf_balance_pick(sheaf_balance_t *balance, sheaf_server_t *server, uint64_t now_ms, sheaf_tried_t *tried,
                                sheaf_server_t **ret_server, sheaf_sockaddr_t *ret_address);

/* An address did or did not take a connection. */
void sheaf_balance_note(sheaf_server_t *server, const sheaf_sockaddr_t *address, bool is_good, uint64_t now_ms);

#endif
