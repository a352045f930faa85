/* front/squeeze.h - an answer in the content coding gzip, made as it is sent.
 *
 * libh2o's own filter compresses answers with status 200 only, never a 207; and a filter would hide from the responder
 * how many bytes are on their way. So the responder compresses what it is about to send. Every piece ends with a flush:
 * the client can read all that was sent, so results stream as they do uncompressed. */
#ifndef SHEAF_FRONT_SQUEEZE_H
#define SHEAF_FRONT_SQUEEZE_H

#include "gateway/base/out.h"

typedef struct sheaf_squeeze sheaf_squeeze_t;

sheaf_squeeze_t *sheaf_squeeze_new(void);
void sheaf_squeeze_free(sheaf_squeeze_t *squeeze); /* NULL is fine */

/* Compresses a piece; the last one ends the stream. The bytes are good until the next call. */
sheaf_iovec_t sheaf_squeeze_piece(sheaf_squeeze_t *squeeze, const sheaf_iovec_t *iovecs, size_t count, bool is_last);

#endif
