#include "config/snapshot.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "config/check.h"
#include "config/load.h"
#include "gateway/http/wire.h"

static void load_tree(sheaf_report_t *report, const sheaf_yaml_t *root, sheaf_snapshot_t *snapshot)
{
    sheaf_load(snapshot->pool, &snapshot->files, report, root, &snapshot->conf, &snapshot->plugins,
               &snapshot->plugin_count);
    if (root->kind == SHEAF_YAML_MAPPING)
        sheaf_check(report, root, snapshot);
}

sheaf_snapshot_t *sheaf_snapshot_load(const char *path, sheaf_str_t text, char **ret_report)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == path ? strdup("/") : strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
    sheaf_snapshot_t *snapshot;
    sheaf_files_t files;

    SHEAF_ASSERT(folder != NULL);
    sheaf_files_init(&files, folder);
    snapshot = sheaf_snapshot_load_packed(path, text, &files, ret_report);
    if (snapshot != NULL)
        snapshot->files.folder = NULL;
    free(folder);
    return snapshot;
}

sheaf_snapshot_t *sheaf_snapshot_load_packed(const char *path, sheaf_str_t text, sheaf_files_t *files,
                                             char **ret_report)
{
    sheaf_pool_t *scratch = sheaf_pool_new(); /* tree and findings; the snapshot keeps none of it */
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_snapshot_t *snapshot = sheaf_pool_zalloc(pool, sizeof(*snapshot));
    bool has_bom = sheaf_str_starts(text, SHEAF_STR("\xEF\xBB\xBF"));
    sheaf_report_t report;
    sheaf_yaml_t *root;

    *snapshot =
        (sheaf_snapshot_t){.pool = pool, .holds = 1, .files = *files, .hash = sheaf_hash(SHEAF_HASH_START, text)};
    sheaf_files_init(files, NULL);
    if (has_bom)
        text = sheaf_str(text.base + 3, text.len - 3);
    if (text.len > SHEAF_YAML_MAX_BYTES) /* its lines are not worth counting */
        sheaf_report_init(&report, scratch, path, SHEAF_STR(""));
    else
        sheaf_report_init(&report, scratch, path, text);
    report.text = text;
    root = sheaf_yaml_read(scratch, &report, &snapshot->hash);
    if (root != NULL)
        load_tree(&report, root, snapshot);
    *ret_report = sheaf_report_take(&report);
    if (report.errors > 0) {
        sheaf_snapshot_drop(snapshot);
        snapshot = NULL;
    }
    sheaf_pool_free(scratch);
    return snapshot;
}

/* Reads all of `path` into `*ret_bytes`, at most one byte more than may be loaded. Returns an errno or 0. */
static int read_file(const char *path, char **ret_bytes, size_t *ret_len)
{
    const size_t room = SHEAF_YAML_MAX_BYTES + 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC), failed = 0;
    char *bytes;
    size_t len = 0;

    if (fd < 0)
        return errno;
    bytes = sheaf_alloc(room);
    while (len < room && failed == 0) {
        ssize_t got = read(fd, bytes + len, room - len);

        if (got == 0)
            break;
        if (got > 0)
            len += (size_t)got;
        else if (errno != EINTR)
            failed = errno;
    }
    close(fd);
    if (failed != 0) {
        free(bytes);
        return failed;
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

sheaf_snapshot_t *sheaf_snapshot_load_file(const char *path, char **ret_report)
{
    sheaf_snapshot_t *snapshot = NULL;
    sheaf_report_t report;
    sheaf_pool_t *pool;
    char *bytes = NULL;
    size_t len = 0;
    int failed = read_file(path, &bytes, &len);

    if (failed == 0) {
        snapshot = sheaf_snapshot_load(path, sheaf_str(bytes, len), ret_report);
        free(bytes);
        return snapshot;
    }
    pool = sheaf_pool_new();
    sheaf_report_init(&report, pool, path, SHEAF_STR(""));
    sheaf_report_error(&report, (sheaf_mark_t){0, 0}, "cannot be read: %s", strerror(failed));
    *ret_report = sheaf_report_take(&report);
    sheaf_pool_free(pool);
    return NULL;
}

sheaf_snapshot_t *sheaf_snapshot_hold(sheaf_snapshot_t *snapshot)
{
    snapshot->holds++;
    return snapshot;
}

void sheaf_snapshot_drop(sheaf_snapshot_t *snapshot)
{
    if (snapshot == NULL || --snapshot->holds > 0)
        return;
    for (uint32_t i = 0; snapshot->tls != NULL && i < snapshot->conf.listen.count; i++)
        SSL_CTX_free(snapshot->tls[i]);
    for (uint32_t i = 0; snapshot->upstream_tls != NULL && i < snapshot->conf.upstreams.count; i++)
        SSL_CTX_free(snapshot->upstream_tls[i]);
    sheaf_files_fini(&snapshot->files);
    sheaf_pool_free(snapshot->pool); /* the snapshot itself lives in there */
}

bool sheaf_cidr_has(const sheaf_cidr_t *list, uint32_t count, const uint8_t ip[16])
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t whole = list[i].bits / 8u, rest = list[i].bits % 8u;

        if (memcmp(list[i].bytes, ip, whole) != 0)
            continue;
        if (rest == 0 || ((list[i].bytes[whole] ^ ip[whole]) >> (8 - rest)) == 0)
            return true;
    }
    return false;
}

