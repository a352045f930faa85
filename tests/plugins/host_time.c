#include "tests/plugins/host_inside.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint64_t api_now_ms(sheaf_p_worker_t *host)
{
    return host->now;
}

static int64_t api_wall_s(sheaf_p_worker_t *host)
{
    return host->wall;
}

/* --- timers: in the order they are due --- */

static sheaf_p_timer_t api_timer_start(sheaf_p_worker_t *host, uint64_t after_ms, void (*on_time)(void *data),
                                       void *data)
{
    host_timer_t *timer = host_alloc(sizeof(*timer)), **at = &host->timers;

    *timer = (host_timer_t){host_next_handle(), host->now + after_ms, on_time, data, NULL};
    while (*at != NULL && (*at)->due <= timer->due)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
    return (sheaf_p_timer_t){timer->value};
}

static void api_timer_stop(sheaf_p_worker_t *host, sheaf_p_timer_t handle)
{
    for (host_timer_t **at = &host->timers; *at != NULL; at = &(*at)->next)
        if ((*at)->value == handle.value) {
            host_timer_t *timer = *at;

            *at = timer->next;
            free(timer);
            return;
        }
}

void host_wind(host_t *host, uint64_t ms)
{
    uint64_t until = host->now + ms;

    while (host->timers != NULL && host->timers->due <= until) {
        host_timer_t timer = *host->timers;

        free(host->timers);
        host->timers = timer.next;
        host->wall += (int64_t)(timer.due / 1000 - host->now / 1000);
        host->now = timer.due;
        timer.on_time(timer.data);
        host_loans_end(host);
    }
    host->wall += (int64_t)(until / 1000 - host->now / 1000);
    host->now = until;
}

void host_wall(host_t *host, int64_t seconds)
{
    host->wall = seconds;
}

uint32_t host_timers(host_t *host)
{
    uint32_t count = 0;

    for (host_timer_t *timer = host->timers; timer != NULL; timer = timer->next)
        count++;
    return count;
}

/* --- descriptors --- */

static host_watch_t **watch_at(host_t *host, uint64_t value)
{
    host_watch_t **at = &host->watches;

    while (*at != NULL && (*at)->value != value)
        at = &(*at)->next;
    return at;
}

static sheaf_p_watch_t api_watch(sheaf_p_worker_t *host, int fd, uint32_t events,
                                 void (*on_event)(void *data, uint32_t events), void *data)
{
    host_watch_t *watch = host_alloc(sizeof(*watch));

    *watch = (host_watch_t){host_next_handle(), fd, events, on_event, data, host->watches};
    host->watches = watch;
    return (sheaf_p_watch_t){watch->value};
}

static int api_watch_change(sheaf_p_worker_t *host, sheaf_p_watch_t handle, uint32_t events)
{
    host_watch_t *watch = *watch_at(host, handle.value);

    if (watch == NULL)
        return -1;
    watch->events = events;
    return 0;
}

static void api_watch_stop(sheaf_p_worker_t *host, sheaf_p_watch_t handle)
{
    host_watch_t **at = watch_at(host, handle.value), *watch = *at;

    if (watch == NULL)
        return;
    *at = watch->next;
    free(watch);
}

static uint32_t called_back(host_t *host, uint64_t value, short revents)
{
    host_watch_t *watch = *watch_at(host, value);
    uint32_t events = ((revents & (POLLIN | POLLHUP | POLLERR)) != 0 ? SHEAF_P_READABLE : 0) |
                      ((revents & (POLLOUT | POLLERR)) != 0 ? SHEAF_P_WRITABLE : 0);

    if (watch == NULL || (events &= watch->events) == 0)
        return 0;
    watch->on_event(watch->data, events);
    host_loans_end(host);
    return 1;
}

uint32_t host_poll(host_t *host, int timeout_ms)
{
    struct pollfd fds[64];
    uint64_t values[64];
    nfds_t count = 0;
    uint32_t called = 0;

    for (host_watch_t *watch = host->watches; watch != NULL && count < 64; watch = watch->next) {
        fds[count] = (struct pollfd){.fd = watch->fd};
        fds[count].events = (short)(((watch->events & SHEAF_P_READABLE) != 0 ? POLLIN : 0) |
                                    ((watch->events & SHEAF_P_WRITABLE) != 0 ? POLLOUT : 0));
        values[count++] = watch->value;
    }
    if (poll(fds, count, timeout_ms) <= 0)
        return 0;
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].revents != 0)
            called += called_back(host, values[i], fds[i].revents);
    return called;
}

/* --- calls --- */

