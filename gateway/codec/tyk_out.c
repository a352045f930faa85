/* codec/tyk_out.c - results as the Tyk gateway gives them.
 *
 *   [{"relative_url":"get","code":200,"headers":{"Content-Type":["text/plain"]},"body":"hi"}]
 *
 * There, results come in the order of completion and an item that failed on the way is all zero ("code":0, no url, null
 * headers); here they keep the order of the request, and such an item has its url and the gateway's status for it. */
#include "gateway/codec/dialect_out.h"

static void tyk_item(sheaf_encode_t *encode, const sheaf_item_t *item)
{
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, encode->out, sheaf_dialect_expected(item));
    sheaf_pen_put(&pen, encode->count++ > 0 ? SHEAF_STR(",{\"relative_url\":\"") : SHEAF_STR("{\"relative_url\":\""));
    sheaf_pen_json(&pen, item->url_text);
    SHEAF_PEN(&pen, "\",\"code\":");
    sheaf_pen_u64(&pen, item->status);
    sheaf_pen_byte(&pen, ',');
    sheaf_dialect_put_headers(&pen, item, SHEAF_DIALECT_ARRAYS);
    sheaf_pen_byte(&pen, ',');
    sheaf_dialect_put_body(&pen, item);
    sheaf_pen_byte(&pen, '}');
    sheaf_pen_close(&pen);
}

const sheaf_encoder_t sheaf_tyk_out = {
    .name = "tyk",
    .content_type = "application/json",
    .lingers = true,
    .status = 200,
    .begin = sheaf_dialect_begin,
    .item = tyk_item,
    .end = sheaf_dialect_end,
};
