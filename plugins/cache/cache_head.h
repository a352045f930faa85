/* cache/cache_head.h - header fields as the cache keeps them: "name\0value\0" after one another, names in lower case. */
#ifndef CACHE_HEAD_H
#define CACHE_HEAD_H

#include "plugins/sheaf_plugin.h"

#define CACHE_HEAD_BYTES (32u * 1024u)

/* Zero-initialised: none. */
typedef struct cache_head {
    char *bytes;
    size_t len, room;
} cache_head_t;

void cache_head_free(cache_head_t *head);
/* Room for so much, if there is memory: add() grows it otherwise. */
void cache_head_reserve(cache_head_t *head, size_t room);
/* 0, or -1: no memory, more than CACHE_HEAD_BYTES, or a NUL in it. */
int cache_head_add(cache_head_t *head, sheaf_p_str_t name, sheaf_p_str_t value);
int cache_head_set(cache_head_t *head, const char *name, const char *value);
void cache_head_remove(cache_head_t *head, const char *name);
/* From *at = 0 on; 0: no more. */
int cache_head_next(const cache_head_t *head, size_t *at, const char **ret_name, sheaf_p_str_t *ret_value);
/* The nth of that (lower-case) name. 1, or 0. */
int cache_head_find(const cache_head_t *head, const char *name, uint32_t nth, sheaf_p_str_t *ret_value);
int cache_head_has(const cache_head_t *head, const char *name);
/* One by another spelling of that name, with '_' for '-': a backend that makes variables of names takes it for the same. */
int cache_head_has_alias(const cache_head_t *head, const char *name);
/* Takes over from `from`, which is empty afterwards. */
void cache_head_take(cache_head_t *head, cache_head_t *from);

#endif
