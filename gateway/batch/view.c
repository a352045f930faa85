#include "gateway/batch/view.h"

#include "gateway/batch/batch.h"
#include "gateway/batch/forwarded.h"
#include "gateway/http/hosts.h"

/* Backends know little of the scheme and port that they are reached by. */
static uint32_t port_of(const sheaf_place_t *place)
{
    return place->port == 80 || place->port == 443 ? 0 : place->port;
}

static bool names(sheaf_str_t authority, const sheaf_place_t *place)
{
    char room[SHEAF_HOST_MAX + 1];
    sheaf_place_t own;

    return sheaf_relocate_authority(authority, room, &own) && port_of(&own) == port_of(place) &&
           sheaf_str_eq(own.host, place->host);
}

static bool names_host(sheaf_str_t authority, sheaf_str_t host)
{
    char room[SHEAF_HOST_MAX + 1];
    sheaf_str_t own;

    return sheaf_host_fold(authority, room, &own) && sheaf_str_eq(own, host);
}

/* What is written, but a port that is the scheme's own. */
static uint32_t port_in(const sheaf_place_t *place, sheaf_str_t scheme)
{
    return place->port == (sheaf_str_eq(scheme, SHEAF_STR("https")) ? 443 : 80) ? 0 : place->port;
}

static bool is_clients(const sheaf_stance_t *at, const sheaf_place_t *place)
{
    char room[SHEAF_HOST_MAX + 1];
    sheaf_place_t own;

    return sheaf_relocate_authority(at->client_host, room, &own) && sheaf_str_eq(own.host, place->host) &&
           port_in(&own, at->scheme) == port_in(place, at->scheme) &&
           (place->scheme.base == NULL || sheaf_str_eq(place->scheme, at->scheme));
}

/* Is it one of the upstream's servers? `is_host`: whatever the port. */
static bool is_server(const sheaf_conf_t *conf, uint32_t upstream, const sheaf_place_t *place, bool is_host)
{
    const sheaf_upstream_conf_t *group = upstream < conf->upstreams.count ? &conf->upstreams.items[upstream] : NULL;

    for (uint32_t i = 0; group != NULL && i < group->servers.count; i++) {
        sheaf_str_t authority = group->servers.items[i].url.authority;

        if (is_host ? names_host(authority, place->host) : names(authority, place))
            return true;
    }
    return false;
}

static bool is_any_server(const sheaf_stance_t *at, const sheaf_place_t *place, bool is_host)
{
    const sheaf_conf_t *conf = &at->snapshot->conf;
    const sheaf_route_conf_t *route = at->route;

    for (uint32_t i = 0; i < route->split.count; i++)
        if (is_server(conf, route->split.items[i].upstream, place, is_host))
            return true;
    return is_server(conf, route->upstream, place, is_host) || is_server(conf, route->fallback, place, is_host);
}

static const sheaf_way_back_t *way_of(const sheaf_stance_t *at)
{
    const sheaf_snapshot_t *snapshot = at->snapshot;

    return snapshot->ways_back == NULL ? NULL : snapshot->ways_back[at->route - snapshot->conf.routes.items];
}

/* Does the client's own host have the usual port of its scheme? Then its name without one is it by any scheme. */
static bool has_usual_port(const sheaf_stance_t *at, char room[SHEAF_HOST_MAX + 1], sheaf_place_t *ret_own)
{
    return sheaf_relocate_authority(at->client_host, room, ret_own) && port_in(ret_own, at->scheme) == 0;
}

/* Where backends are sent the client's host, a redirect of theirs to https names it with a path of their own. */
static bool is_clients_by_other_scheme(const sheaf_stance_t *at, const sheaf_place_t *place)
{
    char room[SHEAF_HOST_MAX + 1];
    sheaf_place_t own;

    return way_of(at) != NULL && place->scheme.base != NULL && port_in(place, place->scheme) == 0 &&
           names(at->host, place) && has_usual_port(at, room, &own) && sheaf_str_eq(own.host, place->host);
}

