/* http/hpack.h - the shape of an HPACK header block (RFC 7541 section 6), without decoding it.
 *
 * A block of a few bytes can stand for megabytes of fields. Counting them first costs nothing and needs no table. */
#ifndef SHEAF_HTTP_HPACK_H
#define SHEAF_HTTP_HPACK_H

#include <stddef.h>
#include <stdint.h>

/* The number of fields in `block`. Stops counting at the first representation that is malformed or cut, which whoever
 * decodes the block will refuse. */
size_t sheaf_hpack_count(const uint8_t *block, size_t len);

#endif
