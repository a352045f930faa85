/* upstream/writing.h - the writing side of a conn: one write where the socket takes all, and pieces where not.
 *
 *   head and body --> socket takes all            the usual case: one syscall, nothing is copied that is not small
 *                 \-> it takes a part: conn->unsent is the rest of the body
 *                       a copy of its next piece waits in libuv --written--> what the socket takes at once, and so on
 *
 * A backend that reads slowly holds a piece, not a body: only the piece is ours, conn->unsent is the exchange's and
 * forgotten when that alights. While any of a request is still to be written, conn->is_writing. Requests that stand behind
 * others are gathered in the outbox for as long as the turn of the loop lasts. */
#ifndef SHEAF_UPSTREAM_WRITING_H
#define SHEAF_UPSTREAM_WRITING_H

#include "gateway/upstream/conn.h"

/* Writes what the socket takes of `bytes` at once, and a copy of the rest through libuv (conn->is_writing until that is
 * done). A uv error, or 0. */
int sheaf_writing_put(sheaf_conn_t *conn, const char *bytes, size_t len);

/* Writes the request of `exchange`, through TLS where the conn speaks it. A uv error, or 0; conn->has_written tells whether
 * any of it went out. */
int sheaf_writing_request(sheaf_conn_t *conn, const sheaf_exchange_t *exchange);

/* Of one that stands behind others (pipelining): what is asked in one turn of the loop leaves in one write. It has no
 * body. */
void sheaf_writing_request_soon(sheaf_conn_t *conn, const sheaf_exchange_t *exchange);
/* Now. When it fails the conn takes no other one, and reading tells the rest. */
void sheaf_writing_flush(sheaf_conn_t *conn);
/* Never: the conn is being closed. */
void sheaf_writing_discard(sheaf_conn_t *conn);

/* Its large request, which the conn has all of, is still on its way, or was when this was asked last, and more of it has
 * been acknowledged since; the first time, some is left. A slow line is no silence of the backend's; one that takes nothing is.
 * A small request never drains: who swallows it is found out at once. One syscall. */
bool sheaf_writing_drains(sheaf_flight_t *flight);

/* Nobody wants the rest of the body any more, if there is one. What the backend has of it is no whole request: the conn
 * takes no other. */
void sheaf_writing_forget(sheaf_conn_t *conn);

#endif
