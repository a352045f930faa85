#include "config/route.h"

#include "config/doubt.h"
#include "config/value.h"
#include "gateway/http/relocate.h"
#include "gateway/http/wire.h"

/* Where a member of a route is written; the route's own place when it is not. */
static sheaf_mark_t member_mark(const sheaf_yaml_t *node, const char *name)
{
    const sheaf_yaml_t *member = sheaf_yaml_get(node, sheaf_str_of(name));

    return member != NULL ? member->mark : node->mark;
}

/* --- members --- */

static void check_rewrite(sheaf_report_t *report, sheaf_snapshot_t *snapshot, const sheaf_yaml_t *node,
                          sheaf_route_conf_t *route)
{
    sheaf_pool_t *pool = snapshot->pool;
    const sheaf_yaml_t *rewrite = sheaf_yaml_get(node, SHEAF_STR("rewrite"));
    sheaf_fail_t fail;

    if (rewrite == NULL || rewrite->kind != SHEAF_YAML_SCALAR || rewrite->is_bad)
        return;
    if (sheaf_rewrite_new(pool, route->match, sheaf_pool_dup(pool, rewrite->text), &route->rewrite, &fail) != SHEAF_OK)
        sheaf_report_error(report, rewrite->mark, "%s", fail.detail);
    else if (route->rewrite_back)
        snapshot->ways_back[route - snapshot->conf.routes.items] =
            sheaf_way_back_new(pool, route->match, sheaf_pool_dup(pool, rewrite->text));
}

/* The word for one of `expose`: from here on only that is looked at. */
static void check_batch(sheaf_report_t *report, sheaf_route_conf_t *route, const sheaf_yaml_t *node)
{
    if (route->batch)
        return;
    route->expose &= ~(1u << SHEAF_EXPOSURE_BATCH);
    if (route->expose == 0)
        sheaf_report_error(report, member_mark(node, "batch"),
                           "`batch: false` leaves nobody who may ask what `expose: [batch]` shows to batches alone");
}

static void check_fallback(sheaf_report_t *report, const sheaf_route_conf_t *route, const sheaf_yaml_t *node)
{
    if (route->fallback != UINT32_MAX && route->fallback == route->upstream)
        sheaf_report_error(report, member_mark(node, "fallback"),
                           "`fallback` must be another upstream; to ask the same one again is `retry` of the upstream");
}

static void check_split(sheaf_report_t *report, const sheaf_route_conf_t *route, const sheaf_yaml_t *node)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < route->split.count; i++)
        total += route->split.items[i].share_percent;
    if (total > 100)
        sheaf_report_error(report, member_mark(node, "split"), "the shares are %llu%% together, more than there is",
                           (unsigned long long)total);
}

static void check_mirror(sheaf_report_t *report, const sheaf_route_conf_t *route, const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *upstream = sheaf_yaml_get(sheaf_yaml_get(node, SHEAF_STR("mirror")), SHEAF_STR("upstream"));

    if (upstream == NULL || route->mirror.upstream == UINT32_MAX)
        return;
    if (route->mirror.upstream == route->upstream)
        sheaf_report_error(report, upstream->mark,
                           "`mirror` must be another upstream than the route's, which would be asked everything twice");
    else if (route->mirror.upstream == route->fallback)
        sheaf_report_error(report, upstream->mark,
                           "`mirror` must be another upstream than `fallback`, which would be asked twice");
}

/* The default is an absent one from here on. */
static void check_host(sheaf_report_t *report, sheaf_route_conf_t *route, const sheaf_yaml_t *node)
{
    if (route->host.base == NULL || sheaf_str_eq(route->host, SHEAF_STR(SHEAF_ROUTE_HOST_CLIENT)))
        return;
    if (sheaf_str_eq(route->host, SHEAF_STR("upstream")))
        route->host = SHEAF_STR_NONE;
    else if (!sheaf_wire_host_is_valid(route->host))
        sheaf_report_error(report, member_mark(node, "host"),
                           "`host` must be upstream, client or a host such as api.internal:8080, not `%.*s`",
                           SHEAF_VALUE_ARG(route->host));
}

/* `names` are in lower case from here on. */
static void check_names(sheaf_report_t *report, sheaf_pool_t *pool, sheaf_texts_t *names, const sheaf_yaml_t *section,
                        bool is_denied)
{
    const sheaf_yaml_t *list = sheaf_yaml_get(section, is_denied ? SHEAF_STR("deny") : SHEAF_STR("allow"));
    sheaf_fail_t fail;

    if (names->items == NULL)
        return;
    for (uint32_t i = 0; i < names->count; i++)
        names->items[i] = sheaf_header_lower(pool, names->items[i]);
    for (const sheaf_yaml_t *name = list->first; name != NULL; name = name->next)
        if (name->kind == SHEAF_YAML_SCALAR && !name->is_bad &&
            sheaf_policy_check(sheaf_header_lower(pool, name->text), is_denied, &fail) != SHEAF_OK)
            sheaf_report_error(report, name->mark, "%s", fail.detail);
}

