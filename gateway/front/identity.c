#include "gateway/front/identity.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>

typedef struct {
    sheaf_identity_t identity; /* first */
    sheaf_pool_t *pool;        /* of this and all in it */
    uint32_t holds;
} counted_t;

static counted_t *counted_of(const sheaf_identity_t *identity)
{
    return (counted_t *)(uintptr_t)identity;
}

/* RFC 4514: escaped so that no value can pretend to be two, and all ASCII. */
static sheaf_str_t subject_of(sheaf_pool_t *pool, const X509 *x509)
{
    BIO *bio = BIO_new(BIO_s_mem());
    sheaf_str_t subject = SHEAF_STR("");
    char *bytes;
    long len;

    if (X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253) >= 0) {
        len = BIO_get_mem_data(bio, &bytes);
        subject = sheaf_pool_dup(pool, sheaf_str(bytes, len > 0 ? (size_t)len : 0));
    }
    BIO_free(bio);
    return subject;
}

static sheaf_str_t fingerprint_of(sheaf_pool_t *pool, const X509 *x509)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char *hex;

    if (X509_digest(x509, EVP_sha256(), digest, &len) != 1)
        return SHEAF_STR("");
    hex = sheaf_pool_alloc(pool, 2 * len + 1);
    for (unsigned i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return sheaf_str(hex, 2 * len);
}

/* --- alternative names --- */

/* A name with a NUL or a space in it is made to be mistaken for another. */
static bool is_visible(sheaf_str_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.base[i] <= 0x20 || name.base[i] >= 0x7f)
            return false;
    }
    return name.len > 0;
}

static sheaf_str_t text_name(sheaf_pool_t *pool, const char *kind, const ASN1_STRING *value)
{
    sheaf_str_t name = sheaf_str((const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));

    return is_visible(name) ? sheaf_pool_printf(pool, "%s:%.*s", kind, SHEAF_STR_ARG(name)) : SHEAF_STR_NONE;
}

static sheaf_str_t ip_name(sheaf_pool_t *pool, const ASN1_STRING *value)
{
    int len = ASN1_STRING_length(value);
    char text[INET6_ADDRSTRLEN];

    if ((len != 4 && len != 16) ||
        inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), text, sizeof(text)) == NULL)
        return SHEAF_STR_NONE;
    return sheaf_pool_printf(pool, "IP:%s", text);
}

static sheaf_str_t name_of(sheaf_pool_t *pool, const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
        return text_name(pool, "DNS", name->d.dNSName);
    case GEN_URI:
        return text_name(pool, "URI", name->d.uniformResourceIdentifier);
    case GEN_EMAIL:
        return text_name(pool, "email", name->d.rfc822Name);
    case GEN_IPADD:
        return ip_name(pool, name->d.iPAddress);
    default:
        return SHEAF_STR_NONE;
    }
}

static void take_names(counted_t *counted, const X509 *x509)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    sheaf_texts_t *texts = &counted->identity.names;
    int count = names == NULL ? 0 : sk_GENERAL_NAME_num(names);

    texts->items = sheaf_pool_alloc(counted->pool, SHEAF_IDENTITY_NAMES_MOST * sizeof(*texts->items));
    for (int i = 0; i < count && texts->count < SHEAF_IDENTITY_NAMES_MOST; i++) {
        sheaf_str_t name = name_of(counted->pool, sk_GENERAL_NAME_value(names, i));
        if (name.base != NULL)
            texts->items[texts->count++] = name;
    }
    GENERAL_NAMES_free(names);
}

/* --- the room's face --- */

const sheaf_identity_t *sheaf_identity_of(const SSL *ssl)
{
    const X509 *x509 = SSL_get0_peer_certificate(ssl);
    sheaf_pool_t *pool;
    counted_t *counted;

    if (x509 == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        return NULL;
    pool = sheaf_pool_new();
    counted = sheaf_pool_zalloc(pool, sizeof(*counted));
    counted->pool = pool;
    counted->holds = 1;
    counted->identity.subject = subject_of(pool, x509);
    counted->identity.fingerprint = fingerprint_of(pool, x509);
    take_names(counted, x509);
    return &counted->identity;
}

const sheaf_identity_t *sheaf_identity_hold(const sheaf_identity_t *identity)
{
    if (identity != NULL)
        counted_of(identity)->holds++;
    return identity;
}

void sheaf_identity_drop(const sheaf_identity_t *identity)
{
    if (identity != NULL && --counted_of(identity)->holds == 0)
        sheaf_pool_free(counted_of(identity)->pool);
}
