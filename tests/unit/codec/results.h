/* unit/codec/results.h - batches of results from a golden in.json, and oracles that read what encoders write.
 *
 * in.json: {"dialect": "graph", "envelope": "data", "timing": true, "step": bytes per chunk, "items": [{"id", "method",
 * "url", "group", "status", "error": slug, "detail", "headers": [[name, value]], "body" or "hex", "elapsed_us",
 * "same_as": index of an item before it}]}; a value {"hex": "..."} stands for any bytes. */
#ifndef SHEAF_TESTS_CODEC_RESULTS_H
#define SHEAF_TESTS_CODEC_RESULTS_H

#include <expat.h>
#include <jansson.h>

#include "tests/unit/codec/kit.h"

static inline sheaf_str_t result_bytes(sheaf_pool_t *pool, const json_t *value)
{
    const char *hex = json_string_value(json_object_get(value, "hex"));
    size_t len = hex == NULL ? 0 : strlen(hex) / 2;
    char *bytes;

    if (json_is_string(value))
        return sheaf_pool_dup(pool, sheaf_str(json_string_value(value), json_string_length(value)));
    bytes = sheaf_pool_alloc(pool, len + 1);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;

        sscanf(hex + 2 * i, "%2x", &byte);
        bytes[i] = (char)byte;
    }
    return sheaf_str(bytes, len);
}

static inline sheaf_err_t result_err(const char *slug)
{
    for (unsigned err = 1; slug != NULL && err < SHEAF_ERR_COUNT; err++)
        if (strcmp(sheaf_err_slug((sheaf_err_t)err), slug) == 0)
            return (sheaf_err_t)err;
    return SHEAF_OK;
}

static inline void result_add(sheaf_batch_t *batch, const json_t *from, size_t step)
{
    const char *method = json_string_value(json_object_get(from, "method"));
    const char *url = json_string_value(json_object_get(from, "url"));
    const char *group = json_string_value(json_object_get(from, "group"));
    const char *detail = json_string_value(json_object_get(from, "detail"));
    sheaf_item_t *item = kit_add(batch, json_string_value(json_object_get(from, "id")), method == NULL ? "GET" : method,
                                 url == NULL ? "/users/1" : url);
    json_t *header;
    size_t i;

    item->answer.count = 0;
    item->group = group == NULL ? SHEAF_STR_NONE : sheaf_pool_dup(batch->pool, sheaf_str_of(group));
    item->status = (uint16_t)json_integer_value(json_object_get(from, "status"));
    item->elapsed_us = (uint64_t)json_integer_value(json_object_get(from, "elapsed_us"));
    item->is_repeat = json_object_get(from, "same_as") != NULL;
    item->err = result_err(json_string_value(json_object_get(from, "error")));
    if (detail != NULL)
        item->detail = sheaf_pool_dup(batch->pool, sheaf_str_of(detail));
    json_array_foreach(json_object_get(from, "headers"), i, header) kit_header(
        item, json_string_value(json_array_get(header, 0)), result_bytes(batch->pool, json_array_get(header, 1)));
    if (json_object_get(from, "body") != NULL)
        kit_body(item, result_bytes(batch->pool, json_object_get(from, "body")), step);
}

static inline sheaf_dialect_t result_dialect(const char *name)
{
    return strcmp(name, "apisix") == 0 ? SHEAF_DIALECT_APISIX
           : strcmp(name, "tyk") == 0  ? SHEAF_DIALECT_TYK
                                       : SHEAF_DIALECT_GRAPH;
}

/* Encodes the case's in.json; malloc'ed. */
static inline char *result_encode(const char *folder, const sheaf_encoder_t *encoder, size_t *ret_len)
{
    json_int_t step = 1024;
    size_t len = 0, i;
    char *in = kit_read(folder, "in.json", &len), *text;
    json_t *doc = json_loadb(in, len, JSON_ALLOW_NUL, NULL), *item;
    sheaf_batch_t *batch;
    kit_t kit;

    if (doc == NULL)
        abort();
    kit_init(&kit);
    kit.endpoint.max_items = 1000;
    if (json_object_get(doc, "dialect") != NULL)
        kit.endpoint.dialect = result_dialect(json_string_value(json_object_get(doc, "dialect")));
    if (json_object_get(doc, "envelope") != NULL)
        kit.endpoint.envelope = SHEAF_ENVELOPE_DATA;
    kit.endpoint.timing = json_is_true(json_object_get(doc, "timing"));
    if (json_object_get(doc, "step") != NULL)
        step = json_integer_value(json_object_get(doc, "step"));
    batch = kit_batch(&kit);
    json_array_foreach(json_object_get(doc, "items"), i, item) result_add(batch, item, (size_t)step);
    json_array_foreach(json_object_get(doc, "items"), i, item) if (sheaf_batch_item(batch, (uint32_t)i)->is_repeat)
        sheaf_batch_item(batch, (uint32_t)i)
            ->leader = sheaf_batch_item(batch, (uint32_t)json_integer_value(json_object_get(item, "same_as")));
    text = kit_encode(batch, encoder, ret_len);
    sheaf_batch_free(batch);
    kit_fini(&kit);
    json_decref(doc);
    free(in);
    return text;
}

/* --- oracles --- */

static inline bool result_is_json(const char *text, size_t len)
{
    json_error_t error;
    json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);

    if (doc == NULL)
        fprintf(stderr, "not JSON: %s at %d:%d\n", error.text, error.line, error.column);
    json_decref(doc);
    return doc != NULL;
}

