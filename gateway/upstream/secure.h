/* upstream/secure.h - the writing side of a conn that speaks TLS: between its exchange and its socket.
 *
 * Head and small body are one record and one write. A large body is sealed piece by piece, the next one when the socket
 * has taken the last: a slow backend holds one piece, not a body. */
#ifndef SHEAF_UPSTREAM_SECURE_H
#define SHEAF_UPSTREAM_SECURE_H

#include "gateway/upstream/conn.h"

/* Seals `bytes`, and goes on with conn->unsent. A uv error, or 0. */
int sheaf_secure_write(sheaf_conn_t *conn, const char *bytes, size_t len);

/* Sends what TLS has to say and seals more of the body, until all is done or something is on its way. */
int sheaf_secure_flush(sheaf_conn_t *conn);

/* Says goodbye, as far as the socket takes it. */
void sheaf_secure_end(sheaf_conn_t *conn);

#endif
