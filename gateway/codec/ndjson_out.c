/* codec/ndjson_out.c - one result a line, as soon as it is there, and a last line that says the stream is whole.
 *
 * NDJSON ends each line with LF, so none may stand within. A JSON text sequence (RFC 7464) begins each text with RS and
 * may break lines: there bodies stay as they came. */
#include "gateway/codec/codec.h"
#include "gateway/codec/json_result.h"

#define RS '\x1e'

static void lines_begin(sheaf_encode_t *encode)
{
    (void)encode;
}

static void put_item(sheaf_encode_t *encode, const sheaf_item_t *item, bool is_sequence)
{
    sheaf_pen_t pen;

    encode->count++;
    sheaf_pen_open(&pen, encode->out, sheaf_json_result_expected(item) + 2);
    if (is_sequence)
        sheaf_pen_byte(&pen, RS);
    sheaf_json_result_put(&pen, item, !is_sequence);
    sheaf_pen_byte(&pen, '\n');
    sheaf_pen_close(&pen);
}

static void put_end(sheaf_encode_t *encode, bool is_sequence)
{
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, encode->out, 128);
    if (is_sequence)
        sheaf_pen_byte(&pen, RS);
    sheaf_pen_byte(&pen, '{');
    sheaf_json_result_summary(&pen, encode->batch);
    SHEAF_PEN(&pen, "}\n");
    sheaf_pen_close(&pen);
}

static void ndjson_item(sheaf_encode_t *encode, const sheaf_item_t *item)
{
    put_item(encode, item, false);
}

static void ndjson_end(sheaf_encode_t *encode)
{
    put_end(encode, false);
}

static void json_seq_item(sheaf_encode_t *encode, const sheaf_item_t *item)
{
    put_item(encode, item, true);
}

static void json_seq_end(sheaf_encode_t *encode)
{
    put_end(encode, true);
}

const sheaf_encoder_t sheaf_ndjson_out = {
    .name = "ndjson",
    .content_type = "application/x-ndjson",
    .order = SHEAF_ORDER_COMPLETION,
    .begin = lines_begin,
    .item = ndjson_item,
    .end = ndjson_end,
};

const sheaf_encoder_t sheaf_json_seq_out = {
    .name = "json-seq",
    .content_type = "application/json-seq",
    .order = SHEAF_ORDER_COMPLETION,
    .begin = lines_begin,
    .item = json_seq_item,
    .end = json_seq_end,
};
