#include "gateway/run/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/deadline.h"
#include "gateway/base/log.h"
#include "gateway/run/crew.h"
#include "gateway/run/handover.h"
#include "gateway/run/notify.h"
#include "gateway/run/orders.h"
#include "gateway/run/upgrade.h"
#include "gateway/run/worker.h"

#define PREPARE_TIMEOUT_MS 10000
#define DRAIN_GRACE_MS     2000 /* beyond drain.timeout, before SIGKILL */

typedef struct {
    const char *config_path;
    pid_t pid;
    sheaf_reload_t config; /* in use */
    sheaf_reload_t next;   /* being prepared by the workers */
    uint32_t generation;
    uint64_t prepare_until_ms;
    sheaf_privileges_t privileges;
    sheaf_metrics_region_t *region;
    sheaf_metrics_t *metrics;
    sheaf_slate_t *slate; /* what the first worker finds out about the servers of upstreams */
    sheaf_tickets_t *tickets;
    uint64_t rotate_at_ms;
    sheaf_orders_t orders;
    sheaf_crew_t crew;
    sheaf_upgrade_t upgrade;
    bool is_announced, is_told; /* as ready; to stop */
    bool hup_again;             /* a SIGHUP came while another reload or an upgrade was under way */
    bool usr2_waits;            /* a SIGUSR2 came while a reload, an upgrade or the start was under way */
    enum { SERVING, UNREADY, DRAINING } stage;
    uint64_t stage_until_ms;
} supervisor_t;

static uint64_t now_ms(void)
{
    return sheaf_clock_monotonic_us(NULL) / 1000;
}

static uint64_t stuck_after_ms(const supervisor_t *sup)
{
    return sup->config.snapshot->conf.stuck_after_ms;
}

static uint32_t wanted_workers(const supervisor_t *sup)
{
    uint32_t workers = sup->config.snapshot->conf.workers;

    return workers < 1 ? 1 : workers > SHEAF_CREW_MOST ? SHEAF_CREW_MOST : workers;
}

/* --- workers --- */

static void become_worker(void *data, uint32_t index, int control_fd)
{
    supervisor_t *sup = data;
    sheaf_worker_setup_t setup = {.snapshot = sup->config.snapshot,
                                  .sockets = sup->config.sockets,
                                  .shares = sup->config.shares,
                                  .control_fd = control_fd,
                                  .region = sup->region,
                                  .slate = sup->slate,
                                  .tickets = sup->tickets,
                                  .slot = index};
    sheaf_fail_t fail;
    int status;

    sheaf_crew_follow(sup->pid);
    sheaf_upgrade_end(&sup->upgrade);
    sheaf_handover_forget();
    if (sup->next.snapshot != NULL) { /* not ours yet: what we need of it comes with PREPARE */
        sheaf_sockets_close(&sup->next.sockets, &sup->config.sockets);
        sheaf_shares_close_new(&sup->next.shares);
    }
    sheaf_crew_leave(&sup->crew);
    sheaf_orders_leave(&sup->orders);
    if (sheaf_privileges_take(&sup->privileges, &fail) != SHEAF_OK) {
        sheaf_log(SHEAF_LOG_ERROR, "worker", "%s", fail.detail);
        _exit(1);
    }
    sheaf_crew_follow(sup->pid);
    status = sheaf_worker_run(&setup);
    fflush(NULL);
    _exit(status);
}

/* One that is born while a reload is being prepared, or while the gateway is to look unready, takes part in that. */
static void catch_up(supervisor_t *sup, sheaf_child_t *child)
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

static void start_missing(supervisor_t *sup)
{
    uint64_t now = now_ms();
    sheaf_child_t *child;
    uint32_t index;

    while ((child = sheaf_crew_missing(&sup->crew, now, &index)) != NULL) {
        if (sheaf_crew_start(&sup->crew, index))
            catch_up(sup, child);
    }
}

static void announce_when_ready(supervisor_t *sup)
{
    if (sup->is_announced || sup->stage == DRAINING || !sheaf_crew_is_ready(&sup->crew))
        return;
    sheaf_sockets_announce(&sup->config.sockets);
    sheaf_notify("READY=1");
    sheaf_handover_ready();
    sup->is_announced = true;
}

/* --- reload: prepare everywhere, then commit everywhere --- */

