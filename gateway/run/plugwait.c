/* run/plugwait.c - timers and watched descriptors of plugins. */
#include <stdlib.h>

#include "gateway/run/plughost_inside.h"

static sheaf_plughost_t *host_of(const sheaf_p_worker_t *worker)
{
    return worker->guests->host;
}

void sheaf_plugwait_begin(sheaf_wait_t *wait, sheaf_p_worker_t *worker, sheaf_handle_kind_t kind,
                          void (*end)(sheaf_wait_t *wait))
{
    wait->worker = worker;
    wait->end = end;
    wait->handle = sheaf_handles_take(&host_of(worker)->handles, kind, wait);
    sheaf_list_push_back(&worker->waits, &wait->link);
}

void sheaf_plugwait_over(sheaf_wait_t *wait)
{
    sheaf_list_remove(&wait->link);
    sheaf_handles_drop(&host_of(wait->worker)->handles, wait->handle);
}

/* One of that instance; another's is none. */
sheaf_wait_t *sheaf_plugwait_find(sheaf_p_worker_t *worker, sheaf_handle_kind_t kind, uint64_t handle)
{
    sheaf_wait_t *wait = sheaf_handles_find(&host_of(worker)->handles, kind, handle);

    return wait != NULL && wait->worker == worker ? wait : NULL;
}

/* --- timers --- */

typedef struct plug_timer {
    sheaf_wait_t wait;
    sheaf_deadline_t deadline;
    void (*on_time)(void *data);
    void *data;
} plug_timer_t;

static void end_timer(sheaf_wait_t *wait)
{
    plug_timer_t *timer = SHEAF_OWNER(wait, plug_timer_t, wait);

    sheaf_deadline_clear(host_of(wait->worker)->env.deadlines, &timer->deadline);
    sheaf_plugwait_over(wait);
    free(timer);
}

static void on_expired(sheaf_deadline_t *node)
{
    plug_timer_t *timer = SHEAF_OWNER(node, plug_timer_t, deadline);
    sheaf_p_worker_t *worker = timer->wait.worker, *before;
    void (*on_time)(void *data) = timer->on_time;
    void *data = timer->data;

    end_timer(&timer->wait);
    before = sheaf_plug_enter(worker);
    on_time(data);
    sheaf_plug_leave(worker, before);
}

sheaf_p_timer_t sheaf_plugwait_timer(sheaf_p_worker_t *worker, uint64_t after_ms, void (*on_time)(void *data),
                                     void *data)
{
    plug_timer_t *timer = sheaf_zalloc(sizeof(*timer));
    uint64_t now = host_of(worker)->env.clock->now_ms, most = UINT64_C(1) << 40;

    timer->on_time = on_time;
    timer->data = data;
    timer->deadline.on_expired = on_expired;
    sheaf_plugwait_begin(&timer->wait, worker, SHEAF_HANDLE_TIMER, end_timer);
    sheaf_deadline_set(host_of(worker)->env.deadlines, &timer->deadline, now + (after_ms < most ? after_ms : most));
    return (sheaf_p_timer_t){timer->wait.handle};
}

void sheaf_plugwait_timer_stop(sheaf_p_worker_t *worker, sheaf_p_timer_t timer)
{
    sheaf_wait_t *wait = sheaf_plugwait_find(worker, SHEAF_HANDLE_TIMER, timer.value);

    if (wait != NULL)
        end_timer(wait);
}

/* --- descriptors --- */

typedef struct plug_watch {
    sheaf_wait_t wait;
    uv_poll_t poll;
    void (*on_event)(void *data, uint32_t events);
    void *data;
} plug_watch_t;

static void on_poll_closed(uv_handle_t *handle)
{
    free(SHEAF_OWNER(handle, plug_watch_t, poll));
}

static void end_watch(sheaf_wait_t *wait)
{
    plug_watch_t *watch = SHEAF_OWNER(wait, plug_watch_t, wait);

    sheaf_plugwait_over(wait);
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, on_poll_closed);
}

/* A descriptor that cannot be polled any more is told as one that is ready: reading it says why. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    plug_watch_t *watch = SHEAF_OWNER(poll, plug_watch_t, poll);
    sheaf_p_worker_t *worker = watch->wait.worker, *before = sheaf_plug_enter(worker);
    uint32_t told = 0;

    sheaf_clock_refresh(host_of(worker)->env.clock);
    if (status < 0 || (events & UV_READABLE) != 0)
        told |= SHEAF_P_READABLE;
    if (status < 0 || (events & UV_WRITABLE) != 0)
        told |= SHEAF_P_WRITABLE;
    watch->on_event(watch->data, told);
    sheaf_plug_leave(worker, before);
}

static int start_poll(plug_watch_t *watch, uint32_t events)
{
    int wanted = 0;

    if ((events & SHEAF_P_READABLE) != 0)
        wanted |= UV_READABLE;
    if ((events & SHEAF_P_WRITABLE) != 0)
        wanted |= UV_WRITABLE;
    return wanted == 0 ? uv_poll_stop(&watch->poll) : uv_poll_start(&watch->poll, wanted, on_poll);
}

sheaf_p_watch_t sheaf_plugwait_watch(sheaf_p_worker_t *worker, int fd, uint32_t events,
                                     void (*on_event)(void *data, uint32_t events), void *data)
{
    plug_watch_t *watch = sheaf_zalloc(sizeof(*watch));

    watch->on_event = on_event;
    watch->data = data;
    if (uv_poll_init(host_of(worker)->env.loop, &watch->poll, fd) != 0) {
        free(watch);
        return (sheaf_p_watch_t){0};
    }
    sheaf_plugwait_begin(&watch->wait, worker, SHEAF_HANDLE_WATCH, end_watch);
    if (start_poll(watch, events) == 0)
        return (sheaf_p_watch_t){watch->wait.handle};
    end_watch(&watch->wait);
    return (sheaf_p_watch_t){0};
}

int sheaf_plugwait_watch_change(sheaf_p_worker_t *worker, sheaf_p_watch_t watch, uint32_t events)
{
    sheaf_wait_t *wait = sheaf_plugwait_find(worker, SHEAF_HANDLE_WATCH, watch.value);

    return wait != NULL && start_poll(SHEAF_OWNER(wait, plug_watch_t, wait), events) == 0 ? 0 : -1;
}

void sheaf_plugwait_watch_stop(sheaf_p_worker_t *worker, sheaf_p_watch_t watch)
{
    sheaf_wait_t *wait = sheaf_plugwait_find(worker, SHEAF_HANDLE_WATCH, watch.value);

    if (wait != NULL)
        end_watch(wait);
}
