/* Certificates made while the test runs: P-256 unless told otherwise, signed by themselves or by another. */
#ifndef SHEAF_TEST_CERTIFICATES_H
#define SHEAF_TEST_CERTIFICATES_H

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "gateway/base/pool.h"

typedef struct {
    X509 *x509;
    EVP_PKEY *key;
    char *pem, *key_pem; /* malloc'ed */
} made_t;

typedef struct {
    const char *common_name;
    const char *names; /* "DNS:a.example, DNS:*.b.example", NULL: none */
    int begin_days, end_days;
    const made_t *issuer; /* NULL: itself */
    unsigned rsa_bits;    /* 0: P-256 */
    bool is_authority;
} wish_t;

static char *pem_text(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = sheaf_zalloc((size_t)len + 1);

    memcpy(text, bytes, (size_t)len);
    BIO_free(bio);
    return text;
}

static void extend(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

static made_t make(wish_t wish)
{
    static long serial = 1;
    made_t made = {.x509 = X509_new()};
    BIO *pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
    X509_NAME *subject = X509_get_subject_name(made.x509);

    made.key = wish.rsa_bits > 0 ? EVP_RSA_gen(wish.rsa_bits) : EVP_EC_gen("P-256");
    X509_set_version(made.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.x509), wish.begin_days * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(made.x509), wish.end_days * 86400L);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)wish.common_name, -1, -1, 0);
    X509_set_issuer_name(made.x509, wish.issuer != NULL ? X509_get_subject_name(wish.issuer->x509) : subject);
    X509_set_pubkey(made.x509, made.key);
    if (wish.names != NULL)
        extend(made.x509, NID_subject_alt_name, wish.names);
    if (wish.is_authority)
        extend(made.x509, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(made.x509, wish.issuer != NULL ? wish.issuer->key : made.key, EVP_sha256());
    PEM_write_bio_X509(pem, made.x509);
    PEM_write_bio_PrivateKey(key_pem, made.key, NULL, NULL, 0, NULL, NULL);
    made.pem = pem_text(pem);
    made.key_pem = pem_text(key_pem);
    return made;
}

static void made_free(made_t *made)
{
    X509_free(made->x509);
    EVP_PKEY_free(made->key);
    free(made->pem);
    free(made->key_pem);
}

#endif
