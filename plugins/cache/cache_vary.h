/* cache/cache_vary.h - which fields of the question an answer depends on (RFC 9111 4.1), and whether another question would
 * get the same.
 *
 * Values are compared normalised: fields of one name are one list, spaces around commas and semicolons do not count, and
 * neither does case where the field's meaning knows none (Accept and the like). A field that is not there matches only one
 * that is not there. A question that has one by another spelling, with '_' for '-', matches nothing. */
#ifndef CACHE_VARY_H
#define CACHE_VARY_H

#include "plugins/cache/cache_head.h"

#define CACHE_VARY_NAMES 8u
#define CACHE_VARY_BYTES 512u  /* of all Vary fields together */
#define CACHE_VARY_VALUE 1024u /* of one selecting field */

/* Writes the selecting fields of `question` for `answer`: those that Vary names, Accept-Encoding where the answer has a
 * Content-Encoding, and Origin where it names an origin. 0, or -1: it may not be stored, because Vary is *, too much, no list of
 * names, or names what Sheaf writes itself for each client (X-Forwarded-For), or a credential that the question has. */
int cache_vary_select(const cache_head_t *answer, const cache_head_t *question, cache_head_t *ret_selecting);
int cache_vary_matches(const cache_head_t *selecting, const cache_head_t *question);

#endif
