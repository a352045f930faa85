/* codec/multipart_in.c - a batch as multipart/mixed: OData 4.01 (11.7) and Google's batch requests.
 *
 *   --b  Content-Type: application/http      one request; Content-ID here or among its own headers
 *   --b  Content-Type: multipart/mixed       a change set: requests of its own, whose Content-IDs are its own too
 *
 * The delimiters say how long a request is: its Content-Length, which many clients get wrong, does not count. */
#include "gateway/batch/ids.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/multipart.h"
#include "gateway/http/message.h"

#define NAMES_MAX 8 /* items that one request can name by $x */

typedef struct reader {
    sheaf_batch_t *batch;
    sheaf_pool_t *pool;
    sheaf_fail_t *fail;
    sheaf_str_t doc;
    uint32_t set, sets; /* of the part being read, 0: none; how many there were */
} reader_t;

/* --- refusals --- */

/* The err of reader->fail, with line and column of `at`. */
static sheaf_err_t locate(const reader_t *reader, const char *at)
{
    sheaf_json_position(reader->doc, (size_t)(at - reader->doc.base), &reader->fail->line, &reader->fail->column);
    return reader->fail->err;
}

static void fail_item(sheaf_draft_t *draft, sheaf_err_t err, const char *why)
{
    if (draft->err != SHEAF_OK)
        return; /* the first reason is the one to tell */
    draft->err = err;
    snprintf(draft->detail, sizeof(draft->detail), "%s", why);
}

/* --- Content-ID --- */

static sheaf_str_t find(const sheaf_headers_t *headers, const char *name)
{
    const sheaf_header_t *header = sheaf_headers_find(headers, sheaf_str_of(name));

    return header == NULL ? SHEAF_STR_NONE : header->value;
}

static sheaf_str_t without_brackets(sheaf_str_t label)
{
    if (label.len >= 2 && label.base[0] == '<' && label.base[label.len - 1] == '>')
        return sheaf_str_trim(sheaf_str(label.base + 1, label.len - 2));
    return label;
}

/* An id is the batch's, a Content-ID its set's: the id of an item in a set says which. */
static sheaf_str_t id_of(const reader_t *reader, uint32_t set, sheaf_str_t label)
{
    return set == 0 ? label : sheaf_pool_printf(reader->pool, "%u~%.*s", set, SHEAF_STR_ARG(label));
}

static void take_id(const reader_t *reader, sheaf_draft_t *draft, sheaf_str_t label)
{
    draft->label = label;
    label = without_brackets(label);
    draft->id = label.len > 0 ? id_of(reader, reader->set, label)
                              : sheaf_pool_printf(reader->pool, "part %u", reader->batch->count + 1);
}

/* `$x` or `/$x`, up to the next slash or question mark: x. Absent when the url begins otherwise. */
static sheaf_str_t named_segment(sheaf_str_t url)
{
    size_t start = url.len > 0 && url.base[0] == '/' ? 1 : 0, end;

    if (url.len < start + 2 || url.base[start] != '$')
        return SHEAF_STR_NONE;
    for (end = ++start; end < url.len && url.base[end] != '/' && url.base[end] != '?'; end++)
        ;
    return sheaf_str(url.base + start, end - start);
}

static bool is_known(const reader_t *reader, sheaf_str_t id)
{
    return sheaf_ids_find(reader->batch->ids, id) != SHEAF_IDS_NONE;
}

static bool has_edge(const sheaf_draft_t *draft, sheaf_str_t id)
{
    for (uint32_t i = 0; i < draft->depends_on_count; i++)
        if (sheaf_str_eq(draft->depends_on[i].id, id))
            return true;
    return false;
}

/* `$x` as the first segment means the answer of x: it has to be there first (OData 4.01 11.7.3.1). Only Content-IDs that
 * stood before count, the set's own first, then the batch's, then the last set's: `$metadata` and its like are no
 * references. Returns `text` with the id that x has here. */