static void abort_reload(supervisor_t *sup, const char *why)
{
    sheaf_crew_tell(&sup->crew, 0, SHEAF_NOTE_ABORT, sup->generation);
    sheaf_reload_forget(&sup->next, &sup->config.sockets);
    sheaf_notify("READY=1");
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
    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++) {
        sheaf_child_t *child = &sup->crew.children[i];
        if (child->pid == 0)
            continue;
        sheaf_control_send(child->control_fd, &note);
        child->is_preparing = true; /* also when it could not be sent: then it answers no more, or not in time */
    }
    close(note.fds[0]);
    /* one that is stuck is replaced before that, and its successor prepares */
    sup->prepare_until_ms = now_ms() + stuck_after_ms(sup) + SHEAF_CREW_ABORT_MS + PREPARE_TIMEOUT_MS;
}

static void start_reload(supervisor_t *sup)
{
    if (sup->stage != SERVING)
        return;
    if (sup->next.snapshot != NULL || sup->upgrade.pid != 0) {
        sup->hup_again = true;
        return;
    }
    sheaf_notify_reloading();
    if (sheaf_reload_read(&sup->next, sup->config_path, &sup->config.sockets, &sup->config.shares) != SHEAF_OK) {
        sheaf_count(sup->metrics, SHEAF_METRIC_RELOADS_FAILED, 1);
        sheaf_log(SHEAF_LOG_ERROR, "reload", "%s is not acceptable, the old configuration stays", sup->config_path);
        sheaf_notify("READY=1");
        return;
    }
    send_prepare(sup);
}

/* What was decided once, at start. */
static void warn_of_user(const supervisor_t *sup)
{
    const sheaf_conf_t *old = &sup->config.snapshot->conf, *new = &sup->next.snapshot->conf;

    if (!sheaf_str_eq(old->user, new->user) || !sheaf_str_eq(old->group, new->group))
        sheaf_log(SHEAF_LOG_WARN, "reload", "a new `user` or `group` takes effect with the next start or SIGUSR2");
}

static void commit_reload(supervisor_t *sup)
{
    const sheaf_log_conf_t *log = &sup->next.snapshot->conf.log;

    warn_of_user(sup);
    sheaf_crew_tell(&sup->crew, 0, SHEAF_NOTE_COMMIT, sup->generation);
    sheaf_sockets_close(&sup->config.sockets, &sup->next.sockets);
    sheaf_shares_close(&sup->config.shares, &sup->next.shares);
    sheaf_snapshot_drop(sup->config.snapshot);
    free(sup->config.text);
    sup->config = sup->next;
    memset(&sup->next, 0, sizeof(sup->next));
    sheaf_sockets_set_modes(&sup->config.snapshot->conf);
    sheaf_log_setup(log->format == SHEAF_LOG_FORMAT_JSON, (sheaf_log_severity_t)log->level, sup->metrics);
    sheaf_count(sup->metrics, SHEAF_METRIC_RELOADS_OK, 1);
    sheaf_log(SHEAF_LOG_INFO, "reload", "%s is in use", sup->config_path);
    sup->crew.wanted = wanted_workers(sup);
    sheaf_crew_retire_surplus(&sup->crew);
    sheaf_notify("READY=1");
}

/* A worker that died meanwhile is out of the count: its successor starts with what is in use then. */
static void advance_reload(supervisor_t *sup)
{
    bool is_waiting = false;

    if (sup->next.snapshot != NULL) {
        for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++)
            is_waiting |= sup->crew.children[i].is_preparing;
        if (is_waiting && now_ms() >= sup->prepare_until_ms)
            abort_reload(sup, "a worker did not prepare in time");
        else if (!is_waiting)
            commit_reload(sup);
    }
    if (sup->next.snapshot == NULL && sup->hup_again && sup->upgrade.pid == 0) {
        sup->hup_again = false;
        start_reload(sup);
    }
}

/* --- drain --- */

static void start_draining(supervisor_t *sup, uint64_t timeout_ms)
{
    sup->stage = DRAINING;
    sup->stage_until_ms = now_ms() + timeout_ms + DRAIN_GRACE_MS;
    sup->crew.wanted = 0;
}

static void close_sockets(const supervisor_t *sup, bool with_admin)
{
    for (uint32_t i = 0; i < sup->config.sockets.count; i++) {
        if (with_admin || !sup->config.sockets.items[i].is_admin)
            close(sup->config.sockets.items[i].fd);
    }
}

static void start_unready(supervisor_t *sup)
{
    if (sup->is_told) { /* asked twice: at once */
        start_draining(sup, 0);
        sheaf_crew_kill(&sup->crew);
        return;
    }
    sup->is_told = true;
    if (sup->stage != SERVING) /* it handed over: what was asked for is under way */
        return;
    sheaf_notify("STOPPING=1");
    if (sup->upgrade.pid != 0) {
        kill(sup->upgrade.pid, SIGTERM);
        sheaf_upgrade_end(&sup->upgrade);
    }
    if (sup->next.snapshot != NULL)
        abort_reload(sup, "the gateway is shutting down");
    sup->stage = UNREADY;
    sup->stage_until_ms = now_ms() + sup->config.snapshot->conf.drain.delay_ms;
    sheaf_crew_tell(&sup->crew, 0, SHEAF_NOTE_UNREADY, sup->generation);
}

