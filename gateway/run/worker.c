#include "gateway/run/worker.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

#include "gateway/base/log.h"
#include "gateway/front/front.h"
#include "gateway/run/beat.h"
#include "gateway/run/control.h"
#include "gateway/run/cycle.h"
#include "gateway/run/epochs.h"
#include "gateway/run/handover.h"
#include "gateway/run/notify.h"
#include "gateway/run/plughost.h"
#include "gateway/run/reload.h"
#include "gateway/upstream/upstream.h"

typedef struct {
    const sheaf_worker_setup_t *setup;
    sheaf_cycle_t cycle;
    uv_timer_t drain_timer;
    sheaf_beat_t beat;
    uv_poll_t control;
    uv_signal_t signals[5];
    sheaf_metrics_t *metrics;
    sheaf_upstreams_t *upstreams;
    sheaf_epochs_t epochs;
    sheaf_plughost_t *plughost;
    sheaf_guests_t *pending_guests; /* of the reload that is pending */
    sheaf_front_t *front;
    sheaf_snapshot_t *snapshot;
    sheaf_sockets_t sockets;
    sheaf_shares_t shares;
    sheaf_reload_t pending;
    uint32_t generation;
    sheaf_tickets_t *tickets;
    sheaf_deadline_t rotation; /* of their keys, when this process is alone */
    enum { SERVING, UNREADY, DRAINING, ENDING } stage;
    bool is_retiring; /* the gateway goes on without it */
} worker_t;

/* --- epochs --- */

static void open_epoch(worker_t *worker, sheaf_snapshot_t *snapshot, sheaf_guests_t *guests)
{
    const sheaf_batch_env_t lent = {
        .clock = &worker->cycle.clock,
        .deadlines = &worker->cycle.deadlines,
        .soon = &worker->cycle.soon,
        .metrics = worker->metrics,
    };

    /* takes the first hold */
    sheaf_front_set_epoch(worker->front, sheaf_epochs_open(&worker->epochs, &lent, snapshot, guests));
    sheaf_snapshot_hold(snapshot);
    sheaf_snapshot_drop(worker->snapshot);
    worker->snapshot = snapshot;
    sheaf_beat_start(&worker->beat, worker->setup->control_fd >= 0 ? snapshot->conf.stuck_after_ms : 0);
}

/* --- keys of session tickets: the supervisor's business, or ours when there is none --- */

static void rotate_tickets(worker_t *worker)
{
    uint64_t next_ms;

    if (worker->setup->tickets != NULL || worker->tickets == NULL)
        return;
    next_ms = sheaf_tickets_rotate(worker->tickets, worker->cycle.clock.now_ms,
                                   sheaf_tickets_period_ms(&worker->snapshot->conf));
    sheaf_deadline_set(&worker->cycle.deadlines, &worker->rotation, next_ms);
}

static void on_rotation(sheaf_deadline_t *node)
{
    rotate_tickets(SHEAF_OWNER(node, worker_t, rotation));
}

/* --- reload --- */

static void accept_from(worker_t *worker, const sheaf_sockets_t *sockets)
{
    sheaf_fail_t fail;

    for (uint32_t i = 0; i < sockets->count; i++) {
        const sheaf_socket_t *socket = &sockets->items[i];
        if (sheaf_sockets_find(&worker->sockets, socket) >= 0)
            continue;
        if (sheaf_front_listen(worker->front, socket->fd, sheaf_str_of(socket->text), socket->is_admin, &fail) !=
            SHEAF_OK)
            sheaf_log(SHEAF_LOG_ERROR, "listen", "%s: %s", socket->text, fail.detail);
    }
}

static void commit(worker_t *worker)
{
    sheaf_reload_t *reload = &worker->pending;
    const sheaf_log_conf_t *log = &reload->snapshot->conf.log;

    sheaf_log_setup(log->format == SHEAF_LOG_FORMAT_JSON, (sheaf_log_severity_t)log->level, worker->metrics);
    open_epoch(worker, reload->snapshot, worker->pending_guests);
    worker->pending_guests = NULL;
    rotate_tickets(worker);
    accept_from(worker, &reload->sockets);
    for (uint32_t i = 0; i < worker->sockets.count; i++) {
        if (sheaf_sockets_find(&reload->sockets, &worker->sockets.items[i]) < 0)
            sheaf_front_unlisten(worker->front, worker->sockets.items[i].fd);
    }
    worker->sockets = reload->sockets;
    sheaf_shares_close(&worker->shares, &reload->shares);
    worker->shares = reload->shares;
    sheaf_reload_forget(reload, NULL);
}

