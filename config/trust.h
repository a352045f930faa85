/* config/trust.h - how an upstream's servers are spoken to over TLS: its `tls` section as a context of OpenSSL.
 *
 * Made when a configuration is checked, as that of a listener is (tls.h): what is wrong is told then. Versions and
 * ciphers are the listeners'; ALPN offers HTTP/1.1; sessions are kept by whoever dials (gateway/upstream/tls.h). */
#ifndef SHEAF_CONFIG_TRUST_H
#define SHEAF_CONFIG_TRUST_H

#include <openssl/ssl.h>

#include "config/snapshot.h"
#include "config/yaml.h"

/* `node` is the upstream's, `now` the time that its certificate must be good at. NULL: no server of it is https://, or
 * what is wrong is in `report`. Free it with SSL_CTX_free. */
SSL_CTX *sheaf_trust_context_new(sheaf_report_t *report, const sheaf_yaml_t *node, const sheaf_upstream_conf_t *conf,
                                 time_t now);

#endif
