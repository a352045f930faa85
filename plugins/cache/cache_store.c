#include "plugins/cache/cache_store.h"
#include "plugins/cache/cache_hash.h"
#include "plugins/cache/cache_text.h"
#include "plugins/cache/cache_vary.h"

#include <stdlib.h>
#include <string.h>

#define SPOILED 256u

struct cache_store {
    cache_limits_t limits;
    uint8_t secret[16];
    cache_entry_t **buckets;
    size_t mask;
    cache_entry_t *newest, *oldest;
    uint64_t entries, bytes, serial, uses;
    /* When an uri of that hash was invalidated, and 1 more. Two that meet here cost one an entry, nothing else. */
    uint64_t spoiled[SPOILED];
};

static size_t buckets_for(uint64_t entries)
{
    size_t count = 16;

    while (count < entries && count < ((size_t)1 << 20))
        count *= 2;
    return count;
}

cache_store_t *cache_store_new(const cache_limits_t *limits, const uint8_t secret[16])
{
    cache_store_t *store = calloc(1, sizeof(*store));
    size_t count = buckets_for(limits->entries);

    if (store == NULL)
        return NULL;
    store->limits = *limits;
    memcpy(store->secret, secret, sizeof(store->secret));
    store->buckets = calloc(count, sizeof(*store->buckets));
    store->mask = count - 1;
    if (store->buckets != NULL)
        return store;
    free(store);
    return NULL;
}

void cache_store_free(cache_store_t *store)
{
    while (store->oldest != NULL)
        cache_store_remove(store, store->oldest);
    free(store->buckets);
    free(store);
}

/* --- entries --- */

cache_entry_t *cache_entry_new(const char *uri, const char *place)
{
    cache_entry_t *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    entry->uri = strdup(uri);
    entry->place = strdup(place);
    if (entry->uri != NULL && entry->place != NULL)
        return entry;
    cache_entry_free(entry);
    return NULL;
}

void cache_entry_free(cache_entry_t *entry)
{
    free(entry->uri);
    free(entry->place);
    free(entry->body);
    cache_head_free(&entry->head);
    cache_head_free(&entry->selecting);
    free(entry);
}

/* With what the allocator keeps beside each piece. */
static size_t cost_of(const cache_entry_t *entry)
{
    return sizeof(*entry) + strlen(entry->uri) + strlen(entry->place) + entry->body_len + entry->head.room +
           entry->selecting.room + 6 * 16;
}

/* --- the list by use --- */

static void unlink_use(cache_store_t *store, cache_entry_t *entry)
{
    *(entry->newer == NULL ? &store->newest : &entry->newer->older) = entry->older;
    *(entry->older == NULL ? &store->oldest : &entry->older->newer) = entry->newer;
}

static void link_use(cache_store_t *store, cache_entry_t *entry)
{
    entry->older = store->newest;
    entry->newer = NULL;
    *(store->newest == NULL ? &store->oldest : &store->newest->newer) = entry;
    store->newest = entry;
    entry->used = ++store->uses;
}

/* --- finding --- */

static uint64_t hash_of(const cache_store_t *store, const char *uri)
{
    return cache_hash(store->secret, uri, strlen(uri));
}

static cache_entry_t *first_of(const cache_store_t *store, uint64_t hash)
{
    return store->buckets[hash & store->mask];
}

static int is_at(const cache_entry_t *entry, uint64_t hash, const char *uri)
{
    return entry->hash == hash && strcmp(entry->uri, uri) == 0;
}

cache_entry_t *cache_store_find(cache_store_t *store, const char *uri, const char *place, const cache_head_t *question)
{
    uint64_t hash = hash_of(store, uri);
    cache_entry_t *best = NULL;

    for (cache_entry_t *entry = first_of(store, hash); entry != NULL; entry = entry->next)
        if (is_at(entry, hash, uri) && !entry->is_mark && strcmp(entry->place, place) == 0 &&
            (best == NULL || entry->facts.date_s > best->facts.date_s) &&
            cache_vary_matches(&entry->selecting, question))
            best = entry;
    if (best != NULL) {
        unlink_use(store, best);
        link_use(store, best);
    }
    return best;
}

cache_entry_t *cache_store_by_serial(cache_store_t *store, const char *uri, uint64_t serial)
{
    cache_entry_t *entry = first_of(store, hash_of(store, uri));

    while (entry != NULL && entry->serial != serial)
        entry = entry->next;
    return entry;
}

