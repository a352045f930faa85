/* run/main.c - the command line. */
#include <ares.h>
#include <jansson.h>
#include <libfyaml.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>
#include <zlib.h>

#include "config/secret.h"
#include "gateway/base/log.h"
#include "gateway/front/front.h"
#include "gateway/front/guard/check.h"
#include "gateway/run/demo.h"
#include "gateway/run/handover.h"
#include "gateway/run/notify.h"
#include "gateway/run/openapi.h"
#include "gateway/run/plughost.h"
#include "gateway/run/supervisor.h"
#include "gateway/run/upgrade.h"
#include "gateway/run/worker.h"

#define DEFAULT_CONFIG "/etc/sheaf/sheaf.yaml"

typedef struct {
    const char *config_path;
    bool is_once;
} options_t;

typedef struct {
    const sheaf_sockets_t *sockets;
    const sheaf_privileges_t *privileges;
} alone_t;

static void on_alone_ready(void *data)
{
    const alone_t *alone = data;

    sheaf_privileges_warn(alone->privileges);
    sheaf_sockets_announce(alone->sockets);
    sheaf_notify("READY=1");
    sheaf_handover_ready();
}

/* workers: 0. */
static int run_alone(const char *config_path, sheaf_reload_t *config, const sheaf_privileges_t *privileges)
{
    sheaf_metrics_region_t *region = sheaf_metrics_region_new(1);
    sheaf_slate_t *slate = sheaf_slate_new(SHEAF_SLATE_LINES);
    alone_t alone = {&config->sockets, privileges};
    sheaf_fail_t fail;
    sheaf_worker_setup_t setup = {
        .config_path = config_path,
        .snapshot = config->snapshot,
        .sockets = config->sockets,
        .shares = config->shares,
        .control_fd = -1,
        .region = region,
        .slate = slate,
        .on_ready = on_alone_ready,
        .data = &alone,
    };
    int status;

    if (region == NULL || slate == NULL)
        return 1;
    if (sheaf_privileges_take(privileges, &fail) != SHEAF_OK) {
        fprintf(stderr, "%s: error: %s\n", config_path, fail.detail);
        return 1;
    }
    status = sheaf_worker_run(&setup);
    sheaf_metrics_region_free(region);
    sheaf_slate_free(slate);
    return status;
}

/* Descriptors are what connections cost first: as many as the administrator allows. */
static void raise_file_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Before anything is opened: the guard is in place. */
static bool is_guarded(void)
{
    sheaf_fail_t fail;

    if (sheaf_guard_check(&fail) == SHEAF_OK)
        return true;
    fprintf(stderr, "error: %s\n", fail.detail);
    return false;
}

/* Reads the configuration, opens what did not come with the environment, looks up who the workers are. */
static sheaf_err_t prepare_run(const char *config_path, sheaf_reload_t *config, sheaf_privileges_t *privileges)
{
    const sheaf_log_conf_t *log;
    sheaf_sockets_t inherited;
    sheaf_fail_t fail;
    sheaf_err_t err;

    sheaf_handover_take(&inherited);
    err = sheaf_reload_read(config, config_path, &inherited, NULL);
    if (err != SHEAF_OK)
        return err;
    err = sheaf_privileges_find(&config->snapshot->conf, privileges, &fail);
    if (err != SHEAF_OK) {
        fprintf(stderr, "%s: error: %s\n", config_path, fail.detail);
        return err;
    }
    if (!sheaf_plughost_try(config->snapshot, privileges))
        return SHEAF_ERR_CONFIG;
    log = &config->snapshot->conf.log;
    sheaf_log_setup(log->format == SHEAF_LOG_FORMAT_JSON, (sheaf_log_severity_t)log->level, NULL);
    sheaf_handover_close_unused(&inherited, &config->sockets);
    return SHEAF_OK;
}

static int command_run(const options_t *options)
{
    sheaf_reload_t config = {.snapshot = NULL};
    sheaf_privileges_t privileges;
    int status = 1;

    if (!is_guarded())
        return 1;
    raise_file_limit();
    if (prepare_run(options->config_path, &config, &privileges) == SHEAF_OK) {
        if (config.snapshot->conf.workers > 0)
            return sheaf_supervisor_run(options->config_path, &config, &privileges);
        status = run_alone(options->config_path, &config, &privileges);
    }
    sheaf_reload_forget(&config, NULL);
    return status;
}

