/* guard/shadow.h - a second reader of header blocks: what libh2o decodes and does not keep.
 *
 * libh2o 2.2.5 throws Host away, takes any :scheme for http, and of several Content-Length the last. nghttp2's HPACK
 * decoder reads the same blocks in the same order, so its table stays the same as libh2o's. */
#ifndef SHEAF_FRONT_GUARD_SHADOW_H
#define SHEAF_FRONT_GUARD_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nghttp2_hd_inflater;

/* Per connection; zero-initialised is fine. */
typedef struct sheaf_shadow {
    struct nghttp2_hd_inflater *inflater; /* made with the first block */
} sheaf_shadow_t;

typedef struct sheaf_shadow_seen {
    bool is_http; /* :scheme is http or https */
    uint32_t hosts, content_lengths;
    size_t host_len;
    char host[256]; /* the last one; a longer one is no host: host_len 0 */
} sheaf_shadow_seen_t;

/* Reads one whole block. False when it is malformed: the connection is lost. */
bool sheaf_shadow_read(sheaf_shadow_t *shadow, const uint8_t *block, size_t len, sheaf_shadow_seen_t *ret_seen);

void sheaf_shadow_fini(sheaf_shadow_t *shadow);

#endif