bool sheaf_ip_parse(sheaf_str_t text, uint8_t ret_ip[16])
{
    char host[INET6_ADDRSTRLEN + 1];
    uint8_t ip[16] = {[10] = 0xFF, [11] = 0xFF};
    bool is_v6 = text.len > 0 && memchr(text.base, ':', text.len) != NULL;

    if (text.len == 0 || text.len >= sizeof(host) || memchr(text.base, '\0', text.len) != NULL)
        return false;
    memcpy(host, text.base, text.len);
    host[text.len] = '\0';
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, host, is_v6 ? ip : ip + 12) != 1)
        return false;
    memcpy(ret_ip, ip, 16);
    return true;
}

void sheaf_ip_print(const uint8_t ip[16], char ret_text[SHEAF_IP_TEXT_MAX])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool is_v4 = memcmp(ip, mapped, sizeof(mapped)) == 0;

    inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? ip + 12 : ip, ret_text, SHEAF_IP_TEXT_MAX);
}

const sheaf_endpoint_conf_t *sheaf_snapshot_endpoint(const sheaf_snapshot_t *snapshot, sheaf_str_t path,
                                                     sheaf_str_t method, sheaf_match_t *ret_match)
{
    if (!sheaf_router_find(snapshot->endpoints, path, method, ret_match))
        return NULL;
    return &snapshot->conf.endpoints.items[ret_match->route];
}

bool sheaf_snapshot_has_endpoint(const sheaf_snapshot_t *snapshot, sheaf_str_t path)
{
    sheaf_match_t match;

    return sheaf_snapshot_endpoint(snapshot, path, SHEAF_STR(""), &match) != NULL || match.allow.base != NULL;
}

/* --- routes --- */

static bool is_for(const sheaf_route_conf_t *route, sheaf_exposure_t who)
{
    return (route->expose & 1u << who) != 0;
}

static bool find_route(const sheaf_snapshot_t *snapshot, sheaf_str_t host, sheaf_str_t path, sheaf_str_t method,
                       sheaf_match_t *ret_match)
{
    if (snapshot->hosts == NULL)
        return sheaf_router_find(snapshot->routes, path, method, ret_match);
    return sheaf_hosts_find(snapshot->hosts, snapshot->routes, host, path, method, ret_match);
}

