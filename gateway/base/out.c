#include "gateway/base/out.h"

#include <stdlib.h>

#include "gateway/base/pool.h"

#define COPY_BELOW   1024 /* a smaller buf costs less copied than as a piece and an iovec of its own */
#define PIECE_BYTES  8192
#define RESERVE_MOST 4096

/* A piece is written at its end (own bytes only) and read at its start. */
struct sheaf_out_piece {
    sheaf_out_piece_t *next;
    sheaf_buf_t *buf;           /* NULL: the bytes follow this struct */
    const sheaf_chunk_t *chunk; /* of buf: where reading goes on */
    size_t at;                  /* bytes of the chunk (or of the own bytes) that were consumed */
    size_t len;                 /* own bytes written */
    size_t size;                /* room for own bytes */
};

static char *own_bytes(const sheaf_out_piece_t *piece)
{
    return (char *)(uintptr_t)(piece + 1);
}

void sheaf_out_init(sheaf_out_t *out)
{
    *out = (sheaf_out_t){NULL, NULL, 0};
}

static void drop_head(sheaf_out_t *out)
{
    sheaf_out_piece_t *piece = out->head;

    out->head = piece->next;
    if (out->head == NULL)
        out->tail = NULL;
    sheaf_buf_drop(piece->buf);
    free(piece);
}

void sheaf_out_fini(sheaf_out_t *out)
{
    while (out->head != NULL)
        drop_head(out);
    out->len = 0;
}

static sheaf_out_piece_t *add_piece(sheaf_out_t *out, size_t size)
{
    sheaf_out_piece_t *piece = sheaf_alloc(sizeof(*piece) + size);

    *piece = (sheaf_out_piece_t){.size = size};
    if (out->tail != NULL)
        out->tail->next = piece;
    else
        out->head = piece;
    out->tail = piece;
    return piece;
}

char *sheaf_out_reserve(sheaf_out_t *out, size_t len)
{
    sheaf_out_piece_t *piece = out->tail;

    if (piece == NULL || piece->buf != NULL || piece->size - piece->len < len)
        piece = add_piece(out, len > PIECE_BYTES ? len : PIECE_BYTES);
    return own_bytes(piece) + piece->len;
}

void sheaf_out_commit(sheaf_out_t *out, size_t used)
{
    out->tail->len += used;
    out->len += used;
}

void sheaf_out_put(sheaf_out_t *out, const char *bytes, size_t len)
{
    sheaf_out_piece_t *piece = out->tail;
    size_t room = piece != NULL && piece->buf == NULL ? piece->size - piece->len : 0;
    size_t part = len < room ? len : room;

    if (part > 0) {
        memcpy(own_bytes(piece) + piece->len, bytes, part);
        sheaf_out_commit(out, part);
    }
    if (part == len)
        return;
    memcpy(sheaf_out_reserve(out, len - part), bytes + part, len - part);
    sheaf_out_commit(out, len - part);
}

void sheaf_out_u64(sheaf_out_t *out, uint64_t value)
{
    sheaf_out_commit(out, sheaf_u64_to_dec(value, sheaf_out_reserve(out, 20)));
}

void sheaf_out_buf(sheaf_out_t *out, sheaf_buf_t *buf)
{
    sheaf_out_piece_t *piece;

    if (buf == NULL || buf->len == 0)
        return;
    if (buf->len < COPY_BELOW) {
        for (const sheaf_chunk_t *chunk = &buf->first; chunk != NULL; chunk = chunk->next)
            sheaf_out_put(out, chunk->bytes, chunk->len);
        return;
    }
    piece = add_piece(out, 0);
    piece->buf = sheaf_buf_hold(buf);
    piece->chunk = &buf->first;
    out->len += buf->len;
}

static size_t peek_run(sheaf_iovec_t *iovec, const char *bytes, size_t len, size_t *left)
{
    if (len > *left)
        len = *left;
    if (len == 0)
        return 0;
    *iovec = (sheaf_iovec_t){(char *)(uintptr_t)bytes, len};
    *left -= len;
    return 1;
}

size_t sheaf_out_peek(const sheaf_out_t *out, sheaf_iovec_t *iovecs, size_t max, size_t limit_bytes)
{
    size_t count = 0;

    for (const sheaf_out_piece_t *piece = out->head; piece != NULL && count < max && limit_bytes > 0;
         piece = piece->next) {
        size_t at = piece->at;

        if (piece->buf == NULL) {
            count += peek_run(&iovecs[count], own_bytes(piece) + at, piece->len - at, &limit_bytes);
            continue;
        }
        for (const sheaf_chunk_t *chunk = piece->chunk; chunk != NULL && count < max; chunk = chunk->next) {
            count += peek_run(&iovecs[count], chunk->bytes + at, chunk->len - at, &limit_bytes);
            at = 0;
        }
    }
    return count;
}

static bool copy_run(sheaf_buf_t *buf, const char *bytes, size_t len)
{
    return len == 0 || sheaf_buf_append(buf, bytes, len);
}

bool sheaf_out_copy(const sheaf_out_t *out, sheaf_buf_t *buf)
{
    for (const sheaf_out_piece_t *piece = out->head; piece != NULL; piece = piece->next) {
        size_t at = piece->at;

        if (piece->buf == NULL && !copy_run(buf, own_bytes(piece) + at, piece->len - at))
            return false;
        for (const sheaf_chunk_t *chunk = piece->buf == NULL ? NULL : piece->chunk; chunk != NULL;
             chunk = chunk->next) {
            if (!copy_run(buf, chunk->bytes + at, chunk->len - at))
                return false;
            at = 0;
        }
    }
    return true;
}

/* True when the piece at the front has been read to its end (a last piece of own bytes may grow again, but a new one
 * is as good). */
static bool consume_front(sheaf_out_piece_t *piece, size_t *len)
{
    size_t there = (piece->buf == NULL ? piece->len : piece->chunk->len) - piece->at;
    size_t part = *len < there ? *len : there;

    piece->at += part;
    *len -= part;
    if (part < there)
        return false;
    if (piece->buf != NULL && piece->chunk->next != NULL) {
        piece->chunk = piece->chunk->next;
        piece->at = 0;
        return false;
    }
    return true;
}

void sheaf_out_consume(sheaf_out_t *out, size_t len)
{
    out->len -= len;
    while (out->head != NULL && (len > 0 || out->len == 0)) {
        if (consume_front(out->head, &len))
            drop_head(out);
    }
}
