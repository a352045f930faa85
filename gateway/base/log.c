#include "gateway/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/pool.h"

/* Lines gather for a while, as each time a busy loop wakes the thread costs both of them: at 200 times a second it was 4 % of
 * the CPU of the main path. A warning or an error is there sooner. */
#define GATHER_MS    50
#define PRESSING_MS  5
#define RING_BYTES   (256u << 10)     /* a power of two */
#define GATHER_BYTES (RING_BYTES / 4) /* as many are not waited with */

static const char *const severities[] = {"error", "warn", "info", "debug"};

/* Lines stand in the ring one after the other, each ended by its line break; head and tail only ever grow. */
static struct {
    bool is_json;
    sheaf_log_severity_t level;
    sheaf_metrics_t *metrics;
    int fd;
    pthread_t thread;
    bool is_running;
    pid_t pid; /* while it is running */
    pthread_mutex_t lock;
    pthread_cond_t wake, drained;
    bool is_asleep, is_pressing, is_ending; /* pressing: a warning or an error is queued */
    size_t head, tail;                      /* guarded by lock */
    uint64_t lost;                          /* lines the thread could not write; guarded by lock */
    char *ring;
} state = {.level = SHEAF_LOG_INFO,
           .fd = STDERR_FILENO,
           .lock = PTHREAD_MUTEX_INITIALIZER,
           .wake = PTHREAD_COND_INITIALIZER,
           .drained = PTHREAD_COND_INITIALIZER};

void sheaf_log_setup(bool is_json, sheaf_log_severity_t level, sheaf_metrics_t *metrics)
{
    state.is_json = is_json;
    state.level = level;
    state.metrics = metrics;
}

/* --- the writing thread --- */

static struct timespec in_ms(uint32_t ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* Returns false once `until` has come. */
static bool wait_on(pthread_cond_t *cond, const struct timespec *until)
{
    return pthread_cond_clockwait(cond, &state.lock, CLOCK_MONOTONIC, until) != ETIMEDOUT;
}

/* As many whole lines as fit in one write of at most SHEAF_LOG_LINE_MAX bytes, which pipes keep in one piece. */
static size_t take_lines(char *dst)
{
    size_t len = 0, whole = 0;

    while (len < SHEAF_LOG_LINE_MAX && state.tail + len < state.head) {
        dst[len] = state.ring[(state.tail + len) % RING_BYTES];
        if (dst[len++] == '\n')
            whole = len;
    }
    return whole;
}

static uint64_t count_lines(const char *bytes, size_t len)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* Returns how many lines were lost: disk full or reader gone means no log, but no spin. */
static uint64_t write_run(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t wrote = write(state.fd, bytes, len);

        if (wrote > 0) {
            bytes += wrote;
            len -= (size_t)wrote;
        } else if (wrote < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = state.fd, .events = POLLOUT};
            poll(&ready, 1, 1000);
        } else if (wrote == 0 || errno != EINTR) {
            return count_lines(bytes, len);
        }
    }
    return 0;
}

static bool may_gather(void)
{
    return !state.is_ending && state.head - state.tail < GATHER_BYTES;
}

static void wait_for_lines(void)
{
    const struct timespec pressing = {.tv_nsec = PRESSING_MS * 1000000};
    struct timespec until;

    state.is_pressing = false;
    state.is_asleep = true;
    while (state.head == state.tail && !state.is_ending)
        pthread_cond_wait(&state.wake, &state.lock);
    state.is_asleep = false;
    until = in_ms(GATHER_MS);
    while (may_gather() && !state.is_pressing && wait_on(&state.wake, &until))
        continue;
    if (!may_gather() || !state.is_pressing)
        return;
    pthread_mutex_unlock(&state.lock);
    nanosleep(&pressing, NULL);
    pthread_mutex_lock(&state.lock);
}

/* While two threads share their descriptors the kernel counts who uses one at every read and write of the loop: 2 % of the
 * CPU of the main path. The thread needs but one, so it has a table of its own. */
