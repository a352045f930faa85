/* access_log_text - bytes of strangers in a line: bounded, escaped, secrets masked.
 *
 * A line is written into a buffer of its caller and is never longer than it; what does not fit is left out and `is_cut` says so.
 *
 *   JSON   " and \ and controls (C0, DEL, C1, U+2028, U+2029) as \u00XX; what is not UTF-8 as U+FFFD
 *   text   " and \ and all that is not printable ASCII as \xXX, as nginx does
 *
 * So no value can end a line, begin another one, or speak to a terminal. */
#ifndef ACCESS_LOG_TEXT_H
#define ACCESS_LOG_TEXT_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

#define ACCESS_LOG_VALUE_MAX 2048 /* bytes of one value; the rest is left out, with "..." in its place */
#define ACCESS_LOG_MASK      "***"

typedef struct access_log_out {
    char *base;
    size_t len, room;
    bool is_cut;
} access_log_out_t;

/* All of it or nothing. */
void access_log_put(access_log_out_t *out, const char *base, size_t len);
void access_log_put_json(access_log_out_t *out, sheaf_p_str_t value);
void access_log_put_text(access_log_out_t *out, sheaf_p_str_t value);

/* Copies `query` ("a=1&b=2") into `buffer` with the values of the parameters in `names` masked. Names are compared as they
 * decode, in any case, with '.', ' ' and '-' as '_', and each part of "a[b]" by itself; `;` parts parameters too. What the buffer does not hold is cut. Returns the length. */
size_t access_log_mask_query(sheaf_p_str_t query, const sheaf_p_str_t *names, uint32_t name_count, char *buffer,
                             size_t room);

/* The same of a whole URL: all behind its first '?', up to a '#'; userinfo is masked too. */
size_t access_log_mask_url(sheaf_p_str_t url, const sheaf_p_str_t *names, uint32_t name_count, char *buffer,
                           size_t room);

#endif
