/* http/prefer.h - what a client would like: the Prefer header (RFC 7240).
 *
 * A preference that is unknown, or whose value makes no sense, is as if it were not there; of one that stands several
 * times the first counts (RFC 7240 section 2). Names may carry the prefix "odata." (OData 4.01 Protocol 8.2.8). */
#ifndef SHEAF_HTTP_PREFER_H
#define SHEAF_HTTP_PREFER_H

#include "gateway/base/str.h"

#define SHEAF_PREFER_MAX 160 /* bytes that sheaf_prefer_write needs at most */

typedef struct sheaf_prefer {
    enum { SHEAF_RETURN_UNSAID, SHEAF_RETURN_MINIMAL, SHEAF_RETURN_REPRESENTATION } returns;
    enum { SHEAF_HANDLING_UNSAID, SHEAF_HANDLING_STRICT, SHEAF_HANDLING_LENIENT } handling;
    enum { SHEAF_CONTINUE_UNSAID, SHEAF_CONTINUE_YES, SHEAF_CONTINUE_NO } continues; /* continue-on-error */
    bool continue_is_odata; /* it was called odata.continue-on-error */
    bool has_wait;
    uint32_t wait_s; /* above 0 */
} sheaf_prefer_t;

/* Adds the preferences of one field. Zero-initialise `prefer` before the first. Any bytes are fine. */
void sheaf_prefer_add(sheaf_prefer_t *prefer, sheaf_str_t field);

/* Writes `prefer` as a value for Preference-Applied into `dst` (room for SHEAF_PREFER_MAX); 0 when it says nothing. */
size_t sheaf_prefer_write(const sheaf_prefer_t *prefer, char *dst);

#endif
