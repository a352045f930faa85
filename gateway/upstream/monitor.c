/* upstream/monitor.c - see monitor.h. */
#include "gateway/upstream/monitor.h"

#include <stdlib.h>

#include "gateway/base/log.h"
#include "gateway/upstream/probe.h"

struct sheaf_watch {
    sheaf_monitor_t *monitor;
    sheaf_server_t *server;
    uint64_t key; /* of what the server was when it began */
    sheaf_slate_line_t *line;
    sheaf_health_t health;
    sheaf_probe_t probe;
    sheaf_deadline_t next;
    uint64_t began_ms;
};

static void on_next(sheaf_deadline_t *node);
static void on_probed(sheaf_probe_t *probe, const sheaf_probe_result_t *result);

/* --- keys --- */

static uint64_t add_number(uint64_t key, uint64_t number)
{
    return sheaf_slate_key(key, sheaf_str((const char *)&number, sizeof(number)));
}

static uint64_t key_of_section(const sheaf_upstream_conf_t *conf)
{
    const sheaf_health_conf_t *health = &conf->health;
    uint64_t key = sheaf_slate_key(SHEAF_SLATE_KEY_SEED, conf->map_key);

    key = sheaf_slate_key(key, health->path);
    key = add_number(key, health->interval_ms);
    key = add_number(key, health->timeout_ms);
    key = add_number(key, health->unhealthy);
    key = add_number(key, health->healthy);
    for (uint32_t i = 0; i < health->expect.count; i++)
        key = add_number(key, health->expect.items[i]);
    return key;
}

static uint64_t key_of_server(uint64_t key, const sheaf_server_t *server)
{
    key = sheaf_slate_key(key, sheaf_str_of(server->name->text));
    return add_number(key, (uint64_t)server->port << 1 | (server->tls != NULL));
}

/* A server that stands there twice is asked twice, for each place: `before` are those of the servers before it. Not their
 * places but how many are alike makes the key: targets of a service may have other slots in every worker. */
static uint64_t unlike(uint64_t key, const uint64_t *before, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (before[i] == key)
            return unlike(add_number(key, 1), before, count);
    return key;
}

static void set_keys(sheaf_monitor_t *monitor)
{
    uint64_t section = key_of_section(monitor->conf);

    for (uint32_t i = 0; i < monitor->balance->count; i++) {
        const sheaf_server_t *server = &monitor->balance->servers[i];

        monitor->keys[i] = server->is_vacant || server->is_gate
                               ? SHEAF_SLATE_NO_KEY
                               : unlike(key_of_server(section, server), monitor->keys, i);
    }
}

/* --- one and all --- */

static sheaf_str_t path_new(const sheaf_upstream_conf_t *conf)
{
    char *path = sheaf_alloc(conf->health.path.len);

    memcpy(path, conf->health.path.base, conf->health.path.len);
    return sheaf_str(path, conf->health.path.len);
}

void sheaf_monitor_init(sheaf_monitor_t *monitor, sheaf_conn_env_t *env, sheaf_balance_t *balance, sheaf_stock_t *stock,
                        sheaf_outliers_t *outliers, const sheaf_upstream_conf_t *conf, uint64_t seed)
{
    *monitor = (sheaf_monitor_t){
        .env = env,
        .slate = sheaf_mark_is_set(conf->health.mark) ? env->slate : NULL,
        .balance = balance,
        .stock = stock,
        .outliers = outliers,
        .conf = conf,
        .version = UINT64_MAX,
        .chance = {seed},
    };
    if (monitor->slate == NULL)
        return;
    monitor->keys = sheaf_alloc(balance->count * sizeof(*monitor->keys));
    set_keys(monitor);
    monitor->path = path_new(conf);
    sheaf_monitor_look(monitor);
}

void sheaf_monitor_fini(sheaf_monitor_t *monitor)
{
    sheaf_monitor_end(monitor);
    free(monitor->keys);
    free((char *)monitor->path.base);
}

void sheaf_monitor_rebase(sheaf_monitor_t *monitor, const sheaf_upstream_conf_t *conf)
{
    monitor->conf = conf;
}

