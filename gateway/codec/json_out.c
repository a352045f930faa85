/* codec/json_out.c - results as one JSON document (DESIGN section 3). */
#include "gateway/codec/codec.h"
#include "gateway/codec/json_result.h"

/* For clients that look for everything in "data"; `status: mixed`, which is not known yet, is refused beside it. */
static bool wraps(const sheaf_encode_t *encode)
{
    return encode->batch->endpoint->envelope == SHEAF_ENVELOPE_DATA;
}

static void json_begin(sheaf_encode_t *encode)
{
    const sheaf_endpoint_conf_t *endpoint = encode->batch->endpoint;
    sheaf_str_t status = endpoint->status == SHEAF_STATUS_200   ? SHEAF_STR("{\"status\":200")
                         : endpoint->status == SHEAF_STATUS_202 ? SHEAF_STR("{\"status\":202")
                                                                : SHEAF_STR("{\"status\":207");

    if (wraps(encode)) {
        sheaf_out_str(encode->out, status);
        sheaf_out_str(encode->out, SHEAF_STR(",\"data\":"));
    }
    sheaf_out_str(encode->out, SHEAF_STR("{\"responses\":["));
}

static void json_item(sheaf_encode_t *encode, const sheaf_item_t *item)
{
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, encode->out, sheaf_json_result_expected(item));
    if (encode->count++ > 0)
        sheaf_pen_byte(&pen, ',');
    sheaf_json_result_put(&pen, item, false);
    sheaf_pen_close(&pen);
}

static void json_end(sheaf_encode_t *encode)
{
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, encode->out, 128);
    SHEAF_PEN(&pen, "],");
    sheaf_json_result_summary(&pen, encode->batch);
    sheaf_pen_byte(&pen, '}');
    if (wraps(encode))
        sheaf_pen_byte(&pen, '}');
    sheaf_pen_close(&pen);
}

const sheaf_encoder_t sheaf_json_out = {
    .name = "json",
    .content_type = "application/json",
    .lingers = true,
    .begin = json_begin,
    .item = json_item,
    .end = json_end,
};
