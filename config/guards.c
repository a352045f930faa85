#include "config/guards.h"

#include <stdio.h>

#include "config/plugin.h"
#include "config/value.h"
#include "gateway/http/stencil.h"

static const sheaf_yaml_t *children(const sheaf_yaml_t *node, const char *name)
{
    const sheaf_yaml_t *list = sheaf_yaml_get(node, sheaf_str_of(name));

    return list != NULL ? list->first : NULL;
}

static bool has_trait(const sheaf_plugin_conf_t *conf, sheaf_p_trait_t trait)
{
    return (conf->plugin->traits & trait) != 0;
}

/* --- required --- */

static bool is_called(const sheaf_plugin_conf_t *conf, sheaf_str_t name)
{
    return sheaf_str_eq(conf->name, name) || sheaf_str_eq(sheaf_str_of(conf->plugin->name), name);
}

static bool is_among(const sheaf_plugins_t *plugins, sheaf_str_t name)
{
    for (uint32_t i = 0; i < plugins->count; i++)
        if (is_called(plugins->items[i], name))
            return true;
    return false;
}

/* Whom it lets pass although it is there to stop them, as the plugin itself words it; NULL: nobody. */
static const char *whom_it_lets_pass(const sheaf_plugin_conf_t *conf)
{
    return conf->plugin->lets_pass != NULL ? conf->plugin->lets_pass(conf->values) : NULL;
}

/* The one of that name that lets nobody pass, else one that does; NULL: there is none. */
static const sheaf_plugin_conf_t *strictest(const sheaf_plugins_t *plugins, sheaf_str_t name)
{
    const sheaf_plugin_conf_t *found = NULL;

    for (uint32_t i = 0; i < plugins->count; i++)
        if (is_called(plugins->items[i], name) && (found == NULL || whom_it_lets_pass(found) != NULL))
            found = plugins->items[i];
    return found;
}

/* Plugins of an endpoint are no guard of a route: a direct request does not pass them. */
static void check_required(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_route_conf_t *route,
                           const sheaf_yaml_t *node)
{
    for (const sheaf_yaml_t *name = children(node, "require"); name != NULL; name = name->next)
        if (name->kind == SHEAF_YAML_SCALAR && !name->is_bad && !is_among(&conf->plugins, name->text) &&
            !is_among(&route->plugins, name->text))
            sheaf_report_error(report, name->mark, "`%.*s` is required, but no such plugin guards this route",
                               SHEAF_VALUE_ARG(name->text));
}

static void check_strict(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_route_conf_t *route,
                         const sheaf_yaml_t *node)
{
    for (const sheaf_yaml_t *name = children(node, "require"); name != NULL; name = name->next) {
        const sheaf_plugin_conf_t *top = strictest(&conf->plugins, name->text);
        const sheaf_plugin_conf_t *own = strictest(&route->plugins, name->text), *one = own != NULL ? own : top;

        if (whom_it_lets_pass(one) == NULL || (top != NULL && whom_it_lets_pass(top) == NULL))
            continue;
        sheaf_report_error(report, name->mark, "`%.*s` is required, but as it is configured it lets pass %s",
                           SHEAF_VALUE_ARG(name->text), whom_it_lets_pass(one));
    }
}

/* --- blind --- */

static bool is_blind(const sheaf_plugin_conf_t *conf)
{
    const sheaf_plugin_t *plugin = conf->plugin;

    return plugin->on_item == NULL && (plugin->on_request != NULL || plugin->on_batch != NULL) &&
           !has_trait(conf, SHEAF_P_GUARDS_NOTHING);
}

static bool takes_items(const sheaf_conf_t *conf, const sheaf_route_conf_t *route)
{
    return conf->endpoints.count > 0 && (route->expose & 1u << SHEAF_EXPOSURE_BATCH) != 0;
}

static bool sees_items(const sheaf_plugins_t *plugins, sheaf_str_t name)
{
    for (uint32_t i = 0; i < plugins->count; i++)
        if (is_called(plugins->items[i], name) && !is_blind(plugins->items[i]))
            return true;
    return false;
}

