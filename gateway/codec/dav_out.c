/* codec/dav_out.c - results as an RFC 4918 multistatus (DESIGN section 4).
 *
 * Children of a D:response keep the order of the DTD (href, status, responsedescription, location); our own S:item comes
 * last, where parsers that do not know it skip it (RFC 4918 section 17). */
#include "gateway/codec/codec.h"
#include "gateway/codec/fragment.h"
#include "gateway/codec/href.h"
#include "gateway/codec/pen.h"
#include "gateway/codec/text.h"

static size_t expected_len(const sheaf_item_t *item)
{
    size_t len = 320 + item->id.len + item->url_text.len;

    for (uint32_t i = 0; i < item->answer.count; i++)
        len += item->answer.entries[i].name.len + item->answer.entries[i].value.len + 34;
    return item->body != NULL && item->body->len < 1024 ? len + item->body->len : len;
}

/* The first item that asks for a URL has it as its href; later ones, and items without an acceptable URL, are named by
 * a urn, and `*ret_url` is then what stands in their url attribute. In a window, where nothing is kept of those that went,
 * all are named so, by their index because ids may repeat. */
static sheaf_str_t pick_href(sheaf_encode_t *encode, const sheaf_item_t *item, sheaf_str_t *ret_url)
{
    sheaf_pool_t *pool = item->pool;
    sheaf_str_t href = sheaf_href_of(pool, item);
    bool shows_index = item->batch->shows_index;
    sheaf_str_t id;

    *ret_url = SHEAF_STR_NONE;
    if (href.base != NULL && !shows_index && sheaf_hrefs_add(encode->state, pool, href))
        return href;

    *ret_url = href.base != NULL ? href : sheaf_href_encode(pool, item->url_text, SHEAF_HREF_URI);
    if (shows_index)
        return sheaf_pool_printf(pool, "urn:sheaf:index:%u", item->index);
    id = sheaf_href_encode(pool, item->id, SHEAF_HREF_NAME);
    return sheaf_pool_printf(pool, "urn:sheaf:item:%.*s", SHEAF_STR_ARG(id));
}

static void put_status(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    SHEAF_PEN(pen, "</D:href><D:status>HTTP/1.1 ");
    sheaf_pen_u64(pen, sheaf_item_shown_status(item));
    sheaf_pen_byte(pen, ' ');
    sheaf_pen_put(pen, sheaf_str_of(sheaf_status_reason(sheaf_item_shown_status(item))));
    SHEAF_PEN(pen, "</D:status>");
}

static void put_description(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    sheaf_str_t why = item->detail.len > 0 ? item->detail : sheaf_str_of(sheaf_err_title(item->err));

    SHEAF_PEN(pen, "<D:responsedescription>");
    sheaf_pen_xml_field(pen, why, SHEAF_PEN_TEXT);
    SHEAF_PEN(pen, "</D:responsedescription>");
}

static void put_location(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    const sheaf_header_t *location = sheaf_headers_find(&item->answer, SHEAF_STR("location"));

    if (item->status < 300 || item->status > 399 || location == NULL || item->is_repeat)
        return;
    SHEAF_PEN(pen, "<D:location><D:href>");
    sheaf_pen_xml(pen, sheaf_href_encode(item->pool, location->value, SHEAF_HREF_URI), SHEAF_PEN_TEXT);
    SHEAF_PEN(pen, "</D:href></D:location>");
}

static void put_headers(sheaf_pen_t *pen, const sheaf_headers_t *headers)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        SHEAF_PEN(pen, "<S:header name=\"");
        sheaf_pen_xml_field(pen, headers->entries[i].name, SHEAF_PEN_ATTRIBUTE);
        SHEAF_PEN(pen, "\">");
        sheaf_pen_xml_field(pen, headers->entries[i].value, SHEAF_PEN_TEXT);
        SHEAF_PEN(pen, "</S:header>");
    }
}

static void put_elements(sheaf_pen_t *pen, sheaf_buf_t *body, size_t start)
{
    if (start == 0) {
        sheaf_pen_buf(pen, body);
        return;
    }
    for (const sheaf_chunk_t *chunk = &body->first; chunk != NULL; chunk = chunk->next) {
        size_t skipped = start < chunk->len ? start : chunk->len;

        start -= skipped;
        if (skipped < chunk->len)
            sheaf_pen_put(pen, sheaf_str(chunk->bytes + skipped, chunk->len - skipped));
    }
}

static void put_text(sheaf_pen_t *pen, const sheaf_buf_t *body)
{
    for (const sheaf_chunk_t *chunk = &body->first; chunk != NULL; chunk = chunk->next)
        sheaf_pen_xml(pen, sheaf_str(chunk->bytes, chunk->len), SHEAF_PEN_TEXT);
}

