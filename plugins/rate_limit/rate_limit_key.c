#include "rate_limit_key.h"

#include <openssl/evp.h>
#include <string.h>

#include "rate_limit_sip.h"

/* kind, then the hash of the value */
typedef struct part_hash {
    uint64_t kind, hash[2];
} part_hash_t;

static bool name_follows(sheaf_p_str_t text, const char *word, char *ret_name)
{
    const size_t len = strlen(word);
    size_t name_len;

    if (text.len <= len || memcmp(text.base, word, len) != 0 || text.base[len] != ' ')
        return false;
    name_len = text.len - len - 1;
    if (name_len == 0 || name_len >= RATE_LIMIT_NAME_MAX || memchr(text.base + len + 1, ' ', name_len) != NULL ||
        memchr(text.base + len + 1, 0, name_len) != NULL)
        return false;
    memcpy(ret_name, text.base + len + 1, name_len);
    ret_name[name_len] = 0;
    return true;
}

static bool is_word(sheaf_p_str_t text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.base, word, text.len) == 0;
}

bool rate_limit_part_read(sheaf_p_str_t text, rate_limit_part_t *ret_part)
{
    rate_limit_part_t part = {.kind = RATE_LIMIT_BY_IP};

    if (name_follows(text, "attribute", part.name))
        part.kind = RATE_LIMIT_BY_ATTRIBUTE;
    else if (name_follows(text, "header", part.name))
        part.kind = RATE_LIMIT_BY_HEADER;
    else if (is_word(text, "route"))
        part.kind = RATE_LIMIT_BY_ROUTE;
    else if (!is_word(text, "client_ip"))
        return false;
    *ret_part = part;
    return true;
}

void rate_limit_address(uint8_t address[16], uint32_t ipv6_bits)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(address, mapped, sizeof(mapped)) == 0)
        return;
    for (uint32_t i = 0; i < 16; i++) {
        const uint32_t bits = ipv6_bits > 8 * i ? ipv6_bits - 8 * i : 0;

        if (bits < 8)
            address[i] &= (uint8_t)(0xff00u >> bits);
    }
}

static void hash(const uint64_t *secret, const void *bytes, size_t len, uint64_t ret_hash[2])
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};

    if (secret != NULL) {
        rate_limit_sip(secret, bytes, len, ret_hash);
        return;
    }
    EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL);
    memcpy(ret_hash, digest, 16);
}

/* What a part says of `ref`. Returns false if there is nothing. An item's own header, else what it has from its request. */
static bool value_of(const sheaf_p_api_t *api, sheaf_p_ref_t ref, const rate_limit_part_t *part, sheaf_p_str_t *ret)
{
    switch (part->kind) {
    case RATE_LIMIT_BY_ATTRIBUTE:
        return api->get(ref, part->name, ret) == 1 && ret->len > 0;
    case RATE_LIMIT_BY_HEADER:
        return (api->header(ref, SHEAF_P_QUESTION, part->name, 0, ret) == 1 ||
                api->header(ref, SHEAF_P_CLIENT, part->name, 0, ret) == 1) &&
               ret->len > 0;
    case RATE_LIMIT_BY_ROUTE:
        return api->text(ref, SHEAF_P_ROUTE, ret) == 1;
    case RATE_LIMIT_BY_IP:
        break;
    }
    return false;
}

void rate_limit_key(const sheaf_p_api_t *api, sheaf_p_ref_t ref, const rate_limit_by_t *by, const uint64_t *secret,
                    uint64_t ret_hash[2])
{
    part_hash_t parts[RATE_LIMIT_PARTS_MAX] = {{0}};
    uint8_t address[16];
    sheaf_p_str_t value;

    for (uint32_t i = 0; i < by->count; i++) {
        parts[i].kind = by->parts[i].kind;
        if (value_of(api, ref, &by->parts[i], &value)) {
            hash(secret, value.base, value.len, parts[i].hash);
            continue;
        }
        memset(address, 0, sizeof(address));
        api->client_address(ref, address);
        rate_limit_address(address, by->ipv6_bits);
        parts[i].kind = RATE_LIMIT_BY_IP;
        hash(secret, address, sizeof(address), parts[i].hash);
    }
    hash(secret, parts, by->count * sizeof(parts[0]), ret_hash);
}