static void advance_drain(supervisor_t *sup)
{
    if (sup->stage == SERVING || now_ms() < sup->stage_until_ms)
        return;
    if (sup->stage == DRAINING) {
        sheaf_crew_kill(&sup->crew);
        sup->stage_until_ms = now_ms() + DRAIN_GRACE_MS;
        return;
    }
    start_draining(sup, sup->config.snapshot->conf.drain.timeout_ms);
    close_sockets(sup, false); /* before the workers, who take what waits in the queue as they close theirs */
    sheaf_crew_tell(&sup->crew, 0, SHEAF_NOTE_DRAIN, sup->generation);
}

/* --- a new binary --- */

static void advance_upgrade(supervisor_t *sup)
{
    if (sup->upgrade.pid != 0 && now_ms() >= sup->upgrade.until_ms) {
        kill(sup->upgrade.pid, SIGKILL);
        sup->upgrade.until_ms = SHEAF_NEVER; /* its end is told by SIGCHLD */
    }
    if (!sup->usr2_waits || sup->next.snapshot != NULL || sup->upgrade.pid != 0)
        return;
    if (!sup->is_announced && sup->stage == SERVING) /* our own predecessor must hear that we are ready before */
        return;
    sup->usr2_waits = false;
    if (sup->stage != SERVING)
        return;
    if (sup->pid == 1) /* of a container, which ends with us */
        sheaf_log(SHEAF_LOG_ERROR, "upgrade", "pid 1 cannot hand over to another process");
    else if (sheaf_upgrade_start(&sup->upgrade, &sup->config.sockets, sup->tickets, &sup->orders.signals, now_ms()))
        sheaf_log(SHEAF_LOG_INFO, "upgrade", "the new binary starts as pid %d", (int)sup->upgrade.pid);
    else
        sheaf_log(SHEAF_LOG_ERROR, "upgrade", "the new binary cannot be started: %s", strerror(errno));
}

static void on_upgrade_over(supervisor_t *sup, int status)
{
    sheaf_log(SHEAF_LOG_ERROR, "upgrade", "the new binary (pid %d) %s %d before it was ready, this one goes on",
              (int)sup->upgrade.pid, WIFSIGNALED(status) ? "was ended by signal" : "exited with",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    sheaf_count(sup->metrics, SHEAF_METRIC_UPGRADES_FAILED, 1);
    sheaf_upgrade_end(&sup->upgrade);
}

/* The successor accepts from the same sockets. Nothing is announced as unready: the addresses stay in service. */
static void hand_over(supervisor_t *sup)
{
    pid_t heir = sup->upgrade.pid;

    sheaf_log(SHEAF_LOG_INFO, "upgrade", "pid %d is ready, this one drains", (int)heir);
    sheaf_notify("MAINPID=%d", (int)heir);
    if (sup->hup_again) /* it read the file before that was said */
        kill(heir, SIGHUP);
    sheaf_upgrade_end(&sup->upgrade);
    start_draining(sup, sup->config.snapshot->conf.drain.timeout_ms);
    sheaf_crew_retire_surplus(&sup->crew); /* nobody is wanted any more */
    close_sockets(sup, true);
}

/* --- files --- */

/* A new binary that is starting may have opened them before they were moved. */
static void reopen_files(supervisor_t *sup)
{
    sheaf_crew_reopen(&sup->crew);
    sheaf_handover_pass_on(SIGUSR1);
    if (sup->upgrade.pid != 0)
        kill(sup->upgrade.pid, SIGUSR1);
}

/* --- the loop --- */

static void bury_dead(supervisor_t *sup)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (!sheaf_crew_bury(&sup->crew, pid, status) && pid == sup->upgrade.pid)
            on_upgrade_over(sup, status);
    }
}

static void read_signals(supervisor_t *sup)
{
    int number;

    while ((number = sheaf_orders_next(&sup->orders)) != 0) {
        if (number == SIGCHLD)
            bury_dead(sup);
        else if (number == SIGHUP)
            start_reload(sup);
        else if (number == SIGUSR1)
            reopen_files(sup);
        else if (number == SIGUSR2)
            sup->usr2_waits = true;
        else
            start_unready(sup);
    }
}

