#include "plugins/jwt/jwt_key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#define NUMBER_MAX    1024 /* bytes of an RSA modulus */
#define RSA_BITS_MIN  2048
#define COORDINATE    32 /* bytes of P-256 and of Ed25519 */
#define ES256_LEN     64
#define EXPONENT_BITS 64

/* --- reading --- */

/* A base64url member of at most `room` bytes. */
static bool read_bytes(const json_t *jwk, const char *name, uint8_t *dst, size_t room, size_t *ret_len)
{
    const json_t *member = json_object_get(jwk, name);
    sheaf_p_str_t text;

    if (!json_is_string(member))
        return false;
    text = sheaf_p_str(json_string_value(member), json_string_length(member));
    return text.len > 0 && text.len <= room / 3 * 4 && jwt_base64_decode(text, dst, ret_len);
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

static EVP_PKEY *make_rsa(const BIGNUM *modulus, const BIGNUM *exponent)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *pkey = NULL;

    if (build != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
        params = OSSL_PARAM_BLD_to_param(build);
    if (params != NULL)
        pkey = make_key("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

/* An even or huge exponent is nobody's key, and a huge one makes verifying slow. */
static bool is_sound_rsa(const BIGNUM *modulus, const BIGNUM *exponent)
{
    return modulus != NULL && exponent != NULL && BN_is_odd(modulus) && BN_is_odd(exponent) && !BN_is_one(exponent) &&
           BN_num_bits(exponent) <= EXPONENT_BITS;
}

static const char *read_rsa(const json_t *jwk, jwt_key_t *key)
{
    uint8_t n[NUMBER_MAX + 4], e[NUMBER_MAX + 4];
    size_t n_len, e_len;
    BIGNUM *modulus, *exponent;

    if (!read_bytes(jwk, "n", n, sizeof(n), &n_len) || !read_bytes(jwk, "e", e, sizeof(e), &e_len))
        return "n and e of an RSA key are base64url, the key of at most 8192 bits";
    modulus = BN_bin2bn(n, (int)n_len, NULL);
    exponent = BN_bin2bn(e, (int)e_len, NULL);
    if (is_sound_rsa(modulus, exponent) && BN_num_bits(modulus) >= RSA_BITS_MIN)
        key->pkey = make_rsa(modulus, exponent);
    BN_free(modulus);
    BN_free(exponent);
    key->algs = JWT_RS256 | JWT_PS256;
    return key->pkey != NULL ? NULL : "an RSA key has at least 2048 bits, n and e are odd";
}

static bool is_text(const json_t *jwk, const char *name, const char *want)
{
    const json_t *member = json_object_get(jwk, name);

    return json_is_string(member) && strcmp(json_string_value(member), want) == 0;
}

/* OpenSSL refuses a point that is not on the curve. */
static const char *read_ec(const json_t *jwk, jwt_key_t *key)
{
    uint8_t point[1 + 2 * (COORDINATE + 2)] = {POINT_CONVERSION_UNCOMPRESSED};
    char curve[] = "P-256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
                           OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * COORDINATE),
                           OSSL_PARAM_construct_end()};
    size_t x_len, y_len;

    if (!is_text(jwk, "crv", "P-256"))
        return "the only curve of EC keys is P-256";
    if (!read_bytes(jwk, "x", point + 1, COORDINATE + 1, &x_len) || x_len != COORDINATE ||
        !read_bytes(jwk, "y", point + 1 + COORDINATE, COORDINATE + 1, &y_len) || y_len != COORDINATE)
        return "x and y of an EC key are 32 bytes in base64url";
    key->pkey = make_key("EC", params);
    key->algs = JWT_ES256;
    return key->pkey != NULL ? NULL : "the point is not on P-256";
}

static const char *read_okp(const json_t *jwk, jwt_key_t *key)
{
    uint8_t point[COORDINATE + 2];
    size_t len;

    if (!is_text(jwk, "crv", "Ed25519"))
        return "the only curve of OKP keys is Ed25519";
    if (!read_bytes(jwk, "x", point, COORDINATE + 1, &len) || len != COORDINATE)
        return "x of an OKP key is 32 bytes in base64url";
    key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, len);
    key->algs = JWT_EDDSA;
    return key->pkey != NULL ? NULL : "x is not a key";
}

const char *jwt_key_secret(sheaf_p_str_t secret, jwt_key_t *ret_key)
{
    if (secret.len < JWT_SECRET_MIN || secret.len > JWT_SECRET_MAX)
        return "a secret has 32 to 1024 bytes";
    memset(ret_key, 0, sizeof(*ret_key));
    memcpy(ret_key->secret, secret.base, secret.len);
    ret_key->secret_len = secret.len;
    ret_key->algs = JWT_HS256;
    return NULL;
}

static const char *read_oct(const json_t *jwk, jwt_key_t *key)
{
    uint8_t bytes[JWT_SECRET_MAX + 4];
    size_t len;
    const char *why;

    if (!read_bytes(jwk, "k", bytes, sizeof(bytes), &len))
        return "k of a secret is base64url, 32 to 1024 bytes";
    why = jwt_key_secret(sheaf_p_str((const char *)bytes, len), key);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return why;
}

