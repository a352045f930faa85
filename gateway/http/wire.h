/* http/wire.h - strict HTTP/1 grammar (RFC 9112) as pure functions: heads of answers and requests, chunked bodies.
 *
 * No I/O, no allocation. Strict refusal: bare CR or LF line ends, obs-fold, white space before the colon, two lengths
 * (also "5, 5"), Content-Length with Transfer-Encoding, transfer codings other than a final single `chunked`,
 * control characters, a status outside 100 to 599, versions other than HTTP/1.0 and HTTP/1.1. */
#ifndef SHEAF_HTTP_WIRE_H
#define SHEAF_HTTP_WIRE_H

#include "gateway/base/error.h"
#include "gateway/http/header.h"

#define SHEAF_WIRE_MAX_HEADERS 128

typedef enum sheaf_wire_body {
    SHEAF_WIRE_NO_BODY,
    SHEAF_WIRE_LENGTH,
    SHEAF_WIRE_CHUNKED,
    SHEAF_WIRE_TO_EOF,
} sheaf_wire_body_t;

typedef struct sheaf_wire_head {
    uint8_t minor_version;            /* 0 or 1 */
    uint16_t status;                  /* answers */
    sheaf_str_t method, target, host; /* requests: target is origin-form or "*"; host has no base when absent */
    uint32_t header_count;
    sheaf_header_t headers[SHEAF_WIRE_MAX_HEADERS]; /* names lower-cased in place; slices of the input */
    sheaf_wire_body_t body;
    uint64_t content_length;      /* as announced, also where no body follows (HEAD); UINT64_MAX when absent */
    bool is_persistent;           /* the conn may carry another exchange after this one */
    uint32_t keepalive_timeout_s; /* Keep-Alive: timeout=N; UINT32_MAX when absent */
} sheaf_wire_head_t;

/* Parses one answer head at the start of `bytes` (names are lower-cased in place). `was_head`: the request was HEAD.
 * Returns the length of the head with its empty line; 0 when more bytes are needed; -1 when it is malformed, with
 * `*ret_why` a short reason. `scanned` is how many bytes an earlier call has looked at (0 at first): the search for
 * the end of the head goes on from there, so feeding byte by byte stays cheap. A line is judged once it is whole (the
 * first bytes of the status line at once), so the verdict does not depend on how the bytes were cut. */
long sheaf_wire_parse_head(char *bytes, size_t len, size_t scanned, bool was_head, sheaf_wire_head_t *ret_head,
                           const char **ret_why);

/* Parses one request head (RFC 9112 3); the same rules and results as above. Up to two empty lines before it are passed
 * over. An absolute-form target is accepted where its authority is that of Host, and given as origin-form (3.2.2).
 * Beyond the refusals above: no Host or two (HTTP/1.1), a Host that is no host, CONNECT, a fragment, bytes outside
 * visible ASCII in the target, more than `head_most` bytes without an end. `*ret_err` is BAD_REQUEST or what fits better
 * (METHOD, URI_TOO_LONG, HEAD_TOO_LARGE, CODING, VERSION). */
#define SHEAF_WIRE_TARGET_MOST 8192

long sheaf_wire_parse_request(char *bytes, size_t len, size_t scanned, size_t head_most, sheaf_wire_head_t *ret_head,
                              sheaf_err_t *ret_err, const char **ret_why);

/* RFC 9110 4.2.3: host [":" port], the host a name, an IPv4 or a bracketed IPv6 address; no userinfo, not empty. */
bool sheaf_wire_host_is_valid(sheaf_str_t host);

/* Chunked bodies with trailers (checked, then dropped). Zero-initialise. Chunk extensions are skipped, bounded. */
typedef struct sheaf_wire_chunks {
    uint8_t state;
    uint8_t digits; /* of a size; then trailer fields */
    bool is_strict; /* no blanks behind a size, as some servers write them */
    uint16_t extra; /* bytes of extension, or of trailers, seen so far */
    uint64_t left;
} sheaf_wire_chunks_t;

/* Takes bytes from `*at` on, up to `end`. Returns the next run of body bytes (points into the input; empty when the
 * input is used up) and advances `*at`. `*ret_state`: 0 more to come, 1 the body is complete (bytes from *at on belong
 * to nobody), -1 malformed. Call until it returns an empty run or a state other than 0. */
sheaf_str_t sheaf_wire_next_chunk(sheaf_wire_chunks_t *chunks, const char **at, const char *end, int *ret_state);

#endif