/* Of `all`, the methods of the template that was found, those whose routes are for `who`; absent: none is. */
static sheaf_str_t methods_for(const sheaf_snapshot_t *snapshot, sheaf_str_t host, sheaf_str_t path,
                               sheaf_exposure_t who, sheaf_str_t all, sheaf_pool_t *pool)
{
    char *text = sheaf_pool_alloc(pool, all.len), *at = text;
    sheaf_str_t rest = all;
    sheaf_match_t other;

    while (rest.base != NULL) {
        sheaf_str_t method = sheaf_str_trim(sheaf_str_cut(&rest, ','));

        if (!find_route(snapshot, host, path, method, &other) ||
            !is_for(&snapshot->conf.routes.items[other.route], who))
            continue;
        if (at > text) {
            memcpy(at, ", ", 2);
            at += 2;
        }
        memcpy(at, method.base, method.len);
        at += method.len;
    }
    return at > text ? sheaf_str(text, (size_t)(at - text)) : SHEAF_STR_NONE;
}

const sheaf_route_conf_t *sheaf_snapshot_route(const sheaf_snapshot_t *snapshot, sheaf_str_t host, sheaf_str_t path,
                                               sheaf_str_t method, sheaf_exposure_t who, sheaf_pool_t *pool,
                                               sheaf_match_t *ret_match)
{
    const sheaf_route_conf_t *route;

    if (!find_route(snapshot, host, path, method, ret_match)) {
        if (ret_match->allow.base != NULL)
            ret_match->allow = methods_for(snapshot, host, path, who, ret_match->allow, pool);
        return NULL;
    }
    route = &snapshot->conf.routes.items[ret_match->route];
    return is_for(route, who) ? route : NULL;
}

uint32_t sheaf_route_upstream(const sheaf_route_conf_t *route, uint64_t dice)
{
    uint64_t at = dice % 100;

    for (uint32_t i = 0; i < route->split.count; i++) {
        if (at < route->split.items[i].share_percent)
            return route->split.items[i].upstream;
        at -= route->split.items[i].share_percent;
    }
    return route->upstream;
}

sheaf_str_t sheaf_route_host(const sheaf_route_conf_t *route, sheaf_str_t client_host)
{
    if (route->host.base == NULL || !sheaf_str_eq(route->host, SHEAF_STR(SHEAF_ROUTE_HOST_CLIENT)))
        return route->host;
    return sheaf_wire_host_is_valid(client_host) ? client_host : SHEAF_STR_NONE; /* HTTP/1.0 may have none */
}

struct ssl_ctx_st *sheaf_snapshot_tls_of(const sheaf_snapshot_t *snapshot, const sheaf_upstream_conf_t *conf)
{
    return snapshot->upstream_tls != NULL ? snapshot->upstream_tls[conf - snapshot->conf.upstreams.items] : NULL;
}

static bool is_same_server(const sheaf_server_conf_t *a, const sheaf_server_conf_t *b)
{
    return a->url.port == b->url.port && a->url.is_tls == b->url.is_tls && a->url.is_unix == b->url.is_unix &&
           sheaf_str_eq(a->url.host, b->url.host) && sheaf_str_eq(a->service, b->service) && a->weight == b->weight &&
           a->backup == b->backup;
}

static bool is_same_balance(const sheaf_upstream_conf_t *a, const sheaf_upstream_conf_t *b)
{
    return a->balance == b->balance && a->hash.what == b->hash.what && sheaf_str_eq(a->hash.header, b->hash.header) &&
           a->hash_bound == b->hash_bound;
}

static bool is_same_tls(const sheaf_upstream_tls_conf_t *a, const sheaf_upstream_tls_conf_t *b)
{
    return a->verify == b->verify && a->min_version == b->min_version && sheaf_str_eq(a->server_name, b->server_name) &&
           sheaf_str_eq(a->ciphers, b->ciphers) && sheaf_str_eq(a->ca.bytes, b->ca.bytes) &&
           sheaf_str_eq(a->certificate.bytes, b->certificate.bytes) && sheaf_str_eq(a->key.bytes, b->key.bytes);
}

static bool is_same_retry(const sheaf_retry_conf_t *a, const sheaf_retry_conf_t *b)
{
    if (sheaf_mark_is_set(a->mark) != sheaf_mark_is_set(b->mark) || a->attempts != b->attempts || a->on != b->on ||
        a->budget_percent != b->budget_percent || a->backoff_ms != b->backoff_ms ||
        a->methods.count != b->methods.count)
        return false;
    for (uint32_t i = 0; i < a->methods.count; i++)
        if (!sheaf_str_eq(a->methods.items[i], b->methods.items[i]))
            return false;
    return true;
}

