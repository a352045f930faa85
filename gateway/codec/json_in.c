/* codec/json_in.c - the JSON batch (DESIGN section 3): one pass that validates, then cursors that cut it up.
 *
 * The envelope's members are read before its items, wherever they stand, because its headers decide how an item's body
 * is understood. Strings without escapes and JSON bodies are slices of the document. */
#include "gateway/codec/json_reader.h"

#define ITEM_BYTES 48 /* of a short item */

/* --- the envelope --- */

static sheaf_err_t batch_requests(sheaf_reader_t *reader, sheaf_json_t value)
{
    if (!sheaf_reader_is(value, SHEAF_JSON_ARRAY))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("requests", value), "an array of items");
    reader->requests = value;
    return SHEAF_OK;
}

static sheaf_err_t batch_headers(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_headers(reader, value, &reader->batch->headers, &reader->default_type);
}

static sheaf_err_t batch_timeout(sheaf_reader_t *reader, sheaf_json_t value)
{
    uint64_t ms;
    sheaf_err_t err = sheaf_reader_timeout(reader, value, &ms);

    if (err == SHEAF_OK && ms < reader->batch->timeout_ms)
        reader->batch->timeout_ms = ms;
    return err;
}

static sheaf_err_t batch_on_error(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_word(reader, "onError", value, "continue", "stop", &reader->batch->stops_on_error);
}

static sheaf_err_t batch_order(sheaf_reader_t *reader, sheaf_json_t value)
{
    bool is_completion;
    sheaf_err_t err = sheaf_reader_word(reader, "order", value, "request", "completion", &is_completion);

    if (err == SHEAF_OK)
        reader->batch->order = is_completion ? SHEAF_ORDER_COMPLETION : SHEAF_ORDER_REQUEST;
    return err;
}

static sheaf_err_t batch_repeat(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_word(reader, "repeat", value, "full", "reported", &reader->batch->reports_repeats);
}

static sheaf_err_t batch_parallel(sheaf_reader_t *reader, sheaf_json_t value)
{
    uint64_t parallel;

    if (!sheaf_reader_is(value, SHEAF_JSON_NUMBER))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("parallel", value), "a whole number");
    if (!sheaf_json_u64(value, &parallel) || parallel == 0) {
        sheaf_fail(reader->fail, SHEAF_ERR_VALUE, "\"parallel\" takes a whole number of 1 or more");
        return sheaf_reader_locate(reader, sheaf_reader_at("parallel", value));
    }
    if (parallel < reader->batch->parallel)
        reader->batch->parallel = (uint32_t)parallel;
    return SHEAF_OK;
}

static const sheaf_reader_member_t batch_members[] = {
    {{"requests", 8}, batch_requests, false}, {{"headers", 7}, batch_headers, false},
    {{"timeout", 7}, batch_timeout, false},   {{"onError", 7}, batch_on_error, false},
    {{"order", 5}, batch_order, false},       {{"parallel", 8}, batch_parallel, false},
    {{"repeat", 6}, batch_repeat, false},
};

sheaf_err_t sheaf_reader_envelope(sheaf_reader_t *reader, sheaf_json_t object)
{
    return sheaf_reader_members(reader, object, batch_members, SHEAF_COUNT(batch_members));
}

/* --- what the batch found --- */

/* Too many items, or the envelope's headers; what lies in the outer request (a loop, much to inherit) has no place in
 * the document. */
static sheaf_err_t locate_envelope(sheaf_reader_t *reader, const char *member)
{
    sheaf_json_t root = sheaf_json_root(reader->doc), value;

    if (reader->fail->err == SHEAF_ERR_LOOP || reader->fail->err == SHEAF_ERR_INHERITED)
        return reader->fail->err;
    reader->in_item = false;
    value = reader->is_bare ? root : sheaf_reader_member_of(reader, root, member);
    return sheaf_reader_locate(reader, sheaf_reader_at(value.base == root.base ? NULL : member, value));
}

static sheaf_err_t locate_fault(sheaf_reader_t *reader)
{
    const sheaf_fault_t *fault = &reader->batch->fault;

    if (fault->item == UINT32_MAX || fault->member == SHEAF_FAULT_ITEMS)
        return locate_envelope(reader, fault->member == SHEAF_FAULT_ITEMS ? "requests" : "headers");
    return sheaf_reader_locate_fault(reader, sheaf_reader_nth(reader->requests, fault->item));
}

/* --- items, one by one --- */

static sheaf_err_t read_items(sheaf_reader_t *reader)
{
    sheaf_json_iter_t iter = sheaf_json_iter(reader->requests);
    sheaf_json_t item;

    sheaf_batch_expect(reader->batch, reader->requests.len / ITEM_BYTES);
    reader->in_item = true;
    for (reader->index = 0; sheaf_json_open_element(&iter, &item); reader->index++) {
        sheaf_err_t err = sheaf_reader_item(reader, item);

        if (err == SHEAF_OK && sheaf_batch_add(reader->batch, &reader->draft, reader->fail) != SHEAF_OK)
            err = locate_fault(reader);
        if (err != SHEAF_OK)
            return err;
        sheaf_json_close_element(&iter, &reader->members);
    }
    reader->in_item = false;
    if (sheaf_batch_seal(reader->batch, reader->fail) != SHEAF_OK)
        return locate_fault(reader);
    return SHEAF_OK;
}

static sheaf_err_t read_envelope(sheaf_reader_t *reader, sheaf_json_t root)
{
    sheaf_err_t err;

    if (sheaf_reader_is(root, SHEAF_JSON_ARRAY)) {
        reader->is_bare = true;
        reader->requests = root;
        return SHEAF_OK;
    }
    if (!sheaf_reader_is(root, SHEAF_JSON_OBJECT)) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "a batch is an object with \"requests\", or an array of items");
        return sheaf_reader_locate(reader, sheaf_reader_at(NULL, root));
    }
    if ((err = sheaf_reader_envelope(reader, root)) != SHEAF_OK)
        return err;
    if (reader->requests.base == NULL) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "the batch has no \"requests\"");
        return sheaf_reader_locate(reader, sheaf_reader_at(NULL, root));
    }
    return SHEAF_OK;
}

/* RFC 8259 8.1: texts must not begin with a byte order mark, and are UTF-8. */
static bool has_byte_order_mark(sheaf_str_t doc)
{
    return sheaf_str_starts(doc, SHEAF_STR("\xef\xbb\xbf")) || sheaf_str_starts(doc, SHEAF_STR("\xff\xfe")) ||
           sheaf_str_starts(doc, SHEAF_STR("\xfe\xff"));
}

static sheaf_err_t json_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_fail_t unasked;
    sheaf_reader_t reader = {.batch = batch, .pool = batch->pool, .fail = fail != NULL ? fail : &unasked, .doc = body};
    sheaf_err_t err;

    if (has_byte_order_mark(body)) {
        sheaf_fail(reader.fail, SHEAF_ERR_SYNTAX, "the batch begins with a byte order mark; send UTF-8 without one");
        return sheaf_reader_locate(&reader, sheaf_reader_at(NULL, body));
    }
    if ((err = sheaf_json_check(body, SHEAF_READER_MAX_DEPTH, reader.fail)) != SHEAF_OK)
        return err;
    if ((err = read_envelope(&reader, sheaf_json_root(body))) != SHEAF_OK)
        return err;
    return read_items(&reader);
}

const sheaf_decoder_t sheaf_json_in = {.name = "json", .decode = json_decode};
