#include "config/tls.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "config/sni.h"

/* https://ssl-config.mozilla.org/guidelines/5.7.json, intermediate. DHE is left out: no client of TLS 1.2 needs it, and
 * it lets a stranger spend our CPU. The order is the client's, which knows whether it has AES in hardware. */
#define CIPHERS                                                                                                        \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"

typedef struct {
    sheaf_report_t *report;
    const sheaf_yaml_t *node; /* of the section */
    const sheaf_tls_conf_t *conf;
    time_t now;
    SSL_CTX *context;
    sheaf_certificate_t *certificates;
    const sheaf_file_t **sources; /* where each came from, and where that is written */
    sheaf_mark_t *marks;
    uint32_t count;
    bool is_bad;
} maker_t;

static sheaf_mark_t mark_of(const sheaf_yaml_t *section, sheaf_str_t name)
{
    const sheaf_yaml_t *node = sheaf_yaml_get(section, name);

    return node != NULL ? node->mark : section->name.base != NULL ? section->name_mark : section->mark;
}

static void blame(maker_t *maker, sheaf_mark_t mark, const sheaf_file_t *file, const sheaf_fail_t *fail)
{
    maker->is_bad = true;
    sheaf_report_error(maker->report, mark, "%.*s %s", SHEAF_STR_ARG(file->path), fail->detail);
}

/* --- certificates and their keys --- */

/* An intermediate that has expired may still be there for the sake of old clients. */
static void check_times(maker_t *maker, const sheaf_certificate_t *certificate, const sheaf_file_t *file,
                        sheaf_mark_t mark)
{
    sheaf_fail_t fail;

    if (sheaf_certificate_check_time(certificate->leaf, maker->now, &fail) != SHEAF_OK)
        blame(maker, mark, file, &fail);
    for (int i = 0; i < sk_X509_num(certificate->chain); i++) {
        if (sheaf_certificate_check_time(sk_X509_value(certificate->chain, i), maker->now, &fail) != SHEAF_OK)
            sheaf_report_warning(maker->report, mark, "%.*s: certificate %d of the chain %s", SHEAF_STR_ARG(file->path),
                                 i + 2, fail.detail);
    }
}

static void add_pair(maker_t *maker, const sheaf_yaml_t *section, const sheaf_file_t *file, const sheaf_file_t *key)
{
    sheaf_mark_t mark = mark_of(section, SHEAF_STR("certificate"));
    sheaf_certificate_t *certificate = &maker->certificates[maker->count];
    sheaf_fail_t fail;

    if (file->bytes.base == NULL || key->bytes.base == NULL) { /* told already */
        maker->is_bad = true;
        return;
    }
    if (sheaf_certificate_read_chain(file->bytes, certificate, &fail) != SHEAF_OK) {
        blame(maker, mark, file, &fail);
        return;
    }
    maker->sources[maker->count] = file;
    maker->marks[maker->count++] = mark;
    check_times(maker, certificate, file, mark);
    if (sheaf_certificate_read_key(key->bytes, certificate, &fail) != SHEAF_OK) {
        maker->is_bad = true;
        sheaf_report_error(maker->report, mark_of(section, SHEAF_STR("key")), "%.*s %s (%.*s)",
                           SHEAF_STR_ARG(key->path), fail.detail, SHEAF_STR_ARG(file->path));
    }
}

static void add_first_pair(maker_t *maker)
{
    const sheaf_tls_conf_t *conf = maker->conf;
    bool has_certificate = sheaf_yaml_get(maker->node, SHEAF_STR("certificate")) != NULL;
    bool has_key = sheaf_yaml_get(maker->node, SHEAF_STR("key")) != NULL;
    const sheaf_yaml_t *list = sheaf_yaml_get(maker->node, SHEAF_STR("certificates"));

    if (has_certificate && has_key) {
        add_pair(maker, maker->node, &conf->certificate, &conf->key);
        return;
    }
    if (!has_certificate && !has_key && conf->certificates.count > 0)
        return;
    maker->is_bad = true;
    if (has_certificate || has_key || list == NULL || list->kind != SHEAF_YAML_MAPPING) /* else told already */
        sheaf_report_error(maker->report, conf->mark, "missing key `%s` of this tls",
                           has_certificate ? "key" : "certificate");
}

