#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "config/sni.h"
#include "config/snapshot.h"
#include "config/tls.h"
#include "tests/unit/config/certificates.h"

static void put_file(sheaf_files_t *files, const char *path, const char *bytes)
{
    sheaf_files_t one = {.items = &(sheaf_file_t){sheaf_str_of(path), sheaf_str_of(bytes)}, .count = 1}, copy;
    sheaf_str_t text;
    size_t len;
    char *pack = sheaf_files_pack(&one, SHEAF_STR(""), &len);

    assert_true(sheaf_files_unpack(sheaf_str(pack, len), &text, &copy));
    files->items = sheaf_realloc(files->items, (files->count + 1) * sizeof(*files->items));
    files->items[files->count++] = copy.items[0];
    files->room = files->count;
    free(copy.items);
    sheaf_files_pack_free(pack, len);
}

static sheaf_snapshot_t *load(const char *tls, sheaf_files_t *files, char **ret_report)
{
    char text[1024];

    snprintf(text, sizeof(text), "listen:\n  - address: 127.0.0.1:1\n    tls: %s\n", tls);
    return sheaf_snapshot_load_packed("t.yaml", sheaf_str_of(text), files, ret_report);
}

static void assert_refused(const char *tls, sheaf_files_t *files, const char *what)
{
    char *report;

    assert_null(load(tls, files, &report));
    if (strstr(report, what) == NULL)
        fail_msg("expected `%s`, got:\n%s", what, report);
    free(report);
}

static sheaf_snapshot_t *assert_loads(const char *tls, sheaf_files_t *files, const char *warning)
{
    char *report;
    sheaf_snapshot_t *snapshot = load(tls, files, &report);

    if (snapshot == NULL || (warning == NULL ? report[0] != '\0' : strstr(report, warning) == NULL))
        fail_msg("got:\n%s", report);
    free(report);
    return snapshot;
}

#define PAIR "{certificate: a.pem, key: a.key}"

static void put_pair(sheaf_files_t *files, const made_t *made)
{
    put_file(files, "a.pem", made->pem);
    put_file(files, "a.key", made->key_pem);
}

static void a_good_pair_makes_a_context(void **state)
{
    made_t made = make((wish_t){.common_name = "a", .names = "DNS:a.example", .end_days = 1});
    sheaf_files_t files = {.folder = NULL};
    sheaf_snapshot_t *snapshot;

    put_pair(&files, &made);
    snapshot = assert_loads(PAIR, &files, NULL);
    assert_non_null(snapshot->tls[0]);
    assert_int_equal(SSL_CTX_get_min_proto_version(snapshot->tls[0]), TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_get_session_cache_mode(snapshot->tls[0]), SSL_SESS_CACHE_OFF);
    assert_int_equal(SSL_CTX_get_max_early_data(snapshot->tls[0]), 0);
    assert_int_equal(SSL_CTX_get_verify_mode(snapshot->tls[0]), SSL_VERIFY_NONE);
    assert_true(SSL_CTX_get_options(snapshot->tls[0]) & SSL_OP_NO_RENEGOTIATION);
    assert_int_equal(files.count, 0); /* taken over */
    assert_int_equal(snapshot->files.count, 2);
    sheaf_snapshot_drop(snapshot);
    made_free(&made);
}

static void times_that_are_no_good_are_refused_with_the_name_of_the_file(void **state)
{
    made_t old = make((wish_t){.common_name = "old", .begin_days = -2, .end_days = -1});
    made_t early = make((wish_t){.common_name = "early", .begin_days = 1, .end_days = 2});
    sheaf_files_t files = {.folder = NULL};

    put_pair(&files, &old);
    assert_refused(PAIR, &files, "t.yaml:3:24: error: a.pem has expired: it ended on ");
    put_pair(&files, &early);
    assert_refused(PAIR, &files, "t.yaml:3:24: error: a.pem is not valid yet: it begins on ");
    made_free(&old);
    made_free(&early);
}

static void an_expired_certificate_of_the_chain_is_only_warned_about(void **state)
{
    made_t old = make((wish_t){.common_name = "old", .begin_days = -2, .end_days = -1, .is_authority = true});
    made_t made = make((wish_t){.common_name = "a", .end_days = 1, .issuer = &old});
    sheaf_files_t files = {.folder = NULL};
    char chain[8192];

    snprintf(chain, sizeof(chain), "%s%s", made.pem, old.pem);
    put_file(&files, "a.pem", chain);
    put_file(&files, "a.key", made.key_pem);
    sheaf_snapshot_drop(assert_loads(PAIR, &files, "warning: a.pem: certificate 2 of the chain has expired"));
    made_free(&old);
    made_free(&made);
}