static void check_policy(sheaf_report_t *report, sheaf_pool_t *pool, sheaf_route_conf_t *route,
                         const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *request = sheaf_yaml_get(node, SHEAF_STR("request_headers"));
    const sheaf_yaml_t *response = sheaf_yaml_get(node, SHEAF_STR("response_headers"));

    check_names(report, pool, &route->request_headers.allow, request, false);
    check_names(report, pool, &route->request_headers.deny, request, true);
    check_names(report, pool, &route->response_headers.allow, response, false);
    check_names(report, pool, &route->response_headers.deny, response, true);
}

static void check_members(sheaf_report_t *report, sheaf_snapshot_t *snapshot, const sheaf_yaml_t *node,
                          sheaf_route_conf_t *route)
{
    check_rewrite(report, snapshot, node, route);
    check_batch(report, route, node);
    check_fallback(report, route, node);
    check_split(report, route, node);
    check_mirror(report, route, node);
    check_host(report, route, node);
    check_policy(report, snapshot->pool, route, node);
    sheaf_doubt_route(report, &snapshot->conf, route, node);
}

/* --- which paths of which hosts it answers --- */

/* Adds the route to the router of one host, or of any when `host` is NULL; false when that was an error. */
static bool add_route(sheaf_report_t *report, sheaf_snapshot_t *snapshot, const sheaf_yaml_t *node, uint32_t index,
                      const sheaf_yaml_t *host)
{
    const sheaf_route_conf_t *route = &snapshot->conf.routes.items[index];
    sheaf_router_t *router = host == NULL ? snapshot->routes : sheaf_hosts_router(snapshot->hosts, host->text);
    uint32_t clash = SHEAF_NO_ROUTE;
    sheaf_fail_t fail;

    if (sheaf_router_add(router, index, route->match, route->methods.items, route->methods.count, &clash, &fail) ==
        SHEAF_OK)
        return true;
    if (clash == SHEAF_NO_ROUTE)
        sheaf_report_error(report, member_mark(node, "match"), "%s", fail.detail);
    else if (clash == index)
        sheaf_report_error(report, host->mark, "the host `%.*s` stands twice", SHEAF_VALUE_ARG(host->text));
    else if (host != NULL)
        sheaf_report_error(report, host->mark,
                           "duplicate route `%.*s` for the host `%.*s`: the route in line %u answers the same methods "
                           "of it",
                           SHEAF_VALUE_ARG(route->match), SHEAF_VALUE_ARG(host->text),
                           snapshot->conf.routes.items[clash].mark.line);
    else
        sheaf_report_error(report, member_mark(node, "match"),
                           "duplicate route `%.*s`: the route in line %u answers the same methods of it",
                           SHEAF_VALUE_ARG(route->match), snapshot->conf.routes.items[clash].mark.line);
    return false;
}

static bool is_good_host(sheaf_report_t *report, const sheaf_yaml_t *host)
{
    sheaf_fail_t fail;

    if (host->is_bad || host->kind != SHEAF_YAML_SCALAR) /* told already */
        return false;
    if (sheaf_host_check_pattern(host->text, &fail) == SHEAF_OK)
        return true;
    sheaf_report_error(report, host->mark, "%s", fail.detail);
    return false;
}

static bool add_for_hosts(sheaf_report_t *report, sheaf_snapshot_t *snapshot, const sheaf_yaml_t *node, uint32_t index)
{
    const sheaf_yaml_t *hosts = sheaf_yaml_get(node, SHEAF_STR("hosts"));
    bool is_good = true;

    if (hosts->count == 0)
        sheaf_report_error(report, hosts->mark, "`hosts` needs at least one item; without it a route answers for all");
    if (snapshot->hosts == NULL)
        snapshot->hosts = sheaf_hosts_new(snapshot->pool);
    for (const sheaf_yaml_t *host = hosts->first; host != NULL && is_good; host = host->next)
        is_good = is_good_host(report, host) && add_route(report, snapshot, node, index, host);
    return is_good;
}

static void check_route(sheaf_report_t *report, sheaf_snapshot_t *snapshot, const sheaf_yaml_t *node, uint32_t index)
{
    sheaf_route_conf_t *route = &snapshot->conf.routes.items[index];

    if (route->match.base == NULL) /* told already */
        return;
    if (route->hosts.items != NULL ? add_for_hosts(report, snapshot, node, index)
                                   : add_route(report, snapshot, node, index, NULL))
        check_members(report, snapshot, node, route);
}

void sheaf_route_check_all(sheaf_report_t *report, const sheaf_yaml_t *root, sheaf_snapshot_t *snapshot)
{
    const sheaf_yaml_t *list = sheaf_yaml_get(root, SHEAF_STR("routes"));
    const sheaf_yaml_t *node = list != NULL ? list->first : NULL;

    snapshot->routes = sheaf_router_new(snapshot->pool);
    snapshot->ways_back =
        sheaf_pool_zalloc(snapshot->pool, (snapshot->conf.routes.count + 1) * sizeof(*snapshot->ways_back));
    for (uint32_t i = 0; i < snapshot->conf.routes.count; i++, node = node->next)
        check_route(report, snapshot, node, i);
    sheaf_router_build(snapshot->routes);
    if (snapshot->hosts != NULL)
        sheaf_hosts_build(snapshot->hosts);
}
