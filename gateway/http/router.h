/* http/router.h - from a path and a method to a route: a radix tree over templates.
 *
 * Templates: literal segments, `{name}` (one non-empty segment), `{name...}` (the rest of the path, slashes included,
 * may be empty, last only). The most specific template wins whatever the method: at each segment a literal beats a
 * parameter beats a rest, with backtracking. One template may stand several times with disjoint methods. Built once
 * per snapshot, then read only: lookups allocate nothing. Matching is on the normalised path, byte for byte. */
#ifndef SHEAF_HTTP_ROUTER_H
#define SHEAF_HTTP_ROUTER_H

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

typedef struct sheaf_router sheaf_router_t;

#define SHEAF_ROUTER_MAX_PARAMS 16
#define SHEAF_NO_ROUTE          UINT32_MAX

typedef struct sheaf_match {
    uint32_t route;    /* the number given to sheaf_router_add, SHEAF_NO_ROUTE when none */
    sheaf_str_t allow; /* "GET, HEAD, PATCH" of the template's routes when the path matched and the method did not;
                          owned by the router; absent otherwise */
    uint32_t param_count;
    sheaf_str_t params[SHEAF_ROUTER_MAX_PARAMS]; /* values in template order, slices of the path */
} sheaf_match_t;

sheaf_router_t *sheaf_router_new(sheaf_pool_t *pool); /* lives in `pool` */

/* Adds `match` for `methods` (upper-case names; count 0 = any method). GET implies HEAD. Fails with SHEAF_ERR_CONFIG
 * and a sentence on a malformed template, or on a template and method that stand already (parameter names do not make
 * templates differ); `*ret_clash` is then the route it clashes with, else SHEAF_NO_ROUTE. */
sheaf_err_t sheaf_router_add(sheaf_router_t *router, uint32_t route, sheaf_str_t match, const sheaf_str_t *methods,
                             uint32_t method_count, uint32_t *ret_clash, sheaf_fail_t *fail);

/* Finishes the tree; no more adds. */
void sheaf_router_build(sheaf_router_t *router);

/* True when a route answers. */
bool sheaf_router_find(const sheaf_router_t *router, sheaf_str_t path, sheaf_str_t method, sheaf_match_t *ret_match);

/* --- rewrite: `/v1/people/{id}`, compiled against the names of a match template --- */
typedef struct sheaf_rewrite sheaf_rewrite_t;

/* SHEAF_ERR_CONFIG when it names a parameter `match` has not, or is no absolute path. */
sheaf_err_t sheaf_rewrite_new(sheaf_pool_t *pool, sheaf_str_t match, sheaf_str_t rewrite, sheaf_rewrite_t **ret_rewrite,
                              sheaf_fail_t *fail);
sheaf_str_t sheaf_rewrite_apply(const sheaf_rewrite_t *rewrite, const sheaf_match_t *match, sheaf_pool_t *pool);

#endif
