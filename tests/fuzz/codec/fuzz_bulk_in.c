/* Any bytes as a bulk: the first says how they come (JSON, lines, ids of the query), the rest are they. What was taken is
 * fed to its end, as a batch does it while it runs. */
#include "gateway/http/stencil.h"
#include "tests/fuzz/codec/decode.h"

static sheaf_stencil_t *stencil(sheaf_pool_t *pool, const char *text, bool is_url)
{
    sheaf_stencil_t *made;

    if (sheaf_stencil_parse(pool, sheaf_str_of(text), is_url, &made, NULL) != SHEAF_OK)
        abort();
    return made;
}

static sheaf_stencil_t *body_stencil(sheaf_pool_t *pool)
{
    sheaf_stencil_maker_t *maker = sheaf_stencil_maker_new(pool);

    sheaf_stencil_maker_put(maker, SHEAF_STR("{\"whole\":"));
    sheaf_stencil_maker_put_string(maker, SHEAF_STR("${item}"), NULL);
    sheaf_stencil_maker_put(maker, SHEAF_STR(",\"part\":"));
    sheaf_stencil_maker_put_string(maker, SHEAF_STR("is ${item/a/0:-none}"), NULL);
    sheaf_stencil_maker_put(maker, SHEAF_STR("}"));
    return sheaf_stencil_maker_end(maker);
}

static void make_bulk(kit_t *kit, sheaf_field_conf_t *field)
{
    sheaf_pool_t *pool = kit->snapshot.pool;
    sheaf_each_conf_t *each = &kit->endpoint.each;

    kit->endpoint.kind = SHEAF_KIND_BULK;
    kit->endpoint.max_items = 1000;
    each->method = SHEAF_STR("POST");
    each->id = stencil(pool, "${item/id}", false);
    each->url = stencil(pool, "/users/${item/id}?q=${item:-x}", true);
    each->body = body_stencil(pool);
    *field = (sheaf_field_conf_t){SHEAF_STR("x-a"), stencil(pool, "${item/a}", false)};
    each->headers.items = field;
    each->headers.count = 1;
}

/* A draft that is good has a body that is JSON and a url without what would leave it. */
static void feed_all(sheaf_batch_t *batch)
{
    sheaf_pool_t *pool = sheaf_pool_new();

    for (uint32_t i = 0; i < batch->total; i++) {
        sheaf_draft_t draft = {0};

        batch->feed.next(batch->feed.data, i, pool, &draft);
        if (draft.err != SHEAF_OK ? draft.detail[0] == '\0'
                                  : sheaf_json_check(draft.body, SHEAF_JSON_MAX_DEPTH, NULL) != SHEAF_OK ||
                                        !sheaf_str_starts(draft.url, SHEAF_STR("/users/")))
            abort();
        sheaf_pool_reset(pool);
    }
    sheaf_pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_str_t doc = size > 0 ? sheaf_str((const char *)data + 1, size - 1) : SHEAF_STR("");
    unsigned how = size > 0 ? data[0] % 3 : 0;
    sheaf_field_conf_t field;
    sheaf_batch_t *batch;
    sheaf_fail_t fail;
    kit_t kit;

    kit_init(&kit);
    make_bulk(&kit, &field);
    if (how == 2)
        kit.outer.query = doc;
    batch = kit_batch(&kit);
    if ((how == 0   ? &sheaf_bulk_json_in
         : how == 1 ? &sheaf_bulk_ndjson_in
                    : &sheaf_bulk_ids_in)
            ->decode(batch, how == 2 ? SHEAF_STR("") : doc, &fail) == SHEAF_OK)
        feed_all(batch);
    else if (fail.err == SHEAF_OK || fail.detail[0] == '\0' ||
             (how < 2 && (!fail.has_pointer || fail.line == 0 || fail.column == 0)))
        abort();
    sheaf_batch_free(batch);
    kit_fini(&kit);
    return 0;
}
