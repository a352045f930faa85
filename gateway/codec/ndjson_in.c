/* codec/ndjson_in.c - one item a line, with an optional first line {"batch":{...}} for the envelope (DESIGN section 4).
 * /2/url points into the third item; /batch/timeout into the first line. */
#include "gateway/codec/json_reader.h"
#include "gateway/codec/lines.h"

static sheaf_json_t nth_item(const sheaf_reader_t *reader, bool has_envelope, uint32_t n)
{
    sheaf_lines_t lines = sheaf_lines(reader->doc);
    sheaf_str_t line = reader->doc;

    for (uint64_t left = (uint64_t)n + 1 + has_envelope; left > 0 && sheaf_lines_next(&lines, &line); left--)
        ;
    return sheaf_json_root(line);
}

/* The envelope's headers are all that the batch finds wrong outside of items; they stand in the first line, or come from
 * the request around (a loop, much to inherit) and have no place here. */
static sheaf_err_t locate_envelope(sheaf_reader_t *reader, bool has_envelope)
{
    sheaf_json_t envelope;

    if (!has_envelope || reader->fail->err == SHEAF_ERR_LOOP || reader->fail->err == SHEAF_ERR_INHERITED)
        return reader->fail->err;
    reader->in_item = false;
    envelope = sheaf_reader_member_of(reader, nth_item(reader, false, 0), "batch");
    sheaf_reader_locate(reader, sheaf_reader_at("headers", sheaf_reader_member_of(reader, envelope, "headers")));
    sheaf_lines_prefix(reader->fail, SHEAF_STR("batch"));
    return reader->fail->err;
}

static sheaf_err_t locate_fault(sheaf_reader_t *reader, bool has_envelope)
{
    const sheaf_fault_t *fault = &reader->batch->fault;

    if (fault->item == UINT32_MAX)
        return locate_envelope(reader, has_envelope);
    return sheaf_reader_locate_fault(reader, nth_item(reader, has_envelope, fault->item));
}

/* --- the first line --- */

static sheaf_err_t line_envelope(sheaf_reader_t *reader, sheaf_json_t value)
{
    sheaf_err_t err;

    if (!sheaf_reader_is(value, SHEAF_JSON_OBJECT))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("batch", value), "an object");
    err = sheaf_reader_envelope(reader, value);
    if (err == SHEAF_OK && reader->requests.base != NULL) {
        sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "items stand on the lines that follow, not in \"requests\"");
        err = sheaf_reader_locate(reader, sheaf_reader_at("requests", reader->requests));
    }
    if (err != SHEAF_OK)
        sheaf_lines_prefix(reader->fail, SHEAF_STR("batch"));
    return err;
}

static const sheaf_reader_member_t first_line_members[] = {{{"batch", 5}, line_envelope, false}};

static bool is_envelope(const sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_is(value, SHEAF_JSON_OBJECT) &&
           sheaf_reader_member_of(reader, value, "batch").base != value.base;
}

/* --- line by line --- */

static sheaf_err_t read_line(sheaf_reader_t *reader, sheaf_str_t line, bool *has_envelope)
{
    sheaf_json_t value;
    sheaf_err_t err;

    if (sheaf_json_check(line, SHEAF_READER_MAX_DEPTH, reader->fail) != SHEAF_OK)
        return sheaf_lines_locate(reader->doc, line, reader->index, reader->fail);
    value = sheaf_json_root(line);
    if (reader->index == 0 && !*has_envelope && is_envelope(reader, value)) {
        *has_envelope = true;
        return sheaf_reader_members(reader, value, first_line_members, SHEAF_COUNT(first_line_members));
    }
    reader->in_item = true;
    if ((err = sheaf_reader_item(reader, value)) != SHEAF_OK)
        return err;
    if (sheaf_batch_add(reader->batch, &reader->draft, reader->fail) != SHEAF_OK)
        return locate_fault(reader, *has_envelope);
    reader->index++;
    return SHEAF_OK;
}

static sheaf_err_t ndjson_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_fail_t unasked;
    sheaf_reader_t reader = {.batch = batch, .pool = batch->pool, .fail = fail != NULL ? fail : &unasked, .doc = body};
    sheaf_lines_t lines = sheaf_lines(body);
    bool has_envelope = false; /* the first line is no item */
    sheaf_str_t line;

    reader.is_bare = true;
    while (sheaf_lines_next(&lines, &line)) {
        sheaf_err_t err = read_line(&reader, line, &has_envelope);

        if (err != SHEAF_OK)
            return err;
    }
    reader.in_item = false;
    if (sheaf_batch_seal(batch, reader.fail) != SHEAF_OK)
        return locate_fault(&reader, has_envelope);
    return SHEAF_OK;
}

const sheaf_decoder_t sheaf_ndjson_in = {.name = "ndjson", .decode = ndjson_decode};
