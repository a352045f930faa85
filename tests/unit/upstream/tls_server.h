/* tests/unit/upstream/tls_server.h - the other side of TLS: OpenSSL's server over memory, and a small authority.
 *
 * Certificates are made while the test runs (tests/unit/config/certificates.h). A context of a client is made as the
 * configuration makes it: by loading one. */
#ifndef TESTS_UNIT_UPSTREAM_TLS_SERVER_H
#define TESTS_UNIT_UPSTREAM_TLS_SERVER_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "config/snapshot.h"
#include "gateway/upstream/tls.h"
#include "tests/unit/config/certificates.h"

/* --- the authority and what it signed --- */

typedef struct pki {
    made_t ca, server, client;
} pki_t;

static pki_t pki_new(wish_t server)
{
    pki_t pki;

    pki.ca = make((wish_t){.common_name = "authority", .begin_days = -2, .end_days = 2, .is_authority = true});
    server.issuer = &pki.ca;
    if (server.common_name == NULL)
        server.common_name = "backend";
    if (server.end_days == 0)
        server.end_days = 1;
    pki.server = make(server);
    pki.client = make((wish_t){.common_name = "gateway", .end_days = 1, .issuer = &pki.ca});
    return pki;
}

static void pki_free(pki_t *pki)
{
    made_free(&pki->ca);
    made_free(&pki->server);
    made_free(&pki->client);
}

/* --- a server's side --- */

static int pick_http1(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                      unsigned in_len, void *arg)
{
    static const unsigned char protocols[] = "\x08http/1.1";

    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)out, out_len, protocols, 9, in, in_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* For SSL_CTX_set_alpn_select_cb: HTTP/2 or nothing. */
static int pick_http2(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                      unsigned in_len, void *arg)
{
    static const unsigned char protocols[] = "\x02h2";

    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)out, out_len, protocols, 3, in, in_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* `version` 0: any. `wants_client`: mTLS. */
static SSL_CTX *server_context(const pki_t *pki, int version, bool wants_client)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(context, pki->server.x509);
    SSL_CTX_use_PrivateKey(context, pki->server.key);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_alpn_select_cb(context, pick_http1, NULL);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"test", 4);
    if (wants_client) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), pki->ca.x509);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return context;
}

typedef struct tls_server {
    SSL *ssl;
    BIO *in, *out;
} tls_server_t;

static tls_server_t tls_server_new(SSL_CTX *context)
{
    tls_server_t server = {.ssl = SSL_new(context), .in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem())};

    SSL_set_bio(server.ssl, server.in, server.out);
    SSL_set_accept_state(server.ssl);
    return server;
}

/* Ciphertext in; plain text out, its length or -1 when there is none. Goes on with the handshake by itself. */
static int tls_server_read(tls_server_t *server, const char *bytes, size_t len, char *dst, size_t room)
{
    int total = 0, got;

    if (len != 0)
        BIO_write(server->in, bytes, (int)len);
    ERR_clear_error();
    while ((got = SSL_read(server->ssl, dst + total, (int)room - total)) > 0)
        total += got;
    ERR_clear_error();
    return total;
}

static sheaf_str_t tls_server_output(tls_server_t *server)
{
    char *bytes;
    long len = BIO_get_mem_data(server->out, &bytes);

    return sheaf_str(bytes, (size_t)len);
}

static void tls_server_drained(tls_server_t *server)
{
    BIO_reset(server->out);
}

static void tls_server_free(tls_server_t *server)
{
    SSL_free(server->ssl);
}

/* --- the gateway's side, as the configuration makes it --- */

static void pack_file(sheaf_files_t *files, const char *path, const char *bytes)
{
    files->items = sheaf_realloc(files->items, (files->count + 1) * sizeof(*files->items));
    files->items[files->count++] = (sheaf_file_t){sheaf_str_of(path), sheaf_str_of(bytes)};
}

/* An upstream "u" on https://127.0.0.1 at `ports`; `tls` is its section, files "ca", "crt" and "key" are there. */
static sheaf_snapshot_t *secure_snapshot(const pki_t *pki, const uint16_t *ports, uint32_t count, const char *tls)
{
    sheaf_files_t files = {.folder = NULL}, unpacked;
    sheaf_snapshot_t *snapshot;
    char text[1024], servers[256] = "", *report, *pack;
    sheaf_str_t ignored;
    size_t len;

    pack_file(&files, "ca", pki->ca.pem);
    pack_file(&files, "crt", pki->client.pem);
    pack_file(&files, "key", pki->client.key_pem);
    pack = sheaf_files_pack(&files, SHEAF_STR(""), &len);
    free(files.items);
    SHEAF_ASSERT(sheaf_files_unpack(sheaf_str(pack, len), &ignored, &unpacked));
    sheaf_files_pack_free(pack, len);
    for (uint32_t i = 0; i < count; i++)
        snprintf(servers + strlen(servers), sizeof(servers) - strlen(servers), "\"https://127.0.0.1:%u\", ", ports[i]);
    snprintf(text, sizeof(text), "listen: [{address: 127.0.0.1:1}]\nupstreams:\n  u: {servers: [%s], tls: %s}\n",
             servers, tls);
    snapshot = sheaf_snapshot_load_packed("t.yaml", sheaf_str_of(text), &unpacked, &report);
    if (snapshot == NULL)
        fputs(report, stderr);
    SHEAF_ASSERT(snapshot != NULL);
    free(report);
    return snapshot;
}

#endif
