/* config/sni.h - the certificates of one listener, and which of them a client is shown.
 *
 * The name that a client asks for (RFC 6066 3) picks: those that carry it exactly, else those whose wildcard covers it
 * (one label, the leftmost), else the first. Of several with different kinds of keys OpenSSL takes the one that the
 * client can verify; of several of one kind the first counts. */
#ifndef SHEAF_CONFIG_SNI_H
#define SHEAF_CONFIG_SNI_H

#include <openssl/ssl.h>

#include "config/certificate.h"

/* Gives `context` the `count` certificates at `certificates` (their content is taken over, freed with the context).
 * Fails when OpenSSL will not use one, with its index in `*ret_bad`. */
sheaf_err_t sheaf_sni_install(SSL_CTX *context, const sheaf_certificate_t *certificates, uint32_t count,
                              uint32_t *ret_bad, sheaf_fail_t *fail);

/* The indices of those that `name` picks, at most `room`; 0: nothing matches. For tests too. */
uint32_t sheaf_sni_pick(const SSL_CTX *context, sheaf_str_t name, uint32_t *ret_indices, uint32_t room);

#endif
