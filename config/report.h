/* config/report.h - what is wrong with a text, and where: all of it, in the order of the text.
 *
 *   sheaf.yaml:12:7: error: unknown key `upstrem`, did you mean `upstream`?
 *         upstrem: users
 *         ^
 *
 * Places are line and column from 1, columns in characters. A report keeps at most SHEAF_REPORT_MAX findings and counts
 * the rest, so a hostile file cannot make it grow without bound. */
#ifndef SHEAF_CONFIG_REPORT_H
#define SHEAF_CONFIG_REPORT_H

#include "config/keys.h"
#include "gateway/base/pool.h"

#define SHEAF_REPORT_MAX 1000

typedef struct sheaf_finding sheaf_finding_t;

typedef struct sheaf_report {
    sheaf_pool_t *pool;
    const char *path;
    sheaf_str_t text;
    uint32_t *line_starts; /* offset of each line's first byte */
    uint32_t line_count;
    sheaf_finding_t *findings;
    uint32_t count, room;
    uint32_t left_out;
    uint32_t errors; /* errors among all, left out ones too */
} sheaf_report_t;

/* `path`, `text` (under 4 GiB) and `pool` are borrowed until sheaf_report_take(). */
void sheaf_report_init(sheaf_report_t *report, sheaf_pool_t *pool, const char *path, sheaf_str_t text);

/* The place of byte `offset`, and back (a column past the end of the line is the line's end). */
sheaf_mark_t sheaf_report_mark(const sheaf_report_t *report, size_t offset);
size_t sheaf_report_offset(const sheaf_report_t *report, sheaf_mark_t mark);

/* Adds a finding at `mark`; line 0 = about the file as a whole. */
void sheaf_report_error(sheaf_report_t *report, sheaf_mark_t mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sheaf_report_warning(sheaf_report_t *report, sheaf_mark_t mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* No room for more: costly hints need not be worked out any longer. */
bool sheaf_report_is_full(const sheaf_report_t *report);

/* The findings as malloc'ed text ("" when there are none), for the caller to free(). */
char *sheaf_report_take(sheaf_report_t *report);

#endif
