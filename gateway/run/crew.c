#include "gateway/run/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/deadline.h"
#include "gateway/base/log.h"

#define YOUNG_MS         1000 /* one that died younger than this is restarted with growing delay */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS  5000
#define START_FACTOR     3 /* one that is still starting has nobody's connections: it may take so much longer */

static uint64_t now_ms(void)
{
    return sheaf_clock_monotonic_us(NULL) / 1000;
}

static _Atomic uint64_t *beat_of(const sheaf_crew_t *crew, uint32_t index)
{
    return &sheaf_metrics_slot(crew->region, index)->beat_ms;
}

/* --- born --- */

sheaf_child_t *sheaf_crew_missing(sheaf_crew_t *crew, uint64_t now, uint32_t *ret_index)
{
    for (uint32_t i = 0; i < crew->wanted; i++) {
        if (crew->children[i].pid == 0 && crew->children[i].restart_at_ms <= now) {
            *ret_index = i;
            return &crew->children[i];
        }
    }
    return NULL;
}

bool sheaf_crew_start(sheaf_crew_t *crew, uint32_t index)
{
    sheaf_child_t *child = &crew->children[index];
    uint64_t now = now_ms();
    int ends[2];
    pid_t pid;

    child->restart_at_ms = now + BACKOFF_MOST_MS; /* tried again then when the system refuses now */
    if (!sheaf_control_pair(ends))
        return false;
    atomic_store_explicit(beat_of(crew, index), now, memory_order_relaxed);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        crew->become(crew->data, index, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    if (pid < 0) {
        sheaf_log(SHEAF_LOG_ERROR, "worker", "cannot fork: %s", strerror(errno));
        close(ends[0]);
        return false;
    }
    child->pid = pid;
    child->control_fd = ends[0];
    child->started_ms = now;
    child->restart_at_ms = SHEAF_NEVER;
    child->is_ready = child->is_preparing = child->is_silent = child->is_retiring = child->is_stuck = false;
    child->is_reopening = child->must_reopen = false;
    sheaf_pulse_init(&child->pulse, now, now);
    return true;
}

void sheaf_crew_follow(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before prctl */
        _exit(1);
}

void sheaf_crew_leave(sheaf_crew_t *crew)
{
    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++) {
        if (crew->children[i].pid != 0)
            close(crew->children[i].control_fd);
    }
}

/* --- watched --- */

static void abort_stuck(sheaf_crew_t *crew, uint32_t index, uint64_t now)
{
    sheaf_child_t *child = &crew->children[index];

    child->is_stuck = true;
    child->kill_at_ms = now + SHEAF_CREW_ABORT_MS;
    sheaf_count(crew->metrics, SHEAF_METRIC_WORKER_STUCK, 1);
    sheaf_log(SHEAF_LOG_ERROR, "worker", "worker %u (pid %d) shows no sign of life for %llu ms, it is ended", index,
              (int)child->pid, (unsigned long long)child->pulse.silent_ms);
    kill(child->pid, SIGABRT);
}

static void watch(sheaf_crew_t *crew, uint32_t index, uint64_t now, uint64_t stuck_after_ms)
{
    sheaf_child_t *child = &crew->children[index];
    uint64_t beat_ms = atomic_load_explicit(beat_of(crew, index), memory_order_relaxed);
    uint64_t most_ms = child->is_ready ? stuck_after_ms : START_FACTOR * stuck_after_ms;

    if (!child->is_stuck &&
        sheaf_pulse_look(&child->pulse, beat_ms, now, sheaf_pulse_interval_ms(stuck_after_ms)) >= most_ms)
        abort_stuck(crew, index, now);
}

/* One at a time: whoever does not listen has one waiting, whose channel stays open for what must not be lost. */
static void tell_reopen(sheaf_child_t *child)
{
    const sheaf_note_t note = {.kind = SHEAF_NOTE_REOPEN};

    if (!child->must_reopen || child->is_reopening || !sheaf_control_send(child->control_fd, &note))
        return;
    child->must_reopen = false;
    child->is_reopening = true;
}

void sheaf_crew_watch(sheaf_crew_t *crew, uint64_t now, uint64_t stuck_after_ms)
{
    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++) {
        sheaf_child_t *child = &crew->children[i];

        if (child->pid == 0)
            continue;
        tell_reopen(child);
        if (stuck_after_ms > 0)
            watch(crew, i, now, stuck_after_ms);
        if (child->is_stuck && now >= child->kill_at_ms) {
            kill(child->pid, SIGKILL); /* a stopped process hears nothing else */
            child->kill_at_ms = SHEAF_NEVER;
        }
    }
}

