/* codec/xml_in.c - the XML batch (DESIGN section 4): expat's callbacks, the envelope, and where a fault lies.
 *
 * What makes XML explode is not read at all: any DOCTYPE ends the parse, so there are no entities but the five of XML
 * itself and character references. Depth, attributes and namespaces are bounded; the size is the endpoint's max_body. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/codec/word.h"
#include "gateway/codec/xml_reader.h"

/* --- the envelope --- */

static void batch_timeout(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    uint64_t ms = sheaf_xml_timeout(reader, value);

    if (ms > 0 && ms < reader->batch->timeout_ms)
        reader->batch->timeout_ms = ms;
}

static void batch_on_error(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->batch->stops_on_error = sheaf_str_eq(value, SHEAF_STR("stop"));
    if (!reader->batch->stops_on_error && !sheaf_str_eq(value, SHEAF_STR("continue")))
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "\"onError\" takes continue or stop");
}

static void batch_order(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    bool is_completion = sheaf_str_eq(value, SHEAF_STR("completion"));

    reader->batch->order = is_completion ? SHEAF_ORDER_COMPLETION : SHEAF_ORDER_REQUEST;
    if (!is_completion && !sheaf_str_eq(value, SHEAF_STR("request")))
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "\"order\" takes request or completion");
}

static void batch_repeat(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->batch->reports_repeats = sheaf_str_eq(value, SHEAF_STR("reported"));
    if (!reader->batch->reports_repeats && !sheaf_str_eq(value, SHEAF_STR("full")))
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "\"repeat\" takes full or reported");
}

static void batch_parallel(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    uint64_t parallel;

    if (!sheaf_str_to_u64(value, &parallel) || parallel == 0)
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "\"parallel\" takes a whole number of 1 or more");
    else if (parallel < reader->batch->parallel)
        reader->batch->parallel = (uint32_t)parallel;
}

static const sheaf_xml_attribute_t batch_attributes[] = {
    {"timeout", batch_timeout},   {"onError", batch_on_error}, {"order", batch_order},
    {"parallel", batch_parallel}, {"repeat", batch_repeat},
};

static void header_name(sheaf_xml_reader_t *reader, sheaf_str_t value)
{
    reader->header_name = sheaf_pool_dup(reader->pool, value);
}

static const sheaf_xml_attribute_t header_attributes[] = {{"name", header_name}};

static void header_start(sheaf_xml_reader_t *reader, const XML_Char **attributes)
{
    reader->header_name = SHEAF_STR_NONE;
    sheaf_xml_attributes(reader, "header", attributes, header_attributes, SHEAF_COUNT(header_attributes));
    if (!reader->is_refused && reader->header_name.base == NULL)
        sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "the header has no \"name\"");
}

/* The envelope's own headers are nobody else's fault: a bad one is refused here. */
static void batch_header_end(sheaf_xml_reader_t *reader)
{
    sheaf_str_t value = sheaf_xml_text_trimmed(reader);

    if (!sheaf_header_name_is_valid(reader->header_name) || !sheaf_header_value_is_valid(value)) {
        sheaf_xml_refuse(reader, SHEAF_ERR_VALUE, "this is no valid header field");
        return;
    }
    sheaf_headers_add(&reader->batch->headers, reader->pool, sheaf_header_lower(reader->pool, reader->header_name),
                      value);
}

/* --- elements --- */

/* `name` without our namespace; NULL when it is not in it. */
static const char *own_name(const XML_Char *name)
{
    size_t len = sizeof(SHEAF_XML_NAMESPACE) - 1;

    return strncmp(name, SHEAF_XML_NAMESPACE, len) == 0 && name[len] == SHEAF_XML_SEPARATOR ? name + len + 1 : NULL;
}

static void refuse_element(sheaf_xml_reader_t *reader, const XML_Char *name)
{
    const char *local = strrchr(name, SHEAF_XML_SEPARATOR);

    local = local == NULL ? name : local + 1;
    if (reader->place == SHEAF_XML_OUTSIDE)
        sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "a batch is a <batch xmlns=\"" SHEAF_XML_NAMESPACE "\">");
    else if (own_name(name) == NULL)
        sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "<%.60s> is not in the namespace " SHEAF_XML_NAMESPACE, local);
    else
        sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "<%.60s> does not belong here", local);
}

