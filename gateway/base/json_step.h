/* base/json_step.h - the validator one byte at a time, for json_check.c, which keeps the path beside it. */
#ifndef SHEAF_BASE_JSON_STEP_H
#define SHEAF_BASE_JSON_STEP_H

#include "gateway/base/json.h"

typedef enum sheaf_json_step_kind { /* what the validator is in the middle of, coarse enough for a sentence */
                                    SHEAF_JSON_STEP_VALUE,
                                    SHEAF_JSON_STEP_NAME,
                                    SHEAF_JSON_STEP_COLON,
                                    SHEAF_JSON_STEP_AFTER,
                                    SHEAF_JSON_STEP_STRING,
                                    SHEAF_JSON_STEP_ESCAPE,
                                    SHEAF_JSON_STEP_NUMBER,
                                    SHEAF_JSON_STEP_LITERAL,
} sheaf_json_step_kind_t;

void sheaf_json_step(sheaf_json_scan_t *scan, char c);
uint8_t sheaf_json_step_kind(const sheaf_json_scan_t *scan);
bool sheaf_json_step_is_bad(const sheaf_json_scan_t *scan);
bool sheaf_json_step_in_string(const sheaf_json_scan_t *scan); /* strictly inside, escapes included */

/* The next byte that takes a step: plain string bytes are skipped. */
const char *sheaf_json_skip(const sheaf_json_scan_t *scan, const char *at, const char *end);

#endif