static void add_pairs(maker_t *maker)
{
    const sheaf_yaml_t *list = sheaf_yaml_get(maker->node, SHEAF_STR("certificates"));
    const sheaf_yaml_t *node = list != NULL ? list->first : NULL;
    uint32_t room = maker->conf->certificates.count + 1, bad;
    sheaf_fail_t fail;

    maker->certificates = sheaf_zalloc(room * sizeof(*maker->certificates));
    maker->sources = sheaf_zalloc(room * sizeof(*maker->sources));
    maker->marks = sheaf_zalloc(room * sizeof(*maker->marks));
    add_first_pair(maker);
    for (uint32_t i = 0; i < maker->conf->certificates.count; i++, node = node->next) {
        const sheaf_certificate_conf_t *pair = &maker->conf->certificates.items[i];
        add_pair(maker, node, &pair->certificate, &pair->key);
    }
    if (maker->is_bad) {
        for (uint32_t i = 0; i < room; i++)
            sheaf_certificate_fini(&maker->certificates[i]);
    } else if (sheaf_sni_install(maker->context, maker->certificates, maker->count, &bad, &fail) != SHEAF_OK) {
        blame(maker, maker->marks[bad], maker->sources[bad], &fail);
    }
    free(maker->certificates);
    free(maker->sources);
    free(maker->marks);
}

/* --- what clients must show --- */

void sheaf_tls_trust(SSL_CTX *context, STACK_OF(X509) * authorities)
{
    X509_STORE *store = X509_STORE_new();

    SHEAF_ASSERT(store != NULL);
    for (int i = 0; i < sk_X509_num(authorities); i++)
        X509_STORE_add_cert(store, sk_X509_value(authorities, i));
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set0_verify_cert_store(context, store);
}

static void set_clients(maker_t *maker)
{
    const sheaf_tls_conf_t *conf = maker->conf;
    STACK_OF(X509) * authorities;
    sheaf_fail_t fail;

    if (sheaf_yaml_get(maker->node, SHEAF_STR("client_ca")) == NULL) {
        const sheaf_yaml_t *verify = sheaf_yaml_get(maker->node, SHEAF_STR("client_verify"));

        maker->is_bad |= verify != NULL && conf->client_verify != SHEAF_CLIENT_VERIFY_NONE;
        if (verify != NULL && conf->client_verify != SHEAF_CLIENT_VERIFY_NONE)
            sheaf_report_error(maker->report, verify->mark, "`client_verify` needs `client_ca`");
        return;
    }
    if (conf->client_ca.bytes.base == NULL) { /* told already */
        maker->is_bad = true;
        return;
    }
    if (sheaf_authorities_read(conf->client_ca.bytes, &authorities, &fail) != SHEAF_OK) {
        blame(maker, mark_of(maker->node, SHEAF_STR("client_ca")), &conf->client_ca, &fail);
        return;
    }
    if (conf->client_verify != SHEAF_CLIENT_VERIFY_NONE) {
        sheaf_tls_trust(maker->context, authorities); /* who signs clients need not be a root */
        for (int i = 0; i < sk_X509_num(authorities); i++)
            SSL_CTX_add_client_CA(maker->context, sk_X509_value(authorities, i));
        SSL_CTX_set_verify(maker->context,
                           conf->client_verify == SHEAF_CLIENT_VERIFY_REQUIRE
                               ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                               : SSL_VERIFY_PEER,
                           NULL);
    }
    sk_X509_pop_free(authorities, X509_free);
}

/* --- ciphers --- */