static void keys_that_are_no_good_are_refused_with_the_name_of_the_file(void **state)
{
    made_t made = make((wish_t){.common_name = "a", .end_days = 1});
    made_t other = make((wish_t){.common_name = "b", .end_days = 1});
    made_t short_rsa = make((wish_t){.common_name = "c", .end_days = 1, .rsa_bits = 1024});
    BIO *bio = BIO_new(BIO_s_mem());
    sheaf_files_t files = {.folder = NULL};
    char *encrypted;

    put_file(&files, "a.pem", made.pem);
    put_file(&files, "a.key", other.key_pem);
    assert_refused(PAIR, &files, "t.yaml:3:36: error: a.key does not hold the private key of the certificate (a.pem)");

    put_file(&files, "a.pem", made.pem);
    put_file(&files, "a.key", made.pem);
    assert_refused(PAIR, &files, "error: a.key holds no private key in PEM form (a.pem)");

    put_file(&files, "a.pem", made.pem);
    put_file(&files, "a.key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    assert_refused(PAIR, &files, "error: a.key holds a private key that cannot be read: ");

    PEM_write_bio_PrivateKey(bio, made.key, EVP_aes_128_cbc(), (const unsigned char *)"pass", 4, NULL, NULL);
    encrypted = pem_text(bio);
    put_file(&files, "a.pem", made.pem);
    put_file(&files, "a.key", encrypted);
    assert_refused(PAIR, &files, "error: a.key holds an encrypted private key");
    free(encrypted);

    put_pair(&files, &short_rsa);
    assert_refused(PAIR, &files, "error: a.pem cannot be used: ee key too small");
    made_free(&made);
    made_free(&other);
    made_free(&short_rsa);
}

static void one_file_may_hold_certificate_and_key(void **state)
{
    made_t made = make((wish_t){.common_name = "a", .end_days = 1});
    sheaf_files_t files = {.folder = NULL};
    char both[8192];

    snprintf(both, sizeof(both), "%s%s", made.key_pem, made.pem);
    put_file(&files, "both.pem", both);
    sheaf_snapshot_drop(assert_loads("{certificate: both.pem, key: both.pem}", &files, NULL));
    made_free(&made);
}

static void clients_are_verified_as_told(void **state)
{
    static const struct {
        const char *more;
        int mode;
    } cases[] = {
        {"", SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT},
        {", client_verify: require", SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT},
        {", client_verify: optional", SSL_VERIFY_PEER},
        {", client_verify: none", SSL_VERIFY_NONE},
    };
    made_t ca = make((wish_t){.common_name = "ca", .end_days = 1, .is_authority = true});
    made_t made = make((wish_t){.common_name = "a", .end_days = 1});

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        sheaf_files_t files = {.folder = NULL};
        sheaf_snapshot_t *snapshot;
        char tls[256];

        put_pair(&files, &made);
        put_file(&files, "ca.pem", ca.pem);
        snprintf(tls, sizeof(tls), "{certificate: a.pem, key: a.key, client_ca: ca.pem%s}", cases[i].more);
        snapshot = assert_loads(tls, &files, NULL);
        assert_int_equal(SSL_CTX_get_verify_mode(snapshot->tls[0]), cases[i].mode);
        sheaf_snapshot_drop(snapshot);
    }
    made_free(&ca);
    made_free(&made);
}

static void ciphers_are_one_list(void **state)
{
    made_t made = make((wish_t){.common_name = "a", .end_days = 1});
    sheaf_files_t files = {.folder = NULL};
    sheaf_snapshot_t *snapshot;
    STACK_OF(SSL_CIPHER) * ciphers;

    put_pair(&files, &made);
    snapshot = assert_loads("{certificate: a.pem, key: a.key, min_version: 1.3, "
                            "ciphers: 'TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES256-GCM-SHA384'}",
                            &files, NULL);
    ciphers = SSL_CTX_get_ciphers(snapshot->tls[0]);
    assert_int_equal(sk_SSL_CIPHER_num(ciphers), 2);
    assert_string_equal(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, 0)), "TLS_AES_256_GCM_SHA384");
    assert_string_equal(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, 1)), "ECDHE-ECDSA-AES256-GCM-SHA384");
    assert_int_equal(SSL_CTX_get_min_proto_version(snapshot->tls[0]), TLS1_3_VERSION);
    sheaf_snapshot_drop(snapshot);
    made_free(&made);
}

