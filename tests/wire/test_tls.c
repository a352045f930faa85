/* TLS means the same however its bytes are cut: the handshake and what follows, in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/upstream/tls_server.h"

#define ROOM ((size_t)1 << 20)

typedef struct wire {
    pki_t pki;
    SSL_CTX *context;
    sheaf_snapshot_t *snapshot;
    sheaf_tls_peer_t *peer;
    sheaf_tls_t *tls;
    tls_server_t server;
    uint64_t now_ms;
    char *got; /* plain text that the gateway read */
    size_t got_len;
    char *heard; /* and the server */
    size_t heard_len;
} wire_t;

static void wire_connect(wire_t *wire)
{
    wire->tls = sheaf_tls_new(wire->peer, wire->now_ms);
    wire->server = tls_server_new(wire->context);
    wire->got_len = wire->heard_len = 0;
}

static void wire_hang_up(wire_t *wire)
{
    sheaf_tls_free(wire->tls);
    tls_server_free(&wire->server);
}

static wire_t *wire_new(int version, const char *tls, const char *name)
{
    wire_t *wire = sheaf_zalloc(sizeof(*wire));
    uint16_t port = 1;

    wire->pki = pki_new((wish_t){.names = "DNS:backend.test, IP:127.0.0.1"});
    wire->context = server_context(&wire->pki, version, strstr(tls, "key") != NULL);
    wire->snapshot = secure_snapshot(&wire->pki, &port, 1, tls);
    wire->peer = sheaf_tls_peer_new(wire->snapshot->upstream_tls[0], sheaf_str_of(name));
    wire->got = malloc(ROOM);
    wire->heard = malloc(ROOM);
    wire_connect(wire);
    return wire;
}

static void wire_free(wire_t *wire)
{
    wire_hang_up(wire);
    sheaf_tls_peer_free(wire->peer);
    sheaf_snapshot_drop(wire->snapshot);
    SSL_CTX_free(wire->context);
    pki_free(&wire->pki);
    free(wire->got);
    free(wire->heard);
    free(wire);
}

/* The gateway reads `len` bytes that are exactly as long, so that a read beyond them is seen. */
static void gateway_reads(wire_t *wire, const char *bytes, size_t len)
{
    char *copy = malloc(len), *plain = malloc(len + SHEAF_TLS_RECORD_SIZE);
    size_t plain_len;

    memcpy(copy, bytes, len);
    sheaf_tls_read(wire->tls, copy, len, plain, &plain_len);
    memcpy(wire->got + wire->got_len, plain, plain_len);
    wire->got_len += plain_len;
    free(copy);
    free(plain);
}

/* Bytes go both ways, cut into pieces of `piece`, until neither side has any. */
static void exchange_all(wire_t *wire, size_t piece)
{
    for (;;) {
        sheaf_str_t there = sheaf_tls_output(wire->tls), back;

        for (size_t at = 0; at < there.len; at += piece)
            wire->heard_len +=
                (size_t)tls_server_read(&wire->server, there.base + at, there.len - at < piece ? there.len - at : piece,
                                        wire->heard + wire->heard_len, ROOM - wire->heard_len);
        sheaf_tls_drained(wire->tls);
        back = tls_server_output(&wire->server);
        if (there.len == 0 && back.len == 0)
            return;
        for (size_t at = 0; at < back.len; at += piece)
            gateway_reads(wire, back.base + at, back.len - at < piece ? back.len - at : piece);
        tls_server_drained(&wire->server);
    }
}

static void talk(wire_t *wire, size_t piece)
{
    static char large[50000];

    memset(large, 'x', sizeof(large));
    exchange_all(wire, piece);
    assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_OPEN);
    assert_true(sheaf_tls_seal(wire->tls, "question", 8));
    exchange_all(wire, piece);
    assert_int_equal(wire->heard_len, 8);
    assert_memory_equal(wire->heard, "question", 8);
    assert_int_equal(SSL_write(wire->server.ssl, "answer", 6), 6);
    assert_int_equal(SSL_write(wire->server.ssl, large, sizeof(large)), sizeof(large));
    exchange_all(wire, piece);
    assert_int_equal(wire->got_len, 6 + sizeof(large));
    assert_memory_equal(wire->got, "answer", 6);
    assert_memory_equal(wire->got + 6, large, sizeof(large));
    assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_OPEN);
    SSL_shutdown(wire->server.ssl);
    exchange_all(wire, piece);
    assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_ENDED);
}

