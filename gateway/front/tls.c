#include "gateway/front/tls.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/base/log.h"
#include "gateway/front/lingering.h"
#include "gateway/front/peer.h"

#define ALERT_ROOM 64 /* a record with an alert, sealed or not */

struct sheaf_tls {
    sheaf_client_t *client;
    SSL_CTX *context; /* held: libh2o makes its SSL when the first byte comes, and a reload may lie between */
    SSL *ssl;         /* libh2o's; NULL before the first byte came */
    h2o_accept_ctx_t *accept;
    struct timeval connected_at;
    const sheaf_identity_t *identity;
    bool is_done;  /* the handshake */
    bool is_alert; /* the last record that was written holds a fatal alert */
    uint8_t record_len;
    char record[ALERT_ROOM]; /* the last one, when it is that short */
};

static void on_handshake(h2o_socket_t *sock, const char *err); /* it is over, one way or the other */
static void admit(sheaf_tls_t *tls);                           /* to HTTP                          */
static void refuse(sheaf_tls_t *tls, const char *err);         /* with an alert                    */

/* --- what OpenSSL tells --- */

static sheaf_tls_t *tls_of(const SSL *ssl)
{
    const h2o_socket_t *sock = BIO_get_data(SSL_get_rbio(ssl));

    return ((sheaf_client_t *)sock->on_close.data)->tls;
}

/* libh2o collects what OpenSSL writes and throws it away when the handshake fails: the last record is the alert. */
static long on_bio(BIO *bio, int operation, const char *bytes, size_t len, int argi, long argl, int ret, size_t *done)
{
    sheaf_tls_t *tls = (sheaf_tls_t *)(void *)BIO_get_callback_arg(bio);

    (void)argi, (void)argl, (void)done;
    if (operation == BIO_CB_WRITE) {
        tls->record_len = len <= sizeof(tls->record) ? (uint8_t)len : 0;
        memcpy(tls->record, bytes, tls->record_len);
    }
    return ret;
}

static void on_info(const SSL *ssl, int where, int what)
{
    sheaf_tls_t *tls = tls_of(ssl);

    if ((where & SSL_CB_HANDSHAKE_START) != 0 && tls->ssl == NULL) {
        tls->ssl = (SSL *)(uintptr_t)ssl;
        BIO_set_callback_arg(SSL_get_wbio(ssl), (char *)tls);
        BIO_set_callback_ex(SSL_get_wbio(ssl), on_bio);
    }
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT && what >> 8 == SSL3_AL_FATAL)
        tls->is_alert = true;
}

/* RFC 7301 3.2: one that offers only what we do not speak is told so. curl --http1.0 offers http/1.0 alone. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *data)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1\x08http/1.0";

    (void)ssl, (void)data;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, ours, sizeof(ours) - 1, in, in_len) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A ticket holds the client's certificate, and nothing else looks at its dates again. */
static SSL_TICKET_RETURN on_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *key_name, size_t key_name_len,
                                   SSL_TICKET_STATUS status, void *data)
{
    const X509 *peer = session != NULL ? SSL_SESSION_get0_peer(session) : NULL;

    (void)ssl, (void)key_name, (void)key_name_len, (void)data;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void sheaf_tls_prepare(SSL_CTX *context, sheaf_tickets_t *tickets)
{
    SSL_CTX_set_info_callback(context, on_info);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    if (tickets == NULL)
        return;
    sheaf_tickets_install(tickets, context);
    SSL_CTX_set_session_ticket_cb(context, NULL, on_opened, NULL);
}

/* --- the handshake --- */

void sheaf_tls_start(sheaf_client_t *client, SSL_CTX *context, h2o_accept_ctx_t *accept)
{
    sheaf_tls_t *tls = sheaf_zalloc(sizeof(*tls));

    client->tls = tls;
    tls->client = client;
    tls->accept = accept;
    tls->context = context;
    SSL_CTX_up_ref(context);
    tls->connected_at = sheaf_h2o_now(accept->ctx);
    sheaf_pace_enter(client, SHEAF_PHASE_HANDSHAKE);
    sheaf_h2o_handshake(client->sock, context, on_handshake);
}

static void count(const sheaf_tls_t *tls, sheaf_metric_t outcome)
{
    sheaf_count(tls->client->front->env.metrics, outcome, 1);
}

static void on_handshake(h2o_socket_t *sock, const char *err)
{
    sheaf_tls_t *tls = ((sheaf_client_t *)sock->on_close.data)->tls;

    if (err == NULL) {
        admit(tls);
    } else if (tls->is_alert || (err != h2o_socket_error_io && err != h2o_socket_error_closed)) {
        refuse(tls, err);
    } else {
        if (!tls->client->is_cut) /* else it was ours to end, and counted */
            count(tls, SHEAF_METRIC_TLS_ABANDONED);
        h2o_socket_close(sock);
    }
}

static void admit(sheaf_tls_t *tls)
{
    h2o_socket_t *sock = tls->client->sock;
    const unsigned char *protocol;
    unsigned len;

    count(tls, SSL_session_reused(tls->ssl) ? SHEAF_METRIC_TLS_RESUMED : SHEAF_METRIC_TLS_FULL);
    BIO_set_callback_ex(SSL_get_wbio(tls->ssl), NULL);
    tls->is_done = true;
    sheaf_pace_enter(tls->client, SHEAF_PHASE_HEAD);
    tls->identity = sheaf_identity_of(tls->ssl);
    SSL_get0_alpn_selected(tls->ssl, &protocol, &len);
    if (len == 2 && memcmp(protocol, "h2", 2) == 0)
        h2o_http2_accept(tls->accept, sock, tls->connected_at);
    else
        h2o_http1_accept(tls->accept, sock, tls->connected_at);
}

static void log_refusal(const sheaf_tls_t *tls, const char *err)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    sheaf_log_line_t line;

    sheaf_log_begin(&line, SHEAF_LOG_DEBUG, "handshake");
    if (!line.is_on)
        return;
    sheaf_peer_log(&line, tls->client->ip);
    sheaf_log_str(&line, "error", sheaf_str_of(reason != NULL ? reason : err));
    sheaf_log_end(&line);
}

static void refuse(sheaf_tls_t *tls, const char *err)
{
    sheaf_client_t *client = tls->client;

    log_refusal(tls, err);
    ERR_clear_error();
    count(tls, SHEAF_METRIC_TLS_REFUSED);
    if (tls->is_alert && tls->record_len > 0) {
        send(sheaf_client_fd(client), tls->record, tls->record_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        sheaf_lingering_keep(client); /* the client may have sent more already: a reset would overtake the alert */
    }
    h2o_socket_close(client->sock);
}

/* --- afterwards --- */

void sheaf_tls_end(sheaf_client_t *client)
{
    if (client->tls == NULL)
        return;
    sheaf_identity_drop(client->tls->identity);
    SSL_CTX_free(client->tls->context);
    free(client->tls);
}

bool sheaf_tls_is_still(const sheaf_client_t *client)
{
    return client->tls == NULL || (client->tls->is_done && !SSL_has_pending(client->tls->ssl));
}

const char *sheaf_tls_version(const sheaf_client_t *client)
{
    return client->tls == NULL ? NULL : SSL_get_version(client->tls->ssl);
}

const sheaf_identity_t *sheaf_tls_identity(const sheaf_client_t *client)
{
    return client->tls == NULL ? NULL : client->tls->identity;
}
