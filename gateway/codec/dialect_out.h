/* codec/dialect_out.h - what the answers of other gateways have in common: canonical header names, bodies as strings. */
#ifndef SHEAF_CODEC_DIALECT_OUT_H
#define SHEAF_CODEC_DIALECT_OUT_H

#include "gateway/codec/codec.h"
#include "gateway/codec/pen.h"

typedef enum sheaf_dialect_values {
    SHEAF_DIALECT_ARRAY_IF_MANY, /* "Name":"value", or an array when the name stands several times */
    SHEAF_DIALECT_ARRAYS,        /* "Name":["value"] */
} sheaf_dialect_values_t;

/* A guess at the bytes of the item without a large body, to open a pen with. */
size_t sheaf_dialect_expected(const sheaf_item_t *item);

/* "headers":{...} */
void sheaf_dialect_put_headers(sheaf_pen_t *pen, const sheaf_item_t *item, sheaf_dialect_values_t values);

/* "body":"...": the text of a body that is UTF-8. Any other is base64 with "bodyEncoding":"base64" before it: the
 * originals break it (invalid JSON, or U+FFFD for bytes). Without a body it is empty. */
void sheaf_dialect_put_body(sheaf_pen_t *pen, const sheaf_item_t *item);

/* An answer is one array. */
void sheaf_dialect_begin(sheaf_encode_t *encode);
void sheaf_dialect_end(sheaf_encode_t *encode);

#endif