/* "0 2" for the certificates that `name` picks. */
static const char *picked(const SSL_CTX *context, const char *name)
{
    static char text[64];
    uint32_t indices[8], count = sheaf_sni_pick(context, sheaf_str_of(name), indices, 8);

    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++)
        sprintf(text + strlen(text), "%s%u", i == 0 ? "" : " ", indices[i]);
    return text;
}

static void a_name_picks_its_certificates(void **state)
{
    made_t made[] = {
        make((wish_t){.common_name = "a", .names = "DNS:a.example, DNS:*.a.example", .end_days = 1}),
        make((wish_t){.common_name = "b", .names = "DNS:special.a.example, DNS:B.example", .end_days = 1}),
        make((wish_t){.common_name = "c", .names = "DNS:*.a.example", .end_days = 1, .rsa_bits = 2048}),
        make((wish_t){.common_name = "plain.example", .end_days = 1}),
        make((wish_t){.common_name = "d.example", .names = "IP:127.0.0.1", .end_days = 1}),
    };
    sheaf_files_t files = {.folder = NULL};
    sheaf_snapshot_t *snapshot;
    SSL_CTX *context;

    for (size_t i = 0; i < SHEAF_COUNT(made); i++) {
        char both[8192], path[16];

        snprintf(both, sizeof(both), "%s%s", made[i].pem, made[i].key_pem);
        snprintf(path, sizeof(path), "%zu", i);
        put_file(&files, path, both);
        made_free(&made[i]);
    }
    snapshot = assert_loads("{certificates: [{certificate: 0, key: 0}, {certificate: 1, key: 1}, "
                            "{certificate: 2, key: 2}, {certificate: 3, key: 3}, {certificate: 4, key: 4}]}",
                            &files, NULL);
    context = snapshot->tls[0];
    assert_string_equal(picked(context, "a.example"), "0");
    assert_string_equal(picked(context, "x.a.example"), "0 2");
    assert_string_equal(picked(context, "special.a.example"), "1");
    assert_string_equal(picked(context, "SPECIAL.A.EXAMPLE."), "1");
    assert_string_equal(picked(context, "x.y.a.example"), "");
    assert_string_equal(picked(context, "b.example"), "1");
    assert_string_equal(picked(context, "plain.example"), "3");
    assert_string_equal(picked(context, "d.example"), ""); /* it has alternative names, so its common name is none */
    for (const char *const *name = (const char *const[]){"", ".", "..", "a", ".a.example", "*.a.example.", NULL}; *name;
         name++)
        assert_string_equal(picked(context, *name), strcmp(*name, "*.a.example.") == 0 ? "0 2" : "");
    sheaf_snapshot_drop(snapshot);
}

/* --- towards backends --- */

static sheaf_snapshot_t *load_upstream(const char *tls, sheaf_files_t *files, char **ret_report)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "listen: [{address: 127.0.0.1:1}]\nupstreams:\n  u:\n    servers: [https://a]\n    tls: %s\n", tls);
    return sheaf_snapshot_load_packed("t.yaml", sheaf_str_of(text), files, ret_report);
}

static sheaf_snapshot_t *assert_upstream_loads(const char *tls, sheaf_files_t *files)
{
    char *report;
    sheaf_snapshot_t *snapshot = load_upstream(tls, files, &report);

    if (snapshot == NULL || report[0] != '\0')
        fail_msg("got:\n%s", report);
    free(report);
    return snapshot;
}

static void assert_upstream_refused(const char *tls, sheaf_files_t *files, const char *what)
{
    char *report;

    assert_null(load_upstream(tls, files, &report));
    if (strstr(report, what) == NULL)
        fail_msg("expected `%s`, got:\n%s", what, report);
    free(report);
}

