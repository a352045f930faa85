#include "config/check.h"

#include <stdlib.h>

#include "config/blueprint.h"
#include "config/doubt.h"
#include "config/guards.h"
#include "config/route.h"
#include "config/tls.h"
#include "config/trust.h"
#include "config/value.h"

#define MAX_SERVICE (253 - sizeof("_._tcp.") + 1) /* RFC 1035 2.3.4, with what is put around it */

static const sheaf_yaml_t *children(const sheaf_yaml_t *root, sheaf_str_t name)
{
    const sheaf_yaml_t *node = sheaf_yaml_get(root, name);

    return node != NULL ? node->first : NULL;
}

/* Where a member of an item is written; the item's own place when it is not. */
static sheaf_mark_t member_mark(const sheaf_yaml_t *item, sheaf_str_t name)
{
    const sheaf_yaml_t *node = sheaf_yaml_get(item, name);

    return node != NULL ? node->mark : item->mark;
}

/* --- addresses --- */

static bool is_same_address(const sheaf_address_t *a, const sheaf_address_t *b)
{
    uint8_t ip_a[16], ip_b[16];

    if (a->is_unix || b->is_unix)
        return a->is_unix == b->is_unix && sheaf_str_eq(a->host, b->host);
    if (a->port != b->port || a->port == 0)
        return false;
    if (a->host.len == 0 || b->host.len == 0) /* all addresses: nobody else can have the port */
        return true;
    return sheaf_ip_parse(a->host, ip_a) && sheaf_ip_parse(b->host, ip_b) && memcmp(ip_a, ip_b, 16) == 0;
}

static void check_address(sheaf_report_t *report, const sheaf_conf_t *conf, uint32_t count,
                          const sheaf_address_t *address, sheaf_mark_t mark)
{
    for (uint32_t i = 0; i < count && address->text.base != NULL; i++) {
        const sheaf_listener_conf_t *other = &conf->listen.items[i];

        if (other->address.text.base == NULL || !is_same_address(&other->address, address))
            continue;
        sheaf_report_error(report, mark, "the address `%.*s` is taken by the listener in line %u",
                           SHEAF_VALUE_ARG(address->text), other->mark.line);
        return;
    }
}

static void check_mode(sheaf_report_t *report, const sheaf_address_t *address, const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *mode = sheaf_yaml_get(node, SHEAF_STR("mode"));

    if (mode != NULL && address->text.base != NULL && !address->is_unix)
        sheaf_report_error(report, mode->mark, "`mode` is for a unix: address, `%.*s` has no file",
                           SHEAF_VALUE_ARG(address->text));
}

/* A listener that would close every connection. */
static void check_proxy(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_listener_conf_t *listener,
                        const sheaf_yaml_t *node)
{
    const sheaf_cidrs_t *trusted =
        listener->proxy_trusted.items != NULL ? &listener->proxy_trusted : &conf->trusted_proxies;

    if (listener->proxy_protocol && trusted->count == 0 && !listener->address.is_unix)
        sheaf_report_error(report, member_mark(node, SHEAF_STR("proxy_protocol")),
                           "nobody is trusted to speak the PROXY protocol here: `proxy_trusted` and `trusted_proxies` "
                           "name no network");
}

static void check_hosts(sheaf_report_t *report, const sheaf_listener_conf_t *listener, const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *hosts = sheaf_yaml_get(node, SHEAF_STR("hosts"));
    sheaf_fail_t fail;

    if (listener->hosts.items == NULL)
        return;
    if (hosts->count == 0)
        sheaf_report_error(report, hosts->mark,
                           "`hosts` needs at least one item; without it all hosts are answered for");
    for (const sheaf_yaml_t *host = hosts->first; host != NULL; host = host->next)
        if (host->kind == SHEAF_YAML_SCALAR && !host->is_bad && sheaf_host_check_pattern(host->text, &fail) != SHEAF_OK)
            sheaf_report_error(report, host->mark, "%s", fail.detail);
}