/* OpenSSL keeps two lists; in the configuration they are one. */
bool sheaf_tls_set_ciphers(SSL_CTX *context, sheaf_str_t all)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t list = SHEAF_STR(""), suites = SHEAF_STR("");
    bool is_good;

    for (sheaf_str_t rest = all; rest.base != NULL;) {
        sheaf_str_t word = sheaf_str_trim(sheaf_str_cut(&rest, ':'));
        sheaf_str_t *to = sheaf_str_starts(word, SHEAF_STR("TLS_")) ? &suites : &list;

        if (word.len > 0)
            *to =
                sheaf_pool_printf(pool, "%.*s%s%.*s", SHEAF_STR_ARG(*to), to->len > 0 ? ":" : "", SHEAF_STR_ARG(word));
    }
    is_good = (list.len == 0 || SSL_CTX_set_cipher_list(context, sheaf_pool_cstr(pool, list)) == 1) &&
              (suites.len == 0 || SSL_CTX_set_ciphersuites(context, sheaf_pool_cstr(pool, suites)) == 1);
    is_good = is_good && list.len + suites.len > 0;
    sheaf_pool_free(pool);
    ERR_clear_error();
    return is_good;
}

void sheaf_tls_harden(SSL_CTX *context, int oldest)
{
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SHEAF_ASSERT(SSL_CTX_set_min_proto_version(context, oldest) == 1 &&
                 SSL_CTX_set_max_proto_version(context, 0) == 1 && SSL_CTX_set1_groups_list(context, GROUPS) == 1 &&
                 SSL_CTX_set_cipher_list(context, CIPHERS) == 1 && SSL_CTX_set_ciphersuites(context, SUITES) == 1);
    ERR_clear_error();
}

static void set_protocol(maker_t *maker)
{
    const sheaf_tls_conf_t *conf = maker->conf;

    sheaf_tls_harden(maker->context, conf->min_version == SHEAF_TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    if (conf->ciphers.base != NULL && !sheaf_tls_set_ciphers(maker->context, conf->ciphers)) {
        maker->is_bad = true;
        sheaf_report_error(maker->report, mark_of(maker->node, SHEAF_STR("ciphers")), SHEAF_TLS_NO_CIPHERS);
    }
}

/* --- sessions --- */

static void set_sessions(SSL_CTX *context, const sheaf_listener_conf_t *conf)
{
    unsigned char id[SHA256_DIGEST_LENGTH];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();

    SHEAF_ASSERT(digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    EVP_DigestUpdate(digest, conf->address.text.base, conf->address.text.len);
    EVP_DigestUpdate(digest, &conf->tls.client_verify, sizeof(conf->tls.client_verify));
    if (conf->tls.client_ca.bytes.base != NULL)
        EVP_DigestUpdate(digest, conf->tls.client_ca.bytes.base, conf->tls.client_ca.bytes.len);
    EVP_DigestFinal_ex(digest, id, NULL);
    EVP_MD_CTX_free(digest);
    SSL_CTX_set_session_id_context(context, id, sizeof(id));
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets do it: one worker's cache helps no other */
    SSL_CTX_set_max_early_data(context, 0);                      /* it could be replayed */
    if (conf->tls.session_timeout_ms == 0) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
    } else {
        SSL_CTX_set_timeout(context, (long)((conf->tls.session_timeout_ms + 999) / 1000));
    }
}

SSL_CTX *sheaf_tls_context_new(sheaf_report_t *report, const sheaf_yaml_t *node, const sheaf_listener_conf_t *conf,
                               time_t now)
{
    maker_t maker = {.report = report, .conf = &conf->tls, .now = now};

    maker.node = sheaf_yaml_get(node, SHEAF_STR("tls"));
    maker.context = SSL_CTX_new(TLS_server_method());
    SHEAF_ASSERT(maker.node != NULL && maker.context != NULL);
    set_protocol(&maker);
    set_sessions(maker.context, conf);
    set_clients(&maker);
    add_pairs(&maker);
    if (!maker.is_bad)
        return maker.context;
    SSL_CTX_free(maker.context);
    return NULL;
}
