/* config/tls.h - a listener's `tls` section as a context of OpenSSL.
 *
 * What `sheaf check` finds wrong and what a gateway refuses to start with is the same, because checking is making it.
 * The context is Mozilla's intermediate: TLS 1.2 and 1.3, forward secrecy and AEAD only (unless `ciphers` says
 * otherwise), no compression, no renegotiation, no early data. It belongs to one listener: its session-id context is
 * made of the listener's address and of what clients must show, so that no ticket opens another listener's door or
 * outlives a change of client_ca. ALPN and ticket keys are the front's to add. */
#ifndef SHEAF_CONFIG_TLS_H
#define SHEAF_CONFIG_TLS_H

#include <openssl/ssl.h>

#include "config/yaml.h"

/* `node` is the listener's, `now` the time that certificates must be good at. NULL: what is wrong is in `report`.
 * Free it with SSL_CTX_free; connections hold their own. */
SSL_CTX *sheaf_tls_context_new(sheaf_report_t *report, const sheaf_yaml_t *node, const sheaf_listener_conf_t *conf,
                               time_t now);

/* What listeners and upstreams have in common: Mozilla's intermediate from `oldest` (TLS1_2_VERSION) on. */
void sheaf_tls_harden(SSL_CTX *context, int oldest);

/* Those of an OpenSSL list, TLS 1.3 suites (TLS_...) among it, instead. False: OpenSSL knows none of them. */
bool sheaf_tls_set_ciphers(SSL_CTX *context, sheaf_str_t all);
#define SHEAF_TLS_NO_CIPHERS "`ciphers` names none that OpenSSL knows (`openssl ciphers -v` lists them)"

/* Trusts each of `authorities`, whether or not it is a root. */
void sheaf_tls_trust(SSL_CTX *context, STACK_OF(X509) * authorities);

/* Was the section written? */
static inline bool sheaf_tls_is_on(const sheaf_listener_conf_t *conf)
{
    return conf->tls.mark.line > 0;
}

#endif
