/* upstream/place.h - which conn an exchange that may fly gets: one that is idle or takes more, or a new one.
 *
 * That of the server whose turn it is. At the limit of conns the next of the line takes what gets free at any server; with
 * balance: hash, and on a backup that is not needed any more, the turn is asked again, and an idle conn makes room for one to
 * the wanted server. While a server is dialed that spoke HTTP/2 last, or may for all that is known (https://, none
 * opened yet), others come aboard that conn instead of dialing their own; those that it has no room for when it opens
 * are placed anew. */
#ifndef SHEAF_UPSTREAM_PLACE_H
#define SHEAF_UPSTREAM_PLACE_H

#include "gateway/upstream/group.h"

/* One more may fly, and there is a conn for `exchange`, or room for a new one. */
bool sheaf_place_is_free(sheaf_group_t *group, const sheaf_exchange_t *exchange);
/* So it is for any exchange, and it would stand behind none. */
bool sheaf_place_has_own(sheaf_group_t *group);

/* Sends `exchange`, which was admitted, to the server whose turn it is; only when a place is free. */
void sheaf_place(sheaf_group_t *group, sheaf_exchange_t *exchange);

/* Sends it on `conn`, which was taken from the stock or has just got free. */
void sheaf_place_on(sheaf_group_t *group, sheaf_conn_t *conn, sheaf_exchange_t *exchange);

/* Sends it to `server` if that takes nothing from anybody: nobody waits, one more may fly, and there is a conn that takes
 * it or room for a new one. False: not so, nothing happened. It may be over when this returns. */
bool sheaf_place_spare(sheaf_group_t *group, sheaf_exchange_t *exchange, sheaf_server_t *server);

/* It waits in the line until a place is free, if it may; else it ends, by way of the soon-queue. */
void sheaf_place_wait(sheaf_group_t *group, sheaf_exchange_t *exchange);

/* A flight on a conn that turned out to have no room for it: it alights, if it has not. Its exchange had its turn: it goes on
 * where there is a conn for it, and waits before all that came later where there is none. */
void sheaf_place_anew(sheaf_group_t *group, sheaf_flight_t *flight);

#endif
