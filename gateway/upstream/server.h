/* upstream/server.h - one server of an upstream: where it is, and how it fares.
 *
 * Its name leads to addresses (peers); what is known of one of them stays known while the name has it. A server lives as
 * long as its balance, at one place, so that conns may point at it; one that belongs to a service may be vacant, and
 * become another one (service.h). Pure but for its names, which it holds. */
#ifndef SHEAF_UPSTREAM_SERVER_H
#define SHEAF_UPSTREAM_SERVER_H

#include "config/snapshot.h"
#include "gateway/upstream/outlier.h"
#include "gateway/upstream/resolve.h"
#include "gateway/upstream/tls.h"

#define SHEAF_SERVER_SHUN_MS     2000  /* that an address which refused is passed over, if there is another one */
#define SHEAF_SERVER_RANK_BACKUP 65536 /* behind all priorities of a service */

typedef struct sheaf_peer {
    sheaf_sockaddr_t address; /* with the port */
    uint64_t shunned_until_ms;
} sheaf_peer_t;

typedef struct sheaf_server {
    sheaf_name_t *name;    /* the service's, for its gate and what was never a server */
    sheaf_name_t *service; /* NULL: it stands in the configuration by itself */
    uint16_t port;
    sheaf_str_t label;       /* what logs call it, owned: host and port, or the path of its socket */
    sheaf_str_t host_line;   /* " HTTP/1.1\r\nhost: AUTHORITY\r\n", owned */
    sheaf_tls_peer_t *tls;   /* NULL: clear text */
    sheaf_link_t roomy;      /* conns that are not idle and take more, see sheaf_conn_has_room(); the stock's */
    bool may_be_h2;          /* the last conn that was opened to it spoke HTTP/2, or (TLS) none was opened yet */
    uint32_t takes_streams;  /* at once on an HTTP/2 conn, as it said last, at least 1; 0: it has not said yet */
    sheaf_link_t idle;       /* idle conns, most recently used first; the stock's */
    sheaf_outlier_t outlier; /* how it fares; not taken while it is ejected and another one is there */
    uint32_t flying;         /* exchanges on its conns; conn.c counts */
    uint32_t conn_count;     /* that are not closed; conn.c counts */
    uint32_t weight;
    uint32_t rank;  /* those of a higher one are asked only while none of a lower one can be: 0, priorities, backups */
    bool is_vacant; /* of a service: there is no such server, now */
    bool is_gate;   /* of a service: stands for it while it has none */
    bool is_unhealthy;       /* its probes say so, and not all of the upstream are; see monitor.h */
    bool is_open;            /* balance's: may be chosen right now */
    int64_t credit;          /* turn's: of smooth round robin */
    uint64_t quiet_until_ms; /* blame's: no line of it before, and */
    uint32_t unsaid;         /* those that were left out */
    uint32_t version;        /* private, as all below: of the name's answer in `peers`; of a gate: in its slots */
    uint32_t next;           /* whose turn it is, of its peers */
    uint32_t peer_count;
    sheaf_peer_t *peers;
} sheaf_server_t;

/* `context` is for servers that speak TLS, NULL when there is none. */
void sheaf_server_init(sheaf_server_t *server, const sheaf_upstream_conf_t *upstream, const sheaf_server_conf_t *conf,
                       struct ssl_ctx_st *context, sheaf_resolver_t *resolver);
void sheaf_server_fini(sheaf_server_t *server);

/* Makes `borrower` the same server for conns that are none of its balance's: where it is, by which name it is trusted and how
 * it is asked is lent by `server`, which must not become another one meanwhile; addresses, whose turn it is among them, and
 * counts are its own. Zeroed at first, after that it borrows the same one; it has no conns. Its `peers` are for free(). */
void sheaf_server_borrow(sheaf_server_t *borrower, const sheaf_server_t *server);

/* A vacant one, of a service, that no conn points at: becomes the server at `host` and `port`, of which nothing is known. */
void sheaf_server_move(sheaf_server_t *server, sheaf_resolver_t *resolver, sheaf_str_t host, uint16_t port);

/* The name that must be looked up before its addresses are known, or NULL: none. */
sheaf_name_t *sheaf_server_unknown(const sheaf_server_t *server);

/* Takes over a new answer of its name. */
void sheaf_server_refresh(sheaf_server_t *server);

/* The peer with this address, or NULL. */
sheaf_peer_t *sheaf_server_peer(const sheaf_server_t *server, const sheaf_sockaddr_t *address);

/* It is left out: not taken while another one is there, and none of its conns is kept. */
static inline bool sheaf_server_is_out(const sheaf_server_t *server)
{
    return server->outlier.is_ejected || server->is_unhealthy;
}

/* It is vacant, left out, was not found just now, or all of its addresses refused just now. */
bool sheaf_server_is_shunned(const sheaf_server_t *server, uint64_t now_ms);

#endif