/* At the top one may be blind, but not when a route relies on it. */
static void check_sight_of_required(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_route_conf_t *route,
                                    const sheaf_yaml_t *node)
{
    for (const sheaf_yaml_t *name = children(node, "require"); name != NULL; name = name->next)
        if (!is_among(&route->plugins, name->text) && !sees_items(&conf->plugins, name->text))
            sheaf_report_error(report, name->mark,
                               "items of batches would get past `%.*s`, which is required: it is asked about requests "
                               "only (it has no on_item)",
                               SHEAF_VALUE_ARG(name->text));
}

static void check_sight(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_route_conf_t *route,
                        const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *entry = children(node, "plugins");

    if (!takes_items(conf, route))
        return;
    check_sight_of_required(report, conf, route, node);
    for (uint32_t i = 0; i < route->plugins.count; i++, entry = entry->next)
        if (is_blind(route->plugins.items[i]))
            sheaf_report_error(report, entry->mark,
                               "items of batches would get past `%.*s`: it is asked about requests only (it has no "
                               "on_item); with `expose: [direct]` the route takes no items",
                               SHEAF_STR_ARG(route->plugins.items[i]->name));
}

/* --- behind --- */

static bool is_guard_of_items(const sheaf_plugin_conf_t *conf)
{
    return conf->plugin->on_item != NULL && !has_trait(conf, SHEAF_P_GUARDS_NOTHING);
}

/* Who among the first `count` may answer in place of whoever comes later; NULL: nobody. */
static const sheaf_plugin_conf_t *replayer_among(const sheaf_plugins_t *plugins, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (has_trait(plugins->items[i], SHEAF_P_REPLAYS))
            return plugins->items[i];
    return NULL;
}

static bool is_asked_by(const sheaf_plugins_t *plugins, const sheaf_plugin_conf_t *conf)
{
    for (uint32_t i = 0; i < plugins->count; i++)
        if (plugins->items[i] == conf)
            return true;
    return false;
}

/* Those of `then` are asked after all of `first`, but for one that stands there too. `entry` is where the first of `then` is
 * written; NULL: each where it is defined. True: one of them is behind, and told. */
static bool check_order(sheaf_report_t *report, const sheaf_plugins_t *first, const sheaf_plugins_t *then,
                        const sheaf_yaml_t *entry)
{
    uint32_t errors = report->errors;

    for (uint32_t i = 0; i < then->count; i++, entry = entry == NULL ? NULL : entry->next) {
        const sheaf_plugin_conf_t *guard = then->items[i], *replayer = replayer_among(first, first->count);

        if (replayer == NULL)
            replayer = replayer_among(then, i);
        if (replayer == NULL || !is_guard_of_items(guard) || is_asked_by(first, guard))
            continue;
        sheaf_report_error(
            report, entry == NULL ? guard->mark : entry->mark,
            "`%.*s` is asked behind `%.*s`, which answers with what was answered before: put it in front, "
            "or `%.*s` behind it (plugins of a route are asked last)",
            SHEAF_STR_ARG(guard->name), SHEAF_STR_ARG(replayer->name), SHEAF_STR_ARG(replayer->name));
    }
    return report->errors > errors;
}

/* Items come by way of any endpoint. */
static void check_route(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_route_conf_t *route,
                        const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *entry = children(node, "plugins");

    if (check_order(report, &conf->plugins, &route->plugins, entry) || !takes_items(conf, route))
        return;
    for (uint32_t i = 0; i < conf->endpoints.count; i++)
        if (check_order(report, &conf->endpoints.items[i].plugins, &route->plugins, entry))
            return;
}

static void check_endpoints(sheaf_report_t *report, const sheaf_yaml_t *root, const sheaf_conf_t *conf)
{
    const sheaf_yaml_t *node = children(root, "endpoints");

    for (uint32_t i = 0; i < conf->endpoints.count; i++, node = node->next)
        check_order(report, &conf->plugins, &conf->endpoints.items[i].plugins, children(node, "plugins"));
}