/* Whoever may not become the user of the workers tries as who it is. */
static bool would_open(const char *config_path, sheaf_snapshot_t *snapshot)
{
    sheaf_privileges_t privileges;
    sheaf_fail_t fail;

    if (snapshot->plugin_count == 0)
        return true;
    if (geteuid() != 0)
        return sheaf_plughost_try(snapshot, NULL);
    if (sheaf_privileges_find(&snapshot->conf, &privileges, &fail) == SHEAF_OK)
        return sheaf_plughost_try(snapshot, &privileges);
    fprintf(stderr, "%s: error: %s\n", config_path, fail.detail);
    return false;
}

static int command_check(const options_t *options)
{
    char *report = NULL;
    sheaf_snapshot_t *snapshot = sheaf_snapshot_load_file(options->config_path, &report);

    if (report != NULL && report[0] != '\0')
        fputs(report, stderr);
    free(report);
    if (snapshot == NULL)
        return 1;
    if (!would_open(options->config_path, snapshot)) {
        sheaf_snapshot_drop(snapshot);
        return 1;
    }
    printf("%s: ok: %u listeners, %u upstreams, %u routes, %u endpoints\n", options->config_path,
           snapshot->conf.listen.count, snapshot->conf.upstreams.count, snapshot->conf.routes.count,
           snapshot->conf.endpoints.count);
    sheaf_snapshot_drop(snapshot);
    return 0;
}

static int command_demo(const options_t *options)
{
    return sheaf_demo_run(options->is_once);
}

static int command_keys(const options_t *options)
{
    (void)options;
    sheaf_keys_print(stdout);
    return 0;
}

static int command_schema(const options_t *options)
{
    (void)options;
    sheaf_schema_print(stdout);
    return 0;
}

static int command_openapi(const options_t *options)
{
    char *report = NULL;
    sheaf_snapshot_t *snapshot = sheaf_snapshot_load_file(options->config_path, &report);
    bool is_printed;

    if (report != NULL && report[0] != '\0')
        fputs(report, stderr);
    free(report);
    if (snapshot == NULL)
        return 1;
    is_printed = sheaf_openapi_print(snapshot, stdout);
    sheaf_snapshot_drop(snapshot);
    return is_printed ? 0 : 1;
}

static int command_version(const options_t *options)
{
    (void)options;
    printf("sheaf %s\nlibh2o %s\nlibuv %s\nlibfyaml %s\njansson %s\nc-ares %s\nzlib %s\n%s\n", SHEAF_VERSION,
           sheaf_front_library_version(), uv_version_string(), fy_library_version(), jansson_version_str(),
           ares_version(NULL), zlibVersion(), OpenSSL_version(OPENSSL_VERSION));
    return 0;
}

static const struct command {
    const char *name;
    int (*run)(const options_t *options);
    const char *manual;
} commands[] = {
    {"run", command_run, "run [-c FILE]      serve (default " DEFAULT_CONFIG ")"},
    {"check", command_check, "check [-c FILE]    load, check, report; exit 0 or 1; opens nothing"},
    {"demo", command_demo, "demo [--once]      gateway plus demo services on loopback; --once shows a batch and exits"},
    {"keys", command_keys, "keys               the manual of every configuration key"},
    {"schema", command_schema, "schema             JSON Schema of the configuration, for editors"},
    {"openapi", command_openapi, "openapi [-c FILE]  OpenAPI 3.1 description of the endpoints"},
    {"version", command_version, "version            versions of Sheaf and its libraries"},
};

static int usage(FILE *file, int status)
{
    fprintf(file, "usage: sheaf COMMAND\n\n");
    for (size_t i = 0; i < SHEAF_COUNT(commands); i++)
        fprintf(file, "    sheaf %s\n", commands[i].manual);
    return status;
}

static bool parse_options(int argc, char **argv, options_t *options)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            options->config_path = argv[++i];
        else if (strcmp(argv[i], "--once") == 0)
            options->is_once = true;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    options_t options = {.config_path = DEFAULT_CONFIG};

    signal(SIGUSR1, SIG_IGN); /* who rotates logs may not end what only starts */
    sheaf_upgrade_remember(argv);
    if (!sheaf_secret_init())
        fprintf(stderr, "sheaf: OpenSSL has no memory of its own for private keys\n");
    if (argc >= 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return usage(stdout, 0);
    if (argc >= 2 && strcmp(argv[1], "--version") == 0)
        return command_version(&options);
    if (argc < 2 || !parse_options(argc, argv, &options))
        return usage(stderr, 2);
    sheaf_plughost_register(options.config_path);
    for (size_t i = 0; i < SHEAF_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(&options);
    }
    return usage(stderr, 2);
}
