/* upstream/streams.h - a conn that speaks HTTP/2: between its flights and the room h2.
 *
 * Every flight is a stream. Requests that start in one turn of the loop leave in one write; the socket decides how much of
 * them is taken from h2. Bytes of an answer count as used up when its sink has had them; those of a streamed one, for its
 * own stream, when its owner gives them back: so that waits alone. A stream that nobody waits for is
 * reset and the conn stays; what fails the conn ends every flight on it, each with what is known of it. */
#ifndef SHEAF_UPSTREAM_STREAMS_H
#define SHEAF_UPSTREAM_STREAMS_H

#include "gateway/upstream/conn.h"

/* The conn, which is connected (and secured), speaks HTTP/2 from here on. */
void sheaf_streams_open(sheaf_conn_t *conn);
/* Begins the stream of a flight; false: there is no room for it. */
bool sheaf_streams_start(sheaf_flight_t *flight);
/* The owner of its exchange has used up `len` bytes of the answer. */
void sheaf_streams_credit(sheaf_flight_t *flight, size_t len);
/* The flight ends on this side: its stream is reset, where it is not over. */
void sheaf_streams_forget(sheaf_flight_t *flight);
/* Once nobody is aboard: others may still come. */
bool sheaf_streams_can_stay(const sheaf_conn_t *conn);
/* Plain text from the backend. */
void sheaf_streams_take(sheaf_conn_t *conn, const char *bytes, size_t len);
/* It is over with the conn: all flights end. */
void sheaf_streams_fail(sheaf_conn_t *conn, const char *detail);
/* From the loop, when the socket takes bytes again: writes what there is to say, and tells what comes of it. */
void sheaf_streams_go_on(sheaf_conn_t *conn);
/* The conn's deadline struck: flights that were silent for too long end, and a backend that is silent is asked (PING). */
void sheaf_streams_watch(sheaf_conn_t *conn);
/* Says goodbye, as far as the socket takes it. */
void sheaf_streams_end(sheaf_conn_t *conn);

#endif
