/* codec/apisix_out.c - results as Apache APISIX's batch-requests plugin gives them.
 *
 *   [{"status":200,"reason":"OK","headers":{"Content-Type":"application/json"},"body":"{\"a\":1}"}]
 *
 * There, an item that is not answered in time has the reason "upstream timeout" and nothing else, and takes all that
 * follow with it; here it keeps that reason, and has headers and a body as every failed item. */
#include "gateway/codec/dialect_out.h"

static bool has_timed_out(const sheaf_item_t *item)
{
    return item->err == SHEAF_ERR_TIMEOUT || item->err == SHEAF_ERR_CONNECT_TIMEOUT ||
           item->err == SHEAF_ERR_BATCH_TIMEOUT;
}

/* HEAD, 1xx, 204 and 304 have no body there, all others one that may be empty. */
static bool has_body_member(const sheaf_item_t *item)
{
    return item->status >= 200 && item->status != 204 && item->status != 304 &&
           !sheaf_str_eq(item->exchange.method, SHEAF_STR("HEAD"));
}

static void apisix_item(sheaf_encode_t *encode, const sheaf_item_t *item)
{
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, encode->out, sheaf_dialect_expected(item));
    sheaf_pen_put(&pen, encode->count++ > 0 ? SHEAF_STR(",{\"status\":") : SHEAF_STR("{\"status\":"));
    sheaf_pen_u64(&pen, item->status);
    SHEAF_PEN(&pen, ",\"reason\":\"");
    sheaf_pen_put(&pen, has_timed_out(item) ? SHEAF_STR("upstream timeout")
                                            : sheaf_str_of(sheaf_status_reason(item->status)));
    SHEAF_PEN(&pen, "\",");
    sheaf_dialect_put_headers(&pen, item, SHEAF_DIALECT_ARRAY_IF_MANY);
    if (has_body_member(item)) {
        sheaf_pen_byte(&pen, ',');
        sheaf_dialect_put_body(&pen, item);
    }
    sheaf_pen_byte(&pen, '}');
    sheaf_pen_close(&pen);
}

const sheaf_encoder_t sheaf_apisix_out = {
    .name = "apisix",
    .content_type = "application/json",
    .lingers = true,
    .status = 200,
    .begin = sheaf_dialect_begin,
    .item = apisix_item,
    .end = sheaf_dialect_end,
};
