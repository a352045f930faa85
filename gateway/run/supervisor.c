#include "gateway/run/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/deadline.h"
#include "gateway/base/log.h"
#include "gateway/run/worker.h"

#define WORKERS_MAX        256
#define YOUNG_MS           1000 /* one that died younger than this is restarted with growing delay */
#define BACKOFF_FIRST_MS   100
#define BACKOFF_MOST_MS    5000
#define PREPARE_TIMEOUT_MS 10000
#define DRAIN_GRACE_MS     2000 /* beyond drain.timeout, before SIGKILL */

typedef struct {
    pid_t pid; /* 0: not running */
    int control_fd;
    uint64_t started_ms;
    uint64_t restart_at_ms; /* SHEAF_NEVER: not to be restarted */
    uint32_t backoff_ms;
    bool is_ready;
    bool is_preparing; /* has a PREPARE to answer */
    bool is_retiring;  /* not needed any more: its end is no death */
    bool is_silent;    /* closed its end: SIGCHLD follows, which may take its time */
} child_t;

typedef struct {
    const char *config_path;
    sheaf_reload_t config; /* in use */
    sheaf_reload_t next;   /* being prepared by the workers */
    uint32_t generation;
    uint64_t prepare_until_ms;
    sheaf_metrics_region_t *region;
    sheaf_metrics_t *metrics;
    sheaf_tickets_t *tickets;
    uint64_t rotate_at_ms;
    int signal_fd;
    sigset_t signals;
    child_t children[WORKERS_MAX];
    bool is_announced;
    bool hup_again; /* a SIGHUP came while another reload was under way */
    enum { SERVING, UNREADY, DRAINING } stage;
    uint64_t stage_until_ms;
} supervisor_t;

static uint64_t now_ms(void)
{
    return sheaf_clock_monotonic_us(NULL) / 1000;
}

static uint32_t wanted_workers(const supervisor_t *sup)
{
    uint32_t workers = sup->config.snapshot->conf.workers;

    return workers < 1 ? 1 : workers > WORKERS_MAX ? WORKERS_MAX : workers;
}

/* --- workers --- */

_Noreturn static void become_worker(supervisor_t *sup, uint32_t index, int control_fd, pid_t parent)
{
    sheaf_worker_setup_t setup = {
        .snapshot = sup->config.snapshot,
        .sockets = sup->config.sockets,
        .control_fd = control_fd,
        .region = sup->region,
        .tickets = sup->tickets,
        .slot = index,
    };
    int status;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before prctl */
        _exit(1);
    close(sup->signal_fd);
    if (sup->next.snapshot != NULL) /* not ours yet: what we need of it comes with PREPARE */
        sheaf_sockets_close(&sup->next.sockets, &sup->config.sockets);
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        if (sup->children[i].pid != 0)
            close(sup->children[i].control_fd);
    }
    sigprocmask(SIG_UNBLOCK, &sup->signals, NULL);
    status = sheaf_worker_run(&setup);
    fflush(NULL);
    _exit(status);
}

/* One that is born while a reload is being prepared, or while the gateway is to look unready, takes part in that. */
static void catch_up(supervisor_t *sup, child_t *child)
{
    sheaf_note_t note = {.kind = SHEAF_NOTE_UNREADY};

    if (sup->stage == UNREADY)
        sheaf_control_send(child->control_fd, &note);
    if (sup->next.snapshot == NULL)
        return;
    if (sheaf_reload_note(&sup->next, &sup->config.sockets, &note)) {
        note.generation = sup->generation;
        child->is_preparing = sheaf_control_send(child->control_fd, &note);
        close(note.fds[0]);
    }
    if (!child->is_preparing)
        kill(child->pid, SIGKILL); /* its successor starts with what is in use then */
}

static void start_worker(supervisor_t *sup, uint32_t index)
{
    child_t *child = &sup->children[index];
    pid_t self = getpid(), pid;
    int ends[2];

    child->restart_at_ms = now_ms() + BACKOFF_MOST_MS; /* tried again then when the system refuses now */
    if (!sheaf_control_pair(ends))
        return;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become_worker(sup, index, ends[1], self);
    }
    close(ends[1]);
    if (pid < 0) {
        sheaf_log(SHEAF_LOG_ERROR, "worker", "cannot fork: %s", strerror(errno));
        close(ends[0]);
        return;
    }
    child->pid = pid;
    child->control_fd = ends[0];
    child->started_ms = now_ms();
    child->restart_at_ms = SHEAF_NEVER;
    child->is_ready = child->is_preparing = child->is_silent = child->is_retiring = false;
    catch_up(sup, child);
}