/* One row per element of ours: where it may stand, and what it opens. */
static const struct element {
    const char *name;
    sheaf_xml_place_t below, opens;
    void (*start)(sheaf_xml_reader_t *reader, const XML_Char **attributes);
    void (*end)(sheaf_xml_reader_t *reader);
} elements[] = {
    {"request", SHEAF_XML_BATCH, SHEAF_XML_REQUEST, sheaf_xml_request_start, sheaf_xml_request_end},
    {"body", SHEAF_XML_REQUEST, SHEAF_XML_BODY, sheaf_xml_body_start, sheaf_xml_body_end},
    {"header", SHEAF_XML_REQUEST, SHEAF_XML_REQUEST_HEADER, header_start, sheaf_xml_request_header_end},
    {"dependsOn", SHEAF_XML_REQUEST, SHEAF_XML_DEPENDS_ON, sheaf_xml_depends_on, NULL},
    {"header", SHEAF_XML_BATCH, SHEAF_XML_BATCH_HEADER, header_start, batch_header_end},
};

static void open_own(sheaf_xml_reader_t *reader, const XML_Char *name, const XML_Char **attributes)
{
    const char *own = own_name(name);

    if (own != NULL && reader->place == SHEAF_XML_OUTSIDE && strcmp(own, "batch") == 0) {
        reader->place = SHEAF_XML_BATCH;
        sheaf_xml_attributes(reader, "batch", attributes, batch_attributes, SHEAF_COUNT(batch_attributes));
        return;
    }
    for (size_t i = 0; own != NULL && i < SHEAF_COUNT(elements); i++) {
        if (elements[i].below != reader->place || strcmp(elements[i].name, own) != 0)
            continue;
        reader->place = elements[i].opens;
        elements[i].start(reader, attributes);
        return;
    }
    refuse_element(reader, name);
}

static void open_in_body(sheaf_xml_reader_t *reader, const XML_Char *name, const XML_Char **attributes)
{
    uint32_t count = 0;

    if (reader->place == SHEAF_XML_BODY && reader->roots++ == 0)
        reader->root_at = (size_t)XML_GetCurrentByteIndex(reader->parser);
    reader->place = SHEAF_XML_IN_BODY;
    reader->uses_own = reader->uses_own || own_name(name) != NULL;
    for (; attributes[count] != NULL; count += 2)
        reader->uses_own = reader->uses_own || own_name(attributes[count]) != NULL;
    if (count > 2 * SHEAF_XML_MAX_ATTRIBUTES)
        sheaf_xml_refuse(reader, SHEAF_ERR_SYNTAX, "an element has more than %d attributes", SHEAF_XML_MAX_ATTRIBUTES);
}

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    sheaf_xml_reader_t *reader = data;

    if (reader->is_refused)
        return;
    if (++reader->depth > SHEAF_XML_MAX_DEPTH)
        sheaf_xml_refuse(reader, SHEAF_ERR_SYNTAX, "the document is nested too deeply");
    else if (reader->place == SHEAF_XML_BODY || reader->place == SHEAF_XML_IN_BODY)
        open_in_body(reader, name, attributes);
    else
        open_own(reader, name, attributes);
}

#define BODY_DEPTH 3 /* batch, request, body */

static void close_in_body(sheaf_xml_reader_t *reader)
{
    if (reader->depth > BODY_DEPTH)
        return;
    reader->place = SHEAF_XML_BODY;
    if (reader->roots == 1)
        reader->root_end =
            (size_t)XML_GetCurrentByteIndex(reader->parser) + (size_t)XML_GetCurrentByteCount(reader->parser);
}

static void close_own(sheaf_xml_reader_t *reader)
{
    for (size_t i = 0; i < SHEAF_COUNT(elements); i++) {
        if (elements[i].opens != reader->place)
            continue;
        if (elements[i].end != NULL)
            elements[i].end(reader);
        reader->place = elements[i].below;
        return;
    }
    reader->place = SHEAF_XML_OUTSIDE;
}

static void on_end(void *data, const XML_Char *name)
{
    sheaf_xml_reader_t *reader = data;

    (void)name;
    if (reader->is_refused)
        return;
    reader->depth--;
    if (reader->place == SHEAF_XML_IN_BODY)
        close_in_body(reader);
    else
        close_own(reader);
    sheaf_xml_scope_leave(reader);
}

static void on_text(void *data, const XML_Char *bytes, int len)
{
    sheaf_xml_reader_t *reader = data;
    sheaf_str_t text = sheaf_str(bytes, (size_t)len);

    if (reader->is_refused || reader->place == SHEAF_XML_IN_BODY)
        return;
    if (reader->place == SHEAF_XML_BODY || reader->place == SHEAF_XML_BATCH_HEADER ||
        reader->place == SHEAF_XML_REQUEST_HEADER)
        sheaf_xml_text_add(reader, text);
    else if (!sheaf_xml_is_blank(text))
        sheaf_xml_refuse(reader, SHEAF_ERR_MEMBER, "text does not belong here");
}

