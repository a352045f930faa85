#include "gateway/base/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_BLOCK 4096
#define MOST_BLOCK  65536
#define ALIGN(n)    (((n) + 15) & ~(size_t)15)

typedef struct block {
    struct block *next;
    size_t pad; /* keeps what follows 16-byte aligned */
} block_t;

struct sheaf_pool {
    char *at, *end;
    block_t *blocks;
    size_t next_size;
    size_t bytes;
};

void *sheaf_alloc(size_t size)
{
    return sheaf_realloc(NULL, size);
}

void *sheaf_zalloc(size_t size)
{
    void *ptr = calloc(1, size > 0 ? size : 1);

    if (ptr == NULL)
        sheaf_realloc(NULL, SIZE_MAX / 2); /* says so and aborts */
    return ptr;
}

void *sheaf_realloc(void *ptr, size_t size)
{
    void *moved = realloc(ptr, size > 0 ? size : 1);

    if (moved == NULL) {
        fprintf(stderr, "sheaf: out of memory (%zu bytes)\n", size);
        abort();
    }
    return moved;
}

sheaf_pool_t *sheaf_pool_new(void)
{
    char *memory = sheaf_alloc(FIRST_BLOCK); /* the pool itself sits at the start of its first block */
    sheaf_pool_t *pool = (sheaf_pool_t *)(void *)memory;

    pool->at = memory + ALIGN(sizeof(*pool));
    pool->end = memory + FIRST_BLOCK;
    pool->blocks = NULL;
    pool->next_size = FIRST_BLOCK * 2;
    pool->bytes = FIRST_BLOCK;
    return pool;
}

static void free_blocks(sheaf_pool_t *pool)
{
    block_t *next;

    for (block_t *block = pool->blocks; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    pool->blocks = NULL;
}

void sheaf_pool_free(sheaf_pool_t *pool)
{
    if (pool == NULL)
        return;
    free_blocks(pool);
    free(pool);
}

void sheaf_pool_reset(sheaf_pool_t *pool)
{
    char *memory = (char *)(void *)pool;

    free_blocks(pool);
    pool->at = memory + ALIGN(sizeof(*pool));
    pool->end = memory + FIRST_BLOCK;
    pool->next_size = FIRST_BLOCK * 2;
    pool->bytes = FIRST_BLOCK;
}

static char *add_block(sheaf_pool_t *pool, size_t size)
{
    block_t *block = sheaf_alloc(sizeof(*block) + size);

    block->next = pool->blocks;
    pool->blocks = block;
    pool->bytes += sizeof(*block) + size;
    return (char *)(block + 1);
}

/* A large piece gets a block of its own, so that the current block's rest stays in use. */
static void *alloc_slow(sheaf_pool_t *pool, size_t size)
{
    char *memory;

    if (size > pool->next_size / 4)
        return add_block(pool, size);
    memory = add_block(pool, pool->next_size);
    pool->at = memory + size;
    pool->end = memory + pool->next_size;
    if (pool->next_size < MOST_BLOCK)
        pool->next_size *= 2;
    return memory;
}

void *sheaf_pool_alloc(sheaf_pool_t *pool, size_t size)
{
    char *ptr = pool->at;

    size = ALIGN(size);
    if (size > (size_t)(pool->end - ptr))
        return alloc_slow(pool, size);
    pool->at = ptr + size;
    return ptr;
}

void *sheaf_pool_zalloc(sheaf_pool_t *pool, size_t size)
{
    return memset(sheaf_pool_alloc(pool, size), 0, size);
}

sheaf_str_t sheaf_pool_dup(sheaf_pool_t *pool, sheaf_str_t s)
{
    char *copy = sheaf_pool_alloc(pool, s.len);

    if (s.len > 0)
        memcpy(copy, s.base, s.len);
    return sheaf_str(copy, s.len);
}

char *sheaf_pool_cstr(sheaf_pool_t *pool, sheaf_str_t s)
{
    char *copy = sheaf_pool_alloc(pool, s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.base, s.len);
    copy[s.len] = '\0';
    return copy;
}

sheaf_str_t sheaf_pool_printf(sheaf_pool_t *pool, const char *format, ...)
{
    va_list args, again;
    char *text;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    text = sheaf_pool_alloc(pool, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return sheaf_str(text, (size_t)len);
}

size_t sheaf_pool_bytes(const sheaf_pool_t *pool)
{
    return pool->bytes;
}