static void check_addresses(sheaf_report_t *report, const sheaf_yaml_t *root, const sheaf_conf_t *conf)
{
    const sheaf_yaml_t *node = children(root, SHEAF_STR("listen"));

    for (uint32_t i = 0; i < conf->listen.count; i++, node = node->next) {
        check_address(report, conf, i, &conf->listen.items[i].address, member_mark(node, SHEAF_STR("address")));
        check_mode(report, &conf->listen.items[i].address, node);
        check_proxy(report, conf, &conf->listen.items[i], node);
        check_hosts(report, &conf->listen.items[i], node);
    }
    check_mode(report, &conf->admin.address, sheaf_yaml_get(root, SHEAF_STR("admin")));
    if (conf->admin.address.text.base != NULL)
        check_address(report, conf, conf->listen.count, &conf->admin.address,
                      member_mark(sheaf_yaml_get(root, SHEAF_STR("admin")), SHEAF_STR("address")));
}

/* --- TLS --- */

static void check_tls(sheaf_report_t *report, const sheaf_yaml_t *root, sheaf_snapshot_t *snapshot)
{
    const sheaf_yaml_t *node = children(root, SHEAF_STR("listen"));
    uint32_t count = snapshot->conf.listen.count;

    snapshot->tls = sheaf_pool_zalloc(snapshot->pool, (count + 1) * sizeof(*snapshot->tls));
    for (uint32_t i = 0; i < count; i++, node = node->next) {
        if (sheaf_tls_is_on(&snapshot->conf.listen.items[i]))
            snapshot->tls[i] = sheaf_tls_context_new(report, node, &snapshot->conf.listen.items[i], time(NULL));
    }
}

/* --- upstreams --- */

/* As DNS has them: labels of letters, digits, - and _. */
static bool is_name(sheaf_str_t text)
{
    while (text.base != NULL) {
        sheaf_str_t label = sheaf_str_cut(&text, '.');

        if (label.len == 0 || label.len > 63)
            return false;
        for (size_t i = 0; i < label.len; i++) {
            char c = sheaf_lower(label.base[i]);

            if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_')
                return false;
        }
    }
    return true;
}

static void check_service(sheaf_report_t *report, const sheaf_server_conf_t *server, const sheaf_yaml_t *node)
{
    sheaf_mark_t mark = member_mark(node, SHEAF_STR("service")), url = member_mark(node, SHEAF_STR("url"));
    uint8_t ip[16];

    if (server->service.base == NULL || server->url.host.base == NULL) /* told already */
        return;
    if (!is_name(server->service))
        sheaf_report_error(report, mark,
                           "`service` must be the name of a service, such as http or _http._tcp, not `%.*s`",
                           SHEAF_VALUE_ARG(server->service));
    else if (server->url.is_unix || sheaf_ip_parse(server->url.host, ip))
        sheaf_report_error(report, url, "`service` needs a name to ask DNS for, `%.*s` is none",
                           SHEAF_VALUE_ARG(server->url.host));
    else if (server->url.has_port)
        sheaf_report_error(report, url, "`service` brings the port of each server: write the url without one");
    else if (server->service.len + server->url.host.len > MAX_SERVICE)
        sheaf_report_error(report, mark, "the name of the service is too long for DNS");
}

static void check_servers(sheaf_report_t *report, const sheaf_upstream_conf_t *upstream, const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *server = children(node, SHEAF_STR("servers"));

    for (uint32_t i = 0; i < upstream->servers.count; i++, server = server->next)
        check_service(report, &upstream->servers.items[i], server);
}