static sheaf_str_t follow_name(const reader_t *reader, sheaf_draft_t *draft, sheaf_edge_t *edges, sheaf_str_t text)
{
    sheaf_str_t segment = named_segment(text), id, rest;

    if (segment.len == 0)
        return text;
    id = id_of(reader, reader->set, segment);
    if (reader->set != 0 && !is_known(reader, id))
        id = segment;
    if (!is_known(reader, id) && reader->sets != 0)
        id = id_of(reader, reader->sets, segment);
    if (!is_known(reader, id))
        return text;
    if (!has_edge(draft, id)) {
        if (draft->depends_on_count == NAMES_MAX)
            return text;
        edges[draft->depends_on_count++] = (sheaf_edge_t){.id = id};
        draft->depends_on = edges;
    }
    rest = sheaf_str(segment.base + segment.len, (size_t)(text.base + text.len - segment.base) - segment.len);
    return sheaf_pool_printf(reader->pool, "$%.*s%.*s", SHEAF_STR_ARG(id), SHEAF_STR_ARG(rest));
}

/* `If-Match: $x` means the ETag of x (11.7.3.2). */
static void follow_names(const reader_t *reader, sheaf_draft_t *draft, sheaf_edge_t *edges)
{
    draft->url = follow_name(reader, draft, edges, draft->url);
    for (uint32_t i = 0; i < draft->headers.count; i++) {
        sheaf_header_t *header = &draft->headers.entries[i];

        if (sheaf_str_eq(header->name, SHEAF_STR("if-match")) || sheaf_str_eq(header->name, SHEAF_STR("if-none-match")))
            header->value = follow_name(reader, draft, edges, header->value);
    }
}

/* --- the request in a part --- */

static bool is_version(sheaf_str_t word)
{
    return word.len > 5 && sheaf_str_ieq(sheaf_str(word.base, 5), SHEAF_STR("HTTP/"));
}

static bool starts_with(sheaf_str_t text, sheaf_str_t prefix)
{
    return text.len >= prefix.len && sheaf_str_ieq(sheaf_str(text.base, prefix.len), prefix);
}

static sheaf_str_t without_port(sheaf_str_t authority, sheaf_str_t port)
{
    return sheaf_str_ends(authority, port) ? sheaf_str(authority.base, authority.len - port.len) : authority;
}

/* An absolute url that names us is its path, whatever its scheme: what stands before us may have ended TLS. Another one
 * stays as it is and is refused like any. */
static sheaf_str_t without_authority(const reader_t *reader, sheaf_str_t target)
{
    bool is_https = starts_with(target, SHEAF_STR("https://"));
    sheaf_str_t port = is_https ? SHEAF_STR(":443") : SHEAF_STR(":80"), rest;
    size_t start = is_https ? 8 : 7, end = start;

    if (!is_https && !starts_with(target, SHEAF_STR("http://")))
        return target;
    while (end < target.len && target.base[end] != '/' && target.base[end] != '?')
        end++;
    if (!sheaf_str_ieq(without_port(sheaf_str(target.base + start, end - start), port),
                       without_port(reader->batch->outer->host, port)))
        return target;
    rest = sheaf_str(target.base + end, target.len - end);
    return starts_with(rest, SHEAF_STR("/")) ? rest : sheaf_pool_printf(reader->pool, "/%.*s", SHEAF_STR_ARG(rest));
}

/* METHOD target [HTTP/x.y]; blanks in the target are the target's. */
static bool take_request_line(const reader_t *reader, sheaf_draft_t *draft, sheaf_str_t line)
{
    sheaf_str_t rest = sheaf_str_trim(line);
    const char *gap;

    draft->method = sheaf_str_cut(&rest, ' ');
    if (rest.base == NULL)
        return false;
    rest = sheaf_str_trim(rest);
    gap = rest.len == 0 ? NULL : memrchr(rest.base, ' ', rest.len);
    if (gap != NULL) {
        size_t start = (size_t)(gap - rest.base) + 1;

        if (is_version(sheaf_str(rest.base + start, rest.len - start)))
            rest = sheaf_str_trim(sheaf_str(rest.base, start - 1));
    }
    draft->url = without_authority(reader, rest);
    return rest.len > 0;
}

