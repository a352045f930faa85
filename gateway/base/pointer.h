/* base/pointer.h - a JSON pointer (RFC 6901) walked over a document with cursors: nothing is built, nothing is copied. */
#ifndef SHEAF_BASE_POINTER_H
#define SHEAF_BASE_POINTER_H

#include "gateway/base/json.h"

/* "" (the whole document), or tokens that each begin with '/', with '~' only in ~0 and ~1. */
bool sheaf_pointer_is_valid(sheaf_str_t pointer);

/* The value at `pointer` (a valid one) below `root`, as its source text. Where a name stands twice the first counts.
 * `scratch` takes the names that need unescaping. False when nothing is there. */
bool sheaf_pointer_find(sheaf_json_t root, sheaf_str_t pointer, sheaf_pool_t *scratch, sheaf_json_t *ret_value);

/* The same, for pointers of somebody who must not take all the time: what is passed over on the way is taken off `*steps`, one
 * for each element and member, and one for every 256 bytes. Where they do not suffice it is false, and *steps is 0. */
bool sheaf_pointer_walk(sheaf_json_t root, sheaf_str_t pointer, sheaf_pool_t *scratch, uint64_t *steps,
                        sheaf_json_t *ret_value);

#endif
