/* http/inflate.h - a body in the content coding gzip or deflate (RFC 9110 8.4.1), made plain as it arrives.
 *
 * Bytes in, bytes out, in pieces of any size: where the input is cut makes no difference. gzip may have several members
 * (RFC 1952 2.2), whose checksums and lengths are verified, and zeros behind the last one, as tapes and tar leave them;
 * anything else behind the end is malformed. deflate may be wrapped in zlib's format, as it should, or raw, as some
 * servers send it. An empty body is taken as what it is.
 *
 * Bombs: the output has a ceiling, the input too (members may hold nothing), and from the first 64 KiB of output on it
 * may be at most 1,000 times the input. Deflate can make 1,032 times at most, and only runs of one byte come near that;
 * a run is all that such a bomb is. What is below the bound costs no more than its ceiling says. */
#ifndef SHEAF_HTTP_INFLATE_H
#define SHEAF_HTTP_INFLATE_H

#include "gateway/base/error.h"

typedef enum sheaf_coding {
    SHEAF_CODING_IDENTITY,
    SHEAF_CODING_GZIP,
    SHEAF_CODING_DEFLATE,
    SHEAF_CODING_OTHER, /* br, a list of several, or what nobody knows */
} sheaf_coding_t;

/* What a Content-Encoding field says; in any case, x-gzip is gzip (RFC 9110 8.4.1.3). Elements of the list that are empty or
 * say identity count for nothing (RFC 9110 5.6.1.2). */
sheaf_coding_t sheaf_coding_of(sheaf_str_t field);

/* One coding applied to what the other one made. */
sheaf_coding_t sheaf_coding_upon(sheaf_coding_t first, sheaf_coding_t second);

/* Does an Accept-Encoding field want gzip, or at least not forbid what it names (RFC 9110 12.5.3)? An absent field does not.
 * `gzip` named beats `*`; q=0 is no. */
bool sheaf_coding_accepts_gzip(sheaf_str_t field);

typedef struct sheaf_inflate sheaf_inflate_t;

/* Takes a piece of output, borrowed for the call; false refuses it: feed then says ANSWER_TOO_LARGE. */
typedef bool (*sheaf_inflate_take_t)(void *data, const char *bytes, size_t len);

/* `coding` is GZIP or DEFLATE. */
sheaf_inflate_t *sheaf_inflate_new(sheaf_coding_t coding, uint64_t limit_bytes, sheaf_inflate_take_t take, void *data);
void sheaf_inflate_free(sheaf_inflate_t *inflate); /* NULL is fine */

/* MALFORMED or ANSWER_TOO_LARGE, which stay; sheaf_inflate_why says what it was. */
sheaf_err_t sheaf_inflate_feed(sheaf_inflate_t *inflate, const char *bytes, size_t len);

/* The input has ended: MALFORMED when it was cut, or what feed said. */
sheaf_err_t sheaf_inflate_end(sheaf_inflate_t *inflate);

/* feed or end said so. */
bool sheaf_inflate_has_failed(const sheaf_inflate_t *inflate);

/* A sentence about the error, static. */
const char *sheaf_inflate_why(const sheaf_inflate_t *inflate);

#endif
