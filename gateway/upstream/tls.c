/* upstream/tls.c - see tls.h. */
#include "gateway/upstream/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define OUTPUT_KEPT ((size_t)4 << 10) /* room that an idle conn keeps */

struct sheaf_tls_peer {
    SSL_CTX *context;
    SSL_SESSION *session; /* the newest, or NULL */
    uint64_t shown_ms;    /* when a certificate was asked for last */
    char *name;           /* without a root dot */
    bool is_ip;
    bool offers_h2, offers_only_h2;
    char detail[384];
};

struct sheaf_tls {
    SSL *ssl;
    sheaf_tls_peer_t *peer;
    sheaf_tls_state_t state;
    uint64_t begun_ms;
    const char *in; /* what is being read, for the time of a call */
    size_t in_len;
    char *out;
    size_t out_len, out_size;
};

/* --- the socket as OpenSSL sees it: what is in hand, and a buffer --- */

static int bio_read(BIO *bio, char *dst, int room)
{
    sheaf_tls_t *tls = BIO_get_data(bio);
    size_t len = tls->in_len < (size_t)room ? tls->in_len : (size_t)room;

    BIO_clear_retry_flags(bio);
    if (len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(dst, tls->in, len);
    tls->in += len;
    tls->in_len -= len;
    return (int)len;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    sheaf_tls_t *tls = BIO_get_data(bio);
    size_t wanted = tls->out_len + (size_t)len;

    BIO_clear_retry_flags(bio);
    if (wanted > SHEAF_TLS_MAX_OUTPUT)
        return -1;
    if (wanted > tls->out_size) {
        tls->out_size = wanted > 2 * tls->out_size ? wanted : 2 * tls->out_size;
        tls->out = sheaf_realloc(tls->out, tls->out_size);
    }
    memcpy(tls->out + tls->out_len, bytes, (size_t)len);
    tls->out_len = wanted;
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

/* One for the process, made with the first peer; workers are processes, so nobody races for it. */
static const BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;

    if (method != NULL)
        return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sheaf");
    SHEAF_ASSERT(method != NULL && BIO_meth_set_read(method, bio_read) == 1 &&
                 BIO_meth_set_write(method, bio_write) == 1 && BIO_meth_set_ctrl(method, bio_ctrl) == 1);
    return method;
}

/* --- peers --- */

static char *copy_of(sheaf_str_t text)
{
    char *copy = sheaf_alloc(text.len + 1);

    memcpy(copy, text.base, text.len);
    copy[text.len] = '\0';
    return copy;
}

static bool is_ip(const char *name)
{
    char address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* With TLS 1.3 sessions come behind the handshake, and several of them; the last is the freshest. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    sheaf_tls_t *tls = SSL_get_app_data(ssl);

    SSL_SESSION_free(tls->peer->session);
    tls->peer->session = session;
    return 1; /* kept */
}

sheaf_tls_peer_t *sheaf_tls_peer_new(SSL_CTX *context, sheaf_str_t name)
{
    sheaf_tls_peer_t *peer = sheaf_zalloc(sizeof(*peer));

    SHEAF_ASSERT(SSL_CTX_up_ref(context) == 1);
    peer->context = context;
    if (sheaf_str_ends(name, SHEAF_STR("."))) /* the root dot is for resolvers (RFC 6066 3) */
        name.len--;
    peer->name = copy_of(name);
    peer->is_ip = is_ip(peer->name);
    SSL_CTX_sess_set_new_cb(context, on_session);
    return peer;
}

sheaf_tls_peer_t *sheaf_tls_peer_like(const sheaf_tls_peer_t *peer)
{
    return sheaf_tls_peer_new(peer->context, sheaf_str_of(peer->name));
}

void sheaf_tls_peer_free(sheaf_tls_peer_t *peer)
{
    if (peer == NULL)
        return;
    SSL_SESSION_free(peer->session);
    SSL_CTX_free(peer->context);
    free(peer->name);
    free(peer);
}

const char *sheaf_tls_peer_detail(const sheaf_tls_peer_t *peer)
{
    return peer->detail;
}

void sheaf_tls_peer_offer(sheaf_tls_peer_t *peer, bool is_h2, bool is_http1)
{
    peer->offers_h2 = is_h2;
    peer->offers_only_h2 = is_h2 && !is_http1;
}

/* --- a conn's --- */

/* Name or address: which of the two decides whether SNI is sent (RFC 6066 3) and what the certificate is asked for. */
static void set_name(sheaf_tls_t *tls)
{
    const sheaf_tls_peer_t *peer = tls->peer;
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);

    if (peer->is_ip) {
        SHEAF_ASSERT(X509_VERIFY_PARAM_set1_ip_asc(param, peer->name) == 1);
        return;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SHEAF_ASSERT(X509_VERIFY_PARAM_set1_host(param, peer->name, 0) == 1);
    SHEAF_ASSERT(SSL_set_tlsext_host_name(tls->ssl, peer->name) == 1);
}

/* The context offers HTTP/1.1. */
static void set_alpn(sheaf_tls_t *tls)
{
    static const unsigned char protocols[] = "\x02h2\x08http/1.1";
    unsigned len = tls->peer->offers_only_h2 ? 3 : sizeof(protocols) - 1;

    if (tls->peer->offers_h2)
        SHEAF_ASSERT(SSL_set_alpn_protos(tls->ssl, protocols, len) == 0);
}

static bool may_resume(const sheaf_tls_peer_t *peer, uint64_t now_ms)
{
    return peer->session != NULL && now_ms - peer->shown_ms < SHEAF_TLS_RESUME_MS &&
           SSL_SESSION_is_resumable(peer->session);
}

sheaf_tls_t *sheaf_tls_new(sheaf_tls_peer_t *peer, uint64_t now_ms)
{
    sheaf_tls_t *tls = sheaf_zalloc(sizeof(*tls));
    BIO *bio = BIO_new(bio_method());

    tls->peer = peer;
    tls->begun_ms = now_ms;
    tls->ssl = SSL_new(peer->context);
    SHEAF_ASSERT(tls->ssl != NULL && bio != NULL);
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_app_data(tls->ssl, tls);
    SSL_set_connect_state(tls->ssl);
    set_name(tls);
    set_alpn(tls);
    if (may_resume(peer, now_ms))
        SSL_set_session(tls->ssl, peer->session);
    ERR_clear_error();
    SSL_do_handshake(tls->ssl); /* says hello, then wants to read */
    return tls;
}

void sheaf_tls_free(sheaf_tls_t *tls)
{
    if (tls == NULL)
        return;
    if (tls->state != SHEAF_TLS_FAILED) /* else OpenSSL marks the session as bad when no goodbye was heard */
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    free(tls->out);
    free(tls);
}

/* --- failures --- */

static void describe_verdict(sheaf_tls_t *tls)
{
    long verdict = SSL_get_verify_result(tls->ssl);
    bool is_name = verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;

    snprintf(tls->peer->detail, sizeof(tls->peer->detail), "the certificate did not verify: %s%s%.253s",
             X509_verify_cert_error_string(verdict), is_name ? ", it is not for " : "", is_name ? tls->peer->name : "");
}

static void describe(sheaf_tls_t *tls)
{
    unsigned long why = ERR_peek_last_error(); /* the outermost: those within speak of numbers and curves */
    const char *reason = ERR_reason_error_string(why);

    if (ERR_GET_REASON(why) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        describe_verdict(tls);
        return;
    }
    if (ERR_GET_REASON(why) == SSL_R_WRONG_VERSION_NUMBER)
        reason = "what came is not TLS";
    snprintf(tls->peer->detail, sizeof(tls->peer->detail), "TLS failed: %s",
             reason != NULL ? reason : "unknown reason");
}

/* A session that was offered may be why: the next conn begins afresh. */
static void fail(sheaf_tls_t *tls, const char *what)
{
    if (what != NULL)
        snprintf(tls->peer->detail, sizeof(tls->peer->detail), "%s", what);
    else
        describe(tls);
    ERR_clear_error();
    tls->state = SHEAF_TLS_FAILED;
    SSL_SESSION_free(tls->peer->session);
    tls->peer->session = NULL;
}

/* --- reading --- */

static bool has_chosen(const sheaf_tls_t *tls, const char *protocol)
{
    const unsigned char *chosen;
    unsigned len;

    SSL_get0_alpn_selected(tls->ssl, &chosen, &len);
    return len == strlen(protocol) && memcmp(chosen, protocol, len) == 0;
}

bool sheaf_tls_is_h2(const sheaf_tls_t *tls)
{
    return has_chosen(tls, "h2");
}

static void check_alpn(sheaf_tls_t *tls)
{
    const unsigned char *chosen;
    unsigned len;

    SSL_get0_alpn_selected(tls->ssl, &chosen, &len);
    if (len != 0 && !has_chosen(tls, "http/1.1") && !(tls->peer->offers_h2 && has_chosen(tls, "h2")))
        fail(tls, "TLS failed: it chose a protocol (ALPN) that was not offered");
}

static void handshake(sheaf_tls_t *tls)
{
    int status = SSL_do_handshake(tls->ssl);

    if (status == 1) {
        tls->state = SHEAF_TLS_OPEN;
        if (!sheaf_tls_is_resumed(tls))
            tls->peer->shown_ms = tls->begun_ms;
        check_alpn(tls);
        return;
    }
    switch (SSL_get_error(tls->ssl, status)) {
    case SSL_ERROR_WANT_READ:
        return;
    case SSL_ERROR_SSL:
        fail(tls, NULL);
        return;
    default:
        fail(tls, "it ended the TLS handshake");
    }
}

static size_t take_plain(sheaf_tls_t *tls, char *dst, size_t room)
{
    size_t total = 0, len;

    while (total < room && SSL_read_ex(tls->ssl, dst + total, room - total, &len) == 1)
        total += len;
    SHEAF_ASSERT(total < room); /* a record is never larger than it was on its way */
    switch (SSL_get_error(tls->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        tls->state = SHEAF_TLS_ENDED;
        break;
    case SSL_ERROR_SSL:
        fail(tls, NULL);
        break;
    default:
        fail(tls, "TLS failed: it makes the gateway answer and does not read");
    }
    return total;
}

sheaf_tls_state_t sheaf_tls_read(sheaf_tls_t *tls, const char *bytes, size_t len, char *dst, size_t *ret_len)
{
    *ret_len = 0;
    tls->in = bytes;
    tls->in_len = len;
    ERR_clear_error();
    if (tls->state == SHEAF_TLS_HANDSHAKE)
        handshake(tls);
    if (tls->state == SHEAF_TLS_OPEN)
        *ret_len = take_plain(tls, dst, len + SHEAF_TLS_RECORD_SIZE);
    tls->in = NULL;
    tls->in_len = 0; /* behind an end or a failure nothing counts */
    ERR_clear_error();
    return tls->state;
}

sheaf_tls_state_t sheaf_tls_state(const sheaf_tls_t *tls)
{
    return tls->state;
}

bool sheaf_tls_is_resumed(const sheaf_tls_t *tls)
{
    return SSL_session_reused(tls->ssl) == 1;
}

/* --- writing --- */

bool sheaf_tls_seal(sheaf_tls_t *tls, const char *bytes, size_t len)
{
    size_t done;

    if (tls->state != SHEAF_TLS_OPEN)
        return false;
    ERR_clear_error();
    if (len == 0 || SSL_write_ex(tls->ssl, bytes, len, &done) == 1)
        return true;
    fail(tls, NULL);
    return false;
}

void sheaf_tls_goodbye(sheaf_tls_t *tls)
{
    if (tls->state != SHEAF_TLS_OPEN && tls->state != SHEAF_TLS_ENDED)
        return;
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

sheaf_str_t sheaf_tls_output(const sheaf_tls_t *tls)
{
    return sheaf_str(tls->out, tls->out_len);
}

void sheaf_tls_drained(sheaf_tls_t *tls)
{
    tls->out_len = 0;
    if (tls->out_size <= OUTPUT_KEPT)
        return;
    free(tls->out);
    tls->out = NULL;
    tls->out_size = 0;
}