int cache_store_has(const cache_store_t *store, const char *uri, const char *place)
{
    uint64_t hash = hash_of(store, uri);

    for (cache_entry_t *entry = first_of(store, hash); entry != NULL; entry = entry->next)
        if (is_at(entry, hash, uri) && !entry->is_mark && strcmp(entry->place, place) == 0)
            return 1;
    return 0;
}

int cache_store_is_marked(const cache_store_t *store, const char *uri, const char *place, uint64_t now_ms)
{
    uint64_t hash = hash_of(store, uri);

    for (cache_entry_t *entry = first_of(store, hash); entry != NULL; entry = entry->next)
        if (is_at(entry, hash, uri) && entry->is_mark && strcmp(entry->place, place) == 0)
            return entry->until_ms > now_ms;
    return 0;
}

/* --- changing --- */

void cache_store_remove(cache_store_t *store, cache_entry_t *entry)
{
    cache_entry_t **at = &store->buckets[entry->hash & store->mask];

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    unlink_use(store, entry);
    store->entries--;
    store->bytes -= entry->cost;
    cache_entry_free(entry);
}

uint32_t cache_store_invalidate(cache_store_t *store, const char *uri, uint64_t now_ms)
{
    uint64_t hash = hash_of(store, uri);
    cache_entry_t *entry = first_of(store, hash), *next;
    uint32_t count = 0;

    store->spoiled[hash % SPOILED] = now_ms + 1;
    for (; entry != NULL; entry = next) {
        next = entry->next;
        if (is_at(entry, hash, uri)) {
            count += !entry->is_mark;
            cache_store_remove(store, entry);
        }
    }
    return count;
}

int cache_store_is_spoiled(const cache_store_t *store, const char *uri, uint64_t asked_ms)
{
    return asked_ms < store->spoiled[hash_of(store, uri) % SPOILED];
}

static int is_same(const cache_head_t *a, const cache_head_t *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

/* What `entry` takes the place of, and of too many variants the one that was used least recently. */
static void make_place(cache_store_t *store, const cache_entry_t *entry)
{
    cache_entry_t *other = first_of(store, entry->hash), *next, *oldest = NULL;
    uint32_t variants = 0;

    for (; other != NULL; other = next) {
        next = other->next;
        if (!is_at(other, entry->hash, entry->uri))
            continue;
        if (strcmp(other->place, entry->place) == 0 &&
            (other->is_mark || (!entry->is_mark && is_same(&other->selecting, &entry->selecting)))) {
            cache_store_remove(store, other);
            continue;
        }
        variants++;
        if (oldest == NULL || other->used < oldest->used)
            oldest = other;
    }
    if (variants >= CACHE_STORE_VARIANTS)
        cache_store_remove(store, oldest);
}

static void shrink(cache_store_t *store, const cache_entry_t *but)
{
    while ((store->bytes > store->limits.bytes || store->entries > store->limits.entries) && store->oldest != but)
        cache_store_remove(store, store->oldest);
}

int cache_store_put(cache_store_t *store, cache_entry_t *entry)
{
    entry->hash = hash_of(store, entry->uri);
    entry->cost = cost_of(entry);
    if (entry->cost > store->limits.entry_bytes || entry->cost > store->limits.bytes || store->limits.entries == 0) {
        cache_entry_free(entry);
        return -1;
    }
    make_place(store, entry);
    entry->serial = ++store->serial;
    entry->next = store->buckets[entry->hash & store->mask];
    store->buckets[entry->hash & store->mask] = entry;
    link_use(store, entry);
    store->entries++;
    store->bytes += entry->cost;
    shrink(store, entry);
    return 0;
}

void cache_store_mark(cache_store_t *store, const char *uri, const char *place, uint64_t until_ms)
{
    cache_entry_t *entry = cache_entry_new(uri, place);

    if (entry == NULL)
        return;
    entry->is_mark = 1;
    entry->until_ms = until_ms;
    cache_store_put(store, entry);
}

void cache_store_weigh(cache_store_t *store, cache_entry_t *entry)
{
    store->bytes -= entry->cost;
    entry->cost = cost_of(entry);
    store->bytes += entry->cost;
    shrink(store, entry);
}

uint64_t cache_store_entries(const cache_store_t *store)
{
    return store->entries;
}

uint64_t cache_store_bytes(const cache_store_t *store)
{
    return store->bytes;
}