static sheaf_p_str_t copy_text(sheaf_p_str_t text)
{
    return text.base == NULL ? text : sheaf_p_str(host_copy(text.base, text.len), text.len);
}

static sheaf_p_call_t api_call(sheaf_p_worker_t *host, const sheaf_p_request_t *request)
{
    host_wait_t *wait = host_alloc(sizeof(*wait)), **at = &host->calls;

    if (request->size != sizeof(*request) || request->on_answer == NULL)
        host_wrong("no request of this ABI", host->plugin->name);
    wait->value = host_next_handle();
    wait->request = *request;
    wait->request.method = copy_text(request->method);
    wait->request.target = copy_text(request->target);
    wait->request.body = copy_text(request->body);
    wait->fields = host_alloc((request->field_count + 1) * sizeof(*wait->fields));
    for (uint32_t i = 0; i < request->field_count; i++)
        wait->fields[i] = (sheaf_p_field_t){copy_text(request->fields[i].name), copy_text(request->fields[i].value)};
    wait->request.fields = wait->fields;
    while (*at != NULL)
        at = &(*at)->next;
    *at = wait;
    return (sheaf_p_call_t){wait->value};
}

static void wait_free(host_wait_t *wait)
{
    for (uint32_t i = 0; i < wait->request.field_count; i++) {
        free((char *)wait->fields[i].name.base);
        free((char *)wait->fields[i].value.base);
    }
    free(wait->fields);
    free((char *)wait->request.method.base);
    free((char *)wait->request.target.base);
    free((char *)wait->request.body.base);
    free(wait);
}

static void api_call_cancel(sheaf_p_worker_t *host, sheaf_p_call_t handle)
{
    for (host_wait_t **at = &host->calls; *at != NULL; at = &(*at)->next)
        if ((*at)->value == handle.value) {
            host_wait_t *wait = *at;

            *at = wait->next;
            wait_free(wait);
            return;
        }
}

uint32_t host_calls(host_t *host)
{
    uint32_t count = 0;

    for (host_wait_t *wait = host->calls; wait != NULL; wait = wait->next)
        count++;
    return count;
}

const sheaf_p_request_t *host_call(host_t *host)
{
    return host->calls == NULL ? NULL : &host->calls->request;
}

const char *host_call_field(host_t *host, const char *name)
{
    for (uint32_t i = 0; host->calls != NULL && i < host->calls->request.field_count; i++)
        if (strcasecmp(host->calls->fields[i].name.base, name) == 0)
            return host->calls->fields[i].value.base;
    return "";
}

static uint32_t answer_fields(host_t *host, const char *fields, sheaf_p_field_t *ret_fields, uint32_t room)
{
    uint32_t count = 0;

    while (fields != NULL && *fields != '\0' && count < room) {
        size_t line = strcspn(fields, "\n"), name = strcspn(fields, ":"), from = name + 1;

        if (name >= line)
            host_wrong("no field", fields);
        from += strspn(fields + from, " ");
        ret_fields[count].name = host_lend(host, fields, name);
        ret_fields[count++].value = host_lend(host, fields + from, line - from);
        fields += line + (fields[line] == '\n');
    }
    return count;
}

void host_call_answer(host_t *host, uint32_t status, const char *fields, const char *body)
{
    host_wait_t *wait = host->calls;
    sheaf_p_field_t list[32];
    uint32_t count = answer_fields(host, fields, list, 32);
    sheaf_p_str_t bytes = {"", 0};

    if (wait == NULL)
        host_wrong("there is no call to answer", body);
    host->calls = wait->next;
    if (status != 0)
        bytes = host_lend(host, body, strlen(body));
    wait->request.on_answer(wait->request.data, status, list, count, bytes, status == 0 ? body : NULL);
    host_loans_end(host);
    wait_free(wait);
}

void host_time_free(host_t *host)
{
    while (host->timers != NULL)
        api_timer_stop(host, (sheaf_p_timer_t){host->timers->value});
    while (host->watches != NULL)
        api_watch_stop(host, (sheaf_p_watch_t){host->watches->value});
    while (host->calls != NULL)
        api_call_cancel(host, (sheaf_p_call_t){host->calls->value});
}

void host_time_api(sheaf_p_api_t *api)
{
    api->now_ms = api_now_ms;
    api->wall_s = api_wall_s;
    api->timer_start = api_timer_start;
    api->timer_stop = api_timer_stop;
    api->watch = api_watch;
    api->watch_change = api_watch_change;
    api->watch_stop = api_watch_stop;
    api->call = api_call;
    api->call_cancel = api_call_cancel;
}