static void put_body(sheaf_pen_t *pen, const sheaf_item_t *item)
{
    size_t start = 0;

    SHEAF_PEN(pen, "<S:body");
    if (item->content_type.len > 0) {
        SHEAF_PEN(pen, " type=\"");
        sheaf_pen_xml_field(pen, item->content_type, SHEAF_PEN_ATTRIBUTE);
        sheaf_pen_byte(pen, '"');
    }
    if (item->kind == SHEAF_MEDIA_BINARY || !sheaf_text_is_xml(item->body)) {
        SHEAF_PEN(pen, " encoding=\"base64\">");
        sheaf_pen_base64(pen, item->body);
    } else {
        sheaf_pen_byte(pen, '>');
        if (item->kind == SHEAF_MEDIA_XML && sheaf_fragment_check(item->body, &start))
            put_elements(pen, item->body, start);
        else
            put_text(pen, item->body);
    }
    SHEAF_PEN(pen, "</S:body>");
}

static void put_item(sheaf_pen_t *pen, const sheaf_item_t *item, sheaf_str_t url)
{
    SHEAF_PEN(pen, "<S:item id=\"");
    sheaf_pen_xml_field(pen, item->id, SHEAF_PEN_ATTRIBUTE);
    if (item->batch->shows_index) {
        SHEAF_PEN(pen, "\" index=\"");
        sheaf_pen_u64(pen, item->index);
    }
    if (item->group.base != NULL) {
        SHEAF_PEN(pen, "\" atomicityGroup=\"");
        sheaf_pen_xml_field(pen, item->group, SHEAF_PEN_ATTRIBUTE);
    }
    if (url.base != NULL) {
        SHEAF_PEN(pen, "\" url=\"");
        sheaf_pen_xml(pen, url, SHEAF_PEN_ATTRIBUTE);
    }
    if (item->batch->endpoint->timing) {
        SHEAF_PEN(pen, "\" elapsedMs=\"");
        sheaf_pen_ms(pen, item->elapsed_us);
    }
    if (item->is_repeat) {
        SHEAF_PEN(pen, "\" sameAs=\"");
        sheaf_pen_xml_field(pen, item->leader->id, SHEAF_PEN_ATTRIBUTE);
    }
    SHEAF_PEN(pen, "\">");
    if (!item->is_repeat)
        put_headers(pen, &item->answer);
    if (!item->is_repeat && sheaf_text_is_there(item))
        put_body(pen, item);
    SHEAF_PEN(pen, "</S:item>");
}

static void dav_begin(sheaf_encode_t *encode)
{
    encode->state = sheaf_pool_zalloc(encode->batch->pool, sizeof(sheaf_hrefs_t));
    sheaf_out_str(encode->out, SHEAF_STR("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
                                         "<D:multistatus xmlns:D=\"DAV:\" xmlns:S=\"urn:sheaf:batch\">\n"));
}

static void dav_item(sheaf_encode_t *encode, const sheaf_item_t *item)
{
    sheaf_str_t url, href = pick_href(encode, item, &url);
    sheaf_pen_t pen;

    encode->count++;
    sheaf_pen_open(&pen, encode->out, expected_len(item));
    SHEAF_PEN(&pen, "<D:response><D:href>");
    sheaf_pen_xml(&pen, href, SHEAF_PEN_TEXT);
    put_status(&pen, item);
    if (item->err != SHEAF_OK)
        put_description(&pen, item);
    put_location(&pen, item);
    put_item(&pen, item, url);
    SHEAF_PEN(&pen, "</D:response>\n");
    sheaf_pen_close(&pen);
}

static void dav_end(sheaf_encode_t *encode)
{
    const sheaf_batch_t *batch = encode->batch;
    sheaf_pen_t pen;

    sheaf_pen_open(&pen, encode->out, 192);
    SHEAF_PEN(&pen, "<D:responsedescription>");
    sheaf_pen_u64(&pen, sheaf_batch_results(batch));
    sheaf_pen_put(&pen, sheaf_batch_results(batch) == 1 ? SHEAF_STR(" item, ") : SHEAF_STR(" items, "));
    sheaf_pen_u64(&pen, batch->succeeded);
    SHEAF_PEN(&pen, " succeeded, ");
    sheaf_pen_u64(&pen, batch->failed);
    SHEAF_PEN(&pen, " failed</D:responsedescription>\n</D:multistatus>\n");
    sheaf_pen_close(&pen);
}

const sheaf_encoder_t sheaf_dav_out = {
    .name = "xml",
    .content_type = "application/xml; charset=\"utf-8\"",
    .lingers = true,
    .begin = dav_begin,
    .item = dav_item,
    .end = dav_end,
};

const sheaf_encoder_t sheaf_dav_text_out = {
    .name = "xml",
    .content_type = "text/xml; charset=\"utf-8\"",
    .lingers = true,
    .begin = dav_begin,
    .item = dav_item,
    .end = dav_end,
};