static void keep_one_descriptor(void)
{
    if (unshare(CLONE_FILES) != 0)
        return; /* shared ones do as well */
    close_range((unsigned)state.fd + 1, ~0u, 0);
    if (state.fd > 0)
        close_range(0, (unsigned)state.fd - 1, 0);
}

static void *write_lines(void *unused)
{
    static char run[SHEAF_LOG_LINE_MAX];

    (void)unused;
    keep_one_descriptor();
    pthread_mutex_lock(&state.lock);
    while (state.head != state.tail || !state.is_ending) {
        size_t len = take_lines(run);

        if (len == 0) {
            pthread_cond_broadcast(&state.drained);
            wait_for_lines();
            continue;
        }
        pthread_mutex_unlock(&state.lock);
        uint64_t lost = write_run(run, len);
        pthread_mutex_lock(&state.lock);
        state.lost += lost;
        state.tail += len; /* only now: the bytes count as queued until they are written */
    }
    pthread_cond_broadcast(&state.drained);
    pthread_mutex_unlock(&state.lock);
    return NULL;
}

/* A metrics slot has one writer, the loop: so the thread only notes what it lost, and the loop counts it. */
static void count_lost(void)
{
    sheaf_count(state.metrics, SHEAF_METRIC_LOG_DROPPED, state.lost);
    state.lost = 0;
}

