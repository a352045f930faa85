/* codec/xml_item.c - one <request> of an XML batch: its attributes, its edges, its headers, its body. */
#include "gateway/base/base64.h"
#include "gateway/batch/ids.h"
#include "gateway/codec/word.h"
#include "gateway/codec/xml_reader.h"

/* --- the request --- */

static void request_id(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->draft.id = sheaf_pool_dup(reader->pool, value);
}

static void request_method(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->draft.method = sheaf_pool_dup(reader->pool, value);
}

static void request_url(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->draft.url = sheaf_pool_dup(reader->pool, value);
}

static void request_timeout(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->draft.timeout_ms = sheaf_xml_timeout(reader, value);
}

static void request_encoding(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->is_base64 = sheaf_str_eq(value, SHEAF_STR("base64"));
    if (!reader->is_base64 && !sheaf_str_eq(value, SHEAF_STR("text")))
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "\"encoding\" takes text or base64");
}

static void request_for_each(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->draft.for_each = sheaf_pool_dup(reader->pool, value);
}

static void request_atomicity_group(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->draft.is_in_change_set = true;
    reader->draft.group = sheaf_pool_dup(reader->pool, value);
    reader->draft.set = sheaf_ids_hash(value) | 1; /* as in JSON */
}

static const sheaf_xml_attribute_t request_attributes[] = {
    {"id", request_id},
    {"method", request_method},
    {"url", request_url},
    {"timeout", request_timeout},
    {"encoding", request_encoding},
    {"forEach", request_for_each},
    {"atomicityGroup", request_atomicity_group},
};

void sheaf_xml_request_start(sheaf_xml_reader_t *reader, const XML_Char **attributes)
{
    memset(&reader->draft, 0, sizeof(reader->draft));
    reader->at = (size_t)XML_GetCurrentByteIndex(reader->parser);
    reader->edges = NULL;
    reader->edges_at = NULL;
    reader->edge_count = reader->edge_size = 0;
    reader->is_base64 = reader->has_body = false;
    reader->body_type = SHEAF_STR_NONE;
    sheaf_xml_attributes(reader, "request", attributes, request_attributes, SHEAF_COUNT(request_attributes));
    if (!reader->is_refused && reader->draft.url.base == NULL)
        sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "the request has no \"url\"");
}

/* --- dependsOn --- */

static sheaf_edge_t *last_edge(sheaf_xml_reader_t *reader)
{
    return &reader->edges[reader->edge_count - 1];
}

static void edge_id(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    last_edge(reader)->id = sheaf_pool_dup(reader->pool, value);
}

/* The next word of `*rest`; empty when there is none. */
static sheaf_str_t next_word(sheaf_str_t *rest)
{
    size_t from = 0, to;

    while (from < rest->len && sheaf_xml_is_blank(sheaf_str(rest->base + from, 1)))
        from++;
    for (to = from; to < rest->len && !sheaf_xml_is_blank(sheaf_str(rest->base + to, 1));)
        to++;
    sheaf_str_t word = sheaf_str(rest->base + from, to - from);
    *rest = sheaf_str(rest->base + to, rest->len - to);
    return word;
}

static void edge_status(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    sheaf_edge_t *edge = last_edge(reader);
    uint16_t *statuses = sheaf_pool_alloc(reader->pool, (value.len / 2 + 1) * sizeof(*statuses));

    for (sheaf_str_t word = next_word(&value); word.len > 0; word = next_word(&value))
        if (!sheaf_word_status(word, &statuses[edge->status_count++])) {
            sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "\"status\" takes statuses such as 2xx and 409");
            return;
        }
    edge->statuses = edge->status_count > 0 ? statuses : NULL;
}

static const sheaf_xml_attribute_t edge_attributes[] = {{"id", edge_id}, {"status", edge_status}};