/* --- everybody --- */

void sheaf_monitor_refresh(sheaf_monitor_t *monitor)
{
    sheaf_balance_t *balance = monitor->balance;
    uint32_t out_count = 0;
    bool are_all_out;

    for (uint32_t i = 0; i < balance->count; i++) {
        uint64_t key = monitor->keys[i], value = key != SHEAF_SLATE_NO_KEY ? sheaf_slate_read(monitor->slate, key) : 0;

        balance->servers[i].is_unhealthy = sheaf_health_unpack(value).is_unhealthy;
        out_count += balance->servers[i].is_unhealthy;
    }
    are_all_out = out_count >= balance->present_count;
    monitor->outliers->absent_count = are_all_out ? 0 : out_count;
    for (uint32_t i = 0; i < balance->count && out_count != 0; i++) {
        sheaf_server_t *server = &balance->servers[i];

        server->is_unhealthy &= !are_all_out;
        if (server->is_unhealthy)
            sheaf_stock_clear(monitor->stock, server); /* nobody may take an idle conn of it */
    }
    if (balance->on_back != NULL)
        balance->on_back(balance);
}

/* --- who asks --- */

static void log_turn(const sheaf_watch_t *watch, const sheaf_probe_result_t *result)
{
    const sheaf_monitor_t *monitor = watch->monitor;
    bool is_bad = watch->health.is_unhealthy;
    sheaf_log_line_t line;

    sheaf_log_begin(&line, SHEAF_LOG_WARN, is_bad ? "server unhealthy" : "server healthy");
    sheaf_log_str(&line, "upstream", monitor->conf->map_key);
    sheaf_log_str(&line, "server", watch->server->label);
    if (is_bad)
        sheaf_log_str(&line, "reason",
                      result->err == SHEAF_OK ? SHEAF_STR("status") : sheaf_str_of(sheaf_err_slug(result->err)));
    if (result->err == SHEAF_OK)
        sheaf_log_u64(&line, "status", result->status);
    else if (result->detail[0] != '\0')
        sheaf_log_str(&line, "detail", sheaf_str_of(result->detail));
    sheaf_log_end(&line);
}

/* So many more are unhealthy, or fewer. */
static void show(const sheaf_monitor_t *monitor, int64_t by)
{
    sheaf_gauge(monitor->env->metrics, SHEAF_METRIC_SERVERS_UNHEALTHY, by);
    sheaf_upstats_gauge(monitor->stock->upstats, SHEAF_UPSTAT_SERVERS_UNHEALTHY, by);
}

static void turn(sheaf_watch_t *watch, const sheaf_probe_result_t *result)
{
    sheaf_monitor_t *monitor = watch->monitor;

    show(monitor, watch->health.is_unhealthy ? 1 : -1);
    log_turn(watch, result);
    sheaf_monitor_look(monitor); /* its own group need not wait for an exchange */
}

static void on_probed(sheaf_probe_t *probe, const sheaf_probe_result_t *result)
{
    sheaf_watch_t *watch = SHEAF_OWNER(probe, sheaf_watch_t, probe);
    sheaf_monitor_t *monitor = watch->monitor;
    const sheaf_health_conf_t *conf = &monitor->conf->health;
    bool is_good = result->err == SHEAF_OK && sheaf_health_expects(conf, result->status), has_turned;

    sheaf_deadline_set(monitor->env->deadlines, &watch->next,
                       sheaf_health_next_ms(conf, &monitor->chance, watch->began_ms, monitor->env->clock->now_ms));
    if (result->err == SHEAF_ERR_OVERLOADED) /* our own want of sockets says nothing */
        return;
    sheaf_count(monitor->env->metrics, is_good ? SHEAF_METRIC_PROBES_OK : SHEAF_METRIC_PROBES_FAILED, 1);
    sheaf_upstats_count(monitor->stock->upstats, is_good ? SHEAF_UPSTAT_PROBES_OK : SHEAF_UPSTAT_PROBES_FAILED, 1);
    has_turned = sheaf_health_note(conf, &watch->health, is_good);
    sheaf_slate_write(monitor->slate, watch->line, sheaf_health_pack(&watch->health), has_turned);
    if (has_turned)
        turn(watch, result);
}

