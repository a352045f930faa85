/* base/log.h - structured lines on standard error that never block the loop.
 *
 * A line is built from fields in a fixed buffer (4 KiB, cut when longer), put into a bounded ring whole, and written by
 * one thread per process with one write(2) per line or run of whole lines (at most 4 KiB, so lines of several
 * processes never mix). Lines gather for up to 50 ms, with a warning or an error among them for 5. A full ring drops the
 * line and counts it. Without a thread (the supervisor, tests, `sheaf check`) lines are written at once, or dropped when the
 * descriptor is not ready. */
#ifndef SHEAF_BASE_LOG_H
#define SHEAF_BASE_LOG_H

#include "gateway/base/metrics.h"
#include "gateway/base/str.h"

#define SHEAF_LOG_LINE_MAX 4096

typedef enum sheaf_log_severity { /* same order as log_level in keys.def */
                                  SHEAF_LOG_ERROR,
                                  SHEAF_LOG_WARN,
                                  SHEAF_LOG_INFO,
                                  SHEAF_LOG_DEBUG,
} sheaf_log_severity_t;

/* One per process. is_json picks the form; level is the least important severity written. */
void sheaf_log_setup(bool is_json, sheaf_log_severity_t level, sheaf_metrics_t *metrics);

/* Starts the writing thread (after fork). */
void sheaf_log_start(int fd);
/* Writes out what is queued, for at most `timeout_ms`, and ends the thread. */
void sheaf_log_stop(uint32_t timeout_ms);

typedef struct sheaf_log_line {
    bool is_on;       /* false: below the level, all calls do nothing */
    bool is_pressing; /* a warning or an error */
    size_t len;
    char bytes[SHEAF_LOG_LINE_MAX];
} sheaf_log_line_t;

/* {"time":"...","level":"info","event":"batch", ... }  or  time info batch key=value ...
 * Keys are literals; string values are escaped in both forms. */
void sheaf_log_begin(sheaf_log_line_t *line, sheaf_log_severity_t severity, const char *event);
void sheaf_log_str(sheaf_log_line_t *line, const char *key, sheaf_str_t value);
void sheaf_log_u64(sheaf_log_line_t *line, const char *key, uint64_t value);
void sheaf_log_end(sheaf_log_line_t *line); /* hands it over */

/* A whole line with one message field. */
void sheaf_log(sheaf_log_severity_t severity, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
