/* codec/bulk_in.c - an array of elements (DESIGN section 2: validated in one pass, turned into items in a second).
 *
 * application/json: an array, or {"items":[...]}; application/x-ndjson: an element a line; no body: ?ids=1,2,3. The first
 * pass checks all of it and counts; the second walks on by one element whenever the batch has room for an item, so that
 * memory does not grow with the number of elements. */
#include "gateway/codec/element.h"
#include "gateway/codec/json_reader.h"
#include "gateway/codec/lines.h"
#include "gateway/http/query.h"

typedef struct bulk {
    const sheaf_endpoint_conf_t *endpoint;
    sheaf_json_iter_t elements;
    sheaf_lines_t lines;
    sheaf_str_t ids; /* comes after what was walked */
    void (*next)(struct bulk *bulk, sheaf_pool_t *pool, sheaf_element_t *ret_element);
} bulk_t;

static void feed_next(void *data, uint32_t index, sheaf_pool_t *pool, sheaf_draft_t *draft)
{
    bulk_t *bulk = data;
    sheaf_element_t element;

    (void)index; /* they are asked for in order */
    bulk->next(bulk, pool, &element);
    sheaf_element_draft(bulk->endpoint, &element, pool, draft);
}

static sheaf_err_t feed(sheaf_batch_t *batch, const bulk_t *bulk, uint32_t total, sheaf_fail_t *fail)
{
    bulk_t *kept = sheaf_pool_alloc(batch->pool, sizeof(*kept));

    *kept = *bulk;
    kept->endpoint = batch->endpoint;
    sheaf_batch_feed(batch, &(sheaf_feed_t){.next = feed_next, .data = kept, .total = total});
    return sheaf_batch_seal(batch, fail);
}

static sheaf_err_t too_many(const sheaf_batch_t *batch, sheaf_fail_t *fail)
{
    return sheaf_fail(fail, SHEAF_ERR_TOO_MANY_ITEMS, "more than %llu items",
                      (unsigned long long)batch->endpoint->max_items);
}

/* How often the query says them; `ret_ids` is the last. */
static uint32_t count_ids(const sheaf_batch_t *batch, sheaf_str_t *ret_ids)
{
    sheaf_str_t rest = batch->outer->query;
    uint32_t count = 0;

    while (rest.base != NULL)
        count += sheaf_query_find(sheaf_str_cut(&rest, '&'), SHEAF_STR("ids"), ret_ids);
    return count;
}

/* --- a JSON array --- */

static void next_of_array(bulk_t *bulk, sheaf_pool_t *pool, sheaf_element_t *ret_element)
{
    (void)pool;
    ret_element->is_json = true;
    sheaf_json_next_element(&bulk->elements, &ret_element->text);
}

static sheaf_err_t take_items(sheaf_reader_t *reader, sheaf_json_t value)
{
    if (!sheaf_reader_is(value, SHEAF_JSON_ARRAY))
        return sheaf_reader_wrong_type(reader, sheaf_reader_at("items", value), "an array of elements");
    reader->requests = value;
    return SHEAF_OK;
}

static const sheaf_reader_member_t members[] = {{{"items", 5}, take_items, false}};

static sheaf_err_t find_items(sheaf_reader_t *reader, sheaf_json_t root)
{
    sheaf_err_t err = SHEAF_OK;

    reader->is_bare = sheaf_reader_is(root, SHEAF_JSON_ARRAY);
    if (reader->is_bare)
        reader->requests = root;
    else if (sheaf_reader_is(root, SHEAF_JSON_OBJECT))
        err = sheaf_reader_members(reader, root, members, SHEAF_COUNT(members));
    if (err != SHEAF_OK || reader->requests.base != NULL)
        return err;
    sheaf_fail(reader->fail, SHEAF_ERR_MEMBER, "a bulk is an array of elements, or an object with \"items\"");
    return sheaf_reader_locate(reader, sheaf_reader_at(NULL, root));
}

static sheaf_err_t decode_array(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_reader_t reader = {.batch = batch, .pool = batch->pool, .fail = fail, .doc = body};
    bulk_t bulk = {.next = next_of_array};
    sheaf_json_iter_t iter;
    sheaf_json_t element;
    uint32_t total = 0;
    sheaf_err_t err = sheaf_json_check(body, SHEAF_READER_MAX_DEPTH, fail);

    if (err == SHEAF_OK)
        err = find_items(&reader, sheaf_json_root(body));
    if (err != SHEAF_OK)
        return err;
    bulk.elements = iter = sheaf_json_iter(reader.requests);
    while (sheaf_json_next_element(&iter, &element))
        if (++total > batch->endpoint->max_items) {
            too_many(batch, fail);
            return sheaf_reader_locate(&reader, sheaf_reader_at(reader.is_bare ? NULL : "items", reader.requests));
        }
    return feed(batch, &bulk, total, fail);
}

/* --- lines --- */

static void next_of_lines(bulk_t *bulk, sheaf_pool_t *pool, sheaf_element_t *ret_element)
{
    sheaf_str_t line = SHEAF_STR("null");

    (void)pool;
    sheaf_lines_next(&bulk->lines, &line);
    *ret_element = (sheaf_element_t){sheaf_json_root(line), true};
}

