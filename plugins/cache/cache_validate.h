/* cache/cache_validate.h - conditional questions (RFC 9110 13, RFC 9111 4.3). */
#ifndef CACHE_VALIDATE_H
#define CACHE_VALIDATE_H

#include "plugins/cache/cache_head.h"

/* Does the question have conditions of its own that the store cannot judge, or ask for a part? */
int cache_validate_is_beyond(const cache_head_t *question);
/* Does it have those that the store can judge: If-None-Match, If-Modified-Since? */
int cache_validate_is_conditional(const cache_head_t *question);
/* Does the answer in the store fulfil what If-None-Match, else If-Modified-Since asks, so that it is 304 (4.3.2)? `date_s`: when
 * that answer was made, which stands for a Last-Modified it has not. */
int cache_validate_is_not_modified(const cache_head_t *question, const cache_head_t *stored, int64_t date_s);
/* Is the 304 about what is stored (4.3.4)? */
int cache_validate_is_about(const cache_head_t *not_modified, const cache_head_t *stored);
/* Takes over what a 304 says (3.2). 0, or -1: no room, `stored` is as it was. */
int cache_validate_refresh(cache_head_t *stored, const cache_head_t *not_modified);

/* May a field of an answer be kept (3.1)? Not those between two hops, and not those that are about one question only. */
int cache_validate_is_kept(sheaf_p_str_t name, const cache_head_t *answer);

#endif