static uint64_t next_of(const sheaf_child_t *child, uint64_t now, uint64_t stuck_after_ms)
{
    if (child->is_stuck)
        return child->kill_at_ms;
    return stuck_after_ms > 0 ? now + sheaf_pulse_interval_ms(stuck_after_ms) : SHEAF_NEVER;
}

uint64_t sheaf_crew_next_ms(const sheaf_crew_t *crew, uint64_t now, uint64_t stuck_after_ms)
{
    uint64_t next = SHEAF_NEVER, at;

    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++) {
        const sheaf_child_t *child = &crew->children[i];

        if (child->pid != 0)
            at = next_of(child, now, stuck_after_ms);
        else
            at = i < crew->wanted ? child->restart_at_ms : SHEAF_NEVER;
        if (at < next)
            next = at;
    }
    return next;
}

/* --- buried --- */

static uint32_t next_backoff(uint32_t backoff_ms)
{
    uint32_t next_ms = backoff_ms == 0 ? BACKOFF_FIRST_MS : backoff_ms * 2;

    return next_ms > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : next_ms;
}

static void bury(sheaf_crew_t *crew, uint32_t index, int status)
{
    sheaf_child_t *child = &crew->children[index];
    bool is_young = now_ms() - child->started_ms < YOUNG_MS;

    sheaf_metrics_slot_orphaned(crew->region, index);
    if (child->is_retiring) {
        sheaf_log(SHEAF_LOG_INFO, "worker", "worker %u (pid %d) has retired", index, (int)child->pid);
    } else if (index < crew->wanted) {
        sheaf_count(crew->metrics, SHEAF_METRIC_WORKER_RESTARTS, 1);
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
    child->is_ready = child->is_preparing = false;
}

bool sheaf_crew_bury(sheaf_crew_t *crew, pid_t pid, int status)
{
    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++) {
        if (crew->children[i].pid == pid) {
            bury(crew, i, status);
            return true;
        }
    }
    return false;
}

/* --- all of them --- */

uint32_t sheaf_crew_polls(const sheaf_crew_t *crew, struct pollfd *polls)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++) {
        const sheaf_child_t *child = &crew->children[i];
        bool may_speak = child->pid != 0 && !child->is_silent; /* a closed end would be readable for ever */

        polls[i] = (struct pollfd){.fd = may_speak ? child->control_fd : -1, .events = POLLIN};
        if (may_speak)
            used = i + 1;
    }
    return used;
}

void sheaf_crew_tell(const sheaf_crew_t *crew, uint32_t first, uint32_t kind, uint32_t generation)
{
    sheaf_note_t note = {.kind = kind, .generation = generation};

    for (uint32_t i = first; i < SHEAF_CREW_MOST; i++) {
        if (crew->children[i].pid != 0)
            sheaf_control_send(crew->children[i].control_fd, &note);
    }
}

void sheaf_crew_reopen(sheaf_crew_t *crew)
{
    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++)
        crew->children[i].must_reopen = crew->children[i].pid != 0;
}

void sheaf_crew_retire_surplus(sheaf_crew_t *crew)
{
    sheaf_note_t note = {.kind = SHEAF_NOTE_RETIRE};

    for (uint32_t i = crew->wanted; i < SHEAF_CREW_MOST; i++) {
        sheaf_child_t *child = &crew->children[i];

        if (child->pid != 0 && !child->is_retiring)
            child->is_retiring = sheaf_control_send(child->control_fd, &note);
    }
}

void sheaf_crew_kill(const sheaf_crew_t *crew)
{
    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++) {
        if (crew->children[i].pid != 0)
            kill(crew->children[i].pid, SIGKILL);
    }
}

uint32_t sheaf_crew_count(const sheaf_crew_t *crew)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < SHEAF_CREW_MOST; i++)
        count += crew->children[i].pid != 0;
    return count;
}

bool sheaf_crew_is_ready(const sheaf_crew_t *crew)
{
    for (uint32_t i = 0; i < crew->wanted; i++) {
        if (!crew->children[i].is_ready)
            return false;
    }
    return true;
}