static void check_upstream(sheaf_report_t *report, const sheaf_upstream_conf_t *upstream, const sheaf_yaml_t *node)
{
    uint32_t backups = 0;

    check_servers(report, upstream, node);
    for (uint32_t i = 0; i < upstream->servers.count; i++)
        backups += upstream->servers.items[i].backup;
    if (backups != 0 && backups == upstream->servers.count)
        sheaf_report_error(report, member_mark(node, SHEAF_STR("servers")),
                           "all servers of the upstream `%.*s` are backups: of what?",
                           SHEAF_VALUE_ARG(upstream->map_key));
    for (const sheaf_yaml_t *key = node->first; key != NULL && upstream->balance != SHEAF_TURN_HASH; key = key->next)
        if (sheaf_str_starts(key->name, SHEAF_STR("hash")))
            sheaf_report_error(report, key->name_mark, "`%.*s` is for `balance: hash`", SHEAF_VALUE_ARG(key->name));
}

static void check_upstreams(sheaf_report_t *report, const sheaf_yaml_t *root, sheaf_snapshot_t *snapshot)
{
    const sheaf_yaml_t *node = children(root, SHEAF_STR("upstreams"));
    const sheaf_yaml_t *resolve = sheaf_yaml_get(root, SHEAF_STR("resolve"));
    const sheaf_conf_t *conf = &snapshot->conf;

    if (conf->resolve.min_ms > conf->resolve.max_ms)
        sheaf_report_error(report, member_mark(resolve, SHEAF_STR("min")), "`min` is more than `max`");
    snapshot->upstream_tls =
        sheaf_pool_zalloc(snapshot->pool, (conf->upstreams.count + 1) * sizeof(*snapshot->upstream_tls));
    for (uint32_t i = 0; i < conf->upstreams.count; i++, node = node->next) {
        check_upstream(report, &conf->upstreams.items[i], node);
        sheaf_doubt_upstream(report, &conf->upstreams.items[i], node);
        snapshot->upstream_tls[i] = sheaf_trust_context_new(report, node, &conf->upstreams.items[i], time(NULL));
    }
}

/* --- endpoints --- */

static void check_path(sheaf_report_t *report, sheaf_snapshot_t *snapshot, const sheaf_yaml_t *node, uint32_t index)
{
    const sheaf_endpoint_conf_t *endpoint = &snapshot->conf.endpoints.items[index];
    sheaf_mark_t mark = member_mark(node, SHEAF_STR("path"));
    uint32_t clash = SHEAF_NO_ROUTE;
    sheaf_fail_t fail;

    if (endpoint->path.base == NULL) /* told already */
        return;
    if (sheaf_router_add(snapshot->endpoints, index, endpoint->path, &endpoint->method, 1, &clash, &fail) == SHEAF_OK)
        return;
    if (clash == SHEAF_NO_ROUTE)
        sheaf_report_error(report, mark, "%s", fail.detail);
    else
        sheaf_report_error(report, mark, "the path `%.*s` is taken by the endpoint in line %u",
                           SHEAF_VALUE_ARG(endpoint->path), snapshot->conf.endpoints.items[clash].mark.line);
}

/* The first endpoint of those at `path`. */
static uint32_t find_endpoint(const sheaf_snapshot_t *snapshot, sheaf_str_t path)
{
    uint32_t first = snapshot->conf.endpoints.count;
    sheaf_match_t match;

    for (uint32_t i = 0; i < snapshot->conf.endpoints.count; i++) {
        if (sheaf_snapshot_endpoint(snapshot, path, snapshot->conf.endpoints.items[i].method, &match) != NULL &&
            match.route < first)
            first = match.route;
    }
    return first;
}

/* A route at an endpoint's path could never be reached; a parameter or rest that covers it still can. */
static void check_against_route(sheaf_report_t *report, const sheaf_snapshot_t *snapshot,
                                const sheaf_yaml_t *const *nodes, const sheaf_route_conf_t *route)
{
    const sheaf_endpoint_conf_t *endpoint;
    uint32_t index;

    if (route->match.base == NULL || sheaf_str_ends(route->match, SHEAF_STR("...}")) ||
        !sheaf_snapshot_has_endpoint(snapshot, route->match))
        return;
    index = find_endpoint(snapshot, route->match);
    endpoint = &snapshot->conf.endpoints.items[index];
    sheaf_report_error(report, member_mark(nodes[index], SHEAF_STR("path")),
                       "the path `%.*s` is taken by the route in line %u", SHEAF_VALUE_ARG(endpoint->path),
                       route->mark.line);
}

