#include "gateway/run/plughost.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/run/cycle.h"
#include "gateway/run/plughost_inside.h"

sheaf_plughost_t *sheaf_the_plughost;

/* --- shared objects --- */

static char folder[4096]; /* of the configuration, ends with a slash; "" before it is known */

static void say(sheaf_fail_t *fail, const char *why)
{
    sheaf_fail(fail, SHEAF_ERR_CONFIG, "%.200s", why != NULL ? why : "nobody knows why");
}

/* dlopen looks for a name without a slash in the system's folders: ours always has one. */
static const sheaf_plugin_t *open_object(const char *path, sheaf_fail_t *fail)
{
    char full[8192];
    const sheaf_plugin_t *plugin;
    void *object;

    snprintf(full, sizeof(full), "%s%s", path[0] == '/' ? "" : folder, path);
    object = dlopen(full, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        say(fail, dlerror());
        return NULL;
    }
    plugin = dlsym(object, "sheaf_plugin");
    if (plugin == NULL) {
        say(fail, "it has no symbol `sheaf_plugin`");
        dlclose(object);
    }
    return plugin; /* it stays: what it made may outlive any configuration */
}

void sheaf_plughost_register(const char *config_path)
{
    const char *slash = strrchr(config_path, '/');
    char here[4096] = "";

    if (config_path[0] != '/' && getcwd(here, sizeof(here) - 1) != NULL)
        strcat(here, "/");
    snprintf(folder, sizeof(folder), "%.2000s%.*s", here, slash == NULL ? 0 : (int)(slash - config_path) + 1,
             config_path);
    if (folder[0] == '\0')
        strcpy(folder, "./");
    sheaf_plugin_register(open_object);
}

/* --- the host --- */

sheaf_plughost_t *sheaf_plughost_new(const sheaf_plughost_env_t *env)
{
    sheaf_plughost_t *host = sheaf_zalloc(sizeof(*host));

    host->env = *env;
    host->scratch = sheaf_pool_new();
    sheaf_handles_init(&host->handles);
    sheaf_list_init(&host->guests);
    sheaf_the_plughost = host;
    return host;
}

void sheaf_plughost_free(sheaf_plughost_t *host)
{
    if (host == NULL)
        return;
    sheaf_handles_fini(&host->handles);
    sheaf_pool_free(host->scratch);
    sheaf_the_plughost = NULL;
    free(host);
}

sheaf_p_worker_t *sheaf_plug_enter(sheaf_p_worker_t *instance)
{
    sheaf_plughost_t *host = instance->guests->host;
    sheaf_p_worker_t *before = host->current;

    host->current = instance;
    return before;
}

void sheaf_plug_leave(sheaf_p_worker_t *instance, sheaf_p_worker_t *before)
{
    sheaf_plughost_t *host = instance->guests->host;

    host->current = before;
    if (before != NULL || !host->is_used)
        return;
    sheaf_pool_reset(host->scratch);
    host->is_used = false;
}

void sheaf_plug_fault(const sheaf_p_worker_t *instance, const char *what)
{
    sheaf_log_line_t line;

    sheaf_count(instance->guests->host->env.metrics, SHEAF_METRIC_PLUGIN_FAULTS, 1);
    sheaf_log_begin(&line, SHEAF_LOG_ERROR, "plugin");
    sheaf_log_str(&line, "plugin", instance->conf->name);
    sheaf_log_str(&line, "fault", sheaf_str_of(what));
    sheaf_log_end(&line);
}

/* --- instances --- */

static bool map_shared(sheaf_p_worker_t *instance, int fd, sheaf_fail_t *fail)
{
    size_t size = (size_t)instance->conf->shared_bytes;
    void *memory;

    if (size == 0)
        return true;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        sheaf_fail(fail, SHEAF_ERR_SYSTEM, "plugin %.*s: no %zu bytes of shared memory are to be had",
                   SHEAF_STR_ARG(instance->conf->name), size);
        return false;
    }
    instance->shared = memory;
    return true;
}

