/* upstream/handshake.h - a conn from its address until it is open: the socket connects, and TLS where it is spoken.
 *
 * It ends with on_open or on_dial_failed, within one time for both. */
#ifndef SHEAF_UPSTREAM_HANDSHAKE_H
#define SHEAF_UPSTREAM_HANDSHAKE_H

#include "gateway/upstream/conn.h"

/* Connects to conn->address, and secures it, within `timeout_ms`; on_open or on_dial_failed follows. When the system refuses
 * at once the uv error is returned, and neither follows. */
int sheaf_handshake_begin(sheaf_conn_t *conn, uint64_t timeout_ms);

/* What a uv error of dialing means to an exchange. */
sheaf_err_t sheaf_handshake_err(int status);

/* --- for the rooms of a conn --- */

/* The deadline of a conn that dials struck. */
void sheaf_handshake_late(sheaf_conn_t *conn);
/* TLS has read something of the backend's, and is in conn->tls' state now. */
void sheaf_handshake_go_on(sheaf_conn_t *conn);
/* The handshake of TLS came to nothing. */
void sheaf_handshake_fail(sheaf_conn_t *conn, sheaf_err_t err, const char *detail);

#endif