/* --- unheard --- */

static const sheaf_plugin_conf_t *heeder_among(const sheaf_plugins_t *plugins)
{
    for (uint32_t i = 0; i < plugins->count; i++)
        if (has_trait(plugins->items[i], SHEAF_P_HEEDS_ANSWERS))
            return plugins->items[i];
    return NULL;
}

static const sheaf_plugin_conf_t *heeder_of(const sheaf_conf_t *conf, const sheaf_route_conf_t *route)
{
    const sheaf_plugin_conf_t *heeder = heeder_among(&conf->plugins);

    if (heeder == NULL)
        heeder = heeder_among(&route->plugins);
    for (uint32_t i = 0; i < conf->endpoints.count && heeder == NULL && takes_items(conf, route); i++)
        heeder = heeder_among(&conf->endpoints.items[i].plugins);
    return heeder;
}

/* Without these what is for one would look as if it were for all. */
static void check_heard(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_route_conf_t *route,
                        const sheaf_yaml_t *node)
{
    static const char *const needed[] = {"cache-control", "vary"};
    const sheaf_plugin_conf_t *heeder = heeder_of(conf, route);
    const sheaf_yaml_t *list = sheaf_yaml_get(node, SHEAF_STR("response_headers"));
    sheaf_policy_t policy = sheaf_route_response_policy(route);

    for (size_t i = 0; i < SHEAF_COUNT(needed) && heeder != NULL; i++)
        if (!sheaf_policy_passes(&policy, sheaf_str_of(needed[i])))
            sheaf_report_error(report, list != NULL ? list->mark : node->mark,
                               "`%.*s` goes by `%s` of answers, which this keeps from it as from clients",
                               SHEAF_STR_ARG(heeder->name), needed[i]);
}

/* --- beside --- */

/* Does one of them stop whom `guard` stops? Another one of the same plugin does, unless it is laxer. */
static bool has_its_like(const sheaf_plugins_t *plugins, const sheaf_plugin_conf_t *guard)
{
    for (uint32_t i = 0; i < plugins->count; i++)
        if (plugins->items[i]->plugin == guard->plugin &&
            (whom_it_lets_pass(plugins->items[i]) == NULL || whom_it_lets_pass(guard) != NULL))
            return true;
    return false;
}

/* A guess, by what is literal of both. A url that is relative, or filled from its start, may lead anywhere. */
static bool may_lead_to(const sheaf_stencil_t *url, sheaf_str_t match)
{
    sheaf_str_t text = url->pieces[0].text;
    size_t same = 0;

    if (text.len == 0 || text.base[0] != '/')
        return true;
    while (same < text.len && same < match.len && match.base[same] != '{' && text.base[same] == match.base[same])
        same++;
    if ((same < match.len && match.base[same] == '{') || (same == text.len && url->pieces[0].hole != NULL))
        return true;
    return same == match.len && (same == text.len || text.base[same] == '?');
}

/* A batch asks whatever its client wants, the others what the configuration says. */
static bool may_ask(const sheaf_endpoint_conf_t *endpoint, const sheaf_route_conf_t *route)
{
    if (endpoint->kind == SHEAF_KIND_BULK)
        return may_lead_to(endpoint->each.url, route->match);
    for (uint32_t i = 0; endpoint->kind == SHEAF_KIND_AGGREGATE && i < endpoint->items.count; i++)
        if (may_lead_to(endpoint->items.items[i].url, route->match))
            return true;
    return endpoint->kind == SHEAF_KIND_BATCH;
}

static bool is_open_beside(const sheaf_endpoint_conf_t *endpoint, const sheaf_plugin_conf_t *guard,
                           const sheaf_route_conf_t *route)
{
    static const uint32_t both = 1u << SHEAF_EXPOSURE_DIRECT | 1u << SHEAF_EXPOSURE_BATCH;

    return (route->expose & both) == both && !has_its_like(&route->plugins, guard) && may_ask(endpoint, route);
}

