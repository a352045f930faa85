/* config/certificate.h - certificates and keys out of PEM files.
 *
 * A failure's detail is what is wrong with the file, to be said after its name: "holds no certificate". */
#ifndef SHEAF_CONFIG_CERTIFICATE_H
#define SHEAF_CONFIG_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <time.h>

#include "gateway/base/error.h"

typedef struct sheaf_certificate {
    X509 *leaf;
    STACK_OF(X509) * chain; /* those between it and a root, in the order of the file */
    EVP_PKEY *key;
} sheaf_certificate_t;

/* All certificates of `pem`: the first is the leaf. Other blocks (a key) are passed over. */
sheaf_err_t sheaf_certificate_read_chain(sheaf_str_t pem, sheaf_certificate_t *ret_certificate, sheaf_fail_t *fail);

/* The first private key of `pem`; it must be the one of the leaf. */
sheaf_err_t sheaf_certificate_read_key(sheaf_str_t pem, sheaf_certificate_t *certificate, sheaf_fail_t *fail);

/* Is `now` within the time that `x509` is good for? */
sheaf_err_t sheaf_certificate_check_time(const X509 *x509, time_t now, sheaf_fail_t *fail);

/* Calls `each` with every host name (a leading "*." is a wildcard) that the leaf is for: the DNS names of its subject
 * alternative names, or its common name when it has none of any kind (RFC 6125 6.4.4). */
void sheaf_certificate_names(const sheaf_certificate_t *certificate, void (*each)(void *data, sheaf_str_t name),
                             void *data);

/* All certificates of `pem`, at least one. */
sheaf_err_t sheaf_authorities_read(sheaf_str_t pem, STACK_OF(X509) * *ret_authorities, sheaf_fail_t *fail);

/* Frees what it holds; a zeroed one is fine. */
void sheaf_certificate_fini(sheaf_certificate_t *certificate);

#endif
