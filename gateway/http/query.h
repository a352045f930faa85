/* http/query.h - the values of a query as forms write them (application/x-www-form-urlencoded). */
#ifndef SHEAF_HTTP_QUERY_H
#define SHEAF_HTTP_QUERY_H

#include "gateway/base/pool.h"

/* The first value of `name` in `query` (without the '?', may be absent), still encoded. False when there is none; a name
 * without '=' has the value "". Names are compared decoded. */
bool sheaf_query_find(sheaf_str_t query, sheaf_str_t name, sheaf_str_t *ret_encoded);

/* Percent-encoding resolved, and '+' is a space where `plus_is_space`. A slice of `encoded` when nothing is to be resolved,
 * else in `pool`. False when an escape is malformed. */
bool sheaf_query_decode(sheaf_str_t encoded, bool plus_is_space, sheaf_pool_t *pool, sheaf_str_t *ret_text);

/* `target` (a path, and a query behind '?') without the parameters of that name, in `pool`; how many they were. Without a
 * query when it has no other; the same string when there are none. */
uint32_t sheaf_query_drop(sheaf_str_t target, sheaf_str_t name, sheaf_pool_t *pool, sheaf_str_t *ret_target);

#endif
