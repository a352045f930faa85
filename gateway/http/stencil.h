/* http/stencil.h - text of the configuration with holes that data fills: what an element of a bulk, or the request to an
 * aggregate, becomes in an item.
 *
 *   /users/${item/id}?page=${query.page:-1}    a hole is ${SOURCE}, ${SOURCE.NAME} or ${SOURCE/JSON/POINTER};
 *                                              behind :- stands what fills it when nothing is there; $${ is a literal ${
 *
 * The source is a word that means something to whoever fills; a stencil only knows where its value goes and writes it
 * so that it stays there: percent-encoded in a url, quoted in a JSON string, without controls in a header. */
#ifndef SHEAF_HTTP_STENCIL_H
#define SHEAF_HTTP_STENCIL_H

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define SHEAF_STENCIL_MAX_HOLES 64u /* one stencil */

/* Where a value goes. */
typedef enum sheaf_place {
    SHEAF_PLACE_TEXT,   /* a header, an id: text without controls */
    SHEAF_PLACE_PATH,   /* of a url: one segment, or a part of one */
    SHEAF_PLACE_QUERY,  /* of a url: one value */
    SHEAF_PLACE_VALUE,  /* a JSON value, of whatever type the data has */
    SHEAF_PLACE_STRING, /* text within a JSON string */
} sheaf_place_t;

typedef struct sheaf_hole {
    sheaf_str_t text;   /* as written, between "${" and "}" */
    sheaf_str_t source; /* item, params, query, headers, body; or the id of an item that is referred to */
    sheaf_str_t path;   /* the pointer, "" for the whole; or the name behind the '.' */
    bool is_named;      /* SOURCE.NAME */
    bool is_reference;  /* not filled: written so that the batch resolves it. Set by who knows the items' ids; not in a
                           place within a JSON string, where nothing is resolved */
    sheaf_str_t fallback; /* behind ":-"; absent: there must be a value */
    sheaf_place_t place;
} sheaf_hole_t;

typedef struct sheaf_stencil_piece {
    sheaf_str_t text;   /* before the hole, as it will be sent */
    sheaf_hole_t *hole; /* NULL: the last piece */
} sheaf_stencil_piece_t;

typedef struct sheaf_stencil {
    sheaf_stencil_piece_t *pieces;
    uint32_t count;
    bool is_url, is_json; /* neither: text */
    /* What is made goes to an item with dependsOn, which looks for references: then filled values are written so that
     * nothing in them is one, and a literal "${" stays escaped. Set by who knows. */
    bool is_scanned;
} sheaf_stencil_t;

/* What fills a hole: JSON source text, or plain text. */
typedef struct sheaf_filling {
    sheaf_str_t text;
    bool is_json;
} sheaf_filling_t;

/* False when there is nothing. `pool` takes what has to be made, and lives as long as what the stencil makes. */
typedef bool sheaf_fill_fn(void *data, const sheaf_hole_t *hole, sheaf_pool_t *pool, sheaf_filling_t *ret_filling);

/* Text for a header or an id (is_url false), or a url. All land in `pool`. SHEAF_ERR_CONFIG with a sentence. */
sheaf_err_t sheaf_stencil_parse(sheaf_pool_t *pool, sheaf_str_t text, bool is_url, sheaf_stencil_t **ret_stencil,
                                sheaf_fail_t *fail);

/* --- a JSON value, put together bit by bit by who walks the configuration --- */
typedef struct sheaf_stencil_maker sheaf_stencil_maker_t;

sheaf_stencil_maker_t *sheaf_stencil_maker_new(sheaf_pool_t *pool);
/* Source text as it is: braces, commas, numbers. */
void sheaf_stencil_maker_put(sheaf_stencil_maker_t *maker, sheaf_str_t json);
/* A string: quoted; with holes in it filled as text, or, when it is one hole and nothing else, by the value itself. */
sheaf_err_t sheaf_stencil_maker_put_string(sheaf_stencil_maker_t *maker, sheaf_str_t text, sheaf_fail_t *fail);
/* Member names are literal: quoted. */
void sheaf_stencil_maker_put_name(sheaf_stencil_maker_t *maker, sheaf_str_t text);
sheaf_stencil_t *sheaf_stencil_maker_end(sheaf_stencil_maker_t *maker);

/* The text with all holes filled, at most `limit_bytes`. SHEAF_ERR_ITEM_DATA with a sentence that names the hole when
 * nothing is there, when an object, an array or null stands where text is wanted, or when a value would make a segment of
 * the url empty, "." or "..", put a control character into a header, or take a reference away by ending in $ before it;
 * SHEAF_ERR_ITEM_TOO_LARGE when it is longer.
 * The result is a slice of the stencil when it has no holes, a slice of the data when it is one hole for a value, else it
 * lands in `pool`. */
sheaf_err_t sheaf_stencil_fill(const sheaf_stencil_t *stencil, sheaf_fill_fn *fill, void *data, size_t limit_bytes,
                               sheaf_pool_t *pool, sheaf_str_t *ret_text, sheaf_fail_t *fail);

#endif
