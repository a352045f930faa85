/* upstream/reading.h - the reading side of a conn: what the socket brings goes through TLS, where it is spoken, to the
 * protocol, and from there to the sink of the exchange that it answers.
 *
 * All that one read brought is made plain before the protocol sees any of it: so a conn is kept only when nothing came
 * behind the answer, not even a goodbye, and EOF without close_notify ends no answer. Bodies pass as they come: gzip is made
 * plain by the item that asked (batch/item.c). */
#ifndef SHEAF_UPSTREAM_READING_H
#define SHEAF_UPSTREAM_READING_H

#include "gateway/upstream/conn.h"

/* From now on until the conn is closed. A uv error, or 0. */
int sheaf_reading_start(sheaf_conn_t *conn);

#endif