static void start_missing(supervisor_t *sup)
{
    uint64_t now = now_ms();

    for (uint32_t i = 0; sup->stage != DRAINING && i < wanted_workers(sup); i++) {
        if (sup->children[i].pid == 0 && sup->children[i].restart_at_ms <= now)
            start_worker(sup, i);
    }
}

static void tell_all(supervisor_t *sup, uint32_t kind)
{
    sheaf_note_t note = {.kind = kind, .generation = sup->generation};

    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        if (sup->children[i].pid != 0)
            sheaf_control_send(sup->children[i].control_fd, &note);
    }
}

static void kill_all(const supervisor_t *sup)
{
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        if (sup->children[i].pid != 0)
            kill(sup->children[i].pid, SIGKILL);
    }
}

static uint32_t count_children(const supervisor_t *sup)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        count += sup->children[i].pid != 0;
    return count;
}

static uint32_t next_backoff(uint32_t backoff_ms)
{
    uint32_t next_ms = backoff_ms == 0 ? BACKOFF_FIRST_MS : backoff_ms * 2;

    return next_ms > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : next_ms;
}

static void bury(supervisor_t *sup, uint32_t index, int status)
{
    child_t *child = &sup->children[index];
    bool is_young = now_ms() - child->started_ms < YOUNG_MS;

    sheaf_metrics_slot_orphaned(sup->region, index);
    if (child->is_retiring) {
        sheaf_log(SHEAF_LOG_INFO, "worker", "worker %u (pid %d) has retired", index, (int)child->pid);
    } else if (sup->stage != DRAINING && index < wanted_workers(sup)) {
        sheaf_count(sup->metrics, SHEAF_METRIC_WORKER_RESTARTS, 1);
        sheaf_log(SHEAF_LOG_ERROR, "worker", "worker %u (pid %d) %s %d, it is replaced", index, (int)child->pid,
                  WIFSIGNALED(status) ? "was ended by signal" : "exited with",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    /* the first death, and any after a long life, is answered at once: 200 ms are promised; one that keeps dying young
     * has to wait */
    if (!is_young || child->is_retiring)
        child->backoff_ms = 0;
    child->restart_at_ms = now_ms() + child->backoff_ms;
    if (is_young && !child->is_retiring)
        child->backoff_ms = next_backoff(child->backoff_ms);
    close(child->control_fd);
    child->pid = 0;
    child->is_preparing = false;
}

static void bury_dead(supervisor_t *sup)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (uint32_t i = 0; i < WORKERS_MAX; i++) {
            if (sup->children[i].pid == pid)
                bury(sup, i, status);
        }
    }
}

static void announce_when_ready(supervisor_t *sup)
{
    for (uint32_t i = 0; i < wanted_workers(sup); i++) {
        if (!sup->children[i].is_ready)
            return;
    }
    if (!sup->is_announced)
        sheaf_sockets_announce(&sup->config.sockets);
    sup->is_announced = true;
}

/* --- reload: prepare everywhere, then commit everywhere --- */

static void abort_reload(supervisor_t *sup, const char *why)
{
    tell_all(sup, SHEAF_NOTE_ABORT);
    sheaf_reload_forget(&sup->next, &sup->config.sockets);
    sheaf_count(sup->metrics, SHEAF_METRIC_RELOADS_FAILED, 1);
    sheaf_log(SHEAF_LOG_ERROR, "reload", "%s, the old configuration stays", why);
}

static void send_prepare(supervisor_t *sup)
{
    sheaf_note_t note;

    if (!sheaf_reload_note(&sup->next, &sup->config.sockets, &note)) {
        abort_reload(sup, "the new configuration could not be handed on");
        return;
    }
    note.generation = ++sup->generation;
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        child_t *child = &sup->children[i];
        if (child->pid != 0)
            child->is_preparing = sheaf_control_send(child->control_fd, &note);
    }
    close(note.fds[0]);
    sup->prepare_until_ms = now_ms() + PREPARE_TIMEOUT_MS;
}