/* --- a reload that is pending --- */

static void forget_pending(worker_t *worker)
{
    sheaf_guests_close(worker->pending_guests);
    worker->pending_guests = NULL;
    sheaf_reload_forget(&worker->pending, &worker->sockets);
}

/* Plugins may refuse it. */
static bool prepare_guests(worker_t *worker)
{
    int fds[SHEAF_PLUGINS_MAX];
    sheaf_fail_t fail;

    sheaf_shares_fds(&worker->pending.shares, worker->pending.snapshot, fds);
    worker->pending_guests = sheaf_guests_open(worker->plughost, worker->pending.snapshot, fds, &fail);
    if (fail.err == SHEAF_OK)
        return true;
    sheaf_log(SHEAF_LOG_ERROR, "reload", "%s", fail.detail);
    forget_pending(worker);
    return false;
}

static void on_hangup(uv_signal_t *handle, int signum)
{
    worker_t *worker = handle->data;
    sheaf_err_t err;

    (void)signum;
    if (worker->stage != SERVING || worker->setup->config_path == NULL)
        return;
    sheaf_notify_reloading();
    err = sheaf_reload_read(&worker->pending, worker->setup->config_path, &worker->sockets, &worker->shares);
    if (err == SHEAF_OK && !prepare_guests(worker))
        err = SHEAF_ERR_CONFIG;
    sheaf_notify("READY=1");
    sheaf_count(worker->metrics, err == SHEAF_OK ? SHEAF_METRIC_RELOADS_OK : SHEAF_METRIC_RELOADS_FAILED, 1);
    if (err != SHEAF_OK)
        return;
    commit(worker);
    sheaf_sockets_set_modes(&worker->snapshot->conf);
    sheaf_log(SHEAF_LOG_INFO, "reload", "%s is in use", worker->setup->config_path);
}

static void on_prepare_note(worker_t *worker, const sheaf_note_t *note)
{
    sheaf_note_t answer = {.kind = SHEAF_NOTE_PREPARED, .generation = note->generation};

    forget_pending(worker);
    worker->generation = note->generation;
    if (sheaf_reload_receive(&worker->pending, note, &worker->sockets) != SHEAF_OK || !prepare_guests(worker))
        answer.kind = SHEAF_NOTE_REFUSED;
    sheaf_control_send(worker->setup->control_fd, &answer);
}

/* --- the end --- */

static bool is_draining(void *data)
{
    const worker_t *worker = data;

    return worker->stage != SERVING && !worker->is_retiring;
}

