/* front/identity.h - whom a client's certificate names.
 *
 * Read once, when the handshake is over; the connection and every visit on it hold it, because a batch may outlive its
 * connection and its log line names the client. */
#ifndef SHEAF_FRONT_IDENTITY_H
#define SHEAF_FRONT_IDENTITY_H

#include <openssl/ssl.h>

#include "gateway/batch/batch.h"

#define SHEAF_IDENTITY_NAMES_MOST 64

/* The identity behind a finished handshake, held once; NULL when the client showed no certificate. A resumed session
 * brings back the certificate of the first handshake. */
const sheaf_identity_t *sheaf_identity_of(const SSL *ssl);

/* NULL is fine for both. */
const sheaf_identity_t *sheaf_identity_hold(const sheaf_identity_t *identity);
void sheaf_identity_drop(const sheaf_identity_t *identity);

#endif
