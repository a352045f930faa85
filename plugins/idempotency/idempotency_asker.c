#include "idempotency_asker.h"

#include <openssl/evp.h>
#include <string.h>

#define VERIFIED "jwt.verified"

/* --- digests --- */

static EVP_MD_CTX *digest_new(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();

    if (digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1)
        return digest;
    EVP_MD_CTX_free(digest);
    return NULL;
}

static bool digest_end(EVP_MD_CTX *digest, uint8_t *ret_hash)
{
    const bool is_made = EVP_DigestFinal_ex(digest, ret_hash, NULL) == 1;

    EVP_MD_CTX_free(digest);
    return is_made;
}

static void feed(EVP_MD_CTX *digest, sheaf_p_str_t text)
{
    const uint64_t len = text.len;

    EVP_DigestUpdate(digest, &len, sizeof(len)); /* so that no two parts look like two others */
    EVP_DigestUpdate(digest, text.base, text.len);
}

/* --- whose --- */

static bool own_header(const idempotency_asker_t *asker, sheaf_p_ref_t item, const char *name, sheaf_p_str_t *ret_value)
{
    return asker->api->header(item, SHEAF_P_QUESTION, name, 0, ret_value) == 1;
}

static bool feed_attribute(const idempotency_asker_t *asker, sheaf_p_ref_t item, const char *name, EVP_MD_CTX *digest)
{
    sheaf_p_str_t text;

    if (asker->api->get(item, name, &text) != 1 || text.len == 0)
        return false;
    feed(digest, sheaf_p_str(name, strlen(name)));
    feed(digest, text);
    return true;
}

/* All of that name: the item's own, else the client's. */
static bool feed_fields(const idempotency_asker_t *asker, sheaf_p_ref_t item, const char *name, EVP_MD_CTX *digest)
{
    static const sheaf_p_part_t parts[] = {SHEAF_P_QUESTION, SHEAF_P_CLIENT};
    sheaf_p_str_t text;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint32_t count = 0;

        for (; asker->api->header(item, parts[i], name, count, &text) == 1; count++) {
            feed(digest, sheaf_p_str(name, strlen(name)));
            feed(digest, text);
        }
        if (count > 0)
            return true;
    }
    return false;
}

static bool feed_certificate(const idempotency_asker_t *asker, sheaf_p_ref_t item, EVP_MD_CTX *digest)
{
    sheaf_p_str_t text;

    if (asker->api->text(item, SHEAF_P_CERTIFICATE, &text) != 1 || text.len == 0)
        return false;
    feed(digest, sheaf_p_str("certificate", 11));
    feed(digest, text);
    return true;
}

/* All that a backend, or a plugin that comes later, may know somebody by. Where a token was verified the client's Authorization
 * is not asked for: the item's own may have been taken away, and the client's would be another's. */
static bool feed_credentials(const idempotency_asker_t *asker, sheaf_p_ref_t item, EVP_MD_CTX *digest)
{
    bool is_fed = feed_attribute(asker, item, VERIFIED, digest);

    if (!is_fed)
        is_fed = feed_fields(asker, item, "authorization", digest);
    is_fed = feed_fields(asker, item, "cookie", digest) || is_fed;
    return feed_fields(asker, item, "x-api-key", digest) || is_fed;
}

/* Whose the key is: nobody gets an answer that was another's. Credentials change with each login, so they count only where
 * nobody said who it is. */
static void feed_identity(const idempotency_asker_t *asker, sheaf_p_ref_t item, EVP_MD_CTX *digest)
{
    uint8_t address[16] = {0};
    const bool is_named = feed_attribute(asker, item, asker->identity, digest),
               is_user = feed_attribute(asker, item, "user", digest),
               is_consumer = feed_attribute(asker, item, "consumer", digest),
               is_certified = feed_certificate(asker, item, digest),
               is_credited = !is_named && !is_user && feed_credentials(asker, item, digest);

    if (is_named || is_user || is_consumer || is_certified || is_credited)
        return;
    asker->api->client_address(item, address);
    feed(digest, sheaf_p_str("address", 7));
    feed(digest, sheaf_p_str((const char *)address, sizeof(address)));
}

/* --- which key, for what --- */

/* An item's own key; else that of its batch, of which every item has a part of its own. Empty: there is none. */
bool idempotency_find_key(const idempotency_asker_t *asker, sheaf_p_ref_t item, sheaf_p_str_t *ret_field,
                          bool *ret_is_of_batch)
{
    int64_t is_direct = 0;

    *ret_is_of_batch = false;
    if (own_header(asker, item, IDEMPOTENCY_FIELD, ret_field))
        return true;
    asker->api->number(item, SHEAF_P_IS_DIRECT, &is_direct);
    *ret_is_of_batch = !is_direct;
    return asker->api->header(item, SHEAF_P_CLIENT, IDEMPOTENCY_FIELD, 0, ret_field) == 1;
}

/* Two say two things, and a backend may believe the other one. */
bool idempotency_is_more_than_one(const idempotency_asker_t *asker, sheaf_p_ref_t item)
{
    sheaf_p_str_t field;
    const sheaf_p_part_t part = own_header(asker, item, IDEMPOTENCY_FIELD, &field) ? SHEAF_P_QUESTION : SHEAF_P_CLIENT;

    return asker->api->header(item, part, IDEMPOTENCY_FIELD, 1, &field) == 1;
}

bool idempotency_hash_key(const idempotency_asker_t *asker, sheaf_p_ref_t item, sheaf_p_str_t key, bool is_of_batch,
                          uint8_t *ret_hash)
{
    EVP_MD_CTX *digest = digest_new();
    sheaf_p_str_t id = {"", 0};

    if (digest == NULL)
        return false;
    EVP_DigestUpdate(digest, asker->secret, sizeof(asker->secret));
    feed_identity(asker, item, digest);
    feed(digest, key);
    if (is_of_batch) {
        asker->api->text(item, SHEAF_P_ITEM_ID, &id);
        feed(digest, id);
    }
    return digest_end(digest, ret_hash);
}

bool idempotency_hash_payload(const idempotency_asker_t *asker, sheaf_p_ref_t item, uint8_t *ret_hash)
{
    static const sheaf_p_text_t texts[] = {SHEAF_P_METHOD, SHEAF_P_HOST, SHEAF_P_ROUTE, SHEAF_P_PATH, SHEAF_P_QUERY};
    EVP_MD_CTX *digest = digest_new();
    sheaf_p_str_t text;
    int64_t is_direct = 0;

    if (digest == NULL)
        return false;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        text = sheaf_p_str("", 0);
        asker->api->text(item, texts[i], &text);
        feed(digest, text);
    }
    if (!own_header(asker, item, "content-type", &text))
        text = sheaf_p_str("", 0);
    feed(digest, text);
    if (asker->api->body(item, SHEAF_P_QUESTION, &text) != 1)
        text = sheaf_p_str("", 0);
    asker->api->number(item, SHEAF_P_IS_DIRECT, &is_direct);
    if (text.len == 0 && is_direct && asker->api->body(item, SHEAF_P_CLIENT, &text) != 1)
        text = sheaf_p_str("", 0);
    feed(digest, text);
    return digest_end(digest, ret_hash);
}
