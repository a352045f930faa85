/* access_log_line - one line about a request or an item. */
#ifndef ACCESS_LOG_LINE_H
#define ACCESS_LOG_LINE_H

#include "access_log_format.h"

#define ACCESS_LOG_LINE_MAX 16384

/* Attributes of a direct request in which what only its item knows is kept for its line. */
#define ACCESS_LOG_ROUTE    "access_log.route"
#define ACCESS_LOG_UPSTREAM "access_log.upstream_name"

typedef struct access_log_secrets {
    const sheaf_p_str_t *queries, *headers; /* names, besides those that are always masked */
    uint32_t query_count, header_count;
} access_log_secrets_t;

typedef struct access_log_line {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    const access_log_format_t *format;
    const access_log_secrets_t *secrets;
    bool is_json, is_item;
} access_log_line_t;

/* Writes it, with its line feed, to `ret_bytes` (ACCESS_LOG_LINE_MAX) and returns its length. */
size_t access_log_line_write(const access_log_line_t *line, sheaf_p_ref_t ref, char *ret_bytes);

#endif