static void doubt_guard(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_endpoint_conf_t *endpoint,
                        const sheaf_plugin_conf_t *guard, sheaf_mark_t mark)
{
    const sheaf_route_conf_t *first = NULL;
    uint32_t count = 0;
    char others[48] = "";

    for (uint32_t i = 0; i < conf->routes.count; i++)
        if (is_open_beside(endpoint, guard, &conf->routes.items[i]) && count++ == 0)
            first = &conf->routes.items[i];
    if (first == NULL)
        return;
    if (count > 1)
        snprintf(others, sizeof(others), " (and %u more route%s)", count - 1, count == 2 ? "" : "s");
    sheaf_report_warning(
        report, mark,
        "direct requests for `%.*s`%s get past `%.*s`, because they pass no endpoint: list it at the top or "
        "on the route, or give the route `expose: [batch]`",
        SHEAF_VALUE_ARG(first->match), others, SHEAF_STR_ARG(guard->name));
}

static void doubt_endpoint(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_endpoint_conf_t *endpoint,
                           const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *entry = children(node, "plugins");

    for (uint32_t i = 0; i < endpoint->plugins.count; i++, entry = entry->next)
        if (!has_trait(endpoint->plugins.items[i], SHEAF_P_GUARDS_NOTHING) &&
            !has_its_like(&conf->plugins, endpoint->plugins.items[i]))
            doubt_guard(report, conf, endpoint, endpoint->plugins.items[i], entry->mark);
}

/* --- astray --- */

/* A path that it matches: something for each parameter, nothing for a rest. */
static sheaf_str_t example_of(sheaf_str_t match, sheaf_pool_t *pool)
{
    char *path = sheaf_pool_alloc(pool, match.len + 1);
    size_t len = 0;

    while (match.len > 0) {
        sheaf_str_t literal = sheaf_str_cut(&match, '{'), name = sheaf_str_cut(&match, '}');

        memcpy(path + len, literal.base, literal.len);
        len += literal.len;
        if (name.len > 0 && name.base[name.len - 1] != '.')
            path[len++] = '-';
    }
    return sheaf_str(path, len);
}

static sheaf_str_t without_end_slash(sheaf_str_t path)
{
    return sheaf_str(path.base, path.len - (path.len > 0 && path.base[path.len - 1] == '/'));
}

static sheaf_str_t with_other_end(sheaf_str_t path, sheaf_pool_t *pool)
{
    sheaf_str_t bare = without_end_slash(path);

    return bare.len < path.len ? bare : sheaf_pool_printf(pool, "%.*s/", SHEAF_STR_ARG(path));
}

typedef struct {
    const sheaf_route_conf_t *route; /* NULL: none answers */
    sheaf_str_t sent;                /* to its upstream, but for a slash at its end */
} way_t;

/* For one of the hosts and methods of `like`. */
static way_t way_of(const sheaf_snapshot_t *snapshot, const sheaf_route_conf_t *like, sheaf_str_t path,
                    sheaf_exposure_t who, sheaf_pool_t *pool)
{
    sheaf_str_t host = like->hosts.count > 0 ? like->hosts.items[0] : SHEAF_STR("");
    sheaf_str_t method = like->methods.count > 0 ? like->methods.items[0] : SHEAF_STR("GET");
    sheaf_match_t match;
    way_t way;

    if (sheaf_str_starts(host, SHEAF_STR("*")))
        host = sheaf_pool_printf(pool, "x%.*s", (int)host.len - 1, host.base + 1);
    way.route = sheaf_snapshot_route(snapshot, host, path, method, who, pool, &match);
    if (way.route != NULL && way.route->rewrite != NULL)
        path = sheaf_rewrite_apply(way.route->rewrite, &match, pool);
    way.sent = without_end_slash(path);
    return way;
}

