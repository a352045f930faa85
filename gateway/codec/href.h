/* codec/href.h - the hrefs of a multistatus: legal in RFC 3986 and never twice in a document (RFC 4918 8.3). */
#ifndef SHEAF_CODEC_HREF_H
#define SHEAF_CODEC_HREF_H

#include "gateway/batch/batch.h"

/* What stands already. Zero-initialise; lives in the pool it is used with. */
typedef struct sheaf_hrefs {
    sheaf_str_t *slots;
    uint32_t count, size; /* size is a power of two */
} sheaf_hrefs_t;

/* Notes `href` (borrowed as long as the set) and returns true, or false when it stood already. */
bool sheaf_hrefs_add(sheaf_hrefs_t *hrefs, sheaf_pool_t *pool, sheaf_str_t href);

typedef enum sheaf_href_kind {
    SHEAF_HREF_PATH, /* absolute path and query, nothing else */
    SHEAF_HREF_URI,  /* any reference: fragment and brackets stay */
    SHEAF_HREF_NAME, /* one component: reserved characters are encoded too */
} sheaf_href_kind_t;

/* `text` with every byte that may not stand there percent-encoded; `text` itself when there is none. */
sheaf_str_t sheaf_href_encode(sheaf_pool_t *pool, sheaf_str_t text, sheaf_href_kind_t kind);

/* The absolute path and query that the item asked for: as the client wrote it where that is one, resolved against the
 * endpoint's base where it is relative or has dot segments. Absent when its url is not acceptable. */
sheaf_str_t sheaf_href_of(sheaf_pool_t *pool, const sheaf_item_t *item);

#endif