static bool open_self(sheaf_p_worker_t *instance, sheaf_fail_t *fail)
{
    const sheaf_plugin_t *plugin = instance->conf->plugin;
    sheaf_p_fail_t why = {.key = "", .why = "it cannot be opened"};
    sheaf_p_open_t open = {
        .size = sizeof(open),
        .worker_number = instance->guests->host->env.worker_number,
        .api = &sheaf_plugapi,
        .worker = instance,
        .values = instance->conf->values,
        .shared = instance->shared,
        .shared_bytes = instance->conf->shared_bytes,
    };
    sheaf_p_worker_t *before;

    if (plugin->open == NULL)
        return true;
    before = sheaf_plug_enter(instance);
    instance->self = plugin->open(&open, &why);
    sheaf_plug_leave(instance, before);
    if (instance->self != NULL)
        return true;
    sheaf_fail(fail, SHEAF_ERR_CONFIG, "plugin %.*s: %.63s%s%.190s", SHEAF_STR_ARG(instance->conf->name), why.key,
               why.key[0] != '\0' ? ": " : "", why.why);
    return false;
}

static void end_waits(sheaf_p_worker_t *instance)
{
    for (sheaf_link_t *link; (link = instance->waits.next) != &instance->waits;) {
        sheaf_wait_t *wait = SHEAF_OWNER(link, sheaf_wait_t, link);

        wait->end(wait);
    }
}

static void unmap(sheaf_p_worker_t *instance)
{
    if (instance->shared != NULL)
        munmap(instance->shared, (size_t)instance->conf->shared_bytes);
}

static bool open_instance(sheaf_guests_t *guests, uint32_t number, int fd, sheaf_fail_t *fail)
{
    sheaf_p_worker_t *instance = &guests->instances[number];

    instance->guests = guests;
    instance->conf = guests->snapshot->plugins[number];
    sheaf_list_init(&instance->waits);
    sheaf_plugcount_find(instance);
    if (map_shared(instance, fd, fail) && open_self(instance, fail))
        return true;
    end_waits(instance);
    unmap(instance);
    return false;
}

static void close_instance(sheaf_p_worker_t *instance)
{
    sheaf_p_worker_t *before = sheaf_plug_enter(instance);

    if (instance->conf->plugin->close != NULL)
        instance->conf->plugin->close(instance->self);
    sheaf_plug_leave(instance, before);
    end_waits(instance);
    unmap(instance);
}

/* --- who is asked where --- */

static void add_to(sheaf_chain_t *chain, sheaf_guests_t *guests, const sheaf_plugins_t *plugins)
{
    for (uint32_t i = 0; i < plugins->count; i++)
        chain->items[chain->count++] = &guests->instances[plugins->items[i]->number];
}

static void build_chain(sheaf_chain_t *chain, sheaf_guests_t *guests, const sheaf_plugins_t *a,
                        const sheaf_plugins_t *b)
{
    chain->items = sheaf_zalloc((a->count + b->count + 1) * sizeof(*chain->items));
    add_to(chain, guests, a);
    add_to(chain, guests, b);
}

static void build_chains(sheaf_guests_t *guests)
{
    const sheaf_conf_t *conf = &guests->snapshot->conf;
    const sheaf_plugins_t none = {NULL, 0};

    guests->endpoints = sheaf_zalloc((conf->endpoints.count + 1) * sizeof(sheaf_chain_t));
    guests->routes = sheaf_zalloc((conf->routes.count + 1) * sizeof(sheaf_chain_t));
    build_chain(&guests->global, guests, &conf->plugins, &none);
    for (uint32_t i = 0; i < conf->endpoints.count; i++)
        build_chain(&guests->endpoints[i], guests, &conf->plugins, &conf->endpoints.items[i].plugins);
    for (uint32_t i = 0; i < conf->routes.count; i++)
        build_chain(&guests->routes[i], guests, &conf->routes.items[i].plugins, &none);
}

/* --- the guests of an epoch --- */

static void close_all(sheaf_guests_t *guests)
{
    while (guests->count > 0)
        close_instance(&guests->instances[--guests->count]);
}