static void in_pieces_of_every_size(int version)
{
    wire_t *wire = wire_new(version, "{ca: ca}", "backend.test");

    for (size_t piece = 1; piece <= 120; piece++) {
        talk(wire, piece);
        wire_hang_up(wire);
        wire_connect(wire);
    }
    for (size_t piece = 121; piece <= 60000; piece = piece * 5 / 4) {
        talk(wire, piece);
        wire_hang_up(wire);
        wire_connect(wire);
    }
    wire_free(wire);
}

static void tls_1_2_means_the_same_however_it_is_cut(void **state)
{
    in_pieces_of_every_size(TLS1_2_VERSION);
}

static void tls_1_3_means_the_same_however_it_is_cut(void **state)
{
    in_pieces_of_every_size(TLS1_3_VERSION);
}

/* The second conn offers what the first one got; a full handshake makes it known when it was refused. */
static void the_next_conn_resumes_the_session(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < SHEAF_COUNT(versions); i++) {
        wire_t *wire = wire_new(versions[i], "{ca: ca}", "backend.test");

        for (int conn = 0; conn < 3; conn++) {
            exchange_all(wire, ROOM);
            assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_OPEN);
            assert_int_equal(sheaf_tls_is_resumed(wire->tls), conn > 0);
            wire_hang_up(wire); /* without a goodbye: that says nothing about the session */
            wire_connect(wire);
        }
        wire_free(wire);
    }
}

/* A chain of sessions would trust for ever what was verified once. */
static void after_an_hour_the_certificate_is_asked_for_again(void **state)
{
    static const bool is_resumed[] = {false, true, true, false, true};
    wire_t *wire = wire_new(TLS1_3_VERSION, "{ca: ca}", "backend.test");

    for (size_t conn = 0; conn < SHEAF_COUNT(is_resumed); conn++) {
        exchange_all(wire, ROOM);
        assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_OPEN);
        assert_int_equal(sheaf_tls_is_resumed(wire->tls), is_resumed[conn]);
        wire_hang_up(wire);
        wire->now_ms += SHEAF_TLS_RESUME_MS / 3 + 1;
        wire_connect(wire);
    }
    wire_free(wire);
}

static void names_are_sent_and_addresses_are_not(void **state)
{
    static const char *const names[][2] = {
        {"backend.test", "backend.test"}, {"backend.test.", "backend.test"}, {"127.0.0.1", NULL}};

    for (size_t i = 0; i < SHEAF_COUNT(names); i++) {
        wire_t *wire = wire_new(0, "{ca: ca}", names[i][0]);
        const unsigned char *alpn;
        const char *sni;
        unsigned alpn_len;

        exchange_all(wire, ROOM);
        assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_OPEN);
        sni = SSL_get_servername(wire->server.ssl, TLSEXT_NAMETYPE_host_name);
        if (names[i][1] == NULL)
            assert_null(sni);
        else
            assert_string_equal(sni, names[i][1]);
        SSL_get0_alpn_selected(wire->server.ssl, &alpn, &alpn_len);
        assert_int_equal(alpn_len, 8);
        wire_free(wire);
    }
}

static void assert_fails(wire_t *wire, const char *why)
{
    exchange_all(wire, ROOM);
    assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_FAILED);
    if (strstr(sheaf_tls_peer_detail(wire->peer), why) == NULL)
        fail_msg("`%s` is not in `%s`", why, sheaf_tls_peer_detail(wire->peer));
    assert_false(sheaf_tls_seal(wire->tls, "x", 1));
    wire_free(wire);
}

static void the_wrong_name_and_the_wrong_address_are_told(void **state)
{
    assert_fails(wire_new(0, "{ca: ca}", "other.test"), "hostname mismatch, it is not for other.test");
    assert_fails(wire_new(0, "{ca: ca}", "127.0.0.2"), "IP address mismatch, it is not for 127.0.0.2");
}

/* Another authority, of the same name. */
static void a_false_authority_is_told_unless_nobody_asks(void **state)
{
    pki_t other = pki_new((wish_t){.names = "DNS:backend.test"});
    wire_t *wire = wire_new(0, "{ca: ca}", "backend.test");

    tls_server_free(&wire->server);
    SSL_CTX_free(wire->context);
    wire->context = server_context(&other, 0, false);
    wire->server = tls_server_new(wire->context);
    assert_fails(wire, "the certificate did not verify: certificate signature failure");
    wire = wire_new(0, "{verify: false}", "other.test");
    exchange_all(wire, ROOM);
    assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_OPEN);
    wire_free(wire);
    pki_free(&other);
}

