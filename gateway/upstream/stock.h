/* upstream/stock.h - the conns of a group: how many there are, and those that rest.
 *
 * Each server has a list of its idle conns, most recently used first, so that what is not needed grows old and goes.
 * All of them share one deadline: a conn that is used all the time costs no timer. */
#ifndef SHEAF_UPSTREAM_STOCK_H
#define SHEAF_UPSTREAM_STOCK_H

#include "gateway/upstream/conn.h"
#include "gateway/upstream/pipeline.h"

typedef struct sheaf_stock {
    sheaf_conn_env_t *env;
    sheaf_upstats_t *upstats; /* of its upstream: also for triage and monitor; may be NULL */
    sheaf_balance_t *balance;
    uint32_t conn_count; /* all but closing ones */
    uint32_t idle_count;
    uint32_t roomy_count;                   /* busy ones that take more, or did lately */
    uint32_t piped_count;                   /* busy ones that take one more behind those they have, or did lately, */
    sheaf_link_t piped[SHEAF_PIPELINE_MAX]; /* by how many they have; last filed at the end */
    sheaf_deadline_t sweep;                 /* the earliest end of an idle conn, or earlier */
} sheaf_stock_t;

void sheaf_stock_init(sheaf_stock_t *stock, sheaf_conn_env_t *env, sheaf_upstats_t *upstats, sheaf_balance_t *balance);
/* Closes what is idle; nothing else may be left. */
void sheaf_stock_fini(sheaf_stock_t *stock);

/* Closes a conn, whatever it does. It stays readable until its close callback. */
void sheaf_stock_let_go(sheaf_stock_t *stock, sheaf_conn_t *conn);
/* Closes the idle conns of a server. */
void sheaf_stock_clear(sheaf_stock_t *stock, sheaf_server_t *server);

/* How long the backend will surely keep it, `most_ms` at most: a second less than it says, so that no request crosses
 * its close; 0 when there is no such server any more. */
uint64_t sheaf_stock_keep_ms(const sheaf_conn_t *conn, uint64_t most_ms);
/* Lets a conn rest for `kept_ms` at most. */
void sheaf_stock_put(sheaf_stock_t *stock, sheaf_conn_t *conn, uint64_t kept_ms);
/* A busy conn of `server` that takes more, or the most recently used idle conn (or one of any, where it may be any
 * server's and that one is not left out and did not fail the exchange yet) that is good for `exchange`, or NULL. */
sheaf_conn_t *sheaf_stock_take(sheaf_stock_t *stock, sheaf_server_t *server, const sheaf_exchange_t *exchange);
sheaf_conn_t *sheaf_stock_take_any(sheaf_stock_t *stock, const sheaf_exchange_t *exchange);
/* A busy conn of whatever server that takes more, or NULL: where no other one may be opened. Of one that is left out
 * only when all are. It stays where it is. */
sheaf_conn_t *sheaf_stock_take_shared(sheaf_stock_t *stock);
/* The conn with the fewest flights that takes `exchange` behind them, of `server` (may be NULL) or of one that may stand in
 * for it; where there is none: NULL, or, when it is not choosy, one of whatever server. */
sheaf_conn_t *sheaf_stock_find_piped(sheaf_stock_t *stock, const sheaf_server_t *server,
                                     const sheaf_exchange_t *exchange, bool is_choosy);
/* Puts a conn that is not idle where those that take more are found, if it does. Call it when that may have changed. */
void sheaf_stock_file(sheaf_stock_t *stock, sheaf_conn_t *conn);
/* The same for all conns of a server: what it speaks is known now. */
void sheaf_stock_file_all(sheaf_stock_t *stock, sheaf_server_t *server);
/* Lets the idle conn go that rested longest at its server, if there is one: another server needs its place. */
void sheaf_stock_make_room(sheaf_stock_t *stock);

#endif
