/* http/hosts.h - from the host of a request to the routes that answer for it.
 *
 *   api.example.com      exact names first,
 *   *.example.com        then wildcards, which stand for one label or more: the longest suffix first,
 *   (no hosts)           then the routes that answer for any host (the caller's router)
 *
 * The first of these with a template that fits the path decides, whatever its methods. A host is compared without its
 * port and a dot at its end, in lower case; an IPv6 literal in the one form that RFC 5952 gives it. A host that is
 * missing or no host has only the routes for any. Built once per snapshot, then read only: lookups allocate nothing. */
#ifndef SHEAF_HTTP_HOSTS_H
#define SHEAF_HTTP_HOSTS_H

#include "gateway/http/router.h"

typedef struct sheaf_hosts sheaf_hosts_t;

#define SHEAF_HOST_MAX 255

/* `host`, as Host or :authority has it, in the form that is compared, in `room`; false when there is none. */
bool sheaf_host_fold(sheaf_str_t host, char room[SHEAF_HOST_MAX + 1], sheaf_str_t *ret_host);

/* Is `host`, as it came, one that `pattern` means? For lists that are short; `pattern` is valid. */
bool sheaf_host_matches(sheaf_str_t pattern, sheaf_str_t host);

/* SHEAF_ERR_CONFIG with a sentence unless `pattern` is a name, *.name, an address or [IPv6], without a port. */
sheaf_err_t sheaf_host_check_pattern(sheaf_str_t pattern, sheaf_fail_t *fail);

sheaf_hosts_t *sheaf_hosts_new(sheaf_pool_t *pool); /* lives in `pool` */

/* The router of `pattern`, which is valid; made when it is asked for first. */
sheaf_router_t *sheaf_hosts_router(sheaf_hosts_t *hosts, sheaf_str_t pattern);

/* Finishes the routers; no more are made. */
void sheaf_hosts_build(sheaf_hosts_t *hosts);

/* As sheaf_router_find, over the routers of `host` and then `any`. */
bool sheaf_hosts_find(const sheaf_hosts_t *hosts, const sheaf_router_t *any, sheaf_str_t host, sheaf_str_t path,
                      sheaf_str_t method, sheaf_match_t *ret_match);

#endif
