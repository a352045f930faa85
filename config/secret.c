#include "config/secret.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gateway/base/error.h"

#define SMALLEST_BYTES 64 /* piece of the secure heap */

static bool is_wiping;

static void *on_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(len);
}

static void wipe_and_free(void *bytes)
{
    if (bytes != NULL)
        explicit_bzero(bytes, malloc_usable_size(bytes));
    free(bytes);
}

static void on_free(void *bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (is_wiping)
        wipe_and_free(bytes);
    else
        free(bytes);
}

/* realloc() would leave the old bytes behind. */
static void *on_realloc(void *bytes, size_t len, const char *file, int line)
{
    size_t old_len;
    void *moved;

    (void)file;
    (void)line;
    if (!is_wiping || bytes == NULL)
        return realloc(bytes, len);
    moved = malloc(len);
    if (moved == NULL)
        return NULL;
    old_len = malloc_usable_size(bytes);
    memcpy(moved, bytes, old_len < len ? old_len : len);
    wipe_and_free(bytes);
    return moved;
}

/* 1: the heap is there; 2: it is there but could not be locked. */
bool sheaf_secret_init(void)
{
    return CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free) == 1 &&
           CRYPTO_secure_malloc_init(SHEAF_SECRET_HEAP_BYTES, SMALLEST_BYTES) != 0;
}

void sheaf_secret_begin(void)
{
    is_wiping = true;
}

void sheaf_secret_end(void)
{
    is_wiping = false;
}

void *sheaf_secret_alloc(size_t len)
{
    void *bytes = mmap(NULL, len > 0 ? len : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    SHEAF_ASSERT(bytes != MAP_FAILED);
    madvise(bytes, len > 0 ? len : 1, MADV_DONTDUMP);
    return bytes;
}

void sheaf_secret_free(void *bytes, size_t len)
{
    if (bytes == NULL)
        return;
    explicit_bzero(bytes, len); /* a page that a fork shares stays what it was for the other */
    munmap(bytes, len > 0 ? len : 1);
}
