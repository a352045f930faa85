#include "gateway/codec/json_result.h"

#include "gateway/codec/text.h"

size_t sheaf_json_result_expected(const sheaf_item_t *item)
{
    size_t len = 96 + item->id.len;

    for (uint32_t i = 0; i < item->answer.count; i++)
        len += item->answer.entries[i].name.len + item->answer.entries[i].value.len + 6;
    return item->body != NULL && item->body->len < 1024 ? len + item->body->len : len;
}

static void put_name(sheaf_pen_t *pen, sheaf_str_t name, bool is_graph)
{
    sheaf_pen_byte(pen, '"');
    if (is_graph)
        sheaf_pen_field_name(pen, name); /* Microsoft's SDK looks for "Content-Type" */
    else
        sheaf_pen_put(pen, name); /* a token: nothing in it needs an escape */
    SHEAF_PEN(pen, "\":");
}

/* True when two fields may share a name: a bit per name, so two names can share one too. */
static bool may_repeat(const sheaf_headers_t *headers)
{
    uint64_t seen = 0;

    for (uint32_t i = 0; i < headers->count; i++) {
        sheaf_str_t name = headers->entries[i].name;
        unsigned char first = (unsigned char)name.base[0], last = (unsigned char)name.base[name.len - 1];
        uint64_t bit = UINT64_C(1) << ((name.len * 7 + first * 3u + last * 5u) & 63);

        if (seen & bit)
            return true;
        seen |= bit;
    }
    return false;
}

static bool stood_before(const sheaf_headers_t *headers, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (sheaf_str_eq(headers->entries[i].name, headers->entries[index].name))
            return true;
    return false;
}

static bool stands_again(const sheaf_headers_t *headers, uint32_t index)
{
    for (uint32_t i = index + 1; i < headers->count; i++)
        if (sheaf_str_eq(headers->entries[i].name, headers->entries[index].name))
            return true;
    return false;
}

/* All values of a name that stands several times: Set-Cookie cannot be joined (RFC 9110 5.3), all others can. */
static void put_repeated(sheaf_pen_t *pen, const sheaf_headers_t *headers, uint32_t index)
{
    sheaf_str_t name = headers->entries[index].name;
    bool is_array = sheaf_str_eq(name, SHEAF_STR("set-cookie"));

    sheaf_pen_put(pen, is_array ? SHEAF_STR("[\"") : SHEAF_STR("\""));
    sheaf_pen_json_field(pen, headers->entries[index].value);
    for (uint32_t i = index + 1; i < headers->count; i++) {
        if (!sheaf_str_eq(headers->entries[i].name, name))
            continue;
        sheaf_pen_put(pen, is_array ? SHEAF_STR("\",\"") : SHEAF_STR(", "));
        sheaf_pen_json_field(pen, headers->entries[i].value);
    }
    sheaf_pen_put(pen, is_array ? SHEAF_STR("\"]") : SHEAF_STR("\""));
}

/* The graph dialect knows no problem+json: the gateway's own problems say application/json there. */
static sheaf_str_t value_of(const sheaf_item_t *item, const sheaf_header_t *header, bool is_graph)
{
    if (is_graph && item->err != SHEAF_OK && sheaf_str_eq(header->name, SHEAF_STR("content-type")))
        return SHEAF_STR("application/json");
    return header->value;
}

static void put_headers(sheaf_pen_t *pen, const sheaf_item_t *item, bool is_graph)
{
    const sheaf_headers_t *headers = &item->answer;
    bool checks_repeats = may_repeat(headers), is_first = true;

    for (uint32_t i = 0; i < headers->count; i++) {
        const sheaf_header_t *header = &headers->entries[i];

        if (checks_repeats && stood_before(headers, i))
            continue;
        if (!is_first)
            sheaf_pen_byte(pen, ',');
        is_first = false;
        put_name(pen, header->name, is_graph);
        if (checks_repeats && stands_again(headers, i)) {
            put_repeated(pen, headers, i);
            continue;
        }
        sheaf_pen_byte(pen, '"');
        sheaf_pen_json_field(pen, value_of(item, header, is_graph));
        sheaf_pen_byte(pen, '"');
    }
}

