/* codec/tyk_in.c - the batches of the Tyk gateway (POST {listen path}/tyk/batch/).
 *
 *   {"requests":[{"method":"GET","relative_url":"get","headers":{"k":"v"},"body":""}],
 *    "suppress_parallel_execution":false}
 *
 * Read as Go's encoding/json reads it: names in any case, unknown members ignored, null is absent. An item sends its
 * own headers only, and its url stays below the endpoint's base. */
#include "gateway/codec/dialect_in.h"

static sheaf_err_t batch_suppress(sheaf_reader_t *reader, sheaf_json_t value)
{
    bool is_sequential;
    sheaf_err_t err = sheaf_dialect_take_bool(reader, "suppress_parallel_execution", value, &is_sequential);

    if (err == SHEAF_OK && is_sequential)
        reader->batch->parallel = 1;
    return err;
}

static sheaf_err_t item_url(sheaf_reader_t *reader, sheaf_json_t value)
{
    return sheaf_reader_string(reader, "relative_url", value, &reader->draft.url);
}

static const sheaf_reader_member_t batch_members[] = {
    {{"requests", 8}, sheaf_dialect_take_list, false},
    {{"suppress_parallel_execution", 27}, batch_suppress, false},
};

static const sheaf_reader_member_t item_members[] = {
    {{"method", 6}, sheaf_dialect_take_method, false},
    {{"relative_url", 12}, item_url, false},
    {{"headers", 7}, sheaf_dialect_take_headers, false},
    {{"body", 4}, sheaf_dialect_take_body, false},
};

/* Without a url Tyk asks for the listen path itself; so does an empty one. */
static sheaf_err_t finish(sheaf_reader_t *reader, sheaf_json_t item)
{
    (void)item;
    if (reader->draft.url.base == NULL)
        reader->draft.url = SHEAF_STR("");
    return SHEAF_OK;
}

static const sheaf_dialect_in_t tyk = {
    .list = "requests",
    .batch_members = batch_members,
    .batch_member_count = SHEAF_COUNT(batch_members),
    .item_members = item_members,
    .item_member_count = SHEAF_COUNT(item_members),
    .ignores_unknown = true,
    .finish = finish,
};

static sheaf_err_t tyk_decode(sheaf_batch_t *batch, sheaf_str_t body, sheaf_fail_t *fail)
{
    sheaf_fail_t unasked;
    sheaf_reader_t reader = {.batch = batch, .pool = batch->pool, .fail = fail != NULL ? fail : &unasked, .doc = body};

    reader.ignores_case = true;
    batch->urls_are_below_base = true;
    batch->inherits_nothing = true;
    return sheaf_dialect_read(&reader, &tyk);
}

const sheaf_decoder_t sheaf_tyk_in = {.name = "tyk", .decode = tyk_decode, .answers_with = &sheaf_tyk_out};
