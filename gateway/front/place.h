/* front/place.h - which endpoint a request is for, by its path and method. */
#ifndef SHEAF_FRONT_PLACE_H
#define SHEAF_FRONT_PLACE_H

#include "gateway/front/visit.h"

/* MISDIRECTED when the request came to a listener that does not answer for its host. */
sheaf_err_t sheaf_place_check_host(const sheaf_visit_t *visit, sheaf_fail_t *fail);

/* Sets visit->endpoint, and of visit->outer the path and the parameters of the endpoint's path; all in the request's pool.
 * METHOD when there are only endpoints for other methods: visit->endpoint is then one of them. NOT_FOUND when there are
 * none. In either case `fail` has the sentence. visit->allow is set in all cases but NOT_FOUND. */
sheaf_err_t sheaf_place_find(sheaf_visit_t *visit, sheaf_fail_t *fail);

/* How long a body may be, by the head alone: of the endpoint, or of the route that is asked directly; UINT64_MAX when that
 * cannot be told yet, as of a path that has to be normalised first. `target`: path and query. */
uint64_t sheaf_place_most_bytes(const sheaf_snapshot_t *snapshot, sheaf_str_t method, sheaf_str_t host,
                                sheaf_str_t target);

#endif
