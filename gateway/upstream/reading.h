/* upstream/reading.h - the reading side of a conn: what the socket brings goes through TLS, where it is spoken, to the
 * protocol, and from there to the sink of the exchange that it answers.
 *
 * All that one read brought is made plain before the protocol sees any of it: so a conn is kept only when nothing came
 * behind the answer, not even a goodbye, and EOF without close_notify ends no answer. Bodies pass as they come: gzip is made
 * plain by the item that asked (batch/item.c).
 *
 *   streamed, HTTP/1.1:   read ... read --half the window is unused--> paused --credit--> read ...
 *
 * A conn is read only while there is room for all that one read may bring, so nothing is kept here: what the owner has no
 * room for stays in the socket. An end of any kind, the answer's, the exchange's or the conn's, ends the pause with it.
 * HTTP/2 pauses a stream and not its conn, see streams.h. */
#ifndef SHEAF_UPSTREAM_READING_H
#define SHEAF_UPSTREAM_READING_H

#include "gateway/upstream/conn.h"

/* From now on until the conn is closed, but for pauses. A uv error, or 0. */
int sheaf_reading_start(sheaf_conn_t *conn);

/* What its owner has of the answer is more, or less: the conn pauses, or reads on. Nothing is read from inside. */
void sheaf_reading_settle(sheaf_conn_t *conn);

#endif