static void start_reload(supervisor_t *sup)
{
    if (sup->stage != SERVING)
        return;
    if (sup->next.snapshot != NULL) {
        sup->hup_again = true;
        return;
    }
    if (sheaf_reload_read(&sup->next, sup->config_path, &sup->config.sockets) != SHEAF_OK) {
        sheaf_count(sup->metrics, SHEAF_METRIC_RELOADS_FAILED, 1);
        sheaf_log(SHEAF_LOG_ERROR, "reload", "%s is not acceptable, the old configuration stays", sup->config_path);
        return;
    }
    send_prepare(sup);
}

static void retire_surplus(supervisor_t *sup)
{
    sheaf_note_t note = {.kind = SHEAF_NOTE_RETIRE};

    for (uint32_t i = wanted_workers(sup); i < WORKERS_MAX; i++) {
        child_t *child = &sup->children[i];
        if (child->pid != 0 && !child->is_retiring)
            child->is_retiring = sheaf_control_send(child->control_fd, &note);
    }
}

static void commit_reload(supervisor_t *sup)
{
    const sheaf_log_conf_t *log = &sup->next.snapshot->conf.log;

    tell_all(sup, SHEAF_NOTE_COMMIT);
    sheaf_sockets_close(&sup->config.sockets, &sup->next.sockets);
    sheaf_snapshot_drop(sup->config.snapshot);
    free(sup->config.text);
    sup->config = sup->next;
    memset(&sup->next, 0, sizeof(sup->next));
    sheaf_sockets_set_modes(&sup->config.snapshot->conf);
    sheaf_log_setup(log->format == SHEAF_LOG_FORMAT_JSON, (sheaf_log_severity_t)log->level, sup->metrics);
    sheaf_count(sup->metrics, SHEAF_METRIC_RELOADS_OK, 1);
    sheaf_log(SHEAF_LOG_INFO, "reload", "%s is in use", sup->config_path);
    retire_surplus(sup);
}

/* A worker that died meanwhile is out of the count: its successor starts with what is in use then. */
static void advance_reload(supervisor_t *sup)
{
    bool is_waiting = false;

    if (sup->next.snapshot != NULL) {
        for (uint32_t i = 0; i < WORKERS_MAX; i++)
            is_waiting |= sup->children[i].is_preparing;
        if (is_waiting && now_ms() >= sup->prepare_until_ms)
            abort_reload(sup, "a worker did not prepare in time");
        else if (!is_waiting)
            commit_reload(sup);
    }
    if (sup->next.snapshot == NULL && sup->hup_again) {
        sup->hup_again = false;
        start_reload(sup);
    }
}

/* --- drain --- */

static void start_unready(supervisor_t *sup)
{
    if (sup->stage != SERVING) { /* asked twice: at once */
        sup->stage = DRAINING;
        sup->stage_until_ms = now_ms() + DRAIN_GRACE_MS;
        kill_all(sup);
        return;
    }
    if (sup->next.snapshot != NULL)
        abort_reload(sup, "the gateway is shutting down");
    sup->stage = UNREADY;
    sup->stage_until_ms = now_ms() + sup->config.snapshot->conf.drain.delay_ms;
    tell_all(sup, SHEAF_NOTE_UNREADY);
}

static void advance_drain(supervisor_t *sup)
{
    if (sup->stage == SERVING || now_ms() < sup->stage_until_ms)
        return;
    if (sup->stage == DRAINING) {
        kill_all(sup);
        sup->stage_until_ms = now_ms() + DRAIN_GRACE_MS;
        return;
    }
    sup->stage = DRAINING;
    sup->stage_until_ms = now_ms() + sup->config.snapshot->conf.drain.timeout_ms + DRAIN_GRACE_MS;
    tell_all(sup, SHEAF_NOTE_DRAIN);
    for (uint32_t i = 0; i < sup->config.sockets.count; i++) {
        if (!sup->config.sockets.items[i].is_admin)
            close(sup->config.sockets.items[i].fd);
    }
}

/* --- the loop --- */

