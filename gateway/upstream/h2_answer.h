/* upstream/h2_answer.h - what an answer over HTTP/2 may look like (RFC 9113 8): fields and lengths in, a verdict out.
 *
 *   block (fields, one by one) --sheaf_h2_answer_block()--> interim, final head, or trailers     --_data()*, _end()-->
 *
 * As strict as `wire` is for HTTP/1, plus what HTTP/2 forbids: upper case and connection fields, pseudo fields other
 * than one :status before all others, values with white space at an end. A verdict is NULL, or why the answer is
 * malformed, as a phrase. Trailers are checked and dropped. */
#ifndef SHEAF_UPSTREAM_H2_ANSWER_H
#define SHEAF_UPSTREAM_H2_ANSWER_H

#include <nghttp2/nghttp2.h>

#include "gateway/http/exchange.h"
#include "gateway/http/wire.h"

/* One field block, as it comes; HTTP/2 never has two open at once. Zero-initialised is empty. */
typedef struct sheaf_h2_block {
    const char *why; /* the first fault; what follows it is passed over */
    size_t size;     /* names, values and 32 bytes a field */
    uint16_t status; /* 0: no :status */
    bool has_length;
    uint64_t content_length; /* UINT64_MAX when absent */
    uint32_t count;          /* of fields, :status not among them */
    uint32_t held;           /* of `bufs` */
    sheaf_header_t headers[SHEAF_WIRE_MAX_HEADERS];
    nghttp2_rcbuf *bufs[2 * SHEAF_WIRE_MAX_HEADERS]; /* what the headers are slices of */
} sheaf_h2_block_t;

/* What came of one stream's answer so far. */
typedef struct sheaf_h2_answer {
    bool was_head, has_head, has_no_body;
    uint8_t interim_count;
    uint64_t content_length, got;
} sheaf_h2_answer_t;

void sheaf_h2_block_begin(sheaf_h2_block_t *block);
/* `name` and `value` are held until the next begin or clear. */
void sheaf_h2_block_add(sheaf_h2_block_t *block, nghttp2_rcbuf *name, nghttp2_rcbuf *value);
void sheaf_h2_block_clear(sheaf_h2_block_t *block);

/* A whole block has come; is_last: nothing follows it. `*ret_is_head`: it is the final head. */
const char *sheaf_h2_answer_block(sheaf_h2_answer_t *answer, const sheaf_h2_block_t *block, bool is_last,
                                  bool *ret_is_head);
/* `len` bytes of body have come, more than 0. */
const char *sheaf_h2_answer_data(sheaf_h2_answer_t *answer, size_t len);
/* Nothing follows. */
const char *sheaf_h2_answer_end(const sheaf_h2_answer_t *answer);

#endif
