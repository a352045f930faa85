/* base/json_step.h - what the JSON rooms share: the validator with the place it stopped at, and the end of a string. */
#ifndef SHEAF_BASE_JSON_STEP_H
#define SHEAF_BASE_JSON_STEP_H

#include "gateway/base/json.h"

/* What the validator was in the middle of, coarse enough for a sentence. */
typedef enum sheaf_json_step_kind {
    SHEAF_JSON_STEP_VALUE,
    SHEAF_JSON_STEP_NAME,
    SHEAF_JSON_STEP_COLON,
    SHEAF_JSON_STEP_AFTER,
    SHEAF_JSON_STEP_STRING,
    SHEAF_JSON_STEP_ESCAPE,
    SHEAF_JSON_STEP_NUMBER,
    SHEAF_JSON_STEP_LITERAL,
} sheaf_json_step_kind_t;

/* NULL when the bytes passed; else the first byte that cannot stand where it does, and what stood there before it. */
const char *sheaf_json_run(sheaf_json_scan_t *scan, const char *at, const char *end, sheaf_json_step_kind_t *ret_kind);

/* From behind an opening quote to the closing one; `end` when the string is cut off. Linear, whatever is escaped. */
const char *sheaf_json_quote(const char *at, const char *end);

#endif