static inline bool result_is_xml(const char *text, size_t len)
{
    XML_Parser parser = XML_ParserCreateNS(NULL, ' ');
    bool is_ok = XML_Parse(parser, text, (int)len, 1) == XML_STATUS_OK;

    if (!is_ok)
        fprintf(stderr, "not XML: %s at %lu:%lu\n", XML_ErrorString(XML_GetErrorCode(parser)),
                XML_GetCurrentLineNumber(parser), XML_GetCurrentColumnNumber(parser));
    XML_ParserFree(parser);
    return is_ok;
}

/* Bodies that have broken documents before; each is given to every encoder under every type and chunking. */
static const sheaf_str_t hostile_bodies[] = {
    {"]]>", 3},
    {"]]></S:body></S:item>", 21},
    {"<![CDATA[x]]>", 13},
    {"\"}],\"x\":[{\"", 11},
    {"\\", 1},
    {"\0", 1},
    {"a\0b\x1f\x7f", 5},
    {"\xff\xfe", 2},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
    {"\xc3", 1},
    {"\xe2\x82", 2},
    {"\xed\xa0\x80", 3},
    {"\xc0\xaf", 2},
    {"\xef\xbf\xbe", 3},
    {"\xef\xbb\xbf<a/>", 7},
    {"\xef\xbb\xbf{}", 5},
    {"{\"a\":1}{", 8},
    {"{\"a\":\"\\ud800\"}", 14},
    {"[1,]", 4},
    {" \r\n{\"a\":\r\n1}\r\n", 15},
    {"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", 62},
    {"<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a/>", 47},
    {"<?xml version=\"1.0\"?><a/>", 25},
    {"<?xml version=\"1.1\"?><a/>", 25},
    {"<D:a/>", 6},
    {"<a xmlns:D=\"urn:other\"><D:response/></a>", 40},
    {"<a>", 3},
    {"<a/><b/>", 8},
    {"<a>&#0;</a>", 11},
    {"<a>&nbsp;</a>", 13},
    {"<a/><?xml version=\"1.0\"?>", 25},
    {"<?xml-stylesheet href=\"a\"?><a/>", 31},
    {"line\r\nline\rline\n", 16},
};

static const char *const hostile_types[] = {
    "application/json",
    "text/plain",
    "application/xml",
    "application/atom+xml; charset=utf-8",
    "text/plain; charset=iso-8859-1",
    "application/octet-stream",
    "x\"<>&y",
    NULL,
};

/* Every hostile body under one type, as one document. */
static inline bool result_survives(const sheaf_encoder_t *encoder, const char *type, size_t step,
                                   bool (*is_well_formed)(const char *, size_t))
{
    kit_t kit;
    sheaf_batch_t *batch;
    size_t len;
    char *text;
    bool is_ok;

    kit_init(&kit);
    kit.endpoint.max_items = 1000;
    batch = kit_batch(&kit);
    for (size_t i = 0; i < SHEAF_COUNT(hostile_bodies); i++) {
        sheaf_item_t *item = kit_add(batch, NULL, "GET", "/users/a\"<>&'\xc3\xa9");

        item->err = SHEAF_OK;
        item->answer.count = 0;
        item->status = 200;
        if (type != NULL)
            kit_header(item, "content-type", sheaf_str_of(type));
        kit_header(item, "x-body", hostile_bodies[i]);
        kit_body(item, hostile_bodies[i], step);
    }
    text = kit_encode(batch, encoder, &len);
    is_ok = is_well_formed(text, len);
    free(text);
    sheaf_batch_free(batch);
    kit_fini(&kit);
    return is_ok;
}

/* Every type, in pieces of many sizes. */
static inline void result_survives_all(const sheaf_encoder_t *encoder, bool (*is_valid)(const char *text, size_t len))
{
    for (size_t i = 0; i < SHEAF_COUNT(hostile_types); i++)
        for (size_t step = 1; step <= 64; step = step < 4 ? step + 1 : step * 4)
            assert_true(result_survives(encoder, hostile_types[i], step, is_valid));
}

/* The document of a batch with one result. */
static inline char *result_of_body(const sheaf_encoder_t *encoder, const char *type, const char *body, size_t len,
                                   size_t *ret_len)
{
    kit_t kit;
    sheaf_batch_t *batch;
    sheaf_item_t *item;
    char *text;

    kit_init(&kit);
    batch = kit_batch(&kit);
    item = kit_add(batch, NULL, "GET", "/users/1");
    item->status = 200;
    kit_header(item, "content-type", sheaf_str_of(type));
    kit_body(item, sheaf_str(body, len), 4096);
    text = kit_encode(batch, encoder, ret_len);
    sheaf_batch_free(batch);
    kit_fini(&kit);
    return text;
}

/* A body of `depth` times `open`, then as often `close`. */
static inline char *result_nest(sheaf_str_t open, sheaf_str_t close, size_t depth, size_t *ret_len)
{
    char *text = sheaf_alloc((open.len + close.len) * depth + 1);

    for (size_t i = 0; i < depth; i++) {
        memcpy(text + i * open.len, open.base, open.len);
        memcpy(text + depth * open.len + i * close.len, close.base, close.len);
    }
    *ret_len = (open.len + close.len) * depth;
    return text;
}

#endif