sheaf_guests_t *sheaf_guests_open(sheaf_plughost_t *host, sheaf_snapshot_t *snapshot, const int *shared_fds,
                                  sheaf_fail_t *fail)
{
    sheaf_guests_t *guests;

    *fail = (sheaf_fail_t){.err = SHEAF_OK};
    if (snapshot->plugin_count == 0)
        return NULL;
    guests = sheaf_zalloc(sizeof(*guests));
    guests->host = host;
    guests->snapshot = snapshot;
    guests->instances = sheaf_zalloc(snapshot->plugin_count * sizeof(*guests->instances));
    sheaf_plugask_init(&guests->hooks);
    while (guests->count < snapshot->plugin_count) {
        if (open_instance(guests, guests->count, shared_fds == NULL ? -1 : shared_fds[guests->count], fail)) {
            guests->count++;
            continue;
        }
        close_all(guests);
        free(guests->instances);
        free(guests);
        return NULL;
    }
    build_chains(guests);
    sheaf_list_push_back(&host->guests, &guests->link);
    return guests;
}

void sheaf_guests_use(sheaf_guests_t *guests, sheaf_dispatch_t *dispatch)
{
    if (guests == NULL)
        return;
    guests->dispatch = dispatch;
    for (uint32_t i = 0; i < guests->count; i++) {
        sheaf_link_t *waits = &guests->instances[i].waits;

        for (sheaf_link_t *link = waits->next; link != waits; link = link->next) {
            sheaf_wait_t *wait = SHEAF_OWNER(link, sheaf_wait_t, link);

            if (wait->use != NULL)
                wait->use(wait);
        }
    }
}

sheaf_hooks_t *sheaf_guests_hooks(sheaf_guests_t *guests)
{
    return guests == NULL ? NULL : &guests->hooks;
}

void sheaf_guests_close(sheaf_guests_t *guests)
{
    const sheaf_conf_t *conf;

    if (guests == NULL)
        return;
    conf = &guests->snapshot->conf;
    sheaf_list_remove(&guests->link);
    close_all(guests);
    for (uint32_t i = 0; i < conf->endpoints.count; i++)
        free(guests->endpoints[i].items);
    for (uint32_t i = 0; i < conf->routes.count; i++)
        free(guests->routes[i].items);
    free(guests->global.items);
    free(guests->endpoints);
    free(guests->routes);
    free(guests->instances);
    free(guests);
}

/* --- files --- */

static void reopen_instance(sheaf_p_worker_t *instance)
{
    sheaf_p_worker_t *before;

    if (instance->conf->plugin->on_reopen == NULL)
        return;
    before = sheaf_plug_enter(instance);
    instance->conf->plugin->on_reopen(instance->self);
    sheaf_plug_leave(instance, before);
}

void sheaf_plughost_reopen(sheaf_plughost_t *host)
{
    for (sheaf_link_t *link = host->guests.next; link != &host->guests; link = link->next) {
        sheaf_guests_t *guests = SHEAF_OWNER(link, sheaf_guests_t, link);

        for (uint32_t i = 0; i < guests->count; i++)
            reopen_instance(&guests->instances[i]);
    }
}

/* --- a try --- */

static int try_all(sheaf_snapshot_t *snapshot, const sheaf_privileges_t *privileges)
{
    sheaf_cycle_t *cycle = sheaf_zalloc(sizeof(*cycle));
    sheaf_plughost_env_t env = {&cycle->loop, &cycle->clock, &cycle->deadlines, &cycle->soon, NULL, NULL, 0};
    sheaf_guests_t *guests;
    sheaf_fail_t fail;

    if (privileges != NULL && sheaf_privileges_take(privileges, &fail) != SHEAF_OK) {
        fprintf(stderr, "error: %s\n", fail.detail);
        return 1;
    }
    sheaf_cycle_start(cycle);
    guests = sheaf_guests_open(sheaf_plughost_new(&env), snapshot, NULL, &fail);
    if (fail.err != SHEAF_OK)
        fprintf(stderr, "error: %s\n", fail.detail);
    sheaf_guests_close(guests);
    return fail.err == SHEAF_OK ? 0 : 1;
}

bool sheaf_plughost_try(sheaf_snapshot_t *snapshot, const sheaf_privileges_t *privileges)
{
    int status = 1;
    pid_t pid;

    if (snapshot->plugin_count == 0)
        return true;
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(try_all(snapshot, privileges));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFSIGNALED(status))
        fprintf(stderr, "error: a plugin crashed while it was opened (signal %d)\n", WTERMSIG(status));
    return status == 0;
}