bool jwt_key_may_verify(const json_t *jwk)
{
    const json_t *operations = json_object_get(jwk, "key_ops"), *operation;
    size_t index;

    if (json_object_get(jwk, "use") != NULL && !is_text(jwk, "use", "sig"))
        return false;
    if (operations == NULL)
        return true;
    json_array_foreach(operations, index,
                       operation) if (json_is_string(operation) &&
                                      strcmp(json_string_value(operation), "verify") == 0) return true;
    return false;
}

static const char *read_material(const json_t *jwk, jwt_key_t *key)
{
    if (is_text(jwk, "kty", "RSA"))
        return read_rsa(jwk, key);
    if (is_text(jwk, "kty", "EC"))
        return read_ec(jwk, key);
    if (is_text(jwk, "kty", "OKP"))
        return read_okp(jwk, key);
    if (is_text(jwk, "kty", "oct"))
        return read_oct(jwk, key);
    return "kty is RSA, EC, OKP or oct";
}

/* The JWK's own `alg` leaves that one, if the key is one for it. */
static const char *narrow(const json_t *jwk, jwt_key_t *key)
{
    const json_t *alg = json_object_get(jwk, "alg");

    if (alg == NULL)
        return NULL;
    key->algs &= json_is_string(alg) ? jwt_alg_of(json_string_value(alg), json_string_length(alg)) : 0;
    return key->algs != 0 ? NULL : "alg is none that such a key verifies: RS256, PS256, ES256, EdDSA, HS256";
}

static const char *read_kid(const json_t *jwk, jwt_key_t *key)
{
    const json_t *kid = json_object_get(jwk, "kid");

    if (kid == NULL)
        return NULL;
    if (!json_is_string(kid) || json_string_length(kid) > JWT_KID_MAX)
        return "kid is a text of at most 256 bytes";
    key->has_kid = true;
    key->kid_len = json_string_length(kid);
    memcpy(key->kid, json_string_value(kid), key->kid_len);
    return NULL;
}

const char *jwt_key_read(const json_t *jwk, jwt_key_t *ret_key)
{
    const char *why = "a key is an object";

    memset(ret_key, 0, sizeof(*ret_key));
    if (json_is_object(jwk))
        why = jwt_key_may_verify(jwk) ? read_material(jwk, ret_key) : "use or key_ops say that it does not verify";
    if (why == NULL)
        why = narrow(jwk, ret_key);
    if (why == NULL)
        why = read_kid(jwk, ret_key);
    if (why != NULL)
        jwt_key_fini(ret_key);
    ERR_clear_error(); /* the queue is TLS's too */
    return why;
}

void jwt_key_fini(jwt_key_t *key)
{
    EVP_PKEY_free(key->pkey);
    OPENSSL_cleanse(key, sizeof(*key));
}

/* --- verifying --- */

bool jwt_key_fits(const jwt_key_t *key, const jwt_token_t *token)
{
    if (!key->has_kid || token->kid.base == NULL)
        return true;
    return key->kid_len == token->kid.len && memcmp(key->kid, token->kid.base, key->kid_len) == 0;
}

static bool verify_secret(const jwt_key_t *key, const jwt_token_t *token)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (HMAC(EVP_sha256(), key->secret, (int)key->secret_len, (const uint8_t *)token->what.base, token->what.len, mac,
             &len) == NULL)
        return false;
    return token->signature_len == len && CRYPTO_memcmp(mac, token->signature, len) == 0;
}

/* EVP wants a DER signature, JWS has r and s side by side. */
static size_t der_of(const jwt_token_t *token, uint8_t *dst)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(token->signature, ES256_LEN / 2, NULL);
    BIGNUM *s = BN_bin2bn(token->signature + ES256_LEN / 2, ES256_LEN / 2, NULL);
    int len = 0;

    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s)) {
        r = s = NULL; /* sig's now */
        len = i2d_ECDSA_SIG(sig, &dst);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

/* PS256 has a salt as long as the hash (RFC 7518 3.5), no other. */
static bool set_padding(EVP_PKEY_CTX *ctx, uint32_t alg)
{
    if (alg == JWT_RS256)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
    if (alg == JWT_PS256)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
    return true;
}

static bool verify_public(const jwt_key_t *key, const jwt_token_t *token)
{
    const EVP_MD *digest = token->alg == JWT_EDDSA ? NULL : EVP_sha256();
    const uint8_t *signature = token->signature;
    size_t len = token->signature_len;
    uint8_t der[ES256_LEN + 16];
    EVP_PKEY_CTX *ctx = NULL; /* md's */
    EVP_MD_CTX *md;
    bool is_good;

    if (token->alg == JWT_ES256) {
        if (len != ES256_LEN)
            return false;
        len = der_of(token, der);
        signature = der;
    }
    md = EVP_MD_CTX_new();
    is_good = md != NULL && EVP_DigestVerifyInit(md, &ctx, digest, NULL, key->pkey) > 0 &&
              set_padding(ctx, token->alg) &&
              EVP_DigestVerify(md, signature, len, (const uint8_t *)token->what.base, token->what.len) == 1;
    EVP_MD_CTX_free(md);
    return is_good;
}

bool jwt_key_verify(const jwt_key_t *key, const jwt_token_t *token)
{
    bool is_good;

    if ((key->algs & token->alg) == 0)
        return false;
    is_good = key->pkey != NULL ? verify_public(key, token) : verify_secret(key, token);
    ERR_clear_error(); /* the queue is TLS's too, and its calls look into it */
    return is_good;
}
