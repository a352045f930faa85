/* upstream/race.h - a second dial beside one that takes long (RFC 8305 5).
 *
 *   dial 1 ----------- 250 ms ----> still dialing: dial 2, to another address of the name, of the other family if it has one
 *                                   the first that opens carries the exchange, the other is closed
 *
 * Of a name with several addresses some may lead nowhere (IPv6 that is announced but not routed): that must not cost a
 * connect timeout. Both conns know each other (conn->rival); the one that has the exchange leads, and when it fails the
 * other one leads. Who was overtaken is passed over for a while, as if it had refused. */
#ifndef SHEAF_UPSTREAM_RACE_H
#define SHEAF_UPSTREAM_RACE_H

#include "gateway/upstream/group.h"

#define SHEAF_RACE_AFTER_MS 250 /* RFC 8305 8: Connection Attempt Delay */

/* `conn`, which has its group's exchange, dials: get ready for a rival. */
void sheaf_race_begin(sheaf_conn_t *conn);

/* `conn` opened: it has the exchange from now on, and no rival. */
void sheaf_race_won(sheaf_conn_t *conn);

/* `conn` failed to open. True when its rival goes on with the exchange: `conn` is closed then. */
bool sheaf_race_lost(sheaf_conn_t *conn);

/* Closes the rival, if there is one: nobody needs it any more. */
void sheaf_race_end(sheaf_conn_t *conn);

#endif
