/* front/tls.h - TLS with one client: the handshake, what it agreed on, and how it fails.
 *
 *   accepted --> handshake --> HTTP/2 or HTTP/1.1, as ALPN says; HTTP/1.1 without
 *                    \-> refused (an alert says why), too late (pace.h), client gone
 *
 * libh2o does the records. We start its handshake ourselves instead of by h2o_accept, because that counts nothing, has a
 * timer of its own, and closes a failed handshake without the alert that OpenSSL made: the client would see a
 * connection that just ends. */
#ifndef SHEAF_FRONT_TLS_H
#define SHEAF_FRONT_TLS_H

#include "gateway/front/client.h"
#include "gateway/front/identity.h"
#include "gateway/front/tickets.h"

/* Adds to a context of the configuration what is the front's: ALPN, tickets, and a way back to the client. Before its
 * first connection; more than once is fine. `tickets` NULL: none. */
void sheaf_tls_prepare(SSL_CTX *context, sheaf_tickets_t *tickets);

/* Begins a freshly accepted `client` with a handshake; sets client->tls. */
void sheaf_tls_start(sheaf_client_t *client, SSL_CTX *context, h2o_accept_ctx_t *accept);

/* Its socket is closed: frees client->tls, which may be NULL. */
void sheaf_tls_end(sheaf_client_t *client);

/* No handshake and no part of a record is under way; true in clear text. */
bool sheaf_tls_is_still(const sheaf_client_t *client);

/* "TLSv1.3", a constant; NULL in clear text. */
const char *sheaf_tls_version(const sheaf_client_t *client);

/* Whom the client's certificate names; NULL: it showed none. Held by the connection. */
const sheaf_identity_t *sheaf_tls_identity(const sheaf_client_t *client);

#endif
