/* codec/codec.h - bytes to batch, results to bytes: the registry of formats and their negotiation.
 *
 * Codecs are pure: no network, no clock. A new one is one file and one line in codecs.def. */
#ifndef SHEAF_CODEC_CODEC_H
#define SHEAF_CODEC_CODEC_H

#include "gateway/base/out.h"
#include "gateway/batch/batch.h"
#include "gateway/http/problem.h"

typedef struct sheaf_encode sheaf_encode_t;

typedef struct sheaf_encoder {
    const char *name;
    const char *content_type;
    const char *(*content_type_of)(const sheaf_encode_t *encode); /* NULL, or it depends on the answer; after begin */
    bool lingers;        /* may wait for the batch to end and go out in one write */
    sheaf_order_t order; /* of the results when neither the batch nor the endpoint says */
    uint16_t status;     /* what stands in the place of 207; 0: nothing does */
    bool wants_nonce;
    /* One document of all items: nothing goes out before the batch has ended. */
    bool is_whole;
    /* NULL, or the header fields beside Content-Type, once the batch has ended; else they are Cache-Control: no-store and
     * Vary: accept. Names and values are literals or in `pool`. */
    void (*head)(const sheaf_encode_t *encode, sheaf_pool_t *pool, sheaf_headers_t *ret_headers);
    /* NULL, or whether `item`, settled, leaves no answer but `fail`, whatever becomes of the others. */
    bool (*refuses)(const sheaf_item_t *item, sheaf_fail_t *fail);
    void (*begin)(sheaf_encode_t *encode);
    void (*item)(sheaf_encode_t *encode, const sheaf_item_t *item);
    void (*end)(sheaf_encode_t *encode); /* summary and closing */
} sheaf_encoder_t;

/* Reads `body` into `batch` (envelope, items, seal). `body` is borrowed until the batch is freed. On failure `fail`
 * has the err, a sentence, and where the format allows it pointer, line and column; the batch is then only good for
 * sheaf_batch_free. */
typedef struct sheaf_decoder {
    const char *name;
    sheaf_err_t (*decode)(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail);
    const sheaf_encoder_t *answers_with; /* whatever Accept says; NULL: Accept chooses */
} sheaf_decoder_t;

/* One answer being written. Zero-initialise, set the first three, and `nonce` (random, nobody can guess it) where the
 * encoder wants one. */
struct sheaf_encode {
    const sheaf_encoder_t *encoder;
    const sheaf_batch_t *batch;
    sheaf_out_t *out;
    uint8_t nonce[16];
    uint32_t count; /* items written */
    void *state;    /* the encoder's, in the batch's pool */
};

/* By what the endpoint is and the Content-Type of the request; NULL when unsupported or missing (415). */
const sheaf_decoder_t *sheaf_codec_decoder(const sheaf_endpoint_conf_t *endpoint, sheaf_str_t content_type);

/* By Accept (fields joined with ", "; absent: anything): highest q wins, ties in the order JSON, XML, ... of
 * codecs.def. NULL when nothing is acceptable (406). */
const sheaf_encoder_t *sheaf_codec_encoder(const sheaf_endpoint_conf_t *endpoint, sheaf_str_t accept);

/* "application/json, application/xml" for messages and Accept-Post; "" when requests have no body. */
const char *sheaf_codec_decodable(const sheaf_endpoint_conf_t *endpoint);
const char *sheaf_codec_encodable(const sheaf_endpoint_conf_t *endpoint);

/* How a request that `endpoint` (NULL: no one's) refuses as a whole is told so: its clients look for the error where
 * their gateway has it. */
const sheaf_problem_form_t *sheaf_codec_refusal(const sheaf_endpoint_conf_t *endpoint);

extern const sheaf_decoder_t sheaf_json_in;
extern const sheaf_decoder_t sheaf_ndjson_in;
extern const sheaf_decoder_t sheaf_bulk_json_in;
extern const sheaf_decoder_t sheaf_bulk_ndjson_in;
extern const sheaf_decoder_t sheaf_bulk_ids_in; /* no Content-Type: elements from the query */
extern const sheaf_decoder_t sheaf_xml_in;
extern const sheaf_encoder_t sheaf_json_out;
extern const sheaf_decoder_t sheaf_multipart_in;
extern const sheaf_encoder_t sheaf_multipart_out;
extern const sheaf_encoder_t sheaf_ndjson_out;
extern const sheaf_encoder_t sheaf_json_seq_out;
extern const sheaf_decoder_t sheaf_apisix_in;
extern const sheaf_encoder_t sheaf_apisix_out;
extern const sheaf_decoder_t sheaf_tyk_in;
extern const sheaf_encoder_t sheaf_tyk_out;
extern const sheaf_decoder_t sheaf_aggregate_in; /* the request to an aggregate, whatever its body is */
extern const sheaf_encoder_t sheaf_merge_out;    /* response: merge */
extern const sheaf_encoder_t sheaf_dav_out;
extern const sheaf_encoder_t sheaf_dav_text_out; /* the same as text/xml */

#endif