static void a_version_too_old_is_refused(void **state)
{
    assert_fails(wire_new(TLS1_2_VERSION, "{ca: ca, min_version: 1.3}", "backend.test"), "protocol version");
}

static void a_client_certificate_is_shown_when_there_is_one(void **state)
{
    wire_t *wire = wire_new(0, "{ca: ca, certificate: crt, key: key}", "backend.test");
    X509 *shown;

    exchange_all(wire, ROOM);
    assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_OPEN);
    shown = SSL_get1_peer_certificate(wire->server.ssl);
    assert_int_equal(X509_cmp(shown, wire->pki.client.x509), 0);
    X509_free(shown);
    wire_free(wire);
}

static void a_certificate_that_is_missing_is_told_by_the_servers_alert(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const char *const alerts[] = {"alert handshake failure", "alert certificate required"};

    for (size_t i = 0; i < SHEAF_COUNT(versions); i++) {
        wire_t *wire = wire_new(versions[i], "{ca: ca}", "backend.test");

        SSL_set_verify(wire->server.ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        assert_fails(wire, alerts[i]);
    }
}

static void what_is_not_tls_is_told(void **state)
{
    wire_t *wire = wire_new(0, "{ca: ca}", "backend.test");
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

    gateway_reads(wire, text, sizeof(text) - 1);
    assert_string_equal(sheaf_tls_peer_detail(wire->peer), "TLS failed: what came is not TLS");
    tls_server_drained(&wire->server);
    assert_fails(wire, "what came is not TLS");
}

/* Whoever sits between may flip a bit: nothing of that record is believed, and nothing after it. */
static void a_record_that_was_touched_ends_it(void **state)
{
    wire_t *wire = wire_new(0, "{ca: ca}", "backend.test");
    sheaf_str_t back;
    char *touched;

    exchange_all(wire, ROOM);
    SSL_write(wire->server.ssl, "first", 5);
    back = tls_server_output(&wire->server);
    gateway_reads(wire, back.base, back.len);
    tls_server_drained(&wire->server);
    SSL_write(wire->server.ssl, "second", 6);
    back = tls_server_output(&wire->server);
    touched = malloc(back.len);
    memcpy(touched, back.base, back.len);
    touched[back.len - 1] ^= 1;
    gateway_reads(wire, touched, back.len);
    free(touched);
    tls_server_drained(&wire->server);
    assert_int_equal(wire->got_len, 5);
    assert_fails(wire, "decryption failed or bad record mac");
}

/* Updates of keys that want an answer each, while nothing is sent: what waits is bounded. */
static void a_server_that_makes_the_gateway_answer_and_does_not_read_is_given_up(void **state)
{
    wire_t *wire = wire_new(TLS1_3_VERSION, "{ca: ca}", "backend.test");
    int rounds = 0;

    exchange_all(wire, ROOM);
    while (sheaf_tls_state(wire->tls) == SHEAF_TLS_OPEN && rounds++ < 100000) {
        sheaf_str_t back;

        SSL_key_update(wire->server.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(wire->server.ssl);
        back = tls_server_output(&wire->server);
        gateway_reads(wire, back.base, back.len);
        tls_server_drained(&wire->server);
        assert_true(sheaf_tls_output(wire->tls).len <= SHEAF_TLS_MAX_OUTPUT);
    }
    assert_int_equal(sheaf_tls_state(wire->tls), SHEAF_TLS_FAILED);
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_1_2_means_the_same_however_it_is_cut),
        cmocka_unit_test(tls_1_3_means_the_same_however_it_is_cut),
        cmocka_unit_test(the_next_conn_resumes_the_session),
        cmocka_unit_test(after_an_hour_the_certificate_is_asked_for_again),
        cmocka_unit_test(names_are_sent_and_addresses_are_not),
        cmocka_unit_test(the_wrong_name_and_the_wrong_address_are_told),
        cmocka_unit_test(a_false_authority_is_told_unless_nobody_asks),
        cmocka_unit_test(a_version_too_old_is_refused),
        cmocka_unit_test(a_client_certificate_is_shown_when_there_is_one),
        cmocka_unit_test(a_certificate_that_is_missing_is_told_by_the_servers_alert),
        cmocka_unit_test(what_is_not_tls_is_told),
        cmocka_unit_test(a_record_that_was_touched_ends_it),
        cmocka_unit_test(a_server_that_makes_the_gateway_answer_and_does_not_read_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
