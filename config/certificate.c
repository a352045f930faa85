#include "config/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "config/secret.h"

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_error()); /* the innermost */

    return text != NULL ? text : "unknown reason";
}

static BIO *bio_of(sheaf_str_t bytes)
{
    BIO *bio = BIO_new_mem_buf(bytes.base, (int)bytes.len);

    SHEAF_ASSERT(bio != NULL);
    ERR_clear_error();
    return bio;
}

/* Nobody is there to type one. Told apart from a bad key by what it leaves in `data`. */
static int on_passphrase(char *buffer, int size, int is_writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    *(bool *)data = true;
    return -1;
}

/* --- certificates --- */

sheaf_err_t sheaf_authorities_read(sheaf_str_t pem, STACK_OF(X509) * *ret_authorities, sheaf_fail_t *fail)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *bio = bio_of(pem);
    sheaf_err_t err = SHEAF_OK;
    bool is_encrypted = false;
    unsigned long why;
    X509 *x509;

    while ((x509 = PEM_read_bio_X509(bio, NULL, on_passphrase, &is_encrypted)) != NULL)
        sk_X509_push(all, x509);
    why = ERR_peek_last_error();
    if (ERR_GET_LIB(why) != ERR_LIB_PEM || ERR_GET_REASON(why) != PEM_R_NO_START_LINE) /* that is just the end */
        err = sheaf_fail(fail, SHEAF_ERR_CONFIG, "holds something that cannot be read as a certificate: %s", reason());
    else if (sk_X509_num(all) == 0)
        err = sheaf_fail(fail, SHEAF_ERR_CONFIG, "holds no certificate in PEM form");
    BIO_free(bio);
    ERR_clear_error();
    if (err != SHEAF_OK)
        sk_X509_pop_free(all, X509_free);
    else
        *ret_authorities = all;
    return err;
}

sheaf_err_t sheaf_certificate_read_chain(sheaf_str_t pem, sheaf_certificate_t *ret_certificate, sheaf_fail_t *fail)
{
    STACK_OF(X509) * all;
    sheaf_err_t err = sheaf_authorities_read(pem, &all, fail);

    if (err != SHEAF_OK)
        return err;
    *ret_certificate = (sheaf_certificate_t){.leaf = sk_X509_shift(all), .chain = all};
    return SHEAF_OK;
}

sheaf_err_t sheaf_certificate_read_key(sheaf_str_t pem, sheaf_certificate_t *certificate, sheaf_fail_t *fail)
{
    BIO *bio = bio_of(pem);
    bool is_encrypted = false;
    sheaf_err_t err = SHEAF_OK;
    EVP_PKEY *key;

    sheaf_secret_begin();
    key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &is_encrypted);
    BIO_free(bio);
    sheaf_secret_end();
    if (is_encrypted)
        err = sheaf_fail(fail, SHEAF_ERR_CONFIG,
                         "holds an encrypted private key; there is nobody to ask for its "
                         "passphrase");
    else if (key == NULL && memmem(pem.base, pem.len, " KEY-----", 9) == NULL)
        err = sheaf_fail(fail, SHEAF_ERR_CONFIG, "holds no private key in PEM form");
    else if (key == NULL)
        err = sheaf_fail(fail, SHEAF_ERR_CONFIG, "holds a private key that cannot be read: %s", reason());
    else if (X509_check_private_key(certificate->leaf, key) != 1)
        err = sheaf_fail(fail, SHEAF_ERR_CONFIG, "does not hold the private key of the certificate");
    ERR_clear_error();
    if (err == SHEAF_OK)
        certificate->key = key;
    else
        EVP_PKEY_free(key);
    return err;
}

void sheaf_certificate_fini(sheaf_certificate_t *certificate)
{
    X509_free(certificate->leaf);
    sk_X509_pop_free(certificate->chain, X509_free);
    EVP_PKEY_free(certificate->key);
    *certificate = (sheaf_certificate_t){.leaf = NULL};
}

/* --- time --- */

static const char *show_time(const ASN1_TIME *at, char text[64])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len = 0;

    if (ASN1_TIME_print(bio, at) == 1)
        len = BIO_read(bio, text, 63);
    text[len > 0 ? len : 0] = '\0';
    BIO_free(bio);
    return text;
}

sheaf_err_t sheaf_certificate_check_time(const X509 *x509, time_t now, sheaf_fail_t *fail)
{
    const ASN1_TIME *begin = X509_get0_notBefore(x509), *end = X509_get0_notAfter(x509);
    char text[64];

    if (ASN1_TIME_cmp_time_t(begin, now) > 0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "is not valid yet: it begins on %s", show_time(begin, text));
    if (ASN1_TIME_cmp_time_t(end, now) < 0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "has expired: it ended on %s", show_time(end, text));
    return SHEAF_OK;
}

/* --- names --- */

static sheaf_str_t str_of(const ASN1_STRING *string)
{
    return sheaf_str((const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

static void common_name(const X509 *leaf, void (*each)(void *data, sheaf_str_t name), void *data)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    if (at >= 0)
        each(data, str_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
}

void sheaf_certificate_names(const sheaf_certificate_t *certificate, void (*each)(void *data, sheaf_str_t name),
                             void *data)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate->leaf, NID_subject_alt_name, NULL, NULL);

    if (names == NULL) {
        common_name(certificate->leaf, each, data);
        return;
    }
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            each(data, str_of(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
}
