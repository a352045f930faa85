/* codec/multipart.h - cutting a MIME multipart body into its parts (RFC 2046 5.1), as lenient as its writers are sloppy.
 *
 * Lines end in CRLF or LF. What stands before the first delimiter and behind the last is ignored, and so are blanks
 * behind a delimiter. A line that begins with a delimiter of a longer boundary is content. The line break before a
 * delimiter belongs to it. */
#ifndef SHEAF_CODEC_MULTIPART_H
#define SHEAF_CODEC_MULTIPART_H

#include "gateway/base/error.h"
#include "gateway/http/header.h"

#define SHEAF_MULTIPART_BOUNDARY_MAX 70u  /* RFC 2046 5.1.1 */
#define SHEAF_MULTIPART_FIELDS_MAX   256u /* lines of header fields of one part, and of one request in it */

typedef struct sheaf_multipart {
    sheaf_str_t text;     /* the whole of it, borrowed */
    sheaf_str_t boundary; /* without the dashes, borrowed */
    size_t at;            /* private: behind the last delimiter line */
    bool is_open, is_closed;
} sheaf_multipart_t;

/* 1: `*ret_part` is the next part (header and content); 0: the close delimiter was reached; -1: the text ends without
 * one. Linear over all calls. */
int sheaf_multipart_next(sheaf_multipart_t *multipart, sheaf_str_t *ret_part);

/* Takes header fields off `*rest`, with the blank line behind them; the end of the text ends them too. Names are
 * lower-cased into `pool`; a folded value is joined by a space. False when a line is no field, or there are too many:
 * `*ret_why` says so, and `*rest` begins at the line. */
bool sheaf_multipart_fields(sheaf_pool_t *pool, sheaf_str_t *rest, sheaf_headers_t *ret_fields, const char **ret_why);

/* The next line of `*rest`, without its line break. */
sheaf_str_t sheaf_multipart_line(sheaf_str_t *rest);

#endif
