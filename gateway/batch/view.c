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

static bool is_clients(const sheaf_batch_t *batch, const sheaf_place_t *place)
{
    sheaf_str_t scheme = sheaf_forwarded_scheme(batch);
    char room[SHEAF_HOST_MAX + 1];
    sheaf_place_t own;

    return sheaf_relocate_authority(batch->outer->host, room, &own) && sheaf_str_eq(own.host, place->host) &&
           port_in(&own, scheme) == port_in(place, scheme) &&
           (place->scheme.base == NULL || sheaf_str_eq(place->scheme, scheme));
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

static bool is_any_server(const sheaf_item_t *item, const sheaf_place_t *place, bool is_host)
{
    const sheaf_conf_t *conf = &item->batch->env.snapshot->conf;
    const sheaf_route_conf_t *route = item->route;

    for (uint32_t i = 0; i < route->split.count; i++)
        if (is_server(conf, route->split.items[i].upstream, place, is_host))
            return true;
    return is_server(conf, route->upstream, place, is_host) || is_server(conf, route->fallback, place, is_host);
}

static const sheaf_way_back_t *way_of(const sheaf_item_t *item)
{
    const sheaf_snapshot_t *snapshot = item->batch->env.snapshot;

    return snapshot->ways_back == NULL ? NULL : snapshot->ways_back[item->route - snapshot->conf.routes.items];
}

/* Does the client's own host have the usual port of its scheme? Then its name without one is it by any scheme. */
static bool has_usual_port(const sheaf_batch_t *batch, char room[SHEAF_HOST_MAX + 1], sheaf_place_t *ret_own)
{
    return sheaf_relocate_authority(batch->outer->host, room, ret_own) &&
           port_in(ret_own, sheaf_forwarded_scheme(batch)) == 0;
}

/* Where backends are sent the client's host, a redirect of theirs to https names it with a path of their own. */
static bool is_clients_by_other_scheme(const sheaf_item_t *item, const sheaf_place_t *place)
{
    char room[SHEAF_HOST_MAX + 1];
    sheaf_place_t own;

    return way_of(item) != NULL && place->scheme.base != NULL && port_in(place, place->scheme) == 0 &&
           names(item->exchange.host, place) && has_usual_port(item->batch, room, &own) &&
           sheaf_str_eq(own.host, place->host);
}

/* A Host that was sent may be the client's own: then it says nothing of the backend. */
static bool is_own(const void *data, const sheaf_place_t *place)
{
    const sheaf_item_t *item = data;

    if (is_any_server(item, place, false))
        return true;
    if (names(item->batch->outer->host, place))
        return is_clients(item->batch, place) || is_clients_by_other_scheme(item, place);
    return names(item->exchange.host, place);
}

static bool is_backend(const void *data, sheaf_str_t host)
{
    const sheaf_item_t *item = data;
    sheaf_place_t place = {.host = host};

    return !names_host(item->batch->outer->host, host) &&
           (names_host(item->exchange.host, host) || is_any_server(item, &place, true));
}

/* --- redirects to where the client is --- */

/* Is `target` what the client asked for? */
static bool is_here(const sheaf_item_t *item, sheaf_str_t target)
{
    sheaf_str_t path = sheaf_str_cut(&target, '?'), query = item->exchange.target, none = SHEAF_STR("");

    sheaf_str_cut(&query, '?');
    return sheaf_str_eq(path, item->path) &&
           sheaf_str_eq(query.base == NULL ? none : query, target.base == NULL ? none : target);
}

/* A backend that names itself loses its name; but where that leaves a redirect to the very place, by another scheme, the
 * scheme is all that it says: without it the client would go in circles. */
static sheaf_str_t keeps(const void *data, sheaf_pool_t *pool, const sheaf_place_t *place, sheaf_str_t written,
                         sheaf_str_t target)
{
    const sheaf_item_t *item = data;
    char room[SHEAF_HOST_MAX + 1];
    sheaf_place_t own;

    if (sheaf_str_eq(place->scheme, sheaf_forwarded_scheme(item->batch)))
        return SHEAF_STR_NONE;
    if (!is_any_server(item, place, false) && is_clients_by_other_scheme(item, place))
        return written;
    if (!is_here(item, target) || !has_usual_port(item->batch, room, &own))
        return SHEAF_STR_NONE;
    return sheaf_pool_printf(pool, "%.*s://%.*s", SHEAF_STR_ARG(place->scheme), SHEAF_STR_ARG(own.host));
}

static bool leads_by(const sheaf_item_t *item, sheaf_str_t method, sheaf_pool_t *pool, sheaf_str_t path,
                     sheaf_str_t own)
{
    sheaf_exposure_t who = item->batch->is_direct ? SHEAF_EXPOSURE_DIRECT : SHEAF_EXPOSURE_BATCH;
    sheaf_match_t match;
    const sheaf_route_conf_t *route =
        sheaf_snapshot_route(item->batch->env.snapshot, item->batch->outer->host, path, method, who, pool, &match);

    if (route == NULL || route->upstream != item->route->upstream)
        return false;
    return sheaf_str_eq(route->rewrite == NULL ? path : sheaf_rewrite_apply(route->rewrite, &match, pool), own);
}

static bool leads(const void *data, sheaf_pool_t *pool, sheaf_str_t path, sheaf_str_t own)
{
    const sheaf_item_t *item = data;

    return leads_by(item, SHEAF_STR("GET"), pool, path, own) || leads_by(item, item->exchange.method, pool, path, own);
}

sheaf_view_t sheaf_view_of(const sheaf_item_t *item)
{
    return (sheaf_view_t){
        .way = way_of(item), .is_own = is_own, .keeps = keeps, .leads = leads, .is_backend = is_backend, .data = item};
}