static bool is_same_outlier(const sheaf_outlier_conf_t *a, const sheaf_outlier_conf_t *b)
{
    return sheaf_mark_is_set(a->mark) == sheaf_mark_is_set(b->mark) && a->errors == b->errors &&
           a->ratio_percent == b->ratio_percent && a->interval_ms == b->interval_ms && a->eject_ms == b->eject_ms &&
           a->max_eject_ms == b->max_eject_ms && a->max_ejected_percent == b->max_ejected_percent;
}

static bool is_same_breaker(const sheaf_breaker_conf_t *a, const sheaf_breaker_conf_t *b)
{
    return sheaf_mark_is_set(a->mark) == sheaf_mark_is_set(b->mark) && a->errors_percent == b->errors_percent &&
           a->requests == b->requests && a->window_ms == b->window_ms && a->open_ms == b->open_ms &&
           a->probes == b->probes;
}

static bool is_same_statuses(const sheaf_statuses_t *a, const sheaf_statuses_t *b)
{
    for (uint32_t i = 0; i < a->count && i < b->count; i++)
        if (a->items[i] != b->items[i])
            return false;
    return a->count == b->count;
}

static bool is_same_health(const sheaf_health_conf_t *a, const sheaf_health_conf_t *b)
{
    return sheaf_mark_is_set(a->mark) == sheaf_mark_is_set(b->mark) && sheaf_str_eq(a->path, b->path) &&
           a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms && a->unhealthy == b->unhealthy &&
           a->healthy == b->healthy && is_same_statuses(&a->expect, &b->expect);
}

static bool is_same_throttle(const sheaf_upstream_conf_t *a, const sheaf_upstream_conf_t *b)
{
    const sheaf_adaptive_conf_t *x = &a->adaptive, *y = &b->adaptive;

    return a->max_in_flight == b->max_in_flight && a->shed == b->shed &&
           sheaf_mark_is_set(x->mark) == sheaf_mark_is_set(y->mark) && x->min == y->min && x->max == y->max &&
           x->tolerance_percent == y->tolerance_percent && x->window_ms == y->window_ms &&
           x->measure_ms == y->measure_ms;
}

static bool is_same_hedge(const sheaf_hedge_conf_t *a, const sheaf_hedge_conf_t *b)
{
    return sheaf_mark_is_set(a->mark) == sheaf_mark_is_set(b->mark) && a->after.per_mille == b->after.per_mille &&
           a->after.after_ms == b->after.after_ms && a->budget_percent == b->budget_percent;
}

bool sheaf_upstream_conf_eq(const sheaf_upstream_conf_t *a, const sheaf_upstream_conf_t *b)
{
    if (a->servers.count != b->servers.count || !is_same_throttle(a, b) ||
        a->connect_timeout_ms != b->connect_timeout_ms || a->timeout_ms != b->timeout_ms ||
        a->first_byte_timeout_ms != b->first_byte_timeout_ms || a->idle_timeout_ms != b->idle_timeout_ms ||
        a->max_connections != b->max_connections || a->max_waiting != b->max_waiting || a->protocol != b->protocol ||
        a->max_streams != b->max_streams || a->pipeline != b->pipeline || a->ping_ms != b->ping_ms ||
        a->keepalive_ms != b->keepalive_ms || !is_same_balance(a, b) || !is_same_tls(&a->tls, &b->tls) ||
        !is_same_retry(&a->retry, &b->retry) || !is_same_outlier(&a->outlier, &b->outlier) ||
        !is_same_breaker(&a->breaker, &b->breaker) || !is_same_health(&a->health, &b->health) ||
        !is_same_hedge(&a->hedge, &b->hedge))
        return false;
    for (uint32_t i = 0; i < a->servers.count; i++)
        if (!is_same_server(&a->servers.items[i], &b->servers.items[i]))
            return false;
    return true;
}
