/* guard/messages.h - h2o_hpack_parse_headers, replaced: HTTP/2 requests as RFC 9113 section 8 wants them.
 *
 * Facts of libh2o.md:
 *  7  a block of a few bytes may stand for any number of fields: they are counted before they are decoded.
 * 13  trailers are appended to the header fields, and most of a request is not looked at: trailers are dropped; method,
 *     path and authority, names and values keep their grammar, or the request is answered with 400.
 * 21  Cookie comes in pieces: it is one field again (8.2.3). */
#ifndef SHEAF_FRONT_GUARD_MESSAGES_H
#define SHEAF_FRONT_GUARD_MESSAGES_H

#include "gateway/front/guard/guard.h"

/* Why the request in `req` (decoded, its path not yet split) is malformed or too large: fills `ret_objection`. */
bool sheaf_message_is_malformed(const h2o_req_t *req, size_t size_most, sheaf_objection_t *ret_objection);

/* Makes one Cookie field of several, in the place of the first. */
void sheaf_message_join_cookies(h2o_req_t *req);

#endif
