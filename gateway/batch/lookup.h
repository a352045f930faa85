/* batch/lookup.h - what a reference finds in the answers that are there, or in the element of a forEach.
 *
 * A lookup serves one item and is used for all of its references in turn: a body in many chunks is put together once. How far
 * it may look is bounded: a client that writes 64 references with far-off indexes into each of its items would else have the
 * gateway read a body of 1 MiB thousands of times.
 * Values live in `scratch` or in the answer. */
#ifndef SHEAF_BATCH_LOOKUP_H
#define SHEAF_BATCH_LOOKUP_H

#include "gateway/batch/batch.h"
#include "gateway/batch/reference.h"

typedef struct sheaf_lookup {
    const sheaf_item_t *item; /* who asks */
    sheaf_fail_t *fail;
    sheaf_pool_t *scratch;
    sheaf_str_t *flats; /* by edge: bodies that lay in several chunks, in one; NULL: no body was copied */
    uint64_t steps;     /* that it may still take (sheaf_pointer_walk), of `most` */
    uint64_t most;
    uint64_t copied_bytes; /* bodies, and what was found in them */
} sheaf_lookup_t;

void sheaf_lookup_begin(sheaf_lookup_t *ret_lookup, const sheaf_item_t *item, sheaf_fail_t *fail);
/* Frees the scratch, and tells the batch what was looked through. */
void sheaf_lookup_end(sheaf_lookup_t *lookup);

/* JSON source text, or plain text (a header). */
typedef struct sheaf_found {
    sheaf_str_t text;
    bool is_json;
} sheaf_found_t;

/* UNRESOLVED, with a sentence that names the reference, when there is nothing; so in all of them. */
sheaf_err_t sheaf_lookup_value(sheaf_lookup_t *lookup, const sheaf_reference_t *reference, sheaf_found_t *ret_value);

/* The same as text, for places that take strings, numbers and booleans only. */
sheaf_err_t sheaf_lookup_scalar(sheaf_lookup_t *lookup, const sheaf_reference_t *reference, sheaf_str_t *ret_text);

/* Where the thing is that the other item made: its Location, else its own url (OData 4.01 11.7.3.1). Only a Location at
 * the authority that the client itself speaks to is taken. */
sheaf_err_t sheaf_lookup_location(sheaf_lookup_t *lookup, const sheaf_reference_t *reference, sheaf_url_t *ret_url);

/* UNRESOLVED: `reference` and then `why`, "found nothing". */
sheaf_err_t sheaf_lookup_fail(const sheaf_lookup_t *lookup, const sheaf_reference_t *reference, const char *why);

#endif
