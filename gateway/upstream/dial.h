/* upstream/dial.h - from a server to an open conn: one conn per address, until one accepts, all are tried, or the deadline
 * of the exchange strikes.
 *
 * A name is asked for first where it is not known. When the addresses of a server are used up those of another one follow. */
#ifndef SHEAF_UPSTREAM_DIAL_H
#define SHEAF_UPSTREAM_DIAL_H

#include "gateway/upstream/group.h"

/* A new conn to `server`, with `exchange` aboard. The group hears on_open; or the exchange rests or ends here, never from
 * inside. */
void sheaf_dial(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_server_t *server);

/* A new conn with nobody aboard, counted and as the configuration has it; not dialed yet. */
sheaf_conn_t *sheaf_dial_conn(sheaf_group_t *group, sheaf_server_t *server);

/* What the group does on_dial_failed: the next address, for all aboard. */
void sheaf_dial_failed(sheaf_conn_t *conn, sheaf_err_t err, const char *detail);

#endif
