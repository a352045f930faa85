/* base/buf.h - a growing run of bytes with a ceiling from birth, counted.
 *
 * A result body is one sheaf_buf_t: filled while the answer arrives, then held by the item and by what is still being
 * written to the client; the last drop frees it. Bytes are kept in chunks that never move, so an iovec that points
 * into one stays good as long as the buf is held. The first chunk sits inside the same allocation. */
#ifndef SHEAF_BASE_BUF_H
#define SHEAF_BASE_BUF_H

#include "gateway/base/str.h"

typedef struct sheaf_chunk {
    struct sheaf_chunk *next;
    size_t len;
    size_t size;
    char *bytes;
} sheaf_chunk_t;

typedef struct sheaf_buf {
    size_t len;   /* bytes in all chunks */
    size_t limit; /* ceiling: append beyond it fails */
    uint32_t holds;
    sheaf_chunk_t *last;
    sheaf_chunk_t first; /* walk: for (const sheaf_chunk_t *c = &buf->first; c != NULL; c = c->next) */
} sheaf_buf_t;

/* `expected` sizes the first chunk (0: 1 KiB; capped at `limit` and 64 KiB). Returned with one hold. */
sheaf_buf_t *sheaf_buf_new(size_t limit_bytes, size_t expected_bytes);
sheaf_buf_t *sheaf_buf_hold(sheaf_buf_t *buf);
void sheaf_buf_drop(sheaf_buf_t *buf); /* NULL is fine */

/* Appends a copy; false, and nothing appended, when the ceiling would be passed. */
bool sheaf_buf_append(sheaf_buf_t *buf, const char *bytes, size_t len);

/* Copies all bytes to `dst` (room for buf->len). */
void sheaf_buf_copy(const sheaf_buf_t *buf, char *dst);

#endif
