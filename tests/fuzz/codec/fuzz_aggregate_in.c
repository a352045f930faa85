/* Any bytes as what a request to an aggregate supplies, a line each: parameter, query, header, and the rest the body. What
 * they make stays where the configuration put it. */
#include "gateway/batch/reference.h"
#include "tests/fuzz/codec/decode.h"
#include "tests/unit/codec/aggregates.h"

static void require(bool claim)
{
    if (!claim)
        abort();
}

static uint32_t count_byte(sheaf_str_t text, char byte)
{
    uint32_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.base[i] == byte;
    return count;
}

static void check_items(const sheaf_batch_t *batch)
{
    const sheaf_item_t *items = batch->items;

    require(batch->count == 3);
    if (items[0].err == SHEAF_OK)
        require(sheaf_str_starts(items[0].exchange.target, SHEAF_STR("/users/")) &&
                count_byte(items[0].exchange.target, '/') == 2 && count_byte(items[0].exchange.target, '?') == 0);
    if (items[1].err == SHEAF_OK) /* one reference, that of the configuration */
        require(items[1].recipe != NULL && items[1].recipe->count == 1 && count_byte(items[1].url_text, '&') == 1 &&
                count_byte(items[1].url_text, '#') == 0);
    if (items[2].err == SHEAF_OK)
        require(items[2].recipe == NULL && sheaf_json_check(items[2].exchange.body, 80, NULL) == SHEAF_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_str_t rest = sheaf_str((const char *)data, size), header;
    sheaf_fail_t fail = {0};
    sheaf_batch_t *batch;
    kit_t kit;

    aggregates_init(&kit);
    kit.outer.params[0] = sheaf_str_cut(&rest, '\n');
    kit.outer.query = sheaf_str_cut(&rest, '\n');
    header = sheaf_str_cut(&rest, '\n');
    if (header.base != NULL && sheaf_header_value_is_valid(header))
        sheaf_headers_add(&kit.outer_headers, kit.snapshot.pool, SHEAF_STR("accept-language"), header);
    if (rest.base == NULL)
        kit.outer.content_type = SHEAF_STR_NONE;
    batch = kit_batch(&kit);
    if (sheaf_aggregate_in.decode(batch, rest, &fail) == SHEAF_OK)
        check_items(batch);
    else
        require(fail.err != SHEAF_OK && fail.detail[0] != '\0' &&
                (fail.err != SHEAF_ERR_SYNTAX || (fail.has_pointer && fail.line > 0 && fail.column > 0)));
    sheaf_batch_free(batch);
    kit_fini(&kit);
    return 0;
}
