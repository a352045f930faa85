/* codec/json_reader.h - what reading a JSON or NDJSON batch needs in every part: where we are, and values of each kind.
 *
 * json_in.c reads the envelope, json_item.c one item, ndjson_in.c lines of them; all walk objects by tables of members.
 * Every refusal names its place in the document as sent. Strings without escapes and JSON bodies are slices of the
 * document. */
#ifndef SHEAF_CODEC_JSON_READER_H
#define SHEAF_CODEC_JSON_READER_H

#include "gateway/codec/codec.h"

#define SHEAF_READER_MAX_DEPTH 64 /* of a batch, item bodies included */

typedef struct sheaf_reader sheaf_reader_t;
struct sheaf_reader {
    sheaf_batch_t *batch;
    sheaf_pool_t *pool;
    sheaf_fail_t *fail;
    sheaf_str_t doc;
    sheaf_json_t requests; /* the array of items */
    bool is_bare;          /* the document is that array, or its items: pointers begin with the index */

    /* what other gateways' batches want otherwise */
    const char *list;     /* the member that is `requests`; NULL: requests */
    bool ignores_unknown; /* members that have no row are passed over */
    bool ignores_case;    /* of member names */
    bool takes_scalars;   /* a header may be a number, true or false */

    /* the item being read; in_item says whether there is one */
    bool in_item;
    uint32_t index;
    sheaf_json_iter_t members; /* of the object read last: at its end once all were taken */
    sheaf_draft_t draft;
    sheaf_json_t body;
    sheaf_str_t content_type; /* the item's, else the envelope's */
    sheaf_str_t default_type; /* the envelope's */
    bool is_base64;
};

typedef struct sheaf_reader_member {
    sheaf_str_t name;
    sheaf_err_t (*take)(sheaf_reader_t *reader, sheaf_json_t value);
    bool takes_null; /* else null counts as absent */
} sheaf_reader_member_t;

#define SHEAF_READER_NO_INDEX UINT32_MAX

/* A place below the item (or the envelope): member/name/index, with what is not there left absent or
 * SHEAF_READER_NO_INDEX. */
typedef struct sheaf_reader_place {
    const char *at; /* into the document, for line and column */
    const char *member;
    sheaf_str_t name;
    uint32_t index;
} sheaf_reader_place_t;

static inline bool sheaf_reader_is(sheaf_json_t value, sheaf_json_type_t type)
{
    return sheaf_json_type(value) == type;
}

/* --- places and refusals --- */

/* Adds pointer, line and column of `place` to reader->fail; returns its err. */
sheaf_err_t sheaf_reader_locate(const sheaf_reader_t *reader, sheaf_reader_place_t place);

/* The place of `value`, which is `member` of the item or the envelope (NULL: the item or envelope itself). */
sheaf_reader_place_t sheaf_reader_at(const char *member, sheaf_json_t value);

/* Refuses with SHEAF_ERR_MEMBER: `wanted` says what would have been right. */
sheaf_err_t sheaf_reader_wrong_type(const sheaf_reader_t *reader, sheaf_reader_place_t place, const char *wanted);

/* --- values --- */

sheaf_err_t sheaf_reader_string(sheaf_reader_t *reader, const char *member, sheaf_json_t value, sheaf_str_t *ret_text);

/* A duration such as "500ms"; zero is refused. */
sheaf_err_t sheaf_reader_timeout(sheaf_reader_t *reader, sheaf_json_t value, uint64_t *ret_ms);

/* One of two words. */
sheaf_err_t sheaf_reader_word(sheaf_reader_t *reader, const char *member, sheaf_json_t value, const char *first,
                              const char *second, bool *ret_is_second);

/* Adds the fields of `object` to `headers`; a Content-Type among them is also put into `*type`. */
sheaf_err_t sheaf_reader_headers(sheaf_reader_t *reader, sheaf_json_t object, sheaf_headers_t *headers,
                                 sheaf_str_t *type);

/* Hands each member of `object` to the row of `members` that has its name; names that start with `@` are ignored, other
 * unknown ones refused with the nearest known one, unless the reader ignores them or the client prefers that (RFC 7240,
 * handling=lenient). */
sheaf_err_t sheaf_reader_members(sheaf_reader_t *reader, sheaf_json_t object, const sheaf_reader_member_t *members,
                                 size_t count);

/* --- walking to a place again --- */

/* Element `n` of `array`; `array` itself when it has none. */
sheaf_json_t sheaf_reader_nth(sheaf_json_t array, uint32_t n);

/* The value of `name` in `object`, or `object` itself when it has none (an id that is its index). */
sheaf_json_t sheaf_reader_member_of(const sheaf_reader_t *reader, sheaf_json_t object, const char *name);

/* Adds the place of batch->fault, which lies in `item`, to reader->fail; returns its err. */
sheaf_err_t sheaf_reader_locate_fault(sheaf_reader_t *reader, sheaf_json_t item);

/* --- json_in.c --- */

/* Reads the members of an envelope into the batch; `requests` into reader->requests. */
sheaf_err_t sheaf_reader_envelope(sheaf_reader_t *reader, sheaf_json_t object);

/* --- json_item.c --- */

/* Reads one item into reader->draft, its body decoded. */
sheaf_err_t sheaf_reader_item(sheaf_reader_t *reader, sheaf_json_t item);

#endif