static void read_notes(supervisor_t *sup, sheaf_child_t *child)
{
    sheaf_note_t note;
    int got;

    while ((got = sheaf_control_receive(child->control_fd, &note)) == 1) {
        if (note.kind == SHEAF_NOTE_READY)
            child->is_ready = true;
        else if (note.kind == SHEAF_NOTE_REOPENED)
            child->is_reopening = false;
        else if (note.kind == SHEAF_NOTE_PREPARED && note.generation == sup->generation)
            child->is_preparing = false;
        else if (note.kind == SHEAF_NOTE_REFUSED && note.generation == sup->generation && sup->next.snapshot != NULL)
            abort_reload(sup, "a worker refused");
    }
    child->is_silent = got < 0;
    announce_when_ready(sup);
}

static uint64_t next_event_ms(const supervisor_t *sup, uint64_t now)
{
    uint64_t next = sheaf_crew_next_ms(&sup->crew, now, stuck_after_ms(sup));
    uint64_t stage_ms = sup->stage == SERVING ? sup->rotate_at_ms : sup->stage_until_ms;

    if (stage_ms < next)
        next = stage_ms;
    if (sup->next.snapshot != NULL && sup->prepare_until_ms < next)
        next = sup->prepare_until_ms;
    if (sup->upgrade.pid != 0 && sup->upgrade.until_ms < next)
        next = sup->upgrade.until_ms;
    return next;
}

static void wait_and_read(supervisor_t *sup)
{
    struct pollfd polls[SHEAF_CREW_MOST + 2] = {{.fd = sup->orders.fd, .events = POLLIN},
                                                {.fd = sup->upgrade.ready_fd, .events = POLLIN}};
    struct pollfd *own = polls + 2;
    uint64_t now = now_ms(), next = next_event_ms(sup, now);
    int timeout = next == SHEAF_NEVER ? -1 : next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);
    uint32_t used = sheaf_crew_polls(&sup->crew, own);

    if (poll(polls, used + 2, timeout) <= 0)
        return;
    for (uint32_t i = 0; i < used; i++) {
        if (own[i].revents != 0)
            read_notes(sup, &sup->crew.children[i]);
    }
    if (polls[0].revents != 0) /* before anything is handed over: who drains passes nothing on */
        read_signals(sup);
    if (polls[1].revents != 0 && sup->upgrade.ready_fd >= 0 && sheaf_upgrade_read(&sup->upgrade))
        hand_over(sup);
}

static bool prepare_process(supervisor_t *sup)
{
    bool hears = sheaf_orders_open(&sup->orders);

    signal(SIGPIPE, SIG_IGN);
    sup->region = sheaf_metrics_region_new(SHEAF_CREW_MOST + 1);
    sup->slate = sheaf_slate_new(SHEAF_SLATE_LINES);
    sup->tickets = sheaf_tickets_new();
    if (!hears || sup->region == NULL || sup->slate == NULL || sup->tickets == NULL) {
        fprintf(stderr, "error: cannot start: %s\n", strerror(errno));
        return false;
    }
    sheaf_handover_take_tickets(sup->tickets, now_ms());
    sup->crew.region = sup->region;
    sup->crew.metrics = sup->metrics = sheaf_metrics_slot(sup->region, SHEAF_CREW_MOST);
    sup->crew.wanted = wanted_workers(sup);
    sup->crew.become = become_worker;
    sup->crew.data = sup;
    return true;
}

int sheaf_supervisor_run(const char *config_path, sheaf_reload_t *config, const sheaf_privileges_t *privileges)
{
    supervisor_t *sup = sheaf_zalloc(sizeof(*sup));
    const sheaf_log_conf_t *log = &config->snapshot->conf.log;

    sup->config_path = config_path;
    sup->config = *config;
    sup->privileges = *privileges;
    sup->upgrade.ready_fd = -1;
    sup->pid = getpid();
    memset(config, 0, sizeof(*config));
    if (!prepare_process(sup))
        return 1;
    sheaf_log_setup(log->format == SHEAF_LOG_FORMAT_JSON, (sheaf_log_severity_t)log->level, sup->metrics);
    sheaf_privileges_warn(&sup->privileges);
    while (sup->stage != DRAINING || sheaf_crew_count(&sup->crew) > 0) {
        sup->rotate_at_ms =
            sheaf_tickets_rotate(sup->tickets, now_ms(), sheaf_tickets_period_ms(&sup->config.snapshot->conf));
        start_missing(sup);
        wait_and_read(sup);
        sheaf_crew_watch(&sup->crew, now_ms(), stuck_after_ms(sup));
        advance_reload(sup);
        advance_upgrade(sup);
        advance_drain(sup);
    }
    sheaf_snapshot_drop(sup->config.snapshot);
    free(sup->config.text);
    sheaf_metrics_region_free(sup->region);
    sheaf_slate_free(sup->slate);
    sheaf_tickets_free(sup->tickets);
    close(sup->orders.fd);
    free(sup);
    return 0;
}