/* What an endpoint's path ends in is not part of where its items live: `/v1/$batch` has the base `/v1/`, as OData
 * clients expect, and so has Tyk's `/v1/tyk/batch/`. Others have `/`. */
static size_t ending(const sheaf_endpoint_conf_t *endpoint)
{
    static const sheaf_str_t tyk[] = {{"/tyk/batch/", 11}, {"/tyk/batch", 10}};
    size_t folder = endpoint->path.len;

    for (size_t i = 0; endpoint->dialect == SHEAF_DIALECT_TYK && i < SHEAF_COUNT(tyk); i++)
        if (sheaf_str_ends(endpoint->path, tyk[i]))
            return tyk[i].len - 1;
    if (!sheaf_str_ends(endpoint->path, SHEAF_STR("$batch")))
        return endpoint->path.len - 1;
    while (folder > 0 && endpoint->path.base[folder - 1] != '/')
        folder--;
    return endpoint->path.len - folder;
}

static void settle_base(sheaf_pool_t *pool, sheaf_endpoint_conf_t *endpoint)
{
    if (endpoint->base.base == NULL)
        endpoint->base = sheaf_str(endpoint->path.base, endpoint->path.len - ending(endpoint));
    else if (!sheaf_str_ends(endpoint->base, SHEAF_STR("/")))
        endpoint->base = sheaf_pool_printf(pool, "%.*s/", SHEAF_STR_ARG(endpoint->base));
}

/* What stands before the results is written before they are known. */
static void check_envelope(sheaf_report_t *report, const sheaf_yaml_t *node, const sheaf_endpoint_conf_t *endpoint)
{
    if (endpoint->envelope == SHEAF_ENVELOPE_DATA && endpoint->status == SHEAF_STATUS_MIXED)
        sheaf_report_error(report, member_mark(node, SHEAF_STR("envelope")),
                           "`envelope: data` needs a status that is known beforehand, not `status: mixed`");
}

static void check_endpoints(sheaf_report_t *report, const sheaf_yaml_t *root, sheaf_snapshot_t *snapshot)
{
    const sheaf_yaml_t **nodes = sheaf_alloc((snapshot->conf.endpoints.count + 1) * sizeof(*nodes));
    const sheaf_yaml_t *node = children(root, SHEAF_STR("endpoints"));

    snapshot->endpoints = sheaf_router_new(snapshot->pool);
    for (uint32_t i = 0; i < snapshot->conf.endpoints.count; i++, node = node->next) {
        nodes[i] = node;
        settle_base(snapshot->pool, &snapshot->conf.endpoints.items[i]);
        check_envelope(report, node, &snapshot->conf.endpoints.items[i]);
        sheaf_blueprint_check(report, snapshot->pool, node, &snapshot->conf.endpoints.items[i]);
        check_path(report, snapshot, node, i);
    }
    sheaf_router_build(snapshot->endpoints);
    for (uint32_t i = 0; i < snapshot->conf.routes.count; i++)
        check_against_route(report, snapshot, nodes, &snapshot->conf.routes.items[i]);
    free(nodes);
}

void sheaf_check(sheaf_report_t *report, const sheaf_yaml_t *root, sheaf_snapshot_t *snapshot)
{
    check_addresses(report, root, &snapshot->conf);
    check_tls(report, root, snapshot);
    check_upstreams(report, root, snapshot);
    sheaf_route_check_all(report, root, snapshot);
    check_endpoints(report, root, snapshot);
    sheaf_guards_check(report, root, snapshot);
}
