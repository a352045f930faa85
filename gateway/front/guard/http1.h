/* guard/http1.h - phr_parse_request and phr_decode_chunked, replaced: HTTP/1 by our own strict grammar.
 *
 * Fact 12 (libh2o.md): libh2o's parser takes Content-Length with Transfer-Encoding, chunk sizes like 0x4, bare LF, no
 * Host or two. Here http/wire.h decides, and libh2o is told what it says. A head that is refused reaches the handler as
 * a request that asks for the end of the connection and carries a fault: so it is answered in problem+json, counted and
 * logged, and nothing that was sent behind it is ever looked at. So is one that waits for 100 with a Content-Length over
 * the limit of its endpoint or route: libh2o knows one limit for all, and would say 100 first. An offer to upgrade to h2c
 * is not passed on (RFC 9113 3.1 has done away with it). */
#ifndef SHEAF_FRONT_GUARD_HTTP1_H
#define SHEAF_FRONT_GUARD_HTTP1_H

#include "gateway/front/guard/guard.h"
#include "gateway/http/wire.h"

/* As picohttpparser has them; Debian does not install its header. */
struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

struct phr_chunked_decoder {
    size_t bytes_left_in_chunk;
    char consume_trailer;
    char hex_count;
    char state; /* 0: nothing was decoded yet */
};

int phr_parse_request(const char *bytes, size_t len, const char **ret_method, size_t *ret_method_len,
                      const char **ret_path, size_t *ret_path_len, int *ret_minor_version, struct phr_header *headers,
                      size_t *num_headers, size_t last_len);
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *bytes, size_t *len);

/* Per connection. */
typedef struct sheaf_http1 {
    sheaf_wire_chunks_t chunks;
    bool asks_for_upgrade; /* the latest head, to anything but h2c: libh2o keeps it to itself */
} sheaf_http1_t;

#endif
