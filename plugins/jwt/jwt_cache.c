#include "plugins/jwt/jwt_cache.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Entries are numbers in one array: `chain` in their bucket, `older` and `newer` by use. NOBODY ends all three. */
#define NOBODY UINT32_MAX

typedef struct entry {
    uint8_t hash[JWT_HASH_LEN];
    json_t *claims; /* NULL: not in use */
    uint32_t chain, older, newer;
} entry_t;

struct jwt_cache {
    EVP_MD *digest;
    EVP_MD_CTX *ctx;
    uint32_t limit, mask, newest, oldest;
    uint32_t used; /* entries from `used` on were never in use */
    uint32_t *buckets;
    entry_t *entries;
};

static uint32_t power_from(uint32_t limit)
{
    uint32_t size = 1;

    while (size < limit && size < (1u << 20))
        size <<= 1;
    return size;
}

static void forget_all(jwt_cache_t *cache)
{
    for (uint32_t i = 0; i < cache->used; i++)
        json_decref(cache->entries[i].claims);
    memset(cache->buckets, 0xff, sizeof(*cache->buckets) * (cache->mask + 1));
    cache->used = 0;
    cache->newest = cache->oldest = NOBODY;
}

jwt_cache_t *jwt_cache_new(uint32_t limit)
{
    jwt_cache_t *cache = calloc(1, sizeof(*cache));
    uint32_t buckets = power_from(limit);

    if (cache == NULL)
        return NULL;
    cache->limit = limit;
    cache->mask = buckets - 1;
    cache->digest = EVP_MD_fetch(NULL, "SHA256", NULL); /* fetched by name each time it would cost more than the hash */
    cache->ctx = EVP_MD_CTX_new();
    cache->buckets = calloc(buckets, sizeof(*cache->buckets));
    cache->entries = calloc(limit, sizeof(*cache->entries));
    if (cache->digest != NULL && cache->ctx != NULL && cache->buckets != NULL && cache->entries != NULL) {
        forget_all(cache);
        return cache;
    }
    jwt_cache_free(cache);
    return NULL;
}

void jwt_cache_free(jwt_cache_t *cache)
{
    if (cache == NULL)
        return;
    if (cache->entries != NULL && cache->buckets != NULL)
        forget_all(cache);
    EVP_MD_free(cache->digest);
    EVP_MD_CTX_free(cache->ctx);
    free(cache->buckets);
    free(cache->entries);
    free(cache);
}

void jwt_cache_clear(jwt_cache_t *cache)
{
    forget_all(cache);
}

bool jwt_cache_hash(jwt_cache_t *cache, sheaf_p_str_t token, uint8_t ret_hash[JWT_HASH_LEN])
{
    unsigned len = JWT_HASH_LEN;

    return EVP_DigestInit_ex(cache->ctx, cache->digest, NULL) && EVP_DigestUpdate(cache->ctx, token.base, token.len) &&
           EVP_DigestFinal_ex(cache->ctx, ret_hash, &len);
}

static uint32_t *bucket_of(jwt_cache_t *cache, const uint8_t hash[JWT_HASH_LEN])
{
    uint32_t head;

    memcpy(&head, hash, sizeof(head));
    return &cache->buckets[head & cache->mask];
}

static void unlink_use(jwt_cache_t *cache, uint32_t index)
{
    entry_t *entry = &cache->entries[index];

    *(entry->newer != NOBODY ? &cache->entries[entry->newer].older : &cache->newest) = entry->older;
    *(entry->older != NOBODY ? &cache->entries[entry->older].newer : &cache->oldest) = entry->newer;
}

static void link_newest(jwt_cache_t *cache, uint32_t index)
{
    entry_t *entry = &cache->entries[index];

    entry->newer = NOBODY;
    entry->older = cache->newest;
    *(cache->newest != NOBODY ? &cache->entries[cache->newest].newer : &cache->oldest) = index;
    cache->newest = index;
}

static uint32_t index_of(jwt_cache_t *cache, const uint8_t hash[JWT_HASH_LEN])
{
    uint32_t index = *bucket_of(cache, hash);

    while (index != NOBODY && memcmp(cache->entries[index].hash, hash, JWT_HASH_LEN) != 0)
        index = cache->entries[index].chain;
    return index;
}

json_t *jwt_cache_find(jwt_cache_t *cache, const uint8_t hash[JWT_HASH_LEN])
{
    uint32_t index = index_of(cache, hash);

    if (index == NOBODY)
        return NULL;
    if (index != cache->newest) {
        unlink_use(cache, index);
        link_newest(cache, index);
    }
    return cache->entries[index].claims;
}

/* The place of the one not asked for the longest, taken out of its lists. */
static uint32_t evict(jwt_cache_t *cache)
{
    uint32_t index = cache->oldest, *link = bucket_of(cache, cache->entries[index].hash);

    while (*link != index)
        link = &cache->entries[*link].chain;
    *link = cache->entries[index].chain;
    unlink_use(cache, index);
    json_decref(cache->entries[index].claims);
    return index;
}

void jwt_cache_put(jwt_cache_t *cache, const uint8_t hash[JWT_HASH_LEN], json_t *claims)
{
    uint32_t index = index_of(cache, hash), *bucket = bucket_of(cache, hash);
    entry_t *entry;

    if (index != NOBODY)
        return;
    index = cache->used < cache->limit ? cache->used++ : evict(cache);
    entry = &cache->entries[index];
    memcpy(entry->hash, hash, JWT_HASH_LEN);
    entry->claims = json_incref(claims);
    entry->chain = *bucket; /* read after evict(), which may have changed it */
    *bucket = index;
    link_newest(cache, index);
}
