/* upstream/writing.h - the writing side of a conn: one write where the socket takes all, a copy of the rest where not. */
#ifndef SHEAF_UPSTREAM_WRITING_H
#define SHEAF_UPSTREAM_WRITING_H

#include "gateway/upstream/conn.h"

/* Writes `total` bytes: what the socket takes at once, and a copy of the rest through libuv (conn->is_writing until that
 * is done). A uv error, or 0. */
int sheaf_writing_put(sheaf_conn_t *conn, const uv_buf_t *bufs, unsigned count, size_t total);

/* Writes the request of `exchange`, through TLS where the conn speaks it. A uv error, or 0; conn->has_written tells whether
 * any of it went out. */
int sheaf_writing_request(sheaf_conn_t *conn, const sheaf_exchange_t *exchange);

#endif