static sheaf_err_t check_line(const sheaf_batch_t *batch, sheaf_str_t body, sheaf_str_t line, uint32_t index,
                              sheaf_fail_t *fail)
{
    if (sheaf_json_check(line, SHEAF_READER_MAX_DEPTH, fail) != SHEAF_OK)
        return sheaf_lines_locate(body, line, index, fail);
    if (index < batch->endpoint->max_items)
        return SHEAF_OK;
    too_many(batch, fail);
    fail->has_pointer = true;
    fail->column = 1;
    return sheaf_lines_locate(body, line, index, fail);
}

static sheaf_err_t decode_lines(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    bulk_t bulk = {.next = next_of_lines, .lines = sheaf_lines(body)};
    sheaf_lines_t lines = bulk.lines;
    sheaf_str_t line;
    uint32_t total = 0;

    for (; sheaf_lines_next(&lines, &line); total++) {
        sheaf_err_t err = check_line(batch, body, line, total, fail);

        if (err != SHEAF_OK)
            return err;
    }
    return feed(batch, &bulk, total, fail);
}

/* --- ?ids=1,2,3 --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Numbers stay numbers in a body, all else is text. White space, which JSON passes over, is not part of one. */
static bool is_number(sheaf_str_t text)
{
    return text.len > 0 && (text.base[0] == '-' || is_digit(text.base[0])) && is_digit(text.base[text.len - 1]) &&
           sheaf_json_check(text, 1, NULL) == SHEAF_OK;
}

static void next_of_ids(bulk_t *bulk, sheaf_pool_t *pool, sheaf_element_t *ret_element)
{
    sheaf_str_t id = SHEAF_STR("");

    sheaf_query_decode(sheaf_str_cut(&bulk->ids, ','), true, pool, &id);
    *ret_element = (sheaf_element_t){id, is_number(id)};
}

static sheaf_err_t check_id(sheaf_batch_t *batch, sheaf_str_t encoded, uint32_t index, sheaf_pool_t *scratch,
                            sheaf_fail_t *fail)
{
    sheaf_str_t id;

    if (index >= batch->endpoint->max_items)
        return too_many(batch, fail);
    if (encoded.len == 0)
        return sheaf_fail(fail, SHEAF_ERR_VALUE, "number %u of \"ids\" is empty", index + 1);
    if (!sheaf_query_decode(encoded, true, scratch, &id) || sheaf_utf8_valid_prefix(id) != id.len)
        return sheaf_fail(fail, SHEAF_ERR_VALUE, "number %u of \"ids\" is malformed", index + 1);
    return SHEAF_OK;
}

/* What ids are is not in a document: refusals name their number, not a place. */
static sheaf_err_t decode_ids(sheaf_batch_t *batch, sheaf_str_t ids, sheaf_fail_t *fail)
{
    bulk_t bulk = {.next = next_of_ids, .ids = ids};
    sheaf_pool_t *scratch = sheaf_pool_new();
    sheaf_err_t err = SHEAF_OK;
    uint32_t total = 0;

    for (; ids.base != NULL && err == SHEAF_OK; total += err == SHEAF_OK)
        err = check_id(batch, sheaf_str_cut(&ids, ','), total, scratch, fail);
    sheaf_pool_free(scratch);
    return err == SHEAF_OK ? feed(batch, &bulk, total, fail) : err;
}

static sheaf_err_t decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail,
                          sheaf_err_t (*decode_body)(sheaf_batch_t *, sheaf_str_t, sheaf_fail_t *))
{
    sheaf_fail_t unasked;
    sheaf_str_t ids;
    uint32_t count = count_ids(batch, &ids);

    fail = fail != NULL ? fail : &unasked;
    if (count == 0)
        return decode_body(batch, body, fail);
    if (count > 1) /* one of them alone would be half of what was asked */
        return sheaf_fail(fail, SHEAF_ERR_VALUE, "\"ids\" stands twice");
    if (body.len > 0)
        return sheaf_fail(fail, SHEAF_ERR_VALUE, "the elements are in the body or in \"ids\", not in both");
    return decode_ids(batch, ids, fail);
}

static sheaf_err_t json_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    return decode(batch, body, fail, decode_array);
}

static sheaf_err_t ndjson_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    return decode(batch, body, fail, decode_lines);
}

/* No Content-Type: the elements can only be in the query. */
static sheaf_err_t refuse_body(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    (void)body;
    return sheaf_fail(fail, SHEAF_ERR_MEDIA_TYPE, "supported: %s", sheaf_codec_decodable(batch->endpoint));
}

static sheaf_err_t untyped_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    return decode(batch, body, fail, refuse_body);
}

const sheaf_decoder_t sheaf_bulk_json_in = {.name = "bulk-json", .decode = json_decode};
const sheaf_decoder_t sheaf_bulk_ndjson_in = {.name = "bulk-ndjson", .decode = ndjson_decode};
const sheaf_decoder_t sheaf_bulk_ids_in = {.name = "bulk-ids", .decode = untyped_decode};
