#include "config/trust.h"

#include <openssl/err.h>

#include "config/certificate.h"
#include "config/tls.h"
#include "config/value.h"

typedef struct {
    sheaf_report_t *report;
    const sheaf_yaml_t *node; /* of the section; NULL: not written */
    const sheaf_upstream_tls_conf_t *conf;
    time_t now;
    SSL_CTX *context;
    bool is_bad;
} maker_t;

static const sheaf_yaml_t *written(const maker_t *maker, sheaf_str_t name)
{
    return sheaf_yaml_get(maker->node, name);
}

static void blame(maker_t *maker, sheaf_str_t key, const sheaf_file_t *file, const sheaf_fail_t *fail)
{
    maker->is_bad = true;
    sheaf_report_error(maker->report, written(maker, key)->mark, "%.*s %s", SHEAF_STR_ARG(file->path), fail->detail);
}

/* --- whom to trust --- */

static void set_servers(maker_t *maker)
{
    const sheaf_yaml_t *ca = written(maker, SHEAF_STR("ca"));
    const sheaf_file_t *file = &maker->conf->ca;
    STACK_OF(X509) * authorities;
    sheaf_fail_t fail;

    SSL_CTX_set_verify(maker->context, maker->conf->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (ca == NULL) {
        SSL_CTX_set_default_verify_paths(maker->context);
        ERR_clear_error();
        return;
    }
    if (!maker->conf->verify)
        sheaf_report_warning(maker->report, ca->mark, "`ca` means nothing with `verify: false`");
    if (file->bytes.base == NULL) /* told already */
        maker->is_bad = true;
    else if (sheaf_authorities_read(file->bytes, &authorities, &fail) != SHEAF_OK)
        blame(maker, SHEAF_STR("ca"), file, &fail);
    else {
        sheaf_tls_trust(maker->context, authorities);
        sk_X509_pop_free(authorities, X509_free);
    }
}

static void check_name(maker_t *maker)
{
    const sheaf_yaml_t *name = written(maker, SHEAF_STR("server_name"));
    sheaf_fail_t fail;

    if (name == NULL || sheaf_value_host(maker->conf->server_name, &fail) == SHEAF_OK)
        return;
    maker->is_bad = true;
    sheaf_report_error(maker->report, name->mark, "%s", fail.detail);
}

/* --- who the gateway is --- */

/* OpenSSL has its own ideas of which keys are too weak. */
static void use_pair(maker_t *maker, const sheaf_certificate_t *pair)
{
    const char *why;
    sheaf_fail_t fail;

    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(maker->context, pair->leaf, pair->key, pair->chain, 1) == 1)
        return;
    why = ERR_reason_error_string(ERR_peek_error());
    sheaf_fail(&fail, SHEAF_ERR_CONFIG, "cannot be used: %s", why != NULL ? why : "unknown reason");
    ERR_clear_error();
    blame(maker, SHEAF_STR("certificate"), &maker->conf->certificate, &fail);
}

static void set_pair(maker_t *maker)
{
    const sheaf_file_t *file = &maker->conf->certificate, *key = &maker->conf->key;
    sheaf_certificate_t pair = {.leaf = NULL};
    sheaf_fail_t fail;

    if (file->bytes.base == NULL || key->bytes.base == NULL) /* told already */
        maker->is_bad = true;
    else if (sheaf_certificate_read_chain(file->bytes, &pair, &fail) != SHEAF_OK ||
             sheaf_certificate_check_time(pair.leaf, maker->now, &fail) != SHEAF_OK)
        blame(maker, SHEAF_STR("certificate"), file, &fail);
    else if (sheaf_certificate_read_key(key->bytes, &pair, &fail) != SHEAF_OK)
        blame(maker, SHEAF_STR("key"), key, &fail);
    else
        use_pair(maker, &pair);
    sheaf_certificate_fini(&pair);
}

static void set_client(maker_t *maker)
{
    const sheaf_yaml_t *certificate = written(maker, SHEAF_STR("certificate")), *key = written(maker, SHEAF_STR("key"));

    if (certificate != NULL && key != NULL) {
        set_pair(maker);
    } else if (certificate != NULL || key != NULL) {
        maker->is_bad = true;
        sheaf_report_error(maker->report, maker->conf->mark, "missing key `%s` of this tls",
                           certificate != NULL ? "key" : "certificate");
    }
}

/* --- the context --- */

static void set_ciphers(maker_t *maker)
{
    sheaf_str_t ciphers = maker->conf->ciphers;

    if (ciphers.base == NULL || sheaf_tls_set_ciphers(maker->context, ciphers))
        return;
    maker->is_bad = true;
    sheaf_report_error(maker->report, written(maker, SHEAF_STR("ciphers"))->mark, SHEAF_TLS_NO_CIPHERS);
}

static void set_protocol(maker_t *maker)
{
    static const unsigned char protocols[] = "\x08http/1.1";

    sheaf_tls_harden(maker->context,
                     maker->conf->min_version == SHEAF_TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SHEAF_ASSERT(SSL_CTX_set_alpn_protos(maker->context, protocols, sizeof(protocols) - 1) == 0);
    SSL_CTX_set_session_cache_mode(maker->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
}

static bool has_tls(const sheaf_upstream_conf_t *conf)
{
    for (uint32_t i = 0; i < conf->servers.count; i++)
        if (conf->servers.items[i].url.is_tls)
            return true;
    return false;
}

SSL_CTX *sheaf_trust_context_new(sheaf_report_t *report, const sheaf_yaml_t *node, const sheaf_upstream_conf_t *conf,
                                 time_t now)
{
    maker_t maker = {.report = report, .conf = &conf->tls, .now = now};

    maker.node = sheaf_yaml_get(node, SHEAF_STR("tls"));
    if (!has_tls(conf)) {
        if (maker.node != NULL && conf->servers.count > 0) /* whoever wrote it means to be safe */
            sheaf_report_error(report, conf->tls.mark, "`tls` is for https:// servers, and this upstream has none");
        return NULL;
    }
    maker.context = SSL_CTX_new(TLS_client_method());
    SHEAF_ASSERT(maker.context != NULL);
    set_protocol(&maker);
    set_ciphers(&maker);
    set_servers(&maker);
    check_name(&maker);
    set_client(&maker);
    if (!maker.is_bad)
        return maker.context;
    SSL_CTX_free(maker.context);
    return NULL;
}
