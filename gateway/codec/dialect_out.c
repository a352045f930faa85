#include "gateway/codec/dialect_out.h"

#include "gateway/codec/text.h"

size_t sheaf_dialect_expected(const sheaf_item_t *item)
{
    size_t len = 96 + item->url_text.len;

    for (uint32_t i = 0; i < item->answer.count; i++)
        len += item->answer.entries[i].name.len + item->answer.entries[i].value.len + 8;
    return item->body != NULL && item->body->len < 1024 ? len + item->body->len : len;
}

/* How often the name of entry `index` stands from there on; 0 when it stood before. */
static uint32_t times(const sheaf_headers_t *headers, uint32_t index)
{
    sheaf_str_t name = headers->entries[index].name;
    uint32_t count = 0;

    for (uint32_t i = 0; i < headers->count; i++) {
        if (!sheaf_str_eq(headers->entries[i].name, name))
            continue;
        if (i < index)
            return 0;
        count++;
    }
    return count;
}

static void put_values(sheaf_pen_t *pen, const sheaf_headers_t *headers, uint32_t index)
{
    sheaf_str_t name = headers->entries[index].name;

    for (uint32_t i = index; i < headers->count; i++) {
        if (!sheaf_str_eq(headers->entries[i].name, name))
            continue;
        sheaf_pen_put(pen, i > index ? SHEAF_STR(",\"") : SHEAF_STR("\""));
        sheaf_pen_json_field(pen, headers->entries[i].value);
        sheaf_pen_byte(pen, '"');
    }
}

void sheaf_dialect_put_headers(sheaf_pen_t *pen, const sheaf_item_t *item, sheaf_dialect_values_t values)
{
    const sheaf_headers_t *headers = &item->answer;
    bool is_first = true;

    SHEAF_PEN(pen, "\"headers\":{");
    for (uint32_t i = 0; i < headers->count; i++) {
        uint32_t count = times(headers, i);
        bool is_array = values == SHEAF_DIALECT_ARRAYS || count > 1;

        if (count == 0)
            continue;
        sheaf_pen_put(pen, is_first ? SHEAF_STR("\"") : SHEAF_STR(",\""));
        is_first = false;
        sheaf_pen_field_name(pen, headers->entries[i].name);
        sheaf_pen_put(pen, is_array ? SHEAF_STR("\":[") : SHEAF_STR("\":"));
        put_values(pen, headers, i);
        if (is_array)
            sheaf_pen_byte(pen, ']');
    }
    sheaf_pen_byte(pen, '}');
}

void sheaf_dialect_put_body(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    if (!sheaf_text_is_there(item)) {
        SHEAF_PEN(pen, "\"body\":\"\"");
        return;
    }
    if (!sheaf_text_is_utf8(item->body)) {
        SHEAF_PEN(pen, "\"bodyEncoding\":\"base64\",\"body\":\"");
        sheaf_pen_base64(pen, item->body);
        sheaf_pen_byte(pen, '"');
        return;
    }
    SHEAF_PEN(pen, "\"body\":\"");
    for (const sheaf_chunk_t *chunk = &item->body->first; chunk != NULL; chunk = chunk->next)
        sheaf_pen_json(pen, sheaf_str(chunk->bytes, chunk->len));
    sheaf_pen_byte(pen, '"');
}

void sheaf_dialect_begin(sheaf_encode_t *encode)
{
    sheaf_out_str(encode->out, SHEAF_STR("["));
}

void sheaf_dialect_end(sheaf_encode_t *encode)
{
    sheaf_out_str(encode->out, SHEAF_STR("]"));
}