void sheaf_json_result_text(sheaf_pen_t *pen, const sheaf_buf_t *body)
{
    sheaf_pen_byte(pen, '"');
    for (const sheaf_chunk_t *chunk = &body->first; chunk != NULL; chunk = chunk->next)
        sheaf_pen_json(pen, sheaf_str(chunk->bytes, chunk->len));
    sheaf_pen_byte(pen, '"');
}

/* A valid document has raw line breaks only between its tokens, where a space means the same. They are replaced in
 * place: a copy would double what a large result holds, and whoever else reads the body reads the same values. */
static void join_lines(const sheaf_buf_t *body)
{
    for (const sheaf_chunk_t *chunk = &body->first; chunk != NULL; chunk = chunk->next)
        for (const char *at = "\n\r"; *at != '\0'; at++)
            for (char *found = chunk->len == 0 ? NULL : memchr(chunk->bytes, *at, chunk->len); found != NULL;
                 found = memchr(found, *at, (size_t)(chunk->bytes + chunk->len - found)))
                *found = ' ';
}

static void put_body(sheaf_pen_t *pen, const sheaf_item_t *item, bool is_one_line)
{
    bool is_text = item->kind == SHEAF_MEDIA_TEXT || item->kind == SHEAF_MEDIA_XML;

    if (item->kind == SHEAF_MEDIA_JSON && item->json_is_valid) {
        if (is_one_line)
            join_lines(item->body);
        SHEAF_PEN(pen, ",\"body\":");
        sheaf_pen_buf(pen, item->body);
        return;
    }
    if (is_text && sheaf_text_is_utf8(item->body)) {
        SHEAF_PEN(pen, ",\"body\":");
        sheaf_json_result_text(pen, item->body);
        return;
    }
    SHEAF_PEN(pen, ",\"bodyEncoding\":\"base64\",\"body\":\"");
    sheaf_pen_base64(pen, item->body);
    sheaf_pen_byte(pen, '"');
}

static void put_group(sheaf_pen_t *pen, sheaf_str_t group)
{
    SHEAF_PEN(pen, ",\"atomicityGroup\":\"");
    sheaf_pen_json(pen, group);
    sheaf_pen_byte(pen, '"');
}

static void put_same_as(sheaf_pen_t *pen, const sheaf_item_t *leader)
{
    SHEAF_PEN(pen, ",\"sameAs\":\"");
    sheaf_pen_json(pen, leader->id);
    sheaf_pen_byte(pen, '"');
}

static void put_index(sheaf_pen_t *pen, uint32_t index)
{
    SHEAF_PEN(pen, ",\"index\":");
    sheaf_pen_u64(pen, index);
}

void sheaf_json_result_put(sheaf_pen_t *pen, const sheaf_item_t *item, bool is_one_line)
{
    bool is_graph = item->batch->endpoint->dialect == SHEAF_DIALECT_GRAPH;

    SHEAF_PEN(pen, "{\"id\":\"");
    sheaf_pen_json(pen, item->id);
    sheaf_pen_byte(pen, '"');
    if (item->batch->shows_index)
        put_index(pen, item->index);
    if (item->group.base != NULL)
        put_group(pen, item->group);
    SHEAF_PEN(pen, ",\"status\":");
    sheaf_pen_u64(pen, sheaf_item_shown_status(item));
    if (item->batch->endpoint->timing) {
        SHEAF_PEN(pen, ",\"elapsedMs\":");
        sheaf_pen_ms(pen, item->elapsed_us);
    }
    SHEAF_PEN(pen, ",\"headers\":{");
    if (!item->is_repeat)
        put_headers(pen, item, is_graph);
    sheaf_pen_byte(pen, '}');
    if (item->is_repeat)
        put_same_as(pen, item->leader);
    else if (sheaf_text_is_there(item))
        put_body(pen, item, is_one_line);
    sheaf_pen_byte(pen, '}');
}

void sheaf_json_result_summary(sheaf_pen_t *pen, const sheaf_batch_t *batch)
{
    SHEAF_PEN(pen, "\"summary\":{\"total\":");
    sheaf_pen_u64(pen, sheaf_batch_results(batch));
    SHEAF_PEN(pen, ",\"succeeded\":");
    sheaf_pen_u64(pen, batch->succeeded);
    SHEAF_PEN(pen, ",\"failed\":");
    sheaf_pen_u64(pen, batch->failed);
    sheaf_pen_byte(pen, '}');
}
