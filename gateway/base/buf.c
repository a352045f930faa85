#include "gateway/base/buf.h"

#include <stdlib.h>

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define FIRST_DEFAULT 1024
#define CHUNK_MAX     (64 * 1024)

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

sheaf_buf_t *sheaf_buf_new(size_t limit_bytes, size_t expected_bytes)
{
    size_t size = expected_bytes != 0 ? expected_bytes : FIRST_DEFAULT;
    size = lesser(lesser(size, limit_bytes), CHUNK_MAX);

    sheaf_buf_t *buf = sheaf_alloc(sizeof(*buf) + size);
    *buf = (sheaf_buf_t){.limit = limit_bytes, .holds = 1};
    buf->first = (sheaf_chunk_t){.size = size, .bytes = (char *)(buf + 1)};
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
    if (buf == NULL)
        return;
    SHEAF_ASSERT(buf->holds > 0);
    if (--buf->holds != 0)
        return;
    for (sheaf_chunk_t *chunk = buf->first.next, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(buf);
}

/* Doubles up to 64 KiB so that a long body needs few chunks, but never past the ceiling. */
static void add_chunk(sheaf_buf_t *buf, size_t at_least)
{
    size_t size = lesser(buf->last->size * 2, CHUNK_MAX);
    if (size < at_least || size < FIRST_DEFAULT)
        size = at_least > FIRST_DEFAULT ? at_least : FIRST_DEFAULT;
    size = lesser(size, buf->limit - buf->len);

    sheaf_chunk_t *chunk = sheaf_alloc(sizeof(*chunk) + size);
    *chunk = (sheaf_chunk_t){.size = size, .bytes = (char *)(chunk + 1)};
    buf->last->next = chunk;
    buf->last = chunk;
}

static void fill_last(sheaf_buf_t *buf, const char *bytes, size_t len)
{
    memcpy(buf->last->bytes + buf->last->len, bytes, len);
    buf->last->len += len;
    buf->len += len;
}

bool sheaf_buf_append(sheaf_buf_t *buf, const char *bytes, size_t len)
{
    if (len > buf->limit - buf->len)
        return false;
    if (len == 0)
        return true;

    size_t fits = lesser(len, buf->last->size - buf->last->len);
    if (fits != 0)
        fill_last(buf, bytes, fits);
    if (fits == len)
        return true;
    add_chunk(buf, len - fits);
    fill_last(buf, bytes + fits, len - fits);
    return true;
}

void sheaf_buf_copy(const sheaf_buf_t *buf, char *dst)
{
    for (const sheaf_chunk_t *chunk = &buf->first; chunk != NULL; chunk = chunk->next) {
        if (chunk->len == 0)
            continue;
        memcpy(dst, chunk->bytes, chunk->len);
        dst += chunk->len;
    }
}