/* A Host that was sent may be the client's own: then it says nothing of the backend. */
static bool is_own(const void *data, const sheaf_place_t *place)
{
    const sheaf_stance_t *at = data;

    if (is_any_server(at, place, false))
        return true;
    if (names(at->client_host, place))
        return is_clients(at, place) || is_clients_by_other_scheme(at, place);
    return names(at->host, place);
}

static bool is_backend(const void *data, sheaf_str_t host)
{
    const sheaf_stance_t *at = data;
    sheaf_place_t place = {.host = host};

    return !names_host(at->client_host, host) && (names_host(at->host, host) || is_any_server(at, &place, true));
}

/* --- redirects to where the client is --- */

/* Is `target` what the client asked for? */
static bool is_here(const sheaf_stance_t *at, sheaf_str_t target)
{
    sheaf_str_t path = sheaf_str_cut(&target, '?'), query = at->target, none = SHEAF_STR("");

    sheaf_str_cut(&query, '?');
    return sheaf_str_eq(path, at->path) &&
           sheaf_str_eq(query.base == NULL ? none : query, target.base == NULL ? none : target);
}

/* A backend that names itself loses its name; but where that leaves a redirect to the very place, by another scheme, the
 * scheme is all that it says: without it the client would go in circles. */
static sheaf_str_t keeps(const void *data, sheaf_pool_t *pool, const sheaf_place_t *place, sheaf_str_t written,
                         sheaf_str_t target)
{
    const sheaf_stance_t *at = data;
    char room[SHEAF_HOST_MAX + 1];
    sheaf_place_t own;

    if (sheaf_str_eq(place->scheme, at->scheme))
        return SHEAF_STR_NONE;
    if (!is_any_server(at, place, false) && is_clients_by_other_scheme(at, place))
        return written;
    if (!is_here(at, target) || !has_usual_port(at, room, &own))
        return SHEAF_STR_NONE;
    return sheaf_pool_printf(pool, "%.*s://%.*s", SHEAF_STR_ARG(place->scheme), SHEAF_STR_ARG(own.host));
}

static bool leads_by(const sheaf_stance_t *at, sheaf_str_t method, sheaf_pool_t *pool, sheaf_str_t path,
                     sheaf_str_t own)
{
    sheaf_match_t match;
    const sheaf_route_conf_t *route =
        sheaf_snapshot_route(at->snapshot, at->client_host, path, method, at->who, pool, &match);

    if (route == NULL || route->upstream != at->route->upstream)
        return false;
    return sheaf_str_eq(route->rewrite == NULL ? path : sheaf_rewrite_apply(route->rewrite, &match, pool), own);
}

static bool leads(const void *data, sheaf_pool_t *pool, sheaf_str_t path, sheaf_str_t own)
{
    const sheaf_stance_t *at = data;

    return leads_by(at, SHEAF_STR("GET"), pool, path, own) || leads_by(at, at->method, pool, path, own);
}

sheaf_stance_t sheaf_stance_of(const sheaf_item_t *item)
{
    const sheaf_batch_t *batch = item->batch;

    return (sheaf_stance_t){
        .snapshot = batch->env.snapshot,
        .route = item->route,
        .who = batch->is_direct ? SHEAF_EXPOSURE_DIRECT : SHEAF_EXPOSURE_BATCH,
        .client_host = batch->outer->host,
        .scheme = sheaf_forwarded_scheme(batch),
        .host = item->exchange.host,
        .method = item->exchange.method,
        .path = item->path,
        .target = item->exchange.target,
    };
}

static void keep(sheaf_str_t *text, sheaf_pool_t *pool)
{
    if (text->base != NULL)
        *text = sheaf_pool_dup(pool, *text);
}

void sheaf_stance_keep(sheaf_stance_t *stance, sheaf_pool_t *pool)
{
    keep(&stance->client_host, pool);
    keep(&stance->scheme, pool);
    keep(&stance->host, pool);
    keep(&stance->method, pool);
    keep(&stance->path, pool);
    keep(&stance->target, pool);
}

sheaf_view_t sheaf_view_of(const sheaf_stance_t *stance)
{
    return (sheaf_view_t){.way = way_of(stance),
                          .is_own = is_own,
                          .keeps = keeps,
                          .leads = leads,
                          .is_backend = is_backend,
                          .data = stance};
}
