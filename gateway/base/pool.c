#include "gateway/base/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_MIN (4 * 1024)
#define CHUNK_MAX (64 * 1024)
#define ALIGN     16

typedef struct pool_chunk {
    struct pool_chunk *next;
    size_t unused; /* keeps the bytes behind it 16-byte aligned */
} pool_chunk_t;

/* Sits in its own first chunk, so an empty pool costs one malloc. */
struct sheaf_pool {
    char *at, *end; /* free room of the current chunk */
    pool_chunk_t *chunks;
    size_t next_size;
    size_t bytes;
};

static size_t aligned(size_t size)
{
    return (size + (ALIGN - 1)) & ~(size_t)(ALIGN - 1);
}

_Noreturn static void out_of_memory(size_t size)
{
    fprintf(stderr, "sheaf: out of memory (%zu bytes asked for)\n", size);
    abort();
}

void *sheaf_alloc(size_t size)
{
    void *ptr = malloc(size != 0 ? size : 1);

    if (ptr == NULL)
        out_of_memory(size);
    return ptr;
}

void *sheaf_zalloc(size_t size)
{
    void *ptr = calloc(1, size != 0 ? size : 1);

    if (ptr == NULL)
        out_of_memory(size);
    return ptr;
}

void *sheaf_realloc(void *ptr, size_t size)
{
    void *moved = realloc(ptr, size != 0 ? size : 1);

    if (moved == NULL)
        out_of_memory(size);
    return moved;
}

sheaf_pool_t *sheaf_pool_new(void)
{
    pool_chunk_t *chunk = sheaf_alloc(CHUNK_MIN);
    sheaf_pool_t *pool = (sheaf_pool_t *)(void *)(chunk + 1);

    chunk->next = NULL;
    pool->at = (char *)pool + aligned(sizeof(*pool));
    pool->end = (char *)chunk + CHUNK_MIN;
    pool->chunks = chunk;
    pool->next_size = CHUNK_MIN * 2;
    pool->bytes = CHUNK_MIN;
    return pool;
}

void sheaf_pool_free(sheaf_pool_t *pool)
{
    if (pool == NULL)
        return;
    for (pool_chunk_t *chunk = pool->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
}

static char *add_chunk(sheaf_pool_t *pool, size_t size)
{
    pool_chunk_t *chunk = sheaf_alloc(size);

    chunk->next = pool->chunks;
    pool->chunks = chunk;
    pool->bytes += size;
    return (char *)(chunk + 1);
}

/* A big allocation gets a chunk of its own, and the room left in the current one stays in use. */
static void *alloc_slow(sheaf_pool_t *pool, size_t size)
{
    if (size > SIZE_MAX / 2)
        out_of_memory(size);
    if (size > pool->next_size / 4)
        return add_chunk(pool, size + sizeof(pool_chunk_t));

    size_t chunk_size = pool->next_size;
    char *room = add_chunk(pool, chunk_size);
    pool->at = room + size;
    pool->end = room + chunk_size - sizeof(pool_chunk_t);
    if (pool->next_size < CHUNK_MAX)
        pool->next_size *= 2;
    return room;
}

void *sheaf_pool_alloc(sheaf_pool_t *pool, size_t size)
{
    size_t want = aligned(size);

    if (want < size || want > (size_t)(pool->end - pool->at))
        return alloc_slow(pool, want < size ? size : want);
    char *room = pool->at;
    pool->at += want;
    return room;
}

void *sheaf_pool_zalloc(sheaf_pool_t *pool, size_t size)
{
    return memset(sheaf_pool_alloc(pool, size), 0, size);
}

sheaf_str_t sheaf_pool_dup(sheaf_pool_t *pool, sheaf_str_t s)
{
    char *copy = sheaf_pool_alloc(pool, s.len);

    if (s.len != 0)
        memcpy(copy, s.base, s.len);
    return sheaf_str(copy, s.len);
}

char *sheaf_pool_cstr(sheaf_pool_t *pool, sheaf_str_t s)
{
    char *copy = sheaf_pool_alloc(pool, s.len + 1);

    if (s.len != 0)
        memcpy(copy, s.base, s.len);
    copy[s.len] = '\0';
    return copy;
}

sheaf_str_t sheaf_pool_printf(sheaf_pool_t *pool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len <= 0)
        return sheaf_str("", 0);

    char *text = sheaf_pool_alloc(pool, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return sheaf_str(text, (size_t)len);
}

size_t sheaf_pool_bytes(const sheaf_pool_t *pool)
{
    return pool->bytes;
}