static void *grown(sheaf_pool_t *pool, const void *old, size_t old_size, size_t new_size)
{
    void *room = sheaf_pool_alloc(pool, new_size);

    if (old_size > 0)
        memcpy(room, old, old_size);
    return room;
}

static void add_edge(sheaf_xml_reader_t *reader)
{
    uint32_t count = reader->edge_count, size = count == 0 ? 4 : count * 2;

    if (count == reader->edge_size) {
        reader->edges =
            grown(reader->pool, reader->edges, count * sizeof(*reader->edges), size * sizeof(*reader->edges));
        reader->edges_at =
            grown(reader->pool, reader->edges_at, count * sizeof(*reader->edges_at), size * sizeof(*reader->edges_at));
        reader->edge_size = size;
    }
    reader->edges[count] = (sheaf_edge_t){.id = SHEAF_STR_NONE};
    reader->edges_at[count] = (size_t)XML_GetCurrentByteIndex(reader->parser);
    reader->edge_count++;
}

void sheaf_xml_depends_on(sheaf_xml_reader_t *reader, const XML_Char **attributes)
{
    add_edge(reader);
    sheaf_xml_attributes(reader, "dependsOn", attributes, edge_attributes, SHEAF_COUNT(edge_attributes));
    if (!reader->is_refused && last_edge(reader)->id.base == NULL)
        sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "the dependsOn has no \"id\"");
}

/* --- headers: a bad one is left to the item --- */

void sheaf_xml_request_header_end(sheaf_xml_reader_t *reader)
{
    sheaf_headers_add(&reader->draft.headers, reader->pool, reader->header_name, sheaf_xml_text_trimmed(reader));
}

/* --- the body --- */

static void body_type(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->body_type = sheaf_pool_dup(reader->pool, value);
}

static const sheaf_xml_attribute_t body_attributes[] = {{"type", body_type}};

void sheaf_xml_body_start(sheaf_xml_reader_t *reader, const XML_Char **attributes)
{
    if (reader->has_body) {
        sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "a request has one body");
        return;
    }
    reader->has_body = true;
    reader->roots = 0;
    reader->uses_own = false;
    for (uint32_t i = 0; i < reader->scope_count; i++)
        reader->scope[i].is_hidden = false;
    sheaf_xml_attributes(reader, "body", attributes, body_attributes, SHEAF_COUNT(body_attributes));
}

static void refuse_body(sheaf_xml_reader_t *reader, const char *why)
{
    if (reader->draft.err != SHEAF_OK)
        return;
    reader->draft.err = SHEAF_ERR_ITEM_BODY;
    snprintf(reader->draft.detail, sizeof(reader->draft.detail), "%s", why);
}

static void take_elements(sheaf_xml_reader_t *reader, sheaf_str_t text)
{
    if (reader->is_base64)
        refuse_body(reader, "a body in base64 holds no elements");
    else if (reader->roots > 1 || !sheaf_xml_is_blank(text))
        refuse_body(reader, "a body of elements is one element, with nothing but white space around it");
    else
        reader->draft.body = sheaf_xml_scope_body(reader);
}

/* Base64 is often broken into lines. */
static void take_base64(sheaf_xml_reader_t *reader, sheaf_str_t text)
{
    char *plain = sheaf_pool_alloc(reader->pool, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++)
        if (!sheaf_xml_is_blank(sheaf_str(text.base + i, 1)))
            plain[len++] = text.base[i];
    if (!sheaf_base64_decode(reader->pool, sheaf_str(plain, len), &reader->draft.body))
        refuse_body(reader, "the body is not valid base64");
}

void sheaf_xml_body_end(sheaf_xml_reader_t *reader)
{
    sheaf_str_t text = sheaf_xml_text_take(reader);

    if (reader->roots > 0)
        take_elements(reader, text);
    else if (reader->is_base64)
        take_base64(reader, text);
    else
        reader->draft.body = sheaf_pool_dup(reader->pool, text);
}

/* --- all of it --- */

