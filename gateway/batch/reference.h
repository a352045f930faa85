/* batch/reference.h - what an item takes from others, parsed when it is added.
 *
 *   url, header values   ${ID.body/JSON/POINTER}  ${ID.status}  ${ID.headers.NAME}; $${ is a literal ${
 *   a JSON body          {"$result":"ID.body/JSON/POINTER"}; {"$literal":X} is X, unscanned
 *   OData                url $ID/...: what ID made (its Location, else its url); If-Match: $ID: its ETag
 *
 * Only an item with dependsOn has references, and only to ids listed there; elsewhere all of this is plain text. A
 * recipe is pieces of text and references in the order of the result; `expand` makes the question of them. */
#ifndef SHEAF_BATCH_REFERENCE_H
#define SHEAF_BATCH_REFERENCE_H

#include "gateway/batch/item.h"

#define SHEAF_REFERENCES_MAX     64u   /* an item */
#define SHEAF_REFERENCE_SIZE_MAX 1024u /* bytes, as written */

typedef enum sheaf_reference_kind {
    SHEAF_REFERENCE_BODY,     /* path: JSON pointer */
    SHEAF_REFERENCE_STATUS,   /* no path */
    SHEAF_REFERENCE_HEADER,   /* path: name, lower-case */
    SHEAF_REFERENCE_EACH,     /* path: JSON pointer into the element; "each" and "each/POINTER" in a forEach item */
    SHEAF_REFERENCE_LOCATION, /* no path: where the thing is that the other item made */
} sheaf_reference_kind_t;

typedef struct sheaf_reference {
    sheaf_reference_kind_t kind;
    sheaf_str_t text; /* as written, for messages */
    sheaf_str_t id;
    sheaf_str_t path;
    uint32_t edge; /* position in depends_on */
} sheaf_reference_t;

typedef struct sheaf_piece sheaf_piece_t;
struct sheaf_piece {
    sheaf_str_t text;
    const sheaf_reference_t *reference; /* NULL: text */
    sheaf_piece_t *next;
};

typedef struct sheaf_template {
    sheaf_piece_t *first, *last; /* NULL: there is nothing to resolve, what was written is meant */
} sheaf_template_t;

struct sheaf_recipe {
    sheaf_template_t url;
    sheaf_headers_t headers;  /* as written */
    sheaf_template_t *values; /* one for each of headers; NULL: none has anything to resolve */
    sheaf_template_t body;
    uint32_t count;                /* references in all */
    const sheaf_reference_t *each; /* the array of a forEach item; else NULL */
};

/* Parses what stands between "${" and "}", or in "$result". False when it is none. `pool` takes a lower-case name. */
bool sheaf_reference_parse(sheaf_pool_t *pool, sheaf_str_t text, sheaf_reference_t *ret_reference);

/* Sets item->recipe when `draft` holds anything to resolve, and marks the edges whose answers will be read.
 * SHEAF_ERR_REFERENCE (malformed, an id that is not listed, too many, too long) with a sentence. */
sheaf_err_t sheaf_reference_compile(sheaf_item_t *item, const sheaf_draft_t *draft, sheaf_fail_t *fail);

#endif
