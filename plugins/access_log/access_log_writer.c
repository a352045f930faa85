#include "access_log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES                                                                                                    \
    4096 /* PIPE_BUF: what poll() promised is taken at once, and lines of several processes do not mix */
#define END_MS 500

typedef struct half {
    char *base;
    size_t len;
} half_t;

struct access_log_writer {
    char *path; /* NULL: standard error */
    int fd;     /* the thread's, once it runs; -1: could not be opened yet */
    uint32_t reopen_ms;
    size_t queue_bytes;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    half_t filling;
    bool is_ending, is_to_reopen;
    /* the thread's */
    half_t writing;
    uint64_t end_ms, looked_ms;
    pthread_t thread;
    bool has_thread;
    _Atomic uint64_t failed;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

/* --- the thread --- */

static bool is_elsewhere(const access_log_writer_t *writer)
{
    struct stat path, mine;

    return writer->fd < 0 || stat(writer->path, &path) != 0 || fstat(writer->fd, &mine) != 0 ||
           path.st_ino != mine.st_ino || path.st_dev != mine.st_dev;
}

/* Where it cannot be opened anew the old one is written on. */
static void open_anew(access_log_writer_t *writer)
{
    int fd = open_file(writer->path);

    if (fd < 0)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    writer->fd = fd;
}

static void look_at_path(access_log_writer_t *writer, bool is_told)
{
    if (writer->path == NULL || (!is_told && now_ms() - writer->looked_ms < writer->reopen_ms))
        return;
    writer->looked_ms = now_ms();
    if (is_told || is_elsewhere(writer))
        open_anew(writer);
}

static bool is_out_of_time(access_log_writer_t *writer)
{
    pthread_mutex_lock(&writer->lock);
    if (writer->is_ending && writer->end_ms == 0)
        writer->end_ms = now_ms() + END_MS;
    pthread_mutex_unlock(&writer->lock);
    return writer->end_ms != 0 && now_ms() >= writer->end_ms;
}

static bool takes_something(access_log_writer_t *writer)
{
    struct pollfd at = {.fd = writer->fd, .events = POLLOUT};

    while (poll(&at, 1, 50) == 0)
        if (is_out_of_time(writer))
            return false;
    return true;
}

/* Whole lines, at most PIECE_BYTES of them; a longer line goes by itself. */
static size_t piece_of(const char *base, size_t len)
{
    const char *end;

    if (len <= PIECE_BYTES)
        return len;
    end = memrchr(base, '\n', PIECE_BYTES);
    if (end == NULL)
        end = memchr(base, '\n', len);
    return (size_t)(end - base) + 1;
}

static uint64_t lines_in(const char *base, size_t len)
{
    uint64_t lines = 0;

    for (const char *at = base; (at = memchr(at, '\n', len - (size_t)(at - base))) != NULL; at++)
        lines++;
    return lines;
}

static bool piece_written(access_log_writer_t *writer, const char *base, size_t len)
{
    while (len > 0) {
        ssize_t wrote;

        if (writer->fd < 0 || !takes_something(writer))
            return false;
        wrote = write(writer->fd, base, len);
        if (wrote < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        base += wrote < 0 ? 0 : wrote;
        len -= wrote < 0 ? 0 : (size_t)wrote;
    }
    return true;
}

static void write_half(access_log_writer_t *writer)
{
    const half_t *half = &writer->writing;

    for (size_t at = 0, len; at < half->len; at += len) {
        len = piece_of(half->base + at, half->len - at);
        if (!piece_written(writer, half->base + at, len))
            atomic_fetch_add(&writer->failed, lines_in(half->base + at, len));
    }
    writer->writing.len = 0;
}

static void wait_a_little(access_log_writer_t *writer)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += writer->reopen_ms / 1000;
    until.tv_nsec += (long)(writer->reopen_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    if (writer->path == NULL)
        pthread_cond_wait(&writer->wake, &writer->lock);
    else
        pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
}

static void swap(access_log_writer_t *writer)
{
    const half_t half = writer->filling;

    writer->filling = writer->writing;
    writer->writing = half;
}

static void *run(void *data)
{
    access_log_writer_t *writer = data;
    bool is_last, is_told;

    do {
        pthread_mutex_lock(&writer->lock);
        if (writer->filling.len == 0 && !writer->is_ending && !writer->is_to_reopen)
            wait_a_little(writer);
        is_last = writer->is_ending;
        is_told = writer->is_to_reopen;
        writer->is_to_reopen = false;
        swap(writer);
        pthread_mutex_unlock(&writer->lock);
        look_at_path(writer, is_told);
        write_half(writer);
    } while (!is_last);
    return NULL;
}

/* --- the loop --- */

/* No signal is for this thread. */
static bool begin(access_log_writer_t *writer)
{
    sigset_t all, was;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    writer->has_thread = pthread_create(&writer->thread, NULL, run, writer) == 0;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return writer->has_thread;
}

bool access_log_writer_put(access_log_writer_t *writer, const char *line, size_t len)
{
    bool fits, was_empty;

    if (!writer->has_thread && !begin(writer))
        return false;
    pthread_mutex_lock(&writer->lock); /* held for a swap of pointers or a copy, never for a write */
    was_empty = writer->filling.len == 0;
    fits = len <= writer->queue_bytes - writer->filling.len;
    if (fits) {
        memcpy(writer->filling.base + writer->filling.len, line, len);
        writer->filling.len += len;
    }
    pthread_mutex_unlock(&writer->lock);
    if (was_empty)
        pthread_cond_signal(&writer->wake);
    return fits;
}

void access_log_writer_reopen(access_log_writer_t *writer)
{
    if (writer->path == NULL || (!writer->has_thread && !begin(writer)))
        return;
    pthread_mutex_lock(&writer->lock);
    writer->is_to_reopen = true;
    pthread_mutex_unlock(&writer->lock);
    pthread_cond_signal(&writer->wake);
}

uint64_t access_log_writer_failed(access_log_writer_t *writer)
{
    return atomic_load_explicit(&writer->failed, memory_order_relaxed) == 0 ? 0 : atomic_exchange(&writer->failed, 0);
}

static void init_wake(pthread_cond_t *wake)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void release(access_log_writer_t *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->lock);
    free(writer->filling.base);
    free(writer->writing.base);
    free(writer->path);
    free(writer);
}

access_log_writer_t *access_log_writer_new(const char *path, size_t queue_bytes, uint32_t reopen_ms, bool may_wait)
{
    access_log_writer_t *writer = calloc(1, sizeof(*writer));
    int why;

    if (writer == NULL)
        return NULL;
    pthread_mutex_init(&writer->lock, NULL);
    init_wake(&writer->wake);
    writer->queue_bytes = queue_bytes;
    writer->reopen_ms = reopen_ms;
    writer->looked_ms = now_ms();
    writer->path = path == NULL ? NULL : strdup(path);
    writer->filling.base = malloc(queue_bytes);
    writer->writing.base = malloc(queue_bytes);
    writer->fd = path == NULL ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : open_file(path);
    if ((writer->fd >= 0 || may_wait) && writer->filling.base != NULL && writer->writing.base != NULL)
        return writer;
    why = errno;
    release(writer);
    errno = why;
    return NULL;
}

void access_log_writer_free(access_log_writer_t *writer)
{
    if (writer->has_thread) {
        pthread_mutex_lock(&writer->lock);
        writer->is_ending = true;
        pthread_mutex_unlock(&writer->lock);
        pthread_cond_signal(&writer->wake);
        pthread_join(writer->thread, NULL);
    }
    release(writer);
}
