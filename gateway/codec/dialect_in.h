/* codec/dialect_in.h - what reading the batches of other gateways has in common: an object that holds an array of items.
 *
 * apisix_in.c and tyk_in.c bring the members; json_reader does the rest. Results have no ids there, so they keep the
 * order of the request. */
#ifndef SHEAF_CODEC_DIALECT_IN_H
#define SHEAF_CODEC_DIALECT_IN_H

#include "gateway/codec/json_reader.h"

typedef struct sheaf_dialect_in {
    const char *list; /* the member that holds the items */
    const sheaf_reader_member_t *batch_members;
    size_t batch_member_count;
    const sheaf_reader_member_t *item_members;
    size_t item_member_count;
    bool ignores_unknown; /* members of an item; those of the envelope both ignore */
    /* Completes reader->draft once its members are read; `item` is the object they stood in. */
    sheaf_err_t (*finish)(sheaf_reader_t *reader, sheaf_json_t item);
} sheaf_dialect_in_t;

/* Reads reader->doc into reader->batch and seals it; batch, pool, fail and doc are set. */
sheaf_err_t sheaf_dialect_read(sheaf_reader_t *reader, const sheaf_dialect_in_t *dialect);

/* --- members that both have --- */

sheaf_err_t sheaf_dialect_take_list(sheaf_reader_t *reader, sheaf_json_t value);
sheaf_err_t sheaf_dialect_take_method(sheaf_reader_t *reader, sheaf_json_t value);
sheaf_err_t sheaf_dialect_take_headers(sheaf_reader_t *reader, sheaf_json_t value);
/* A string; an empty one counts as none, since the clients of both send it with every GET. */
sheaf_err_t sheaf_dialect_take_body(sheaf_reader_t *reader, sheaf_json_t value);
/* true or false, into `*ret_is_true`. */
sheaf_err_t sheaf_dialect_take_bool(sheaf_reader_t *reader, const char *member, sheaf_json_t value, bool *ret_is_true);

#endif