/* Who answers for the other end of the route's paths, at the same place and without the guard; NULL: nobody. */
static const sheaf_route_conf_t *way_round(const sheaf_snapshot_t *snapshot, const sheaf_route_conf_t *route,
                                           const sheaf_plugin_conf_t *guard, sheaf_str_t path, sheaf_str_t other,
                                           sheaf_pool_t *pool)
{
    static const sheaf_exposure_t all[] = {SHEAF_EXPOSURE_DIRECT, SHEAF_EXPOSURE_BATCH};

    for (size_t i = 0; i < SHEAF_COUNT(all); i++) {
        way_t straight = way_of(snapshot, route, path, all[i], pool);
        way_t round = way_of(snapshot, route, other, all[i], pool);

        if (straight.route == route && round.route != NULL && round.route != route &&
            round.route->upstream == route->upstream && sheaf_str_eq(straight.sent, round.sent) &&
            !has_its_like(&round.route->plugins, guard))
            return round.route;
    }
    return NULL;
}

/* The same of a template: a rest goes with the slash before it. */
static sheaf_str_t template_with_other_end(sheaf_str_t match, bool has_more, sheaf_pool_t *pool)
{
    if (has_more)
        return with_other_end(match, pool);
    while (match.base[match.len - 1] != '/')
        match.len--;
    return without_end_slash(match);
}

static void doubt_route(sheaf_report_t *report, const sheaf_snapshot_t *snapshot, const sheaf_route_conf_t *route,
                        const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *entry = children(node, "plugins");
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t path = example_of(route->match, pool), other = with_other_end(path, pool);
    sheaf_str_t other_end = template_with_other_end(route->match, other.len > path.len, pool);

    for (uint32_t i = 0; i < route->plugins.count && path.len > 1; i++, entry = entry->next) {
        const sheaf_plugin_conf_t *guard = route->plugins.items[i];
        const sheaf_route_conf_t *round = NULL;

        if (is_guard_of_items(guard) && !has_trait(guard, SHEAF_P_REPLAYS) &&
            !has_its_like(&snapshot->conf.plugins, guard))
            round = way_round(snapshot, route, guard, path, other, pool);
        if (round != NULL)
            sheaf_report_warning(report, entry->mark,
                                 "`%.*s` gets past `%.*s`, by way of `%.*s` to the same upstream, which may see no "
                                 "difference: list it there too, or match both",
                                 SHEAF_VALUE_ARG(other_end), SHEAF_STR_ARG(guard->name), SHEAF_VALUE_ARG(round->match));
    }
    sheaf_pool_free(pool);
}

void sheaf_guards_check(sheaf_report_t *report, const sheaf_yaml_t *root, const sheaf_snapshot_t *snapshot)
{
    static const sheaf_plugins_t nobody = {NULL, 0};
    const sheaf_conf_t *conf = &snapshot->conf;
    const sheaf_yaml_t *node = children(root, "routes");

    for (uint32_t i = 0; i < conf->routes.count; i++, node = node->next)
        check_required(report, conf, &conf->routes.items[i], node);
    if (report->errors > 0)
        return; /* what could not be read is missing in the lists */
    check_order(report, &nobody, &conf->plugins, NULL);
    check_endpoints(report, root, conf);
    node = children(root, "routes");
    for (uint32_t i = 0; i < conf->routes.count; i++, node = node->next) {
        check_strict(report, conf, &conf->routes.items[i], node);
        check_sight(report, conf, &conf->routes.items[i], node);
        check_route(report, conf, &conf->routes.items[i], node);
        check_heard(report, conf, &conf->routes.items[i], node);
    }
    node = children(root, "endpoints");
    for (uint32_t i = 0; i < conf->endpoints.count && report->errors == 0; i++, node = node->next)
        doubt_endpoint(report, conf, &conf->endpoints.items[i], node);
    node = children(root, "routes");
    for (uint32_t i = 0; i < conf->routes.count && report->errors == 0; i++, node = node->next)
        doubt_route(report, snapshot, &conf->routes.items[i], node);
}