/* --- what is not read --- */

static void on_doctype(void *data, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    sheaf_xml_refuse(data, SHEAF_ERR_SYNTAX, "a batch has no DOCTYPE");
}

/* A body is a slice of the document and goes out as UTF-8. */
static void on_declaration(void *data, const XML_Char *version, const XML_Char *encoding, int standalone)
{
    sheaf_str_t name = encoding != NULL ? sheaf_str_of(encoding) : SHEAF_STR("utf-8");

    (void)standalone;
    if (version != NULL && strcmp(version, "1.0") != 0)
        sheaf_xml_refuse(data, SHEAF_ERR_SYNTAX, "a batch is XML 1.0");
    else if (!sheaf_str_ieq(name, SHEAF_STR("utf-8")) && !sheaf_str_ieq(name, SHEAF_STR("us-ascii")))
        sheaf_xml_refuse(data, SHEAF_ERR_SYNTAX, "a batch is UTF-8");
}

static void on_namespace(void *data, const XML_Char *prefix, const XML_Char *uri)
{
    sheaf_xml_reader_t *reader = data;

    if (!reader->is_refused)
        sheaf_xml_scope_declare(reader, prefix, uri);
}

/* --- the whole --- */

static XML_Parser new_parser(sheaf_xml_reader_t *reader)
{
    XML_Parser parser = XML_ParserCreateNS("UTF-8", SHEAF_XML_SEPARATOR);

    SHEAF_ASSERT(parser != NULL);
    XML_SetUserData(parser, reader);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    XML_SetStartDoctypeDeclHandler(parser, on_doctype);
    XML_SetXmlDeclHandler(parser, on_declaration);
    XML_SetNamespaceDeclHandler(parser, on_namespace, NULL);
    return parser;
}

/* expat recognises UTF-16 whatever it is told; a body cut out of that would be UTF-16 too. */
static bool is_utf16(sheaf_str_t doc)
{
    return doc.len >= 2 &&
           (doc.base[0] == '\0' || doc.base[1] == '\0' || sheaf_str_starts(doc, SHEAF_STR("\xff\xfe")) ||
            sheaf_str_starts(doc, SHEAF_STR("\xfe\xff")));
}

static sheaf_err_t read_document(sheaf_xml_reader_t *reader)
{
    if (is_utf16(reader->doc)) {
        sheaf_xml_refuse(reader, SHEAF_ERR_SYNTAX, "a batch is UTF-8");
        return reader->fail->err;
    }
    SHEAF_ASSERT(reader->doc.len <= INT32_MAX); /* max_body */
    if (XML_Parse(reader->parser, reader->doc.base, (int)reader->doc.len, 1) == XML_STATUS_OK || reader->is_refused)
        return reader->is_refused ? reader->fail->err : SHEAF_OK;
    sheaf_xml_refuse(reader, SHEAF_ERR_SYNTAX, "%s", XML_ErrorString(XML_GetErrorCode(reader->parser)));
    return reader->fail->err;
}

/* What lies in the request around the batch (a loop, much to inherit) has no place in the document. */
static void locate_fault(sheaf_xml_reader_t *reader)
{
    const sheaf_fault_t *fault = &reader->batch->fault;
    const sheaf_xml_mark_t *mark = fault->item == UINT32_MAX ? NULL : &reader->marks[fault->item];

    if (reader->fail->err == SHEAF_ERR_LOOP || reader->fail->err == SHEAF_ERR_INHERITED)
        return;
    if (mark == NULL)
        sheaf_xml_locate(reader, 0);
    else
        sheaf_xml_locate(reader, fault->member == SHEAF_FAULT_DEPENDS_ON ? mark->edges[fault->at] : mark->at);
}

static sheaf_err_t xml_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_fail_t unasked;
    sheaf_xml_reader_t reader = {
        .batch = batch, .pool = batch->pool, .fail = fail != NULL ? fail : &unasked, .doc = body};
    sheaf_err_t err;

    if (sheaf_str_starts(body, SHEAF_STR("\xef\xbb\xbf")))
        reader.doc = sheaf_str(body.base + 3, body.len - 3);
    reader.parser = new_parser(&reader);
    err = read_document(&reader);
    if (err == SHEAF_OK && (err = sheaf_batch_seal(batch, reader.fail)) != SHEAF_OK)
        locate_fault(&reader);
    XML_ParserFree(reader.parser);
    free(reader.marks);
    free(reader.text);
    return err;
}

const sheaf_decoder_t sheaf_xml_in = {.name = "xml", .decode = xml_decode};
