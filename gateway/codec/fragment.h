/* codec/fragment.h - may a result body stand inside our XML document as elements? */
#ifndef SHEAF_CODEC_FRAGMENT_H
#define SHEAF_CODEC_FRAGMENT_H

#include "gateway/base/buf.h"

/* Deepest nesting that is embedded: well below the 256 at which libxml2 gives up on a document. */
#define SHEAF_FRAGMENT_MAX_DEPTH 128

/* True when `body` is one well-formed UTF-8 XML 1.0 document with all its prefixes declared, no DOCTYPE and bounded
 * depth; `*ret_start` is then the length of the byte order mark and XML declaration to be left out. */
bool sheaf_fragment_check(const sheaf_buf_t *body, size_t *ret_start);

#endif
