/* codec/codec.c - the registry made from codecs.def, and who wins a negotiation. */
#include "gateway/codec/codec.h"

#include "gateway/http/message.h"

typedef struct decoder_row {
    const char *media;
    const sheaf_decoder_t *decoder;
} decoder_row_t;

typedef struct encoder_row {
    const char *media;
    const sheaf_encoder_t *encoder;
} encoder_row_t;

static const decoder_row_t decoders[] = {
#define DECODER(symbol, media) {media, &sheaf_##symbol},
#define ENCODER(symbol, media)
#include "gateway/codec/codecs.def"
#undef DECODER
#undef ENCODER
};

static const encoder_row_t encoders[] = {
#define DECODER(symbol, media)
#define ENCODER(symbol, media) {media, &sheaf_##symbol},
#include "gateway/codec/codecs.def"
#undef DECODER
#undef ENCODER
};

/* Each media type with its separator in front, so that skipping the first two bytes gives the list. */
static const char decodable[] =
#define DECODER(symbol, media) ", " media
#define ENCODER(symbol, media)
#include "gateway/codec/codecs.def"
#undef DECODER
#undef ENCODER
    ;

static const char encodable[] =
#define DECODER(symbol, media)
#define ENCODER(symbol, media) ", " media
#include "gateway/codec/codecs.def"
#undef DECODER
#undef ENCODER
    ;

/* An endpoint that speaks another gateway's dialect reads JSON its own way, and reads nothing else. */
static const sheaf_decoder_t *dialect_of(const sheaf_endpoint_conf_t *endpoint)
{
    switch (endpoint->dialect) {
    case SHEAF_DIALECT_APISIX:
        return &sheaf_apisix_in;
    case SHEAF_DIALECT_TYK:
        return &sheaf_tyk_in;
    default:
        return NULL;
    }
}

const sheaf_decoder_t *sheaf_codec_decoder(const sheaf_endpoint_conf_t *endpoint, sheaf_str_t content_type)
{
    sheaf_media_t media;

    if (endpoint->kind == SHEAF_KIND_AGGREGATE)
        return &sheaf_aggregate_in;
    if (content_type.base == NULL || !sheaf_media_parse(content_type, &media))
        return NULL;
    if (media.charset.base != NULL && !sheaf_str_ieq(media.charset, SHEAF_STR("utf-8")))
        return NULL;

    if (dialect_of(endpoint) != NULL)
        return sheaf_media_is(&media, "application/json") ? dialect_of(endpoint) : NULL;
    for (size_t i = 0; i < SHEAF_COUNT(decoders); i++)
        if (sheaf_media_is(&media, decoders[i].media))
            return decoders[i].decoder;
    return NULL;
}

static bool merges(const sheaf_endpoint_conf_t *endpoint)
{
    return endpoint->kind == SHEAF_KIND_AGGREGATE && endpoint->response == SHEAF_RESPONSE_MERGE;
}

const sheaf_encoder_t *sheaf_codec_encoder(const sheaf_endpoint_conf_t *endpoint, sheaf_str_t accept)
{
    const sheaf_encoder_t *best = NULL;
    uint32_t best_quality = 0;

    if (merges(endpoint))
        return sheaf_accept_quality(accept, sheaf_merge_out.content_type) > 0 ? &sheaf_merge_out : NULL;

    for (size_t i = 0; i < SHEAF_COUNT(encoders); i++) {
        uint32_t quality = sheaf_accept_quality(accept, encoders[i].media);

        if (quality <= best_quality)
            continue;
        best = encoders[i].encoder;
        best_quality = quality;
    }
    return best;
}

const char *sheaf_codec_decodable(const sheaf_endpoint_conf_t *endpoint)
{
    if (endpoint->kind == SHEAF_KIND_AGGREGATE)
        return sheaf_method_takes_body(endpoint->method) ? "application/json" : "";
    return dialect_of(endpoint) != NULL ? "application/json" : decodable + 2;
}

const char *sheaf_codec_encodable(const sheaf_endpoint_conf_t *endpoint)
{
    return merges(endpoint) ? sheaf_merge_out.content_type : encodable + 2;
}

const sheaf_problem_form_t *sheaf_codec_refusal(const sheaf_endpoint_conf_t *endpoint)
{
    static const sheaf_problem_form_t apisix = {"application/json", "error_msg", NULL};
    static const sheaf_problem_form_t tyk = {"application/json", "message", "error"};

    if (endpoint != NULL && endpoint->dialect == SHEAF_DIALECT_APISIX)
        return &apisix;
    return endpoint != NULL && endpoint->dialect == SHEAF_DIALECT_TYK ? &tyk : &sheaf_problem_plain;
}
