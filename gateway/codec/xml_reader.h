/* codec/xml_reader.h - what reading an XML batch needs in every part: where we are, and refusals that name their place.
 *
 * xml_in.c drives expat and reads the envelope, xml_item.c one request, xml_scope.c the namespaces that its body needs.
 * The whole document is in memory, so a body of elements is a slice of it. */
#ifndef SHEAF_CODEC_XML_READER_H
#define SHEAF_CODEC_XML_READER_H

#include <expat.h>

#include "gateway/codec/codec.h"

#define SHEAF_XML_NAMESPACE      "urn:sheaf:batch"
#define SHEAF_XML_SEPARATOR      '\n' /* between namespace and name, as expat gives them */
#define SHEAF_XML_MAX_DEPTH      64
#define SHEAF_XML_MAX_ATTRIBUTES 128
#define SHEAF_XML_MAX_SCOPE      16   /* namespace declarations in scope around a body */
#define SHEAF_XML_MAX_SCOPE_LEN  2048 /* and their bytes: each body of elements may need them all */

/* The element that is open. */
typedef enum sheaf_xml_place {
    SHEAF_XML_OUTSIDE,
    SHEAF_XML_BATCH,
    SHEAF_XML_BATCH_HEADER,
    SHEAF_XML_REQUEST,
    SHEAF_XML_REQUEST_HEADER,
    SHEAF_XML_DEPENDS_ON,
    SHEAF_XML_BODY,
    SHEAF_XML_IN_BODY, /* an element of the body's own */
} sheaf_xml_place_t;

typedef struct sheaf_xml_declaration {
    sheaf_str_t prefix, uri; /* empty prefix: the default namespace; empty uri: none */
    uint32_t depth;          /* of the element that declares it */
    bool is_hidden;          /* the body's element declares the prefix itself */
} sheaf_xml_declaration_t;

/* Where an item stands in the document. */
typedef struct sheaf_xml_mark {
    size_t at;
    size_t *edges; /* its dependsOn elements */
} sheaf_xml_mark_t;

typedef struct sheaf_xml_reader {
    XML_Parser parser;
    sheaf_batch_t *batch;
    sheaf_pool_t *pool;
    sheaf_fail_t *fail;
    sheaf_str_t doc; /* without byte order mark */
    bool is_refused;
    sheaf_xml_place_t place;
    uint32_t depth; /* open elements */

    char *text; /* of the open header or body; allocated, grows */
    size_t text_len, text_size;
    sheaf_str_t header_name;

    /* the request being read */
    sheaf_draft_t draft;
    size_t at; /* of its tag */
    sheaf_edge_t *edges;
    size_t *edges_at;
    uint32_t edge_count, edge_size;
    bool is_base64;        /* encoding of the request */
    bool has_body;         /* a body element has been read, or is open */
    sheaf_str_t body_type; /* its type; absent when it has none */
    uint32_t roots;        /* elements right below the body */
    size_t root_at, root_end;
    bool uses_own; /* a name below the body is in our namespace */

    sheaf_xml_declaration_t scope[SHEAF_XML_MAX_SCOPE];
    uint32_t scope_count;
    size_t scope_len;

    sheaf_xml_mark_t *marks; /* by index of the item */
    uint32_t mark_size;
} sheaf_xml_reader_t;

/* --- refusals --- */

/* Refuses the batch at the current place of the parser, or at byte `at`; only the first refusal counts. */
void sheaf_xml_refuse(sheaf_xml_reader_t *reader, sheaf_err_t err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sheaf_xml_locate(sheaf_xml_reader_t *reader, size_t at);

/* --- attributes --- */

typedef struct sheaf_xml_attribute {
    const char *name;
    void (*take)(sheaf_xml_reader_t *reader, sheaf_str_t value); /* value: good for the call */
} sheaf_xml_attribute_t;

/* Hands each attribute to its row; those of other namespaces are passed over, unknown ones refused. */
void sheaf_xml_attributes(sheaf_xml_reader_t *reader, const char *element, const XML_Char **attributes,
                          const sheaf_xml_attribute_t *rows, size_t count);

/* A duration such as 500ms; 0 and anything else is refused, and 0 returned. */
uint64_t sheaf_xml_timeout(sheaf_xml_reader_t *reader, sheaf_str_t value);

/* --- text --- */

bool sheaf_xml_is_blank(sheaf_str_t text);
void sheaf_xml_text_add(sheaf_xml_reader_t *reader, sheaf_str_t text);
/* What was added since the last take, good until the next add. */
sheaf_str_t sheaf_xml_text_take(sheaf_xml_reader_t *reader);
/* The same without white space around it, in the pool. */
sheaf_str_t sheaf_xml_text_trimmed(sheaf_xml_reader_t *reader);

/* --- xml_item.c: elements below a request, in the order in which they come --- */

void sheaf_xml_request_start(sheaf_xml_reader_t *reader, const XML_Char **attributes);
void sheaf_xml_depends_on(sheaf_xml_reader_t *reader, const XML_Char **attributes);
void sheaf_xml_request_header_end(sheaf_xml_reader_t *reader);
void sheaf_xml_body_start(sheaf_xml_reader_t *reader, const XML_Char **attributes);
void sheaf_xml_body_end(sheaf_xml_reader_t *reader);
/* Adds the item to the batch. */
void sheaf_xml_request_end(sheaf_xml_reader_t *reader);

/* --- xml_scope.c --- */

/* Notes a declaration of the element that comes next. */
void sheaf_xml_scope_declare(sheaf_xml_reader_t *reader, const XML_Char *prefix, const XML_Char *uri);
/* Forgets those of elements deeper than reader->depth. */
void sheaf_xml_scope_leave(sheaf_xml_reader_t *reader);
/* The element of the body: its bytes as they stand, with the declarations around the body that it may need. An
 * unprefixed element below <batch xmlns="urn:sheaf:batch"> is meant to have no namespace. */
sheaf_str_t sheaf_xml_scope_body(const sheaf_xml_reader_t *reader);

#endif