static void check_length(sheaf_draft_t *draft, const sheaf_headers_t *headers)
{
    sheaf_str_t length = find(headers, "content-length");
    uint64_t bytes;

    if (length.base != NULL && !sheaf_str_to_u64(length, &bytes))
        fail_item(draft, SHEAF_ERR_ITEM_HEADER, "its Content-Length is no number");
}

static void check_encoding(sheaf_draft_t *draft, const sheaf_headers_t *mime)
{
    sheaf_str_t encoding = find(mime, "content-transfer-encoding");

    if (encoding.len > 0 && !sheaf_str_ieq(encoding, SHEAF_STR("binary")) &&
        !sheaf_str_ieq(encoding, SHEAF_STR("8bit")) && !sheaf_str_ieq(encoding, SHEAF_STR("7bit")))
        fail_item(draft, SHEAF_ERR_ITEM_BODY, "Content-Transfer-Encoding takes binary, 8bit or 7bit");
}

static bool is_line_breaks(sheaf_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] != '\r' && text.base[i] != '\n')
            return false;
    return true;
}

/* Many clients write a line break or two where a GET has no body. */
static void take_body(sheaf_draft_t *draft, sheaf_str_t body)
{
    bool is_usual = !sheaf_str_ieq(draft->method, SHEAF_STR("GET")) &&
                    !sheaf_str_ieq(draft->method, SHEAF_STR("HEAD")) &&
                    !sheaf_str_ieq(draft->method, SHEAF_STR("DELETE"));

    if (body.len == 0 || (!is_usual && is_line_breaks(body)))
        return;
    draft->has_body = true;
    draft->body = body;
}

/* What goes to the backend: the request's own fields, without the name it has in this batch. */
static void keep_headers(reader_t *reader, sheaf_draft_t *draft, const sheaf_headers_t *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        if (!sheaf_str_eq(from->entries[i].name, SHEAF_STR("content-id")))
            sheaf_headers_add(&draft->headers, reader->pool, from->entries[i].name, from->entries[i].value);
}

/* The request line and the header fields off `*content`, which leaves the body. What is no request is this item's fault
 * alone: the delimiters still say where its siblings stand, and they are told by their number. */
static void take_request_head(reader_t *reader, sheaf_draft_t *draft, sheaf_str_t *content, sheaf_headers_t *headers)
{
    const char *why = NULL;
    sheaf_str_t line;

    do
        line = sheaf_multipart_line(content);
    while (line.len == 0 && content->len > 0);
    if (!take_request_line(reader, draft, line)) {
        fail_item(draft, SHEAF_ERR_BAD_REQUEST, "the part does not begin with a request line");
        draft->method = SHEAF_STR_NONE;
        draft->url = SHEAF_STR("");
        *content = SHEAF_STR_NONE;
    } else if (content->base != NULL && !sheaf_multipart_fields(reader->pool, content, headers, &why)) {
        fail_item(draft, SHEAF_ERR_ITEM_HEADER, why);
        *content = SHEAF_STR_NONE;
    }
}

static sheaf_err_t read_request(reader_t *reader, sheaf_str_t content, const sheaf_headers_t *mime)
{
    sheaf_draft_t draft = {.set = reader->set, .is_in_change_set = reader->set != 0};
    sheaf_edge_t edges[NAMES_MAX]; /* the batch copies them */
    sheaf_headers_t headers = {0};
    sheaf_str_t label = find(mime, "content-id");
    const char *start = content.base;

    take_request_head(reader, &draft, &content, &headers);
    take_id(reader, &draft, label.base != NULL ? label : find(&headers, "content-id"));
    check_encoding(&draft, mime);
    check_length(&draft, &headers);
    keep_headers(reader, &draft, &headers);
    follow_names(reader, &draft, edges);
    take_body(&draft, content);
    if (sheaf_batch_add(reader->batch, &draft, reader->fail) != SHEAF_OK)
        return locate(reader, start);
    return SHEAF_OK;
}

/* --- parts --- */

static sheaf_err_t read_parts(reader_t *reader, sheaf_str_t text, sheaf_str_t content_type);