static void on_walk_close(uv_handle_t *handle, void *data)
{
    (void)data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_upstreams_closed(void *data)
{
    worker_t *worker = data;

    /* what is left is the worker's own: loop hooks, signals, control, timers */
    uv_walk(&worker->cycle.loop, on_walk_close, NULL);
}

static void on_front_closed(void *data)
{
    worker_t *worker = data;

    sheaf_upstreams_free(worker->upstreams, on_upstreams_closed, worker);
}

static void end(worker_t *worker)
{
    if (worker->stage == ENDING)
        return;
    worker->stage = ENDING;
    forget_pending(worker);
    uv_timer_stop(&worker->drain_timer);
    sheaf_epochs_cut_mirrors(&worker->epochs);
    sheaf_front_free(worker->front, on_front_closed, worker);
}

static void on_drained(void *data)
{
    end(data);
}

static void on_drain_timeout(uv_timer_t *timer)
{
    sheaf_log(SHEAF_LOG_WARN, "drain", "drain.timeout is over, what still runs is cancelled");
    end(timer->data);
}

static void start_drain(worker_t *worker)
{
    if (worker->stage >= DRAINING)
        return;
    worker->stage = DRAINING;
    sheaf_upstreams_rest(worker->upstreams);
    uv_timer_start(&worker->drain_timer, on_drain_timeout, worker->snapshot->conf.drain.timeout_ms, 0);
    sheaf_front_drain(worker->front, on_drained, worker);
}

static void on_drain_delay(uv_timer_t *timer)
{
    start_drain(timer->data);
}

static void retire(worker_t *worker)
{
    if (worker->stage != SERVING)
        return;
    worker->is_retiring = true;
    for (uint32_t i = 0; i < worker->sockets.count; i++) {
        if (worker->sockets.items[i].is_admin)
            sheaf_front_unlisten(worker->front, worker->sockets.items[i].fd);
    }
    start_drain(worker);
}

static void become_unready(worker_t *worker)
{
    if (worker->stage != SERVING)
        return;
    worker->stage = UNREADY;
    sheaf_gauge(worker->metrics, SHEAF_METRIC_DRAINING, 1);
}

static void on_upgrade(uv_signal_t *handle, int signum)
{
    (void)handle;
    (void)signum;
    sheaf_log(SHEAF_LOG_ERROR, "upgrade", "SIGUSR2 needs a supervisor: set `workers` to 1 or more");
}

static void on_reopen(uv_signal_t *handle, int signum)
{
    worker_t *worker = handle->data;

    (void)signum;
    sheaf_plughost_reopen(worker->plughost);
    sheaf_handover_pass_on(SIGUSR1);
}

static void on_reopen_note(worker_t *worker)
{
    const sheaf_note_t answer = {.kind = SHEAF_NOTE_REOPENED};

    sheaf_plughost_reopen(worker->plughost);
    sheaf_control_send(worker->setup->control_fd, &answer);
}

static void on_terminate(uv_signal_t *handle, int signum)
{
    worker_t *worker = handle->data;

    (void)signum;
    if (worker->stage != SERVING) { /* asked twice: at once */
        end(worker);
        return;
    }
    sheaf_notify("STOPPING=1");
    become_unready(worker);
    uv_timer_start(&worker->drain_timer, on_drain_delay, worker->snapshot->conf.drain.delay_ms, 0);
}

static void take_note(worker_t *worker, const sheaf_note_t *note)
{
    switch (note->kind) {
    case SHEAF_NOTE_PREPARE:
        on_prepare_note(worker, note);
        break;
    case SHEAF_NOTE_COMMIT:
        if (worker->stage >= DRAINING) /* it takes nothing new */
            forget_pending(worker);
        else if (worker->pending.snapshot != NULL && note->generation == worker->generation)
            commit(worker);
        break;
    case SHEAF_NOTE_ABORT:
        forget_pending(worker);
        break;
    case SHEAF_NOTE_UNREADY:
        become_unready(worker);
        break;
    case SHEAF_NOTE_DRAIN:
        become_unready(worker);
        start_drain(worker);
        break;
    case SHEAF_NOTE_RETIRE:
        retire(worker);
        break;
    case SHEAF_NOTE_REOPEN:
        on_reopen_note(worker);
        break;
    default:
        break;
    }
}

static void on_control(uv_poll_t *poll, int status, int events)
{
    worker_t *worker = poll->data;
    sheaf_note_t note;
    int got;

    (void)status;
    (void)events;
    while ((got = sheaf_control_receive(worker->setup->control_fd, &note)) == 1)
        take_note(worker, &note);
    if (got < 0) { /* the supervisor is gone; PR_SET_PDEATHSIG is about to say so too */
        uv_poll_stop(poll);
        end(worker);
    }
}

/* --- the start --- */

/* Batches come and go: memory that one gave back is for the next one, not for the kernel and back again (which costs a
 * large batch ten times its own work in page faults). */
static void keep_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
}

static void start_loop(worker_t *worker)
{
    sheaf_cycle_start(&worker->cycle);
    uv_timer_init(&worker->cycle.loop, &worker->drain_timer);
    worker->drain_timer.data = worker;
    sheaf_beat_init(&worker->beat, &worker->cycle.loop, worker->metrics);
}

static void listen_to_signals(worker_t *worker)
{
    static const struct {
        int number;
        uv_signal_cb on_signal;
    } heard[] = {{SIGTERM, on_terminate},
                 {SIGINT, on_terminate},
                 {SIGHUP, on_hangup},
                 {SIGUSR1, on_reopen},
                 {SIGUSR2, on_upgrade}};

    for (size_t i = 0; i < SHEAF_COUNT(heard); i++) {
        uv_signal_init(&worker->cycle.loop, &worker->signals[i]);
        worker->signals[i].data = worker;
        uv_signal_start(&worker->signals[i], heard[i].on_signal, heard[i].number);
    }
}

