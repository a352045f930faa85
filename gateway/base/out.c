#include "gateway/base/out.h"

#include <stdlib.h>

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define ROOM_FIRST (4 * 1024)
#define ROOM_NEXT  (16 * 1024)
#define COPY_UNDER 1024

/* Either room of our own (buf NULL: bytes[start, end) of `size` are queued), or what is left of a held buf from
 * byte `start` of `chunk` on. */
struct sheaf_out_piece {
    sheaf_out_piece_t *next;
    sheaf_buf_t *buf;
    const sheaf_chunk_t *chunk;
    size_t start;
    size_t end;  /* own room only */
    size_t size; /* own room only */
    size_t left; /* held buf only: bytes queued */
    char bytes[];
};

void sheaf_out_init(sheaf_out_t *out)
{
    *out = (sheaf_out_t){0};
}

static void piece_free(sheaf_out_piece_t *piece)
{
    sheaf_buf_drop(piece->buf);
    free(piece);
}

void sheaf_out_fini(sheaf_out_t *out)
{
    for (sheaf_out_piece_t *piece = out->head, *next; piece != NULL; piece = next) {
        next = piece->next;
        piece_free(piece);
    }
    sheaf_out_init(out);
}

static sheaf_out_piece_t *piece_add(sheaf_out_t *out, size_t size)
{
    sheaf_out_piece_t *piece = sheaf_alloc(sizeof(*piece) + size);

    *piece = (sheaf_out_piece_t){.size = size};
    if (out->tail == NULL)
        out->head = piece;
    else
        out->tail->next = piece;
    out->tail = piece;
    return piece;
}

static size_t room_left(const sheaf_out_piece_t *piece)
{
    return piece == NULL ? 0 : piece->size - piece->end;
}

static sheaf_out_piece_t *room_for(sheaf_out_t *out, size_t len)
{
    if (out->tail != NULL && room_left(out->tail) >= len)
        return out->tail;
    return piece_add(out, out->head == NULL ? ROOM_FIRST : ROOM_NEXT);
}

static void room_fill(sheaf_out_t *out, const char *bytes, size_t len)
{
    memcpy(out->tail->bytes + out->tail->end, bytes, len);
    out->tail->end += len;
    out->len += len;
}

void sheaf_out_put(sheaf_out_t *out, const char *bytes, size_t len)
{
    while (len != 0) {
        size_t room = room_left(out->tail);
        size_t part = len < room ? len : room;
        if (part == 0) {
            room_for(out, 1);
            continue;
        }
        room_fill(out, bytes, part);
        bytes += part;
        len -= part;
    }
}

void sheaf_out_u64(sheaf_out_t *out, uint64_t value)
{
    sheaf_out_commit(out, sheaf_u64_to_dec(value, sheaf_out_reserve(out, 20)));
}

char *sheaf_out_reserve(sheaf_out_t *out, size_t len)
{
    SHEAF_ASSERT(len <= ROOM_FIRST);
    sheaf_out_piece_t *piece = room_for(out, len);
    return piece->bytes + piece->end;
}

void sheaf_out_commit(sheaf_out_t *out, size_t used)
{
    SHEAF_ASSERT(used <= room_left(out->tail));
    out->tail->end += used;
    out->len += used;
}

void sheaf_out_buf(sheaf_out_t *out, sheaf_buf_t *buf)
{
    if (buf->len < COPY_UNDER) {
        for (const sheaf_chunk_t *chunk = &buf->first; chunk != NULL; chunk = chunk->next)
            sheaf_out_put(out, chunk->bytes, chunk->len);
        return;
    }
    sheaf_out_piece_t *piece = piece_add(out, 0);
    piece->buf = sheaf_buf_hold(buf);
    piece->chunk = &buf->first;
    piece->left = buf->len;
    out->len += buf->len;
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The contiguous bytes at (`chunk`, `start`) of a piece; `left` bounds a held buf. */
static sheaf_iovec_t stretch_at(const sheaf_out_piece_t *piece, const sheaf_chunk_t *chunk, size_t start, size_t left)
{
    if (piece->buf == NULL)
        return (sheaf_iovec_t){(char *)piece->bytes + piece->start, piece->end - piece->start};
    return (sheaf_iovec_t){chunk->bytes + start, lesser(chunk->len - start, left)};
}

size_t sheaf_out_peek(const sheaf_out_t *out, sheaf_iovec_t *iovecs, size_t max, size_t limit_bytes)
{
    size_t count = 0;

    for (const sheaf_out_piece_t *piece = out->head; piece != NULL; piece = piece->next) {
        const sheaf_chunk_t *chunk = piece->chunk;
        size_t start = piece->start, left = piece->left;
        do {
            if (count == max || limit_bytes == 0)
                return count;
            sheaf_iovec_t iovec = stretch_at(piece, chunk, start, left);
            left -= piece->buf != NULL ? iovec.len : 0;
            iovec.len = lesser(iovec.len, limit_bytes);
            limit_bytes -= iovec.len;
            if (iovec.len != 0)
                iovecs[count++] = iovec;
            start = 0;
            chunk = chunk != NULL ? chunk->next : NULL;
        } while (left != 0);
    }
    return count;
}

/* Drops up to `len` bytes of one piece; returns how many. */
static size_t piece_consume(sheaf_out_piece_t *piece, size_t len)
{
    sheaf_iovec_t iovec = stretch_at(piece, piece->chunk, piece->start, piece->left);
    size_t part = lesser(iovec.len, len);

    piece->start += part;
    if (piece->buf == NULL)
        return part;
    piece->left -= part;
    if (piece->start == piece->chunk->len && piece->left != 0) {
        piece->chunk = piece->chunk->next;
        piece->start = 0;
    }
    return part;
}

static bool piece_is_spent(const sheaf_out_piece_t *piece)
{
    return piece->buf != NULL ? piece->left == 0 : piece->start == piece->end;
}

void sheaf_out_consume(sheaf_out_t *out, size_t len)
{
    SHEAF_ASSERT(len <= out->len);
    out->len -= len;
    while (out->head != NULL) {
        sheaf_out_piece_t *piece = out->head;
        len -= piece_consume(piece, len);
        if (!piece_is_spent(piece)) {
            if (len == 0)
                return;
            continue;
        }
        out->head = piece->next;
        if (out->head == NULL)
            out->tail = NULL;
        piece_free(piece);
    }
}
