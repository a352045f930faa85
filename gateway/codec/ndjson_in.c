/* codec/ndjson_in.c - one item a line, with an optional first line {"batch":{...}} for the envelope (DESIGN section 4).
 *
 * Every line is one JSON value, CR LF ends it as well as LF, and lines without one are passed over. Pointers count items:
 * /2/url is in the third; /batch/timeout in the first line. */
#include "gateway/codec/json_reader.h"

typedef struct lines {
    const char *at, *end; /* what has not been walked */
    bool has_envelope;    /* the first line is no item */
} lines_t;

static bool is_blank(sheaf_str_t line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.base[i] != ' ' && line.base[i] != '\t' && line.base[i] != '\r')
            return false;
    return true;
}

/* The next line that is not blank, without its LF. */
static bool next_line(lines_t *lines, sheaf_str_t *ret_line)
{
    while (lines->at < lines->end) {
        size_t left = (size_t)(lines->end - lines->at);
        const char *feed = memchr(lines->at, '\n', left);
        sheaf_str_t line = sheaf_str(lines->at, feed == NULL ? left : (size_t)(feed - lines->at));

        lines->at = feed == NULL ? lines->end : feed + 1;
        if (is_blank(line))
            continue;
        *ret_line = line;
        return true;
    }
    return false;
}

/* --- places --- */

/* Puts `token` in front of the pointer. */
static void prefix_pointer(sheaf_fail_t *fail, sheaf_str_t token)
{
    char below[sizeof(fail->pointer)];

    snprintf(below, sizeof(below), "%s", fail->pointer);
    fail->pointer[0] = '\0';
    sheaf_json_pointer_add(fail, token);
    strncat(fail->pointer, below, sizeof(fail->pointer) - 1 - strlen(fail->pointer));
}

/* What is wrong within a line is known by the line and a pointer from there on. */
static sheaf_err_t locate_in_line(const sheaf_reader_t *reader, sheaf_str_t line)
{
    sheaf_fail_t *fail = reader->fail;
    uint32_t line_of, column_of;
    char digits[20];

    sheaf_json_position(reader->doc, (size_t)(line.base - reader->doc.base), &line_of, &column_of);
    fail->line = line_of;
    prefix_pointer(fail, sheaf_str(digits, sheaf_u64_to_dec(reader->index, digits)));
    return fail->err;
}

static lines_t lines_of(const sheaf_reader_t *reader)
{
    return (lines_t){.at = reader->doc.base, .end = reader->doc.base + reader->doc.len};
}

static sheaf_json_t nth_item(const sheaf_reader_t *reader, bool has_envelope, uint32_t n)
{
    lines_t lines = lines_of(reader);
    sheaf_str_t line = reader->doc;

    for (uint64_t left = (uint64_t)n + 1 + has_envelope; left > 0 && next_line(&lines, &line); left--)
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
    prefix_pointer(reader->fail, SHEAF_STR("batch"));
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
        prefix_pointer(reader->fail, SHEAF_STR("batch"));
    return err;
}

static const sheaf_reader_member_t first_line_members[] = {{{"batch", 5}, line_envelope, false}};

static bool is_envelope(const sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_is(value, SHEAF_JSON_OBJECT) &&
           sheaf_reader_member_of(reader, value, "batch").base != value.base;
}

/* --- line by line --- */

static sheaf_err_t read_line(sheaf_reader_t *reader, lines_t *lines, sheaf_str_t line)
{
    sheaf_json_t value;
    sheaf_err_t err;

    if (sheaf_json_check(line, SHEAF_READER_MAX_DEPTH, reader->fail) != SHEAF_OK)
        return locate_in_line(reader, line);
    value = sheaf_json_root(line);
    if (reader->index == 0 && !lines->has_envelope && is_envelope(reader, value)) {
        lines->has_envelope = true;
        return sheaf_reader_members(reader, value, first_line_members, SHEAF_COUNT(first_line_members));
    }
    reader->in_item = true;
    if ((err = sheaf_reader_item(reader, value)) != SHEAF_OK)
        return err;
    if (sheaf_batch_add(reader->batch, &reader->draft, reader->fail) != SHEAF_OK)
        return locate_fault(reader, lines->has_envelope);
    reader->index++;
    return SHEAF_OK;
}

static sheaf_err_t ndjson_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_fail_t unasked;
    sheaf_reader_t reader = {.batch = batch, .pool = batch->pool, .fail = fail != NULL ? fail : &unasked, .doc = body};
    lines_t lines = lines_of(&reader);
    sheaf_str_t line;

    reader.is_bare = true;
    while (next_line(&lines, &line)) {
        sheaf_err_t err = read_line(&reader, &lines, line);

        if (err != SHEAF_OK)
            return err;
    }
    reader.in_item = false;
    if (sheaf_batch_seal(batch, reader.fail) != SHEAF_OK)
        return locate_fault(&reader, lines.has_envelope);
    return SHEAF_OK;
}

const sheaf_decoder_t sheaf_ndjson_in = {.name = "ndjson", .decode = ndjson_decode};
