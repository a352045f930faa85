/* config/snapshot.h - one loaded configuration, frozen.
 *
 * Everything lives in the snapshot's pool and is read only. Epochs, batches and upstreams hold it; the last drop frees
 * it. The structs come from keys.def: one line there is one member here (durations end in _ms, sizes in _bytes). */
#ifndef SHEAF_CONFIG_SNAPSHOT_H
#define SHEAF_CONFIG_SNAPSHOT_H

#include "config/files.h"
#include "config/plugin.h"
#include "gateway/base/error.h"
#include "gateway/base/pool.h"
#include "gateway/http/hosts.h"
#include "gateway/http/policy.h"

struct sheaf_cidr {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;      /* 0 to 128 */
};

typedef struct sheaf_snapshot sheaf_snapshot_t;
struct sheaf_snapshot {
    sheaf_pool_t *pool;
    uint32_t holds;
    sheaf_conf_t conf;      /* the root of keys.def, with its lists: conf.listen.items[i], conf.upstreams.items[i],
                               conf.routes.items[i], conf.endpoints.items[i] */
    sheaf_router_t *routes; /* over conf.routes, by index: those that answer for any host */
    sheaf_hosts_t *hosts;   /* those that name hosts, likewise; NULL: none does */
    struct sheaf_way_back **ways_back; /* of each of conf.routes: from its rewrite to its match; NULL: it has none */
    sheaf_router_t *endpoints;         /* over conf.endpoints, by index: their paths and methods */
    sheaf_files_t files;               /* that the configuration names */
    struct ssl_ctx_st **tls; /* SSL_CTX of each of conf.listen, made from its `tls`; NULL where it speaks clear text */
    struct ssl_ctx_st **upstream_tls; /* SSL_CTX of each of conf.upstreams; NULL where no server is https:// */
    sheaf_plugin_conf_t **plugins;    /* all that are configured anywhere, by number */
    uint32_t plugin_count;
    uint64_t hash; /* of the text and of what ${env...} became */
};

/* Loads and checks `text` (`path` is for messages, and its folder is where files that it names are looked for). NULL
 * when it has errors; all of them are then in `*ret_report`, a malloc'ed string ready to print ("" when none; warnings
 * may be there on success). Free it with free(). */
sheaf_snapshot_t *sheaf_snapshot_load(const char *path, sheaf_str_t text, char **ret_report);
/* The same with files that were read before (taken over, whatever happens): nothing is read from disk. */
sheaf_snapshot_t *sheaf_snapshot_load_packed(const char *path, sheaf_str_t text, sheaf_files_t *files,
                                             char **ret_report);
/* The same from a file; a file that cannot be read is an error in the report. */
sheaf_snapshot_t *sheaf_snapshot_load_file(const char *path, char **ret_report);

sheaf_snapshot_t *sheaf_snapshot_hold(sheaf_snapshot_t *snapshot);
void sheaf_snapshot_drop(sheaf_snapshot_t *snapshot);

/* True when `ip` (16 bytes, IPv4-mapped for IPv4) is in one of `list`. */
bool sheaf_cidr_has(const sheaf_cidr_t *list, uint32_t count, const uint8_t ip[16]);
/* Parses a textual IPv4 or IPv6 address; false when it is none. */
bool sheaf_ip_parse(sheaf_str_t text, uint8_t ret_ip[16]);

/* The other way: "10.0.0.1" or "2001:db8::1", NUL-terminated. */
#define SHEAF_IP_TEXT_MAX 46
void sheaf_ip_print(const uint8_t ip[16], char ret_text[SHEAF_IP_TEXT_MAX]);

/* The endpoint that answers `method` at `path`, which is normalised, or NULL; as sheaf_router_find `*ret_match` has the
 * parameters, or the methods of the endpoints that are there. */
const sheaf_endpoint_conf_t *sheaf_snapshot_endpoint(const sheaf_snapshot_t *snapshot, sheaf_str_t path,
                                                     sheaf_str_t method, sheaf_match_t *ret_match);

/* Is there an endpoint at `path`, whatever its method? */
bool sheaf_snapshot_has_endpoint(const sheaf_snapshot_t *snapshot, sheaf_str_t path);

/* The route that answers `method` at `path`, which is normalised, of `host`, as Host has it, to those whom `who` names, or
 * NULL. `*ret_match` has the parameters; or, where routes of the path answer other methods, those of them that are for
 * `who` as `allow`, in `pool`: absent when none is. */
const sheaf_route_conf_t *sheaf_snapshot_route(const sheaf_snapshot_t *snapshot, sheaf_str_t host, sheaf_str_t path,
                                               sheaf_str_t method, sheaf_exposure_t who, sheaf_pool_t *pool,
                                               sheaf_match_t *ret_match);

/* The upstream that a request of the route is dealt to; `dice` decides where it is split. */
uint32_t sheaf_route_upstream(const sheaf_route_conf_t *route, uint64_t dice);

/* What backends of the route are sent as Host when a client's request had `client_host`; absent: each server's own. */
#define SHEAF_ROUTE_HOST_CLIENT "client"
sheaf_str_t sheaf_route_host(const sheaf_route_conf_t *route, sheaf_str_t client_host);

/* What of a client's header fields the backends of the route get, and what the client gets of theirs. */
static inline sheaf_policy_t sheaf_route_request_policy(const sheaf_route_conf_t *route)
{
    return (sheaf_policy_t){route->request_headers.allow.items, route->request_headers.allow.count,
                            route->request_headers.deny.items, route->request_headers.deny.count,
                            !route->forward_credentials};
}

static inline sheaf_policy_t sheaf_route_response_policy(const sheaf_route_conf_t *route)
{
    return (sheaf_policy_t){route->response_headers.allow.items, route->response_headers.allow.count,
                            route->response_headers.deny.items, route->response_headers.deny.count, false};
}

/* How the https:// servers of `conf`, an upstream of the snapshot, are spoken to: an SSL_CTX that belongs to the snapshot
 * (who needs it longer holds it), or NULL. */
struct ssl_ctx_st *sheaf_snapshot_tls_of(const sheaf_snapshot_t *snapshot, const sheaf_upstream_conf_t *conf);

/* Same servers, limits, times and TLS, files by their content: an upstream that a reload left unchanged keeps its conns. */
bool sheaf_upstream_conf_eq(const sheaf_upstream_conf_t *a, const sheaf_upstream_conf_t *b);

#endif
