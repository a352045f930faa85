/* base/pool.h - an arena: many small allocations, one free.
 *
 * A batch has one pool for its plan, a snapshot has one for its configuration. Memory is 16-byte aligned, lives until
 * sheaf_pool_free(), and is never given back one by one. Running out of memory aborts the process: budgets bound what
 * a client can make us allocate, and the supervisor restarts a worker (libh2o aborts on failed malloc as well). */
#ifndef SHEAF_BASE_POOL_H
#define SHEAF_BASE_POOL_H

#include "gateway/base/str.h"

typedef struct sheaf_pool sheaf_pool_t;

sheaf_pool_t *sheaf_pool_new(void);
void sheaf_pool_free(sheaf_pool_t *pool); /* NULL is fine */

/* Forgets all that was allocated and keeps the first 4 KiB: what is used again and again takes nothing from the system. */
void sheaf_pool_reset(sheaf_pool_t *pool);

void *sheaf_pool_alloc(sheaf_pool_t *pool, size_t size);  /* uninitialised */
void *sheaf_pool_zalloc(sheaf_pool_t *pool, size_t size); /* zeroed */
sheaf_str_t sheaf_pool_dup(sheaf_pool_t *pool, sheaf_str_t s);
char *sheaf_pool_cstr(sheaf_pool_t *pool, sheaf_str_t s); /* copy with NUL */
sheaf_str_t sheaf_pool_printf(sheaf_pool_t *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Bytes taken from the system so far, for budgets and metrics. */
size_t sheaf_pool_bytes(const sheaf_pool_t *pool);

/* malloc, calloc, realloc that abort with a line on stderr instead of returning NULL. */
void *sheaf_alloc(size_t size);
void *sheaf_zalloc(size_t size);
void *sheaf_realloc(void *ptr, size_t size);

#endif