static void on_next(sheaf_deadline_t *node)
{
    sheaf_watch_t *watch = SHEAF_OWNER(node, sheaf_watch_t, next);
    sheaf_monitor_t *monitor = watch->monitor;

    watch->began_ms = monitor->env->clock->now_ms;
    sheaf_probe_start(&watch->probe, watch->server, monitor->path, monitor->conf->health.timeout_ms);
}

/* What is known of the server is where it begins: another process may have asked before. */
static void watch_begin(sheaf_monitor_t *monitor, uint32_t index, sheaf_slate_line_t *line)
{
    sheaf_watch_t *watch = monitor->watches[index] = sheaf_zalloc(sizeof(*watch));

    watch->monitor = monitor;
    watch->server = &monitor->balance->servers[index];
    watch->key = monitor->keys[index];
    watch->line = line;
    watch->health = sheaf_health_unpack(sheaf_slate_value(line));
    watch->next.on_expired = on_next;
    sheaf_probe_init(&watch->probe, monitor->env, monitor->conf->protocol, on_probed);
    show(monitor, watch->health.is_unhealthy);
    sheaf_deadline_set(monitor->env->deadlines, &watch->next,
                       sheaf_health_first_ms(&monitor->conf->health, &monitor->chance, monitor->env->clock->now_ms));
}

static void watch_end(sheaf_monitor_t *monitor, uint32_t index)
{
    sheaf_watch_t *watch = monitor->watches[index];

    if (watch == NULL)
        return;
    sheaf_probe_fini(&watch->probe);
    sheaf_deadline_clear(monitor->env->deadlines, &watch->next);
    show(monitor, -(int64_t)watch->health.is_unhealthy);
    free(watch);
    monitor->watches[index] = NULL;
}

/* False: there is no room for it. */
static bool hold(sheaf_monitor_t *monitor, uint32_t index)
{
    sheaf_slate_line_t *line;

    if (monitor->keys[index] == SHEAF_SLATE_NO_KEY)
        return true;
    line = sheaf_slate_hold(monitor->slate, monitor->keys[index]);
    if (line != NULL && monitor->watches[index] == NULL)
        watch_begin(monitor, index, line);
    return line != NULL;
}

static void hold_all(sheaf_monitor_t *monitor)
{
    uint32_t unasked = 0;

    for (uint32_t i = 0; i < monitor->balance->count; i++)
        unasked += !hold(monitor, i);
    if (unasked == 0 || monitor->is_full_told)
        return;
    monitor->is_full_told = true;
    sheaf_log(SHEAF_LOG_WARN, "health", "%u servers of %.*s are too many to keep in mind: they are not asked", unasked,
              SHEAF_STR_ARG(monitor->conf->map_key));
}

void sheaf_monitor_begin(sheaf_monitor_t *monitor)
{
    if (monitor->slate == NULL)
        return;
    if (monitor->watches == NULL)
        monitor->watches = sheaf_zalloc(monitor->balance->count * sizeof(*monitor->watches));
    hold_all(monitor);
}

void sheaf_monitor_end(sheaf_monitor_t *monitor)
{
    if (monitor->watches == NULL)
        return;
    for (uint32_t i = 0; i < monitor->balance->count; i++)
        watch_end(monitor, i);
    free(monitor->watches);
    monitor->watches = NULL;
}

/* What is known of those that left is not kept: they may be gone for good. */
void sheaf_monitor_renew(sheaf_monitor_t *monitor)
{
    if (monitor->slate == NULL)
        return;
    set_keys(monitor);
    for (uint32_t i = 0; monitor->watches != NULL && i < monitor->balance->count; i++) {
        sheaf_watch_t *watch = monitor->watches[i];

        if (watch == NULL || watch->key == monitor->keys[i])
            continue;
        sheaf_slate_wipe(watch->line);
        watch_end(monitor, i);
    }
    if (monitor->watches != NULL)
        hold_all(monitor);
    sheaf_monitor_refresh(monitor);
}
