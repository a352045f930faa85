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

/* A Host that was sent may be the client's own: then it says nothing of the backend. */
static bool is_own(const void *data, const sheaf_place_t *place)
{
    const sheaf_item_t *item = data;

    if (is_any_server(item, place, false))
        return true;
    if (names(item->batch->outer->host, place))
        return is_clients(item->batch, place);
    return names(item->exchange.host, place);
}

static bool is_backend(const void *data, sheaf_str_t host)
{
    const sheaf_item_t *item = data;
    sheaf_place_t place = {.host = host};

    return !names_host(item->batch->outer->host, host) &&
           (names_host(item->exchange.host, host) || is_any_server(item, &place, true));
}

sheaf_view_t sheaf_view_of(const sheaf_item_t *item)
{
    const sheaf_snapshot_t *snapshot = item->batch->env.snapshot;
    const sheaf_way_back_t *way =
        snapshot->ways_back == NULL ? NULL : snapshot->ways_back[item->route - snapshot->conf.routes.items];

    return (sheaf_view_t){.way = way, .is_own = is_own, .is_backend = is_backend, .data = item};
}