static void listen_to_supervisor(worker_t *worker)
{
    sheaf_note_t ready = {.kind = SHEAF_NOTE_READY};

    uv_poll_init(&worker->cycle.loop, &worker->control, worker->setup->control_fd);
    worker->control.data = worker;
    uv_poll_start(&worker->control, UV_READABLE, on_control);
    sheaf_control_send(worker->setup->control_fd, &ready);
}

static bool build_floors(worker_t *worker)
{
    sheaf_plughost_env_t plug = {
        .loop = &worker->cycle.loop,
        .clock = &worker->cycle.clock,
        .deadlines = &worker->cycle.deadlines,
        .soon = &worker->cycle.soon,
        .metrics = worker->metrics,
        .region = worker->setup->region,
        .worker_number = worker->setup->slot,
    };
    int fds[SHEAF_PLUGINS_MAX];
    sheaf_guests_t *guests;
    sheaf_fail_t fail;
    sheaf_upstreams_env_t up = {
        .loop = &worker->cycle.loop,
        .clock = &worker->cycle.clock,
        .deadlines = &worker->cycle.deadlines,
        .soon = &worker->cycle.soon,
        .metrics = worker->metrics,
        .upstats = sheaf_metrics_upstats(worker->setup->region),
        .slot = worker->setup->slot,
        .slate = worker->setup->slate,
        .is_prober = worker->setup->slot == 0,
    };
    sheaf_front_env_t front = {
        .loop = &worker->cycle.loop,
        .clock = &worker->cycle.clock,
        .deadlines = &worker->cycle.deadlines,
        .soon = &worker->cycle.soon,
        .metrics = worker->metrics,
        .region = worker->setup->region,
        .tickets = worker->tickets,
        .is_draining = is_draining,
        .data = worker,
    };

    worker->rotation.on_expired = on_rotation;
    worker->plughost = sheaf_plughost_new(&plug);
    worker->shares = worker->setup->shares;
    sheaf_shares_fds(&worker->shares, worker->setup->snapshot, fds);
    guests = sheaf_guests_open(worker->plughost, worker->setup->snapshot, fds, &fail);
    if (fail.err != SHEAF_OK) {
        sheaf_log(SHEAF_LOG_ERROR, "worker", "%s", fail.detail);
        return false;
    }
    worker->upstreams = sheaf_upstreams_new(&up);
    sheaf_epochs_init(&worker->epochs, worker->upstreams);
    worker->front = sheaf_front_new(&front);
    open_epoch(worker, worker->setup->snapshot, guests);
    rotate_tickets(worker);
    accept_from(worker, &worker->setup->sockets);
    worker->sockets = worker->setup->sockets;
    return true;
}

/* Kept to the end of the process: the front leaves libh2o's contexts behind, whose handles live in this loop. */
static worker_t *the_worker;

int sheaf_worker_run(const sheaf_worker_setup_t *setup)
{
    worker_t *worker = the_worker = sheaf_zalloc(sizeof(*worker));
    const sheaf_log_conf_t *log = &setup->snapshot->conf.log;

    worker->setup = setup;
    worker->metrics = sheaf_metrics_slot(setup->region, setup->slot);
    worker->tickets = setup->tickets != NULL ? setup->tickets : sheaf_tickets_new();
    if (setup->tickets == NULL && worker->tickets != NULL)
        sheaf_handover_take_tickets(worker->tickets, sheaf_clock_monotonic_us(NULL) / 1000);
    signal(SIGPIPE, SIG_IGN);
    keep_memory();
    sheaf_log_setup(log->format == SHEAF_LOG_FORMAT_JSON, (sheaf_log_severity_t)log->level, worker->metrics);
    sheaf_log_start(STDERR_FILENO);
    start_loop(worker);
    if (!build_floors(worker)) {
        sheaf_log_stop(1000);
        return 1;
    }
    if (setup->control_fd >= 0)
        listen_to_supervisor(worker);
    else
        listen_to_signals(worker);
    if (setup->on_ready != NULL)
        setup->on_ready(setup->data);

    uv_run(&worker->cycle.loop, UV_RUN_DEFAULT);

    uv_loop_close(&worker->cycle.loop);
    sheaf_reload_forget(&worker->pending, &worker->sockets);
    sheaf_snapshot_drop(worker->snapshot);
    sheaf_plughost_free(worker->plughost);
    sheaf_deadlines_fini(&worker->cycle.deadlines);
    sheaf_tickets_free(worker->tickets);
    sheaf_log_stop(1000);
    return 0;
}