static void read_signals(supervisor_t *sup)
{
    struct signalfd_siginfo info;

    while (read(sup->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            bury_dead(sup);
        else if (info.ssi_signo == SIGHUP)
            start_reload(sup);
        else
            start_unready(sup);
    }
}

static void read_notes(supervisor_t *sup, child_t *child)
{
    sheaf_note_t note;
    int got;

    while ((got = sheaf_control_receive(child->control_fd, &note)) == 1) {
        if (note.kind == SHEAF_NOTE_READY)
            child->is_ready = true;
        else if (note.kind == SHEAF_NOTE_PREPARED && note.generation == sup->generation)
            child->is_preparing = false;
        else if (note.kind == SHEAF_NOTE_REFUSED && note.generation == sup->generation && sup->next.snapshot != NULL)
            abort_reload(sup, "a worker refused");
    }
    child->is_silent = got < 0;
    announce_when_ready(sup);
}

static uint64_t next_event_ms(const supervisor_t *sup)
{
    uint64_t next = sup->stage == SERVING ? sup->rotate_at_ms : sup->stage_until_ms;

    if (sup->next.snapshot != NULL && sup->prepare_until_ms < next)
        next = sup->prepare_until_ms;
    for (uint32_t i = 0; sup->stage != DRAINING && i < wanted_workers(sup); i++) {
        if (sup->children[i].pid == 0 && sup->children[i].restart_at_ms < next)
            next = sup->children[i].restart_at_ms;
    }
    return next;
}

static void wait_and_read(supervisor_t *sup)
{
    struct pollfd polls[WORKERS_MAX + 1] = {{.fd = sup->signal_fd, .events = POLLIN}};
    uint64_t now = now_ms(), next = next_event_ms(sup);
    int timeout = next == SHEAF_NEVER ? -1 : next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);

    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        const child_t *child = &sup->children[i];
        bool may_speak = child->pid != 0 && !child->is_silent; /* a closed end would be readable for ever */
        polls[i + 1].fd = may_speak ? child->control_fd : -1;
        polls[i + 1].events = POLLIN;
    }
    if (poll(polls, WORKERS_MAX + 1, timeout) <= 0)
        return;
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        if (polls[i + 1].revents != 0)
            read_notes(sup, &sup->children[i]);
    }
    if (polls[0].revents != 0)
        read_signals(sup);
}

static bool prepare_process(supervisor_t *sup)
{
    sigemptyset(&sup->signals);
    sigaddset(&sup->signals, SIGCHLD);
    sigaddset(&sup->signals, SIGTERM);
    sigaddset(&sup->signals, SIGINT);
    sigaddset(&sup->signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &sup->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    sup->signal_fd = signalfd(-1, &sup->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    sup->region = sheaf_metrics_region_new(WORKERS_MAX + 1);
    sup->tickets = sheaf_tickets_new();
    if (sup->signal_fd < 0 || sup->region == NULL || sup->tickets == NULL) {
        fprintf(stderr, "error: cannot start: %s\n", strerror(errno));
        return false;
    }
    sup->metrics = sheaf_metrics_slot(sup->region, WORKERS_MAX);
    return true;
}

int sheaf_supervisor_run(const char *config_path, sheaf_reload_t *config)
{
    supervisor_t *sup = sheaf_zalloc(sizeof(*sup));
    const sheaf_log_conf_t *log = &config->snapshot->conf.log;

    sup->config_path = config_path;
    sup->config = *config;
    memset(config, 0, sizeof(*config));
    if (!prepare_process(sup))
        return 1;
    sheaf_log_setup(log->format == SHEAF_LOG_FORMAT_JSON, (sheaf_log_severity_t)log->level, sup->metrics);
    while (sup->stage != DRAINING || count_children(sup) > 0) {
        sup->rotate_at_ms =
            sheaf_tickets_rotate(sup->tickets, now_ms(), sheaf_tickets_period_ms(&sup->config.snapshot->conf));
        start_missing(sup);
        wait_and_read(sup);
        advance_reload(sup);
        advance_drain(sup);
    }
    sheaf_snapshot_drop(sup->config.snapshot);
    free(sup->config.text);
    sheaf_metrics_region_free(sup->region);
    sheaf_tickets_free(sup->tickets);
    close(sup->signal_fd);
    free(sup);
    return 0;
}
