#include "gateway/base/buf.h"

#include <stdlib.h>

#include "gateway/base/pool.h"
#include "gateway/base/spare.h"

#define EXPECTED_DEFAULT 1024
#define CHUNK_MOST       65536

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

sheaf_buf_t *sheaf_buf_new(size_t limit_bytes, size_t expected_bytes)
{
    size_t size = least(least(expected_bytes > 0 ? expected_bytes : EXPECTED_DEFAULT, limit_bytes), CHUNK_MOST);
    sheaf_buf_t *buf = sheaf_spare_alloc(sizeof(*buf) + size);

    *buf = (sheaf_buf_t){.limit = limit_bytes, .holds = 1};
    buf->first.size = size;
    buf->first.bytes = (char *)(buf + 1);
    buf->last = &buf->first;
    return buf;
}

sheaf_buf_t *sheaf_buf_hold(sheaf_buf_t *buf)
{
    buf->holds++;
    return buf;
}

void sheaf_buf_drop(sheaf_buf_t *buf)
{
    sheaf_chunk_t *next;

    if (buf == NULL || --buf->holds > 0)
        return;
    for (sheaf_chunk_t *chunk = buf->first.next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    sheaf_spare_free(buf);
}

static void add_chunk(sheaf_buf_t *buf, size_t needed)
{
    size_t size = least(buf->last->size * 2, CHUNK_MOST);
    sheaf_chunk_t *chunk;

    if (size < needed)
        size = needed;
    size = least(size, buf->limit - buf->len); /* needed is within the limit */
    chunk = sheaf_alloc(sizeof(*chunk) + size);
    *chunk = (sheaf_chunk_t){.size = size, .bytes = (char *)(chunk + 1)};
    buf->last->next = chunk;
    buf->last = chunk;
}

bool sheaf_buf_append(sheaf_buf_t *buf, const char *bytes, size_t len)
{
    if (len > buf->limit - buf->len)
        return false;
    while (len > 0) {
        sheaf_chunk_t *chunk = buf->last;
        size_t part = least(chunk->size - chunk->len, len);

        if (part > 0)
            memcpy(chunk->bytes + chunk->len, bytes, part);
        chunk->len += part;
        buf->len += part;
        bytes += part;
        len -= part;
        if (len > 0)
            add_chunk(buf, len);
    }
    return true;
}

void sheaf_buf_copy(const sheaf_buf_t *buf, char *dst)
{
    for (const sheaf_chunk_t *chunk = &buf->first; chunk != NULL; chunk = chunk->next) {
        memcpy(dst, chunk->bytes, chunk->len);
        dst += chunk->len;
    }
}