static sheaf_err_t read_set(reader_t *reader, sheaf_str_t content, sheaf_str_t content_type)
{
    sheaf_draft_t draft = {.is_in_change_set = true, .url = SHEAF_STR("")};
    sheaf_err_t err;

    if (reader->set != 0) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "a change set may not hold another one");
        return locate(reader, content.base);
    }
    if (reader->batch->endpoint->change_sets == SHEAF_CHANGE_SETS_REFUSE) {
        take_id(reader, &draft, SHEAF_STR_NONE);
        fail_item(&draft, SHEAF_ERR_CHANGE_SETS, "change sets are not supported here");
        return sheaf_batch_add(reader->batch, &draft, reader->fail) == SHEAF_OK ? SHEAF_OK
                                                                                : locate(reader, content.base);
    }
    reader->set = ++reader->sets;
    err = read_parts(reader, content, content_type);
    reader->set = 0;
    return err;
}

static sheaf_err_t read_part(reader_t *reader, sheaf_str_t part)
{
    sheaf_headers_t mime = {0};
    sheaf_str_t type, rest = part;
    const char *why = NULL;
    sheaf_media_t media;

    if (!sheaf_multipart_fields(reader->pool, &rest, &mime, &why)) {
        sheaf_fail(reader->fail, SHEAF_ERR_SYNTAX, "%s", why);
        return locate(reader, rest.base);
    }
    if (rest.base == NULL)
        rest = sheaf_str(part.base + part.len, 0);
    type = find(&mime, "content-type");
    /* parameters (msgtype=request, a lonely semicolon) say nothing that the part does not */
    if (starts_with(type, SHEAF_STR("multipart/")))
        return read_set(reader, rest, type);
    type = sheaf_str_trim(sheaf_str_cut(&type, ';'));
    if (type.base != NULL && sheaf_media_parse(type, &media) && sheaf_media_is(&media, "application/http"))
        return read_request(reader, rest, &mime);
    sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "a part is application/http, or multipart/mixed for a change set");
    return locate(reader, part.base);
}

static sheaf_err_t read_parts(reader_t *reader, sheaf_str_t text, sheaf_str_t content_type)
{
    sheaf_multipart_t multipart = {.text = text};
    sheaf_str_t part;
    sheaf_err_t err = SHEAF_OK;
    int more = 0;

    if (!sheaf_media_param(reader->pool, content_type, "boundary", &multipart.boundary) ||
        multipart.boundary.len == 0 || multipart.boundary.len > SHEAF_MULTIPART_BOUNDARY_MAX) {
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "Content-Type needs a boundary of 1 to %u characters",
                   SHEAF_MULTIPART_BOUNDARY_MAX);
        return locate(reader, text.base);
    }
    while (err == SHEAF_OK && (more = sheaf_multipart_next(&multipart, &part)) > 0)
        err = read_part(reader, part);
    if (err == SHEAF_OK && more < 0) {
        sheaf_fail(reader->fail, SHEAF_ERR_SYNTAX, "the delimiter that closes the batch is missing");
        return locate(reader, text.base + text.len);
    }
    return err;
}

/* --- the batch --- */

static sheaf_err_t multipart_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_fail_t unasked;
    reader_t reader = {.batch = batch, .pool = batch->pool, .fail = fail != NULL ? fail : &unasked, .doc = body};
    sheaf_err_t err;

    batch->is_multipart = true;
    batch->order = SHEAF_ORDER_REQUEST;
    /* by default what stands behind a failed request is not processed (OData 4.01 11.7.4) */
    if (batch->prefer.continues == SHEAF_CONTINUE_UNSAID)
        batch->stops_on_error = batch->endpoint->on_error != SHEAF_ON_ERROR_CONTINUE;
    if (batch->stops_on_error)
        batch->parallel = 1; /* clients tell the answers by their number: those that are there must be the first */
    if (reader.doc.base == NULL)
        reader.doc = body = SHEAF_STR("");
    err = read_parts(&reader, body, find(batch->outer->headers, "content-type"));
    if (err == SHEAF_OK && sheaf_batch_seal(batch, reader.fail) != SHEAF_OK)
        err = locate(&reader, body.base);
    return err;
}

const sheaf_decoder_t sheaf_multipart_in = {
    .name = "multipart",
    .decode = multipart_decode,
    .answers_with = &sheaf_multipart_out,
};
