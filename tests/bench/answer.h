/* bench/answer.h - what a client of the gateway sends and reads: one ready-made post, and answers to it of any length,
 * with Content-Length or chunked. */
#ifndef SHEAF_BENCH_ANSWER_H
#define SHEAF_BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef struct answer {
    char *in; /* the answer so far; of a chunked one without the chunk lines it has passed */
    size_t len, size;
    size_t body_at; /* 0: the head is not whole */
    size_t end_at;  /* where the answer ends; of a chunked one, where the next chunk line begins */
    bool is_chunked;
} answer_t;

/* Forgets the last answer; its memory serves the next one. */
void answer_reset(answer_t *answer);

/* Room for what comes next; answer->len is to grow by what came. */
void answer_room(answer_t *answer, uv_buf_t *ret_buf);

bool answer_is_whole(answer_t *answer);

/* How often `mark` stands in the body of a whole answer. */
unsigned answer_count(const answer_t *answer, const char *mark);

/* The bytes of a POST to /batch whose body is the file at `path`; `more` is a further header line without its CRLF,
 * or "". NULL when the file cannot be read. The caller frees them. */
char *post_read(const char *path, const char *type, const char *accept, const char *more, size_t *ret_len);

#endif
