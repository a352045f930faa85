#include "gateway/front/place.h"

#define NO_METHOD SHEAF_STR("") /* finds nothing but what else is allowed */

static sheaf_str_t str_of(h2o_iovec_t v)
{
    return sheaf_str(v.base, v.len);
}

/* Some clients write /%24batch: it means the same in every path that a template has. */
static void decode_dollars(char *path, size_t *len)
{
    size_t to = 0;

    for (size_t i = 0; i < *len; i++, to++) {
        bool is_dollar = *len - i >= 3 && memcmp(path + i, "%24", 3) == 0;

        path[to] = is_dollar ? '$' : path[i];
        i += is_dollar ? 2 : 0;
    }
    *len = to;
}

/* The path as items have theirs, in which %2F is no slash; absent when it is none that an item could have. */
static sheaf_str_t normalise(h2o_req_t *req, sheaf_str_t raw)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    h2o_iovec_t path = {NULL, 0};
    sheaf_fail_t why;
    sheaf_url_t url;

    if (sheaf_url_normalise(pool, raw, SHEAF_STR("/"), raw.len, &url, &why) == SHEAF_OK) {
        path = h2o_strdup(&req->pool, url.path.base, url.path.len);
        decode_dollars(path.base, &path.len);
    }
    sheaf_pool_free(pool);
    return str_of(path);
}

/* Is an endpoint there, whatever its method? */
static bool look(sheaf_visit_t *visit, sheaf_str_t path, sheaf_match_t *ret_match)
{
    visit->outer.path = path;
    sheaf_snapshot_endpoint(visit->epoch->env.snapshot, path, NO_METHOD, ret_match);
    return ret_match->allow.base != NULL;
}

/* Nothing in it that a normalised path would have another way: parameters go into urls as they stand. */
static bool is_clean(sheaf_str_t path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.base[i] != '/' && path.base[i] != '$' && !sheaf_url_is_unreserved(path.base[i]))
            return false;
    return true;
}

/* libh2o's path is decoded: %2F in it has become one slash more, which no parameter may take in; and a backslash or a
 * quote in it is left as it came. It counts only where all is literal. */
static bool find_path(sheaf_visit_t *visit, sheaf_match_t *ret_match)
{
    h2o_req_t *req = visit->req;
    sheaf_str_t decoded = str_of(req->path_normalized);
    sheaf_str_t raw = sheaf_str(req->path.base, req->query_at < req->path.len ? req->query_at : req->path.len);
    sheaf_str_t path = SHEAF_STR_NONE;

    if (is_clean(raw))
        return look(visit, decoded, ret_match);
    path = normalise(req, raw);
    if (path.base != NULL && look(visit, path, ret_match))
        return true;
    return look(visit, decoded, ret_match) && ret_match->param_count == 0;
}

static void keep_params(sheaf_visit_t *visit, const sheaf_match_t *match)
{
    visit->outer.param_count = match->param_count;
    memcpy(visit->outer.params, match->params, match->param_count * sizeof(match->params[0]));
}

static bool has_host(const sheaf_texts_t *hosts, sheaf_str_t host)
{
    for (uint32_t i = 0; i < hosts->count; i++)
        if (sheaf_host_matches(hosts->items[i], host))
            return true;
    return false;
}

sheaf_err_t sheaf_place_check_host(const sheaf_visit_t *visit, sheaf_fail_t *fail)
{
    const sheaf_conf_t *conf = &visit->epoch->env.snapshot->conf;

    for (uint32_t i = 0; i < conf->listen.count; i++) {
        const sheaf_listener_conf_t *listener = &conf->listen.items[i];

        if (listener->hosts.items != NULL &&
            sheaf_str_eq(listener->address.text, sheaf_str_of(visit->client->address)) &&
            !has_host(&listener->hosts, str_of(visit->req->authority)))
            return sheaf_fail(fail, SHEAF_ERR_MISDIRECTED, "this host is not served here");
    }
    return SHEAF_OK;
}

static sheaf_str_t allow_of(h2o_req_t *req, sheaf_str_t methods)
{
    h2o_iovec_t text =
        h2o_concat(&req->pool, h2o_iovec_init(methods.base, methods.len), h2o_iovec_init(", OPTIONS", 9));

    return str_of(text);
}

sheaf_err_t sheaf_place_find(sheaf_visit_t *visit, sheaf_fail_t *fail)
{
    const sheaf_snapshot_t *snapshot = visit->epoch->env.snapshot;
    h2o_req_t *req = visit->req;
    sheaf_match_t match;
    sheaf_str_t methods;

    if (!find_path(visit, &match))
        return sheaf_fail(fail, SHEAF_ERR_NOT_FOUND, "no endpoint has this path");
    methods = match.allow;
    visit->allow = allow_of(req, methods);
    visit->endpoint = sheaf_snapshot_endpoint(snapshot, visit->outer.path, str_of(req->method), &match);
    keep_params(visit, &match);
    if (visit->endpoint != NULL)
        return SHEAF_OK;
    visit->endpoint = sheaf_snapshot_endpoint(snapshot, visit->outer.path, sheaf_str_cut(&methods, ','), &match);
    return sheaf_fail(fail, SHEAF_ERR_METHOD, "the endpoint answers %.*s", SHEAF_STR_ARG(visit->allow));
}

/* Is it written as it is routed? */
static bool is_normal(sheaf_str_t path)
{
    for (size_t i = 0; i + 1 < path.len; i++)
        if (path.base[i] == '/' && (path.base[i + 1] == '/' || path.base[i + 1] == '.'))
            return false;
    return is_clean(path);
}

static uint64_t most_of_route(const sheaf_snapshot_t *snapshot, sheaf_str_t method, sheaf_str_t host, sheaf_str_t path)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_match_t match;
    const sheaf_route_conf_t *route =
        sheaf_snapshot_route(snapshot, host, path, method, SHEAF_EXPOSURE_DIRECT, pool, &match);

    sheaf_pool_free(pool);
    return route == NULL ? UINT64_MAX : route->max_body_bytes;
}

uint64_t sheaf_place_most_bytes(const sheaf_snapshot_t *snapshot, sheaf_str_t method, sheaf_str_t host,
                                sheaf_str_t target)
{
    sheaf_str_t path = sheaf_str_cut(&target, '?');
    const sheaf_endpoint_conf_t *endpoint;
    sheaf_match_t match;

    if (!is_normal(path))
        return UINT64_MAX;
    endpoint = sheaf_snapshot_endpoint(snapshot, path, method, &match);
    if (endpoint != NULL)
        return endpoint->max_body_bytes;
    return match.allow.base != NULL ? UINT64_MAX : most_of_route(snapshot, method, host, path);
}
