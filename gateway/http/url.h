/* http/url.h - an item's url, made safe to route and to send.
 *
 * Accepted: absolute path with optional query, or a relative reference without a leading slash, resolved against
 * `base` (RFC 3986 5.3). Refused: absolute URLs (any scheme), `//host`, fragment, control characters, backslash,
 * malformed percent-encoding, %00, and userinfo by way of those. Bytes RFC 3986 does not allow (space, quotes, braces,
 * `|`, `^`, backtick, non-ASCII) are percent-encoded; unreserved characters that came percent-encoded are decoded, hex
 * is upper-cased; dot segments, also percent-encoded ones, are removed (6.2.2), and with parameters ("..;a") refused. %2F
 * (and %5C) in the path is only noted: the route decides. */
#ifndef SHEAF_HTTP_URL_H
#define SHEAF_HTTP_URL_H

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

typedef struct sheaf_url {
    sheaf_str_t path;       /* normalised, starts with '/' */
    sheaf_str_t query;      /* without '?'; absent (base NULL) when there was none, empty for a bare '?' */
    bool has_encoded_slash; /* path holds %2F or %5C */
} sheaf_url_t;

/* RFC 3986 2.3: what never needs percent-encoding. */
static inline bool sheaf_url_is_unreserved(char c)
{
    char lower = sheaf_lower(c);

    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Does a normalised path hold a dot segment for who reads its encoded slashes as slashes, with parameters or without:
 * "..%2Fx", "a%5C..", "..;b%2F"? */
bool sheaf_url_hides_dots(sheaf_str_t path);

/* Is the segment of `path` around the byte `at` empty, "." or "..", also when its dots are escaped? `path` may go on with
 * a query. */
bool sheaf_url_names_nothing(sheaf_str_t path, size_t at);

/* `text` is what the client wrote, at most `limit_bytes` long; `base` is a normalised path ending in '/'.
 * Strings are slices of `text` when it is normalised already (the usual case), else they land in `pool`. A path that
 * would begin with `//` once its dot segments are gone is refused, and so are overlong UTF-8 sequences, which some
 * backends decode to a slash or a dot. SHEAF_ERR_ITEM_URL with a sentence on refusal. */
sheaf_err_t sheaf_url_normalise(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t base, size_t limit_bytes,
                                sheaf_url_t *ret_url, sheaf_fail_t *fail);

/* A normalised path as servers read it to whom parameters (";a" in a segment) and empty segments mean nothing: `path`
 * itself where there are none, else in `pool`. */
sheaf_str_t sheaf_url_bare(sheaf_pool_t *pool, sheaf_str_t path);

#endif