static void an_upstreams_section_makes_a_context_that_verifies(void **state)
{
    made_t made = make((wish_t){.common_name = "a", .end_days = 1});
    sheaf_files_t files = {.folder = NULL};
    sheaf_snapshot_t *snapshot;

    put_pair(&files, &made);
    snapshot = assert_upstream_loads("{ca: a.pem, certificate: a.pem, key: a.key, min_version: 1.3}", &files);
    assert_int_equal(SSL_CTX_get_verify_mode(snapshot->upstream_tls[0]), SSL_VERIFY_PEER);
    assert_int_equal(SSL_CTX_get_min_proto_version(snapshot->upstream_tls[0]), TLS1_3_VERSION);
    assert_true(SSL_CTX_get_options(snapshot->upstream_tls[0]) & SSL_OP_NO_RENEGOTIATION);
    assert_int_equal(X509_cmp(SSL_CTX_get0_certificate(snapshot->upstream_tls[0]), made.x509), 0);
    sheaf_snapshot_drop(snapshot);
    snapshot = assert_upstream_loads("{verify: false}", &files);
    assert_int_equal(SSL_CTX_get_verify_mode(snapshot->upstream_tls[0]), SSL_VERIFY_NONE);
    sheaf_snapshot_drop(snapshot);
    made_free(&made);
}

static void a_client_certificate_that_is_no_good_is_refused(void **state)
{
    made_t old = make((wish_t){.common_name = "old", .begin_days = -2, .end_days = -1});
    made_t weak = make((wish_t){.common_name = "weak", .end_days = 1, .rsa_bits = 1024});
    made_t other = make((wish_t){.common_name = "other", .end_days = 1});
    sheaf_files_t files = {.folder = NULL};

    put_pair(&files, &old);
    assert_upstream_refused(PAIR, &files, "t.yaml:5:24: error: a.pem has expired: it ended on ");
    put_pair(&files, &weak);
    assert_upstream_refused(PAIR, &files, "t.yaml:5:24: error: a.pem cannot be used: ee key too small");
    put_file(&files, "a.pem", other.pem);
    put_file(&files, "a.key", weak.key_pem);
    assert_upstream_refused(PAIR, &files, "t.yaml:5:36: error: a.key does not hold the private key of the certificate");
    made_free(&old);
    made_free(&weak);
    made_free(&other);
}

static void upstreams_differ_when_the_content_of_a_file_does(void **state)
{
    static const char section[] = "{ca: a.pem}";
    made_t made[2] = {make((wish_t){.common_name = "a", .end_days = 1}),
                      make((wish_t){.common_name = "a", .end_days = 1})};
    sheaf_snapshot_t *snapshots[3];
    sheaf_upstream_conf_t *conf[3];

    for (int i = 0; i < 3; i++) {
        sheaf_files_t files = {.folder = NULL};

        put_file(&files, "a.pem", made[i / 2].pem);
        snapshots[i] = assert_upstream_loads(section, &files);
        conf[i] = snapshots[i]->conf.upstreams.items;
    }
    assert_true(sheaf_upstream_conf_eq(conf[0], conf[1]));
    assert_false(sheaf_upstream_conf_eq(conf[0], conf[2]));
    conf[1]->tls.verify = false;
    assert_false(sheaf_upstream_conf_eq(conf[0], conf[1]));
    conf[1]->tls.verify = true;
    conf[1]->tls.server_name = SHEAF_STR("b");
    assert_false(sheaf_upstream_conf_eq(conf[0], conf[1]));
    for (int i = 0; i < 3; i++)
        sheaf_snapshot_drop(snapshots[i]);
    made_free(&made[0]);
    made_free(&made[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_pair_makes_a_context),
        cmocka_unit_test(times_that_are_no_good_are_refused_with_the_name_of_the_file),
        cmocka_unit_test(an_expired_certificate_of_the_chain_is_only_warned_about),
        cmocka_unit_test(keys_that_are_no_good_are_refused_with_the_name_of_the_file),
        cmocka_unit_test(one_file_may_hold_certificate_and_key),
        cmocka_unit_test(clients_are_verified_as_told),
        cmocka_unit_test(ciphers_are_one_list),
        cmocka_unit_test(a_name_picks_its_certificates),
        cmocka_unit_test(an_upstreams_section_makes_a_context_that_verifies),
        cmocka_unit_test(a_client_certificate_that_is_no_good_is_refused),
        cmocka_unit_test(upstreams_differ_when_the_content_of_a_file_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
