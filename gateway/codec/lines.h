/* codec/lines.h - NDJSON as it is read: one JSON value a line, CR LF ends it as well as LF, and lines without one are
 * passed over. Pointers count values: /2/url is in the third. */
#ifndef SHEAF_CODEC_LINES_H
#define SHEAF_CODEC_LINES_H

#include "gateway/base/error.h"

typedef struct sheaf_lines {
    const char *at, *end; /* what has not been walked */
} sheaf_lines_t;

static inline sheaf_lines_t sheaf_lines(sheaf_str_t doc)
{
    return (sheaf_lines_t){doc.base, doc.base + doc.len};
}

/* The next line that is not blank, without its LF. */
bool sheaf_lines_next(sheaf_lines_t *lines, sheaf_str_t *ret_line);

/* What is wrong within `line` of `doc` is known by the line, and a pointer from there on: adds line number and `index` to
 * what sheaf_json_check has said. Returns its err. */
sheaf_err_t sheaf_lines_locate(sheaf_str_t doc, sheaf_str_t line, uint32_t index, sheaf_fail_t *fail);

/* Puts `token` in front of the pointer. */
void sheaf_lines_prefix(sheaf_fail_t *fail, sheaf_str_t token);

#endif
