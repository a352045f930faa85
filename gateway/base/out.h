/* base/out.h - what an encoder has written and a responder has not yet sent.
 *
 * A queue of pieces in order. A piece is either bytes copied into the out's own chunks (heads, punctuation, small
 * bodies) or a stretch of a held sheaf_buf_t (large bodies, never copied). Its ceiling is the caller's to watch:
 * out->len. The responder takes iovecs from the front, sends them, and consumes them once written. */
#ifndef SHEAF_BASE_OUT_H
#define SHEAF_BASE_OUT_H

#include "gateway/base/buf.h"

typedef struct sheaf_out_piece sheaf_out_piece_t;

typedef struct sheaf_out {
    sheaf_out_piece_t *head, *tail;
    size_t len; /* bytes queued and not consumed */
} sheaf_out_t;

typedef struct sheaf_iovec { /* same layout as uv_buf_t and h2o_iovec_t: base, len */
    char *base;
    size_t len;
} sheaf_iovec_t;

void sheaf_out_init(sheaf_out_t *out);
void sheaf_out_fini(sheaf_out_t *out);

void sheaf_out_put(sheaf_out_t *out, const char *bytes, size_t len);
static inline void sheaf_out_str(sheaf_out_t *out, sheaf_str_t s)
{
    sheaf_out_put(out, s.base, s.len);
}
void sheaf_out_u64(sheaf_out_t *out, uint64_t value);

/* Room for `len` (at most 4096) contiguous bytes to be written in place; commit what was used. */
char *sheaf_out_reserve(sheaf_out_t *out, size_t len);
void sheaf_out_commit(sheaf_out_t *out, size_t used);

/* Queues the bytes of `buf`: held when large, copied when under 1 KiB. */
void sheaf_out_buf(sheaf_out_t *out, sheaf_buf_t *buf);

/* Up to `max` iovecs from the front, at most `limit_bytes`; nothing is consumed. Returns how many. */
size_t sheaf_out_peek(const sheaf_out_t *out, sheaf_iovec_t *iovecs, size_t max, size_t limit_bytes);

/* Appends a copy of all that is queued to `buf`; false, and some of it appended, when its ceiling would be passed. */
bool sheaf_out_copy(const sheaf_out_t *out, sheaf_buf_t *buf);

/* Drops `len` bytes from the front (they were written). */
void sheaf_out_consume(sheaf_out_t *out, size_t len);

#endif
