/* cache/cache_store.h - the answers that are kept: by key and by what they depend on, the least recently used leave first.
 *
 *   uri ---hash---> entry -> entry -> ...     those of one uri: variants (cache_vary), and places (route and upstream)
 *   newest used <-> ... <-> oldest used       one list through all of them
 *
 * An entry may be a mark instead: answers of that uri and place are not stored for a while, so nobody waits for one. */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "plugins/cache/cache_facts.h"

/* Variants of one uri; more push out the least recently used of them. */
#define CACHE_STORE_VARIANTS 32u

typedef struct cache_entry {
    struct cache_entry *next;          /* in its bucket */
    struct cache_entry *older, *newer; /* by use */
    uint64_t hash, serial, used;       /* serial: never given again; used: larger is later */
    char *uri, *place;
    uint32_t status;
    cache_head_t head, selecting;
    char *body;
    size_t body_len, cost;
    cache_facts_t facts;
    uint64_t came_ms; /* facts.age_s is its age then */
    int is_mark;
    uint64_t until_ms; /* of a mark */
} cache_entry_t;

typedef struct cache_store cache_store_t;

typedef struct cache_limits {
    uint64_t bytes, entries, entry_bytes;
} cache_limits_t;

/* `secret` keeps others from choosing keys that meet in one bucket. NULL: no memory. */
cache_store_t *cache_store_new(const cache_limits_t *limits, const uint8_t secret[16]);
void cache_store_free(cache_store_t *store);

/* What suits the question best: the newest by Date (RFC 9111 4.1), used from now on. NULL: nothing. Marks are not found. */
cache_entry_t *cache_store_find(cache_store_t *store, const char *uri, const char *place, const cache_head_t *question);
cache_entry_t *cache_store_by_serial(cache_store_t *store, const char *uri, uint64_t serial);
/* Is there a variant for another question? */
int cache_store_has(const cache_store_t *store, const char *uri, const char *place);
int cache_store_is_marked(const cache_store_t *store, const char *uri, const char *place, uint64_t now_ms);

/* A new entry, not in the store; all but body and heads. NULL: no memory. */
cache_entry_t *cache_entry_new(const char *uri, const char *place);
void cache_entry_free(cache_entry_t *entry);
/* Takes it over, in place of the one with the same selecting fields and of a mark; 0, or -1: it is larger than an entry may be
 * and freed. */
int cache_store_put(cache_store_t *store, cache_entry_t *entry);
void cache_store_mark(cache_store_t *store, const char *uri, const char *place, uint64_t until_ms);
void cache_store_remove(cache_store_t *store, cache_entry_t *entry);
/* Removes all of a uri (4.4); how many. What was asked for before `now_ms` is spoiled: it may show what is no longer so. */
uint32_t cache_store_invalidate(cache_store_t *store, const char *uri, uint64_t now_ms);
int cache_store_is_spoiled(const cache_store_t *store, const char *uri, uint64_t asked_ms);
/* After the head of an entry has changed. */
void cache_store_weigh(cache_store_t *store, cache_entry_t *entry);

uint64_t cache_store_entries(const cache_store_t *store);
uint64_t cache_store_bytes(const cache_store_t *store);

#endif
