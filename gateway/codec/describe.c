#include "gateway/codec/describe.h"

#include "config/table.h"
#include "gateway/batch/inherit.h"
#include "gateway/batch/plan.h"
#include "gateway/codec/pen.h"

/* The word that stands for an enumerated key in the configuration. */
static sheaf_str_t word_of(const sheaf_endpoint_conf_t *endpoint, const char *name)
{
    const sheaf_key_t *endpoints = sheaf_section_key(sheaf_section_root(), SHEAF_STR("endpoints"));
    const sheaf_key_t *key = sheaf_section_key(endpoints->section(), sheaf_str_of(name));

    return sheaf_str_of(key->words[*((const uint8_t *)endpoint + key->offset)]);
}

static void put_text(sheaf_pen_t *pen, const char *name, sheaf_str_t value)
{
    sheaf_pen_put(pen, sheaf_str_of(name));
    sheaf_pen_byte(pen, '"');
    sheaf_pen_json(pen, value);
    sheaf_pen_byte(pen, '"');
}

static void put_number(sheaf_pen_t *pen, const char *name, uint64_t value)
{
    sheaf_pen_put(pen, sheaf_str_of(name));
    sheaf_pen_u64(pen, value);
}

/* "a, b" as ["a","b"]. */
static void put_list(sheaf_pen_t *pen, const char *name, const char *types)
{
    sheaf_pen_put(pen, sheaf_str_of(name));
    if (*types == '\0') {
        SHEAF_PEN(pen, "[]");
        return;
    }
    SHEAF_PEN(pen, "[\"");
    for (const char *at = types; *at != '\0'; at++) {
        if (*at == ',')
            SHEAF_PEN(pen, "\",\"");
        else if (*at != ' ')
            sheaf_pen_byte(pen, *at);
    }
    SHEAF_PEN(pen, "\"]");
}

/* Accept chooses, except where the format of the request decides: NULL where Accept does. */
static const sheaf_encoder_t *encoder_of(const sheaf_endpoint_conf_t *endpoint)
{
    const sheaf_decoder_t *decoder = sheaf_codec_decoder(endpoint, SHEAF_STR("application/json"));

    return decoder != NULL ? decoder->answers_with : NULL;
}

static const char *answers_of(const sheaf_endpoint_conf_t *endpoint)
{
    const sheaf_encoder_t *encoder = encoder_of(endpoint);

    return encoder != NULL ? encoder->content_type : sheaf_codec_encodable(endpoint);
}

/* A dialect and a merged answer have no 207: theirs is 200. */
static sheaf_str_t status_of(const sheaf_endpoint_conf_t *endpoint)
{
    const sheaf_encoder_t *encoder = encoder_of(endpoint);
    bool is_merged = endpoint->kind == SHEAF_KIND_AGGREGATE && endpoint->response == SHEAF_RESPONSE_MERGE;

    return is_merged || (encoder != NULL && encoder->status == 200) ? SHEAF_STR("200") : word_of(endpoint, "status");
}

static void put_methods(sheaf_pen_t *pen, const sheaf_endpoint_conf_t *endpoint)
{
    put_text(pen, ",\"methods\":[", endpoint->method);
    if (sheaf_str_eq(endpoint->method, SHEAF_STR("GET")))
        SHEAF_PEN(pen, ",\"HEAD\"");
    SHEAF_PEN(pen, ",\"OPTIONS\"]");
}

static void put_limits(sheaf_pen_t *pen, const sheaf_endpoint_conf_t *endpoint)
{
    put_number(pen, ",\"limits\":{\"maxItems\":", endpoint->max_items);
    put_number(pen, ",\"maxBody\":", endpoint->max_body_bytes);
    put_number(pen, ",\"maxItemUrl\":", SHEAF_ITEM_URL_MAX);
    put_number(pen, ",\"maxItemHeaders\":", SHEAF_ITEM_HEADERS_MAX);
    put_number(pen, ",\"maxItemBody\":", endpoint->max_item_body_bytes);
    put_number(pen, ",\"timeoutMs\":", endpoint->timeout_ms);
    put_number(pen, ",\"parallel\":", endpoint->parallel);
    sheaf_pen_byte(pen, '}');
}

static void put_defaults(sheaf_pen_t *pen, const sheaf_endpoint_conf_t *endpoint)
{
    put_text(pen, ",\"defaults\":{\"order\":", word_of(endpoint, "order"));
    put_text(pen, ",\"onError\":", word_of(endpoint, "on_error"));
    put_text(pen, ",\"status\":", status_of(endpoint));
    put_text(pen, ",\"changeSets\":", word_of(endpoint, "change_sets"));
    sheaf_pen_byte(pen, '}');
}

void sheaf_describe_write(const sheaf_endpoint_conf_t *endpoint, sheaf_out_t *out)
{
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, out, 1024);
    put_text(&pen, "{\"path\":", endpoint->path);
    put_text(&pen, ",\"kind\":", word_of(endpoint, "kind"));
    put_text(&pen, ",\"dialect\":", word_of(endpoint, "dialect"));
    put_methods(&pen, endpoint);
    if (endpoint->kind == SHEAF_KIND_AGGREGATE)
        put_text(&pen, ",\"response\":", word_of(endpoint, "response"));
    put_list(&pen, ",\"requests\":", sheaf_codec_decodable(endpoint));
    put_list(&pen, ",\"responses\":", answers_of(endpoint));
    put_limits(&pen, endpoint);
    put_defaults(&pen, endpoint);
    sheaf_pen_byte(&pen, '}');
    sheaf_pen_close(&pen);
}

/* Cuts a method off a list as Allow has it; HEAD is that of GET, and passed over. Absent at its end. */
static sheaf_str_t cut_method(sheaf_str_t *rest)
{
    while (rest->base != NULL) {
        sheaf_str_t method = sheaf_str_trim(sheaf_str_cut(rest, ','));

        if (!sheaf_str_eq(method, SHEAF_STR("HEAD")))
            return method;
    }
    return SHEAF_STR_NONE;
}

void sheaf_describe_path(const sheaf_snapshot_t *snapshot, sheaf_str_t path, sheaf_out_t *out)
{
    sheaf_str_t rest, method;
    sheaf_match_t match;
    bool is_list;

    sheaf_snapshot_endpoint(snapshot, path, SHEAF_STR(""), &match);
    rest = match.allow;
    cut_method(&rest);
    is_list = cut_method(&rest).base != NULL;
    rest = match.allow;
    for (const char *before = "["; (method = cut_method(&rest)).base != NULL; before = ",") {
        if (is_list)
            sheaf_out_put(out, before, 1);
        sheaf_describe_write(sheaf_snapshot_endpoint(snapshot, path, method, &match), out);
    }
    if (is_list)
        sheaf_out_put(out, "]", 1);
}
