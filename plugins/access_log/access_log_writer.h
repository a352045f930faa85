/* access_log_writer - lines into a file or standard error, without the loop ever waiting for it.
 *
 *   loop: put --> | filling | --swap--> | writing | --> thread: write(2), whole lines
 *
 * The two halves are `queue_bytes` each. When the one that is being filled is full its lines are dropped and counted. The
 * thread begins with the first line. A file is opened for appending; once in `reopen_ms` the thread looks whether its path still
 * leads to it, and opens it anew if not: so it may be moved away at any time. Told to reopen it does so at once. Standard error is asked first whether it takes
 * something, so a pipe that nobody reads holds up nobody, not even the end. */
#ifndef ACCESS_LOG_WRITER_H
#define ACCESS_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct access_log_writer access_log_writer_t;

/* `path` NULL: standard error. NULL and errno if it cannot be opened; with `may_wait` it is tried again once in `reopen_ms`
 * instead, and what is written meanwhile has failed. */
access_log_writer_t *access_log_writer_new(const char *path, size_t queue_bytes, uint32_t reopen_ms, bool may_wait);
/* Writes what is queued, for half a second at most. */
void access_log_writer_free(access_log_writer_t *writer);

/* A whole line. Returns false if it was dropped. */
bool access_log_writer_put(access_log_writer_t *writer, const char *line, size_t len);

/* What is put from here on goes into what is at its path now; where that cannot be opened, into the old one. */
void access_log_writer_reopen(access_log_writer_t *writer);

/* How many lines could not be written (a full disk) since it was asked last. */
uint64_t access_log_writer_failed(access_log_writer_t *writer);

#endif
