/* access_log_format - what stands in a line.
 *
 *   ${client_ip} "${method} ${url}" ${status} ${duration_ms}     a format: literals and variables
 *   [time, client_ip, header.user-agent]                         fields: variables, written as JSON by these names
 *
 * Variables are those of templates everywhere (${path}, ${status}, ${header.NAME}, ${question.NAME}, ${result.NAME},
 * ${reply.NAME}, ${attr.NAME}; $${ is a literal ${) and some more: time, kind, url, duration_ms. */
#ifndef ACCESS_LOG_FORMAT_H
#define ACCESS_LOG_FORMAT_H

#include "access_log_text.h"

#define ACCESS_LOG_PIECES_MAX 64
#define ACCESS_LOG_NAME_MAX   64

typedef enum access_log_kind {
    ACCESS_LOG_LITERAL,
    ACCESS_LOG_TIME,        /* 2026-01-31T12:00:00Z */
    ACCESS_LOG_KIND,        /* request, direct, item */
    ACCESS_LOG_URL,         /* path and query, secrets masked */
    ACCESS_LOG_DURATION_MS, /* 12.345 */
    ACCESS_LOG_HTTP,        /* 1.1 */
    ACCESS_LOG_TEXT,        /* `what`: of sheaf_p_text_t */
    ACCESS_LOG_NUMBER,      /* `what`: of sheaf_p_number_t */
    ACCESS_LOG_HEADER,      /* `what`: of sheaf_p_part_t */
    ACCESS_LOG_ATTRIBUTE,
} access_log_kind_t;

typedef struct access_log_piece {
    access_log_kind_t kind;
    uint32_t what;
    sheaf_p_str_t literal; /* borrowed of the format */
    char name
        [ACCESS_LOG_NAME_MAX]; /* of the variable as written; of a header or an attribute NAME alone follows its first '.' */
} access_log_piece_t;

typedef struct access_log_format {
    uint32_t count;
    access_log_piece_t pieces[ACCESS_LOG_PIECES_MAX];
} access_log_format_t;

/* Returns NULL, or a sentence that says what is wrong with it. */
const char *access_log_format_read(sheaf_p_str_t text, access_log_format_t *ret_format);
const char *access_log_fields_read(const sheaf_p_str_t *names, uint32_t count, access_log_format_t *ret_format);

/* NAME of header.NAME, attr.NAME and the like. */
const char *access_log_argument(const access_log_piece_t *piece);

#endif
