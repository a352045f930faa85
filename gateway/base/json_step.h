/* base/json_step.h - what the JSON rooms share: the validator with the place it stopped at, and the end of a string. */
#ifndef SHEAF_BASE_JSON_STEP_H
#define SHEAF_BASE_JSON_STEP_H

#include "gateway/base/eight.h"
#include "gateway/base/json.h"

static inline bool sheaf_json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* -1 for what is no hexadecimal digit. */
static inline int sheaf_json_hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

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

/* True when the bytes are one whole valid document; false says nothing about where and why. */
bool sheaf_json_is_whole(const char *at, const char *end, uint16_t max_depth);

/* The same, and no object of it has a name twice. False too where that would take longer to find out: at an object with
 * more than eight names, a name with an escape, or beyond 64 levels. */
bool sheaf_json_is_whole_unique(const char *at, const char *end, uint16_t max_depth);

/* Within a string, over whole characters and two-byte escapes: to its closing quote, to a \u, or to what is cut off or
 * must not stand there. */
const char *sheaf_json_plain(const char *at, const char *end);

/* Nearly all strings are short and plain: where the next sixteen bytes tell, they are asked at the place. From behind an
 * opening quote to the closing one, or NULL where that takes a closer look. */
static inline const char *sheaf_json_near_quote(const char *at, const char *end)
{
#ifdef __SSE2__
    if (end - at >= 16) {
        __m128i word = sheaf_sixteen_at(at);
        unsigned bits = sheaf_sixteen_bits(sheaf_sixteen_not_printable(word) | sheaf_sixteen_equal(word, '"') |
                                           sheaf_sixteen_equal(word, '\\'));

        at += __builtin_ctz(bits | 1u << 16);
        return bits != 0 && *at == '"' ? at : NULL;
    }
#endif
    (void)at, (void)end;
    return NULL;
}

/* From behind an opening quote to the closing one; `end` when the string is cut off. Linear, whatever is escaped. */
const char *sheaf_json_quote(const char *at, const char *end);

#endif
