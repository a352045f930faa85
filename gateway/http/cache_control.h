/* http/cache_control.h - what Cache-Control says (RFC 9111 5.2.2), and what goes for an answer made of several.
 *
 * The strictest of all: one that may not be stored forbids it for the whole, one that is for a single user makes the whole
 * so, and the whole is fresh as long as the one that is fresh for the shortest time. What is not understood permits
 * nothing. */
#ifndef SHEAF_HTTP_CACHE_CONTROL_H
#define SHEAF_HTTP_CACHE_CONTROL_H

#include "gateway/base/str.h"

/* Zero-initialised: nothing is said. */
typedef struct sheaf_cache_control {
    bool is_there; /* some directive stands there */
    bool no_store, no_cache, is_private, is_public, must_revalidate, proxy_revalidate;
    bool has_max_age, has_s_maxage;
    uint32_t max_age_s, s_maxage_s;
} sheaf_cache_control_t;

#define SHEAF_CACHE_CONTROL_MAX 128

/* Adds what one field says; a malformed one means no-store. Of a lifetime that stands twice the shorter counts, one that
 * is no number is 0 (RFC 9111 4.2.1). no-cache and private go for the whole answer, also where they name fields. */
void sheaf_cache_control_read(sheaf_str_t value, sheaf_cache_control_t *control);

/* The answer has been fresh for so long already: what Age says. What is no number takes all that is left. */
void sheaf_cache_control_age(sheaf_str_t age, sheaf_cache_control_t *control);

/* It answers a request with Authorization: private, unless it says that shared caches may have it (RFC 9111 3.5). */
void sheaf_cache_control_authorize(sheaf_cache_control_t *control);

/* Expires stands beside it: without a max-age no lifetime that counts from now. */
void sheaf_cache_control_expire(sheaf_cache_control_t *control);

/* Makes `all` what goes for it and `part` together; the first part is taken as it is. A part that says nothing, or NULL,
 * may not be stored. */
void sheaf_cache_control_join(sheaf_cache_control_t *all, const sheaf_cache_control_t *part);

/* Writes it to `dst` (SHEAF_CACHE_CONTROL_MAX bytes, no NUL), returns its length. "no-store" when nothing is permitted
 * in so many words. */
size_t sheaf_cache_control_write(const sheaf_cache_control_t *control, char *dst);

#endif
