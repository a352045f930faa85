/* codec/json_out.c - results as one JSON document (DESIGN section 3). */
#include "gateway/codec/codec.h"
#include "gateway/codec/json_result.h"

static void json_begin(sheaf_encode_t *encode)
{
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
