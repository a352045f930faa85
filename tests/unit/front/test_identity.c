#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/front/identity.h"
#include "tests/unit/config/certificates.h"

/* What a server makes of a client that shows `made`, whose authority is itself. */
static const sheaf_identity_t *identity_of(const made_t *made)
{
    SSL_CTX *contexts[2] = {SSL_CTX_new(TLS_server_method()), SSL_CTX_new(TLS_client_method())};
    made_t site = make((wish_t){.common_name = "site", .end_days = 1});
    const sheaf_identity_t *identity;
    SSL *server, *client;
    BIO *left, *right;

    SSL_CTX_use_certificate(contexts[0], site.x509);
    SSL_CTX_use_PrivateKey(contexts[0], site.key);
    SSL_CTX_set_verify(contexts[0], SSL_VERIFY_PEER, NULL);
    if (made != NULL) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(contexts[0]), made->x509);
        SSL_CTX_use_certificate(contexts[1], made->x509);
        SSL_CTX_use_PrivateKey(contexts[1], made->key);
    }
    server = SSL_new(contexts[0]);
    client = SSL_new(contexts[1]);
    BIO_new_bio_pair(&left, 0, &right, 0);
    SSL_set_bio(server, left, left);
    SSL_set_bio(client, right, right);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    assert_true(SSL_is_init_finished(server));
    identity = sheaf_identity_of(server);
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(contexts[0]);
    SSL_CTX_free(contexts[1]);
    made_free(&site);
    return identity;
}

static void assert_names(const sheaf_identity_t *identity, const char *const *names)
{
    uint32_t count = 0;

    for (; names[count] != NULL; count++) {
        assert_true(count < identity->names.count);
        assert_true(sheaf_str_eq(identity->names.items[count], sheaf_str_of(names[count])));
    }
    assert_int_equal(identity->names.count, count);
}

static void a_certificate_names_its_client(void **state)
{
    made_t made = make((wish_t){.common_name = "app, the \"first\"",
                                .names = "DNS:app.example, URI:spiffe://example/app, email:a@b.example, IP:10.0.0.1, "
                                         "IP:2001:db8::1, RID:1.2.3.4",
                                .end_days = 1});
    const sheaf_identity_t *identity = identity_of(&made);

    assert_non_null(identity);
    assert_true(sheaf_str_eq(identity->subject, SHEAF_STR("CN=app\\, the \\\"first\\\"")));
    assert_int_equal(identity->fingerprint.len, 64);
    assert_names(identity, (const char *const[]){"DNS:app.example", "URI:spiffe://example/app", "email:a@b.example",
                                                 "IP:10.0.0.1", "IP:2001:db8::1", NULL});
    sheaf_identity_drop(identity);
    made_free(&made);
}

static void a_client_without_a_certificate_is_nobody(void **state)
{
    assert_null(identity_of(NULL));
    sheaf_identity_drop(sheaf_identity_hold(NULL));
}

/* "bank.example\0.evil.example" must not be read as bank.example. */
static void names_that_pretend_are_left_out(void **state)
{
    made_t made = make((wish_t){.common_name = "line\nbreak", .end_days = 1});
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    static const struct {
        const char *bytes;
        int len;
    } values[] = {
        {"bank.example\0.evil.example", 26}, {"two words", 9}, {"", 0}, {"caf\xe9.example", 12}, {"good.example", 12}};
    const sheaf_identity_t *identity;

    for (size_t i = 0; i < SHEAF_COUNT(values); i++) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        ASN1_STRING_set(text, values[i].bytes, values[i].len);
        GENERAL_NAME_set0_value(name, GEN_DNS, text);
        sk_GENERAL_NAME_push(names, name);
    }
    X509_add1_ext_i2d(made.x509, NID_subject_alt_name, names, 0, 0);
    X509_sign(made.x509, made.key, EVP_sha256());
    GENERAL_NAMES_free(names);
    identity = identity_of(&made);
    assert_non_null(identity);
    assert_names(identity, (const char *const[]){"DNS:good.example", NULL});
    assert_null(memchr(identity->subject.base, '\n', identity->subject.len));
    sheaf_identity_drop(identity);
    made_free(&made);
}

static void the_last_who_holds_it_frees_it(void **state)
{
    made_t made = make((wish_t){.common_name = "a", .end_days = 1});
    const sheaf_identity_t *identity = identity_of(&made);

    assert_ptr_equal(sheaf_identity_hold(identity), identity);
    sheaf_identity_drop(identity);
    assert_true(sheaf_str_eq(identity->subject, SHEAF_STR("CN=a")));
    sheaf_identity_drop(identity); /* the sanitizer tells if it was not */
    made_free(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_names_its_client),
        cmocka_unit_test(a_client_without_a_certificate_is_nobody),
        cmocka_unit_test(names_that_pretend_are_left_out),
        cmocka_unit_test(the_last_who_holds_it_frees_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
