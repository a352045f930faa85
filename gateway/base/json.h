/* base/json.h - strict RFC 8259: a validator that takes bytes as they come, and cursors over a document that passed.
 *
 * Strict means: UTF-8 checked (RFC 3629), no lone surrogates in \u escapes, no BOM, no leading zeros, no raw control
 * characters, depth bounded, exactly one value with white space around it. Bytes are never changed: numbers of any
 * length and strings of any escape survive because their source text is what is passed on. */
#ifndef SHEAF_BASE_JSON_H
#define SHEAF_BASE_JSON_H

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define SHEAF_JSON_MAX_DEPTH 512 /* results; documents from clients are held to 64 */

/* --- validating while bytes arrive (results): no allocation, state is a few words and a bit per level --- */

typedef struct sheaf_json_scan {
    uint16_t depth, max_depth;
    uint8_t state;     /* private */
    uint8_t utf8_left; /* private: continuation bytes due, with the range of the next one */
    uint8_t utf8_low, utf8_high;
    uint8_t hex_left;
    uint8_t literal_at;
    uint16_t unit;  /* \uXXXX being read */
    bool wants_low; /* a high surrogate was read */
    bool is_name;   /* the string being read is a member name */
    const char *literal;
    uint64_t is_object[SHEAF_JSON_MAX_DEPTH / 64];
} sheaf_json_scan_t;

void sheaf_json_scan_init(sheaf_json_scan_t *scan, uint16_t max_depth);

/* False as soon as the bytes cannot be the start of a valid document, and for ever after. */
bool sheaf_json_scan_feed(sheaf_json_scan_t *scan, const char *bytes, size_t len);

/* True when what was fed is one whole valid document. */
bool sheaf_json_scan_end(const sheaf_json_scan_t *scan);

/* --- a whole document from a client --- */

/* Validates `doc` strictly, with no object holding a member name twice (compared after unescaping; linear time).
 * On failure fills fail with SHEAF_ERR_SYNTAX, a sentence, the pointer of the place, line and column. */
sheaf_err_t sheaf_json_check(sheaf_str_t doc, uint16_t max_depth, sheaf_fail_t *fail);

/* Appends `/token`, escaped, to the pointer of `fail` (cut when it does not fit). */
void sheaf_json_pointer_add(sheaf_fail_t *fail, sheaf_str_t token);

/* Line and column (from 1; column in characters) of byte `offset` of `doc`. */
void sheaf_json_position(sheaf_str_t doc, size_t offset, uint32_t *ret_line, uint32_t *ret_column);

/* --- cursors: only over documents that passed sheaf_json_check; slices point into the document --- */

typedef enum sheaf_json_type {
    SHEAF_JSON_NULL,
    SHEAF_JSON_FALSE,
    SHEAF_JSON_TRUE,
    SHEAF_JSON_NUMBER,
    SHEAF_JSON_STRING,
    SHEAF_JSON_ARRAY,
    SHEAF_JSON_OBJECT,
} sheaf_json_type_t;

/* A value's source text without white space around it. */
typedef sheaf_str_t sheaf_json_t;

sheaf_json_t sheaf_json_root(sheaf_str_t doc);
sheaf_json_type_t sheaf_json_type(sheaf_json_t value);

typedef struct sheaf_json_iter {
    const char *at, *end; /* private */
} sheaf_json_iter_t;

/* Walks the members of an object or the elements of an array in document order. `value` must have that type. */
sheaf_json_iter_t sheaf_json_iter(sheaf_json_t value);
bool sheaf_json_next_member(sheaf_json_iter_t *iter, sheaf_json_t *ret_name, sheaf_json_t *ret_value);
bool sheaf_json_next_element(sheaf_json_iter_t *iter, sheaf_json_t *ret_value);

/* The next element while where it ends is not known, for who walks it in any case: its first byte is right, its length is
 * not, sheaf_json_type and sheaf_json_iter may be asked. It is an object or array, or it is the last that is asked for;
 * once `inner` has walked all of it, closing it goes on behind. */
bool sheaf_json_open_element(sheaf_json_iter_t *iter, sheaf_json_t *ret_value);
void sheaf_json_close_element(sheaf_json_iter_t *iter, const sheaf_json_iter_t *inner);

/* The text of a JSON string (quotes in the slice) with escapes resolved; without escapes it points into the
 * document, else into `pool`. May hold NUL when the source says \u0000. */
sheaf_str_t sheaf_json_string(sheaf_json_t value, sheaf_pool_t *pool);

/* The same text, without memory for it? */
bool sheaf_json_string_is(sheaf_json_t value, sheaf_str_t text);

/* A string, number or boolean as text, for places that take nothing else; *ret_text as by sheaf_json_string. NULL, or
 * what was found instead: "found null". */
const char *sheaf_json_scalar(sheaf_json_t value, sheaf_pool_t *pool, sheaf_str_t *ret_text);

/* A number that is an integer without fraction and exponent and fits; false otherwise. */
bool sheaf_json_u64(sheaf_json_t value, uint64_t *ret_value);

#endif