/* A name of an item's header is in any case until the batch has taken it over. */
static const sheaf_header_t *content_type_of(const sheaf_headers_t *headers)
{
    for (uint32_t i = 0; i < headers->count; i++)
        if (sheaf_str_ieq(headers->entries[i].name, SHEAF_STR("content-type")))
            return &headers->entries[i];
    return NULL;
}

static void refuse_two_types(sheaf_xml_reader_t *reader)
{
    reader->draft.err = SHEAF_ERR_ITEM_HEADER;
    snprintf(reader->draft.detail, sizeof(reader->draft.detail),
             "the body's type is given twice, as \"type\" and as a content-type header");
}

/* What the body is sent as: what the request says, else what the batch says, else XML when it is an element and JSON when
 * it is not. */
static sheaf_str_t settle_type(sheaf_xml_reader_t *reader)
{
    sheaf_headers_t *own = &reader->draft.headers;
    const sheaf_header_t *header = content_type_of(own);

    if (header != NULL && reader->body_type.base != NULL)
        refuse_two_types(reader);
    if (header != NULL)
        return header->value;
    if (reader->body_type.base == NULL && (header = content_type_of(&reader->batch->headers)) != NULL)
        return header->value;
    if (reader->body_type.base == NULL && reader->roots == 0) {
        reader->draft.body_is_json = true;
        return SHEAF_STR("application/json");
    }
    if (reader->body_type.base == NULL)
        reader->body_type = SHEAF_STR("application/xml");
    sheaf_headers_add(own, reader->pool, SHEAF_STR("content-type"), reader->body_type);
    return reader->body_type;
}

/* JSON that is none would be the backend's trouble; in a JSON batch it cannot be written either. */
static void finish_body(sheaf_xml_reader_t *reader)
{
    sheaf_draft_t *draft = &reader->draft;
    sheaf_str_t type;

    if (!reader->has_body || (reader->body_type.base == NULL && draft->body.len == 0 && draft->err == SHEAF_OK))
        return;
    draft->has_body = true;
    type = settle_type(reader);
    if (draft->err != SHEAF_OK || reader->is_base64 || sheaf_media_kind(type) != SHEAF_MEDIA_JSON)
        return;
    draft->body_is_value = sheaf_json_check(draft->body, SHEAF_XML_MAX_DEPTH, NULL) == SHEAF_OK;
    if (!draft->body_is_value)
        refuse_body(reader, "the body is not valid JSON");
}

/* Who runs for each element of an item's answer depends on that item, whether it says so or not. */
static void depend_on_array(sheaf_xml_reader_t *reader)
{
    sheaf_str_t rest = reader->draft.for_each, id = sheaf_str_cut(&rest, '.');

    if (reader->draft.for_each.base == NULL)
        return;
    for (uint32_t i = 0; i < reader->edge_count; i++)
        if (sheaf_str_eq(reader->edges[i].id, id))
            return;
    add_edge(reader);
    last_edge(reader)->id = id;
}

static void keep_mark(sheaf_xml_reader_t *reader)
{
    uint32_t index = reader->batch->count;

    if (index == reader->mark_size) {
        reader->mark_size = index == 0 ? 16 : index * 2;
        reader->marks = sheaf_realloc(reader->marks, reader->mark_size * sizeof(*reader->marks));
    }
    reader->marks[index] = (sheaf_xml_mark_t){reader->at, reader->edges_at};
}

void sheaf_xml_request_end(sheaf_xml_reader_t *reader)
{
    depend_on_array(reader);
    reader->draft.depends_on = reader->edges;
    reader->draft.depends_on_count = reader->edge_count;
    finish_body(reader);
    keep_mark(reader);
    if (sheaf_batch_add(reader->batch, &reader->draft, reader->fail) == SHEAF_OK)
        return;
    sheaf_xml_locate(reader, reader->at);
    reader->is_refused = true;
    XML_StopParser(reader->parser, XML_FALSE);
}
