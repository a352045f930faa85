/* tests/plugins/rogue/waiter.c - a plugin that waits in every way there is, and ends its waits where it is hardest: inside their own
 * callbacks, when its request is over, when it is closed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/sheaf_plugin.h"

enum { UPSTREAM };

static const sheaf_p_key_t keys[] = {
    {.name = "upstream", .type = SHEAF_P_UPSTREAM, .required = 1, .manual = "Whom it asks."},
    {.name = NULL},
};

enum { WATCHED, TIMED, ANSWERED, STALE };

static const sheaf_p_counter_t counters[] = {{"watched", "Descriptors that were ready."},
                                             {"timed", "Timers that ran out."},
                                             {"answered", "Calls that were answered."},
                                             {"stale", "Words for what had ended."},
                                             {NULL, NULL}};

typedef struct waiter {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    int64_t upstream;
} waiter_t;

/* One thing that is waited for. */
typedef struct wait {
    waiter_t *self;
    sheaf_p_ref_t ref;
    sheaf_p_watch_t watch;
    sheaf_p_timer_t timer;
    sheaf_p_call_t call;
    int fds[2];
} wait_t;

static wait_t *wait_new(waiter_t *self, sheaf_p_ref_t ref)
{
    wait_t *wait = calloc(1, sizeof(*wait));

    if (wait == NULL || pipe(wait->fds) != 0)
        abort();
    wait->self = self;
    wait->ref = ref;
    return wait;
}

static void wait_free(wait_t *wait)
{
    close(wait->fds[0]);
    close(wait->fds[1]);
    free(wait);
}

static void on_nothing(void *data)
{
    (void)data;
}

static void on_no_event(void *data, uint32_t events)
{
    (void)data;
    (void)events;
}

static void on_no_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t field_count,
                         sheaf_p_str_t body, const char *error)
{
    (void)data;
    (void)status;
    (void)fields;
    (void)field_count;
    (void)body;
    (void)error;
}

static sheaf_p_call_t call(const waiter_t *self, void *data,
                           void (*on_answer)(void *, uint32_t, const sheaf_p_field_t *, uint32_t, sheaf_p_str_t,
                                             const char *))
{
    const sheaf_p_request_t request = {
        .size = sizeof(request),
        .upstream = self->upstream,
        .method = {"GET", 3},
        .target = {"/text", 5},
        .data = data,
        .on_answer = on_answer,
    };

    return self->api->call(self->worker, &request);
}

/* One of each kind that nobody ends. */
static void leave(const waiter_t *self, int fd)
{
    self->api->timer_start(self->worker, 5, on_nothing, NULL);
    self->api->watch(self->worker, fd, SHEAF_P_READABLE, on_no_event, NULL);
    call(self, NULL, on_no_answer);
}

/* --- callbacks: each ends itself, and begins and ends another of its kind --- */

static void on_event(void *data, uint32_t events)
{
    wait_t *wait = data;
    waiter_t *self = wait->self;
    sheaf_p_watch_t other;

    (void)events;
    self->api->count(self->worker, WATCHED, 1);
    self->api->watch_stop(self->worker, wait->watch);
    self->api->watch_stop(self->worker, wait->watch);
    other = self->api->watch(self->worker, wait->fds[1], SHEAF_P_WRITABLE, on_no_event, NULL);
    self->api->watch_stop(self->worker, other);
    if (self->api->watch_change(self->worker, other, SHEAF_P_READABLE) == -1)
        self->api->count(self->worker, STALE, 1);
    self->api->resume(wait->ref);
    wait_free(wait);
}

static void on_time(void *data)
{
    wait_t *wait = data;
    waiter_t *self = wait->self;

    self->api->count(self->worker, TIMED, 1);
    self->api->timer_stop(self->worker, wait->timer);
    self->api->timer_stop(self->worker, self->api->timer_start(self->worker, 0, on_nothing, NULL));
    self->api->answer(wait->ref, 200, "text/plain", sheaf_p_str("timed", 5));
    wait_free(wait);
}

static void on_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t field_count,
                      sheaf_p_str_t body, const char *error)
{
    wait_t *wait = data;
    waiter_t *self = wait->self;

    (void)fields;
    (void)field_count;
    (void)body;
    (void)error;
    self->api->count(self->worker, ANSWERED, status == 200);
    self->api->call_cancel(self->worker, wait->call);
    self->api->call_cancel(self->worker, call(self, NULL, on_no_answer));
    if (self->api->resume(wait->ref) == -1)
        self->api->count(self->worker, STALE, 1);
    wait_free(wait);
}

/* --- hooks --- */

static sheaf_p_verdict_t on_item(void *data, sheaf_p_ref_t item)
{
    waiter_t *self = data;
    sheaf_p_str_t what;
    wait_t *wait;

    if (!self->api->header(item, SHEAF_P_QUESTION, "x-wait", 0, &what) || what.len == 0)
        return SHEAF_P_PASS;
    wait = wait_new(self, item);
    if (what.base[0] == 'w') {
        wait->watch = self->api->watch(self->worker, wait->fds[0], SHEAF_P_READABLE, on_event, wait);
        if (write(wait->fds[1], "", 1) != 1)
            abort();
    } else if (what.base[0] == 't') {
        wait->timer = self->api->timer_start(self->worker, 300, on_time, wait);
    } else {
        wait->call = call(self, wait, on_answer);
    }
    return SHEAF_P_LATER;
}

/* A call that outlives its request. */
static void on_done(void *data, sheaf_p_ref_t request)
{
    waiter_t *self = data;
    sheaf_p_str_t value;
    wait_t *wait;

    if (!self->api->header(request, SHEAF_P_CLIENT, "x-wait-done", 0, &value))
        return;
    wait = wait_new(self, request);
    wait->call = call(self, wait, on_answer);
}

static void *waiter_open(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    waiter_t *self = calloc(1, sizeof(*self));

    (void)fail;
    if (self == NULL)
        return NULL;
    self->api = open->api;
    self->worker = open->worker;
    self->upstream = open->values[UPSTREAM].number;
    leave(self, STDIN_FILENO);
    return self;
}

static void waiter_close(void *data)
{
    waiter_t *self = data;

    leave(self, STDERR_FILENO);
    free(self);
}

SHEAF_PLUGIN(waiter) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "waiter",
    .version = "1.0",
    .manual = "Waits in every way.",
    .keys = keys,
    .counters = counters,
    .open = waiter_open,
    .close = waiter_close,
    .on_item = on_item,
    .on_done = on_done,
};
