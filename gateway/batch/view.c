#include "gateway/batch/view.h"

#include "gateway/batch/batch.h"
#include "gateway/http/hosts.h"

static bool names(sheaf_str_t authority, sheaf_str_t host, uint32_t port)
{
    char room[SHEAF_HOST_MAX + 1];
    sheaf_str_t own;
    uint32_t own_port;

    return sheaf_relocate_authority(authority, room, &own, &own_port) && own_port == port && sheaf_str_eq(own, host);
}

static bool names_host(sheaf_str_t authority, sheaf_str_t host)
{
    char room[SHEAF_HOST_MAX + 1];
    sheaf_str_t own;

    return sheaf_host_fold(authority, room, &own) && sheaf_str_eq(own, host);
}

/* Is it one of the upstream's servers? `port` UINT32_MAX: whichever. */
static bool is_server(const sheaf_conf_t *conf, uint32_t upstream, sheaf_str_t host, uint32_t port)
{
    const sheaf_upstream_conf_t *group = upstream < conf->upstreams.count ? &conf->upstreams.items[upstream] : NULL;

    for (uint32_t i = 0; group != NULL && i < group->servers.count; i++) {
        sheaf_str_t authority = group->servers.items[i].url.authority;

        if (port == UINT32_MAX ? names_host(authority, host) : names(authority, host, port))
            return true;
    }
    return false;
}

static bool is_any_server(const sheaf_item_t *item, sheaf_str_t host, uint32_t port)
{
    const sheaf_conf_t *conf = &item->batch->env.snapshot->conf;
    const sheaf_route_conf_t *route = item->route;

    for (uint32_t i = 0; i < route->split.count; i++)
        if (is_server(conf, route->split.items[i].upstream, host, port))
            return true;
    return is_server(conf, route->upstream, host, port) || is_server(conf, route->fallback, host, port);
}

static bool is_own(const void *data, sheaf_str_t host, uint32_t port)
{
    const sheaf_item_t *item = data;

    return names(item->batch->outer->host, host, port) || names(item->exchange.host, host, port) ||
           is_any_server(item, host, port);
}

static bool is_backend(const void *data, sheaf_str_t host)
{
    const sheaf_item_t *item = data;

    return !names_host(item->batch->outer->host, host) &&
           (names_host(item->exchange.host, host) || is_any_server(item, host, UINT32_MAX));
}

sheaf_view_t sheaf_view_of(const sheaf_item_t *item)
{
    const sheaf_snapshot_t *snapshot = item->batch->env.snapshot;
    const sheaf_way_back_t *way =
        snapshot->ways_back == NULL ? NULL : snapshot->ways_back[item->route - snapshot->conf.routes.items];

    return (sheaf_view_t){.way = way, .is_own = is_own, .is_backend = is_backend, .data = item};
}