void sheaf_log_start(int fd)
{
    sigset_t all, before;

    if (state.is_running)
        return;
    state.fd = fd;
    state.pid = getpid();
    state.ring = sheaf_alloc(RING_BYTES);
    state.head = state.tail = 0;
    state.is_ending = state.is_asleep = state.is_pressing = false;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the loop's */
    state.is_running = pthread_create(&state.thread, NULL, write_lines, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void sheaf_log_stop(uint32_t timeout_ms)
{
    struct timespec until = in_ms(timeout_ms);

    if (!state.is_running)
        return;
    pthread_mutex_lock(&state.lock);
    state.is_ending = true;
    pthread_cond_signal(&state.wake);
    while (state.head != state.tail && wait_on(&state.drained, &until))
        continue;
    bool is_drained = state.head == state.tail;
    count_lost();
    pthread_mutex_unlock(&state.lock);
    state.is_running = false;
    if (!is_drained) { /* stuck in a write that nobody reads: the process is about to end anyway */
        pthread_detach(state.thread);
        return;
    }
    pthread_join(state.thread, NULL);
    free(state.ring);
    state.ring = NULL;
}

/* --- handing a line over --- */

/* Once each: for the first line, the first that presses, and the one that fills a quarter of the ring. */
static void wake(size_t queued_before, bool is_pressing)
{
    bool fills = queued_before < GATHER_BYTES && !may_gather();

    if (state.is_asleep || (is_pressing && !state.is_pressing) || fills)
        pthread_cond_signal(&state.wake);
    state.is_asleep = false;
    state.is_pressing |= is_pressing;
}

static void queue_line(const char *bytes, size_t len, bool is_pressing)
{
    size_t at, first, queued;

    pthread_mutex_lock(&state.lock);
    count_lost();
    queued = state.head - state.tail;
    if (len > RING_BYTES - queued) {
        pthread_mutex_unlock(&state.lock);
        sheaf_count(state.metrics, SHEAF_METRIC_LOG_DROPPED, 1);
        return;
    }
    at = state.head % RING_BYTES;
    first = len < RING_BYTES - at ? len : RING_BYTES - at;
    memcpy(state.ring + at, bytes, first);
    memcpy(state.ring, bytes + first, len - first);
    state.head += len;
    wake(queued, is_pressing);
    pthread_mutex_unlock(&state.lock);
}

/* A reader that went away must not end the supervisor: its SIGPIPE is held back and taken away. */
static bool write_quietly(const char *bytes, size_t len)
{
    const struct timespec at_once = {0};
    sigset_t pipe_only, before;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    bool is_written = write(state.fd, bytes, len) == (ssize_t)len;
    if (!is_written && errno == EPIPE && sigismember(&before, SIGPIPE) == 0)
        sigtimedwait(&pipe_only, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_written;
}

static void write_now(const char *bytes, size_t len)
{
    struct pollfd ready = {.fd = state.fd, .events = POLLOUT};

    if (poll(&ready, 1, 0) != 1 || !write_quietly(bytes, len))
        sheaf_count(state.metrics, SHEAF_METRIC_LOG_DROPPED, 1);
}

/* --- building a line --- */

static void put(sheaf_log_line_t *line, const char *bytes, size_t len)
{
    size_t room = SHEAF_LOG_LINE_MAX - 3 - line->len; /* for the closing quote, bracket and line break */

    if (len > room)
        len = room;
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void put_text(sheaf_log_line_t *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Nothing that needs an escape; what is not ASCII does too: a log line is safe on any terminal. */
static size_t plain_run(const char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len && bytes[at] >= 0x20 && bytes[at] < 0x7f && bytes[at] != '"' && bytes[at] != '\\')
        at++;
    return at;
}

static void put_escaped(sheaf_log_line_t *line, sheaf_str_t value)
{
    size_t most = SHEAF_LOG_LINE_MAX - 12;

    for (size_t i = 0; i < value.len && line->len < most;) {
        unsigned char c = (unsigned char)value.base[i];
        size_t run = plain_run(value.base + i, value.len - i);
        char escape[8];

        if (run > 0)
            put(line, value.base + i, run < most - line->len ? run : most - line->len);
        else if (c == '"' || c == '\\')
            put(line, (char[2]){'\\', (char)c}, 2);
        else
            put(line, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c));
        i += run > 0 ? run : 1;
    }
}

static void put_key(sheaf_log_line_t *line, const char *key)
{
    put_text(line, state.is_json ? ",\"" : " ");
    put_text(line, key);
    put_text(line, state.is_json ? "\":" : "=");
}

void sheaf_log_begin(sheaf_log_line_t *line, sheaf_log_severity_t severity, const char *event)
{
    char time[25], pid[20];
    size_t pid_len;

    line->is_on = severity <= state.level;
    line->is_pressing = severity <= SHEAF_LOG_WARN;
    line->len = 0;
    if (!line->is_on)
        return;
    sheaf_clock_rfc3339(time);
    pid_len = sheaf_u64_to_dec((uint64_t)(state.is_running ? state.pid : getpid()), pid);
    put_text(line, state.is_json ? "{\"time\":\"" : "");
    put(line, time, 24);
    put_text(line, state.is_json ? "\",\"level\":\"" : " ");
    put_text(line, severities[severity]);
    put_text(line, state.is_json ? "\",\"pid\":" : " [");
    put(line, pid, pid_len);
    put_text(line, state.is_json ? ",\"event\":\"" : "] ");
    put_text(line, event);
    put_text(line, state.is_json ? "\"" : "");
}

void sheaf_log_str(sheaf_log_line_t *line, const char *key, sheaf_str_t value)
{
    if (!line->is_on)
        return;
    put_key(line, key);
    put_text(line, "\"");
    put_escaped(line, value);
    put_text(line, "\"");
}

void sheaf_log_u64(sheaf_log_line_t *line, const char *key, uint64_t value)
{
    char digits[20];

    if (!line->is_on)
        return;
    put_key(line, key);
    put(line, digits, sheaf_u64_to_dec(value, digits));
}

void sheaf_log_end(sheaf_log_line_t *line)
{
    if (!line->is_on)
        return;
    if (state.is_json)
        line->bytes[line->len++] = '}';
    line->bytes[line->len++] = '\n';
    if (state.is_running)
        queue_line(line->bytes, line->len, line->is_pressing);
    else
        write_now(line->bytes, line->len);
}

void sheaf_log(sheaf_log_severity_t severity, const char *event, const char *format, ...)
{
    sheaf_log_line_t line;
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sheaf_log_begin(&line, severity, event);
    sheaf_log_str(&line, "message", sheaf_str_of(text));
    sheaf_log_end(&line);
}
