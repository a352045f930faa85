/* Any bytes as a bulk: an array, lines or ids. What is taken is walked to its end, and each element becomes an item whose
 * text stayed where its stencil put it. */
#include "tests/fuzz/codec/decode.h"
#include "tests/unit/codec/bulks.h"

static void require(bool claim)
{
    if (!claim)
        abort();
}

/* A tab may stand in a field; blanks at its ends are refused later, as those of any item are. */
static bool has_control(sheaf_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.base[i] < ' ' && text.base[i] != '\t') || text.base[i] == 127)
            return true;
    return false;
}

static void check_draft(const sheaf_draft_t *draft)
{
    if (draft->err != SHEAF_OK) {
        require(draft->detail[0] != '\0');
        return;
    }
    require(draft->url.len > 7 && memcmp(draft->url.base, "/users/", 7) == 0 && !has_control(draft->url) &&
            memchr(draft->url.base, '\t', draft->url.len) == NULL);
    require(memchr(draft->url.base + 7, '/', draft->url.len - 7) == NULL);
    require(draft->headers.count == 1 && !has_control(draft->headers.entries[0].value));
    require(draft->has_body && sheaf_json_check(draft->body, SHEAF_JSON_MAX_DEPTH, NULL) == SHEAF_OK);
}

static void walk(const sheaf_feed_t *feed)
{
    for (uint32_t i = 0; i < feed->total; i++) {
        sheaf_pool_t *pool = sheaf_pool_new();
        sheaf_draft_t draft = {0};

        feed->next(feed->data, i, pool, &draft);
        check_draft(&draft);
        sheaf_pool_free(pool);
    }
}

static void decode(kit_t *kit, const sheaf_decoder_t *decoder, sheaf_str_t doc, bool has_place)
{
    sheaf_batch_t *batch = kit_batch(kit);
    sheaf_fail_t fail = {0};

    if (decoder->decode(batch, doc, &fail) == SHEAF_OK)
        walk(&batch->feed);
    else
        require(fail.err != SHEAF_OK && fail.detail[0] != '\0' &&
                (!has_place || (fail.has_pointer && fail.line > 0 && fail.column > 0)));
    sheaf_batch_free(batch);
}

static void make_bulk(kit_t *kit)
{
    sheaf_pool_t *pool = kit->snapshot.pool;
    sheaf_each_conf_t *each = &kit->endpoint.each;

    kit->endpoint.kind = SHEAF_KIND_BULK;
    kit->endpoint.max_items = 1000;
    each->method = SHEAF_STR("POST");
    each->id = bulks_text(pool, "${item/id}", false);
    each->url = bulks_text(pool, "/users/${item/id}?q=${item/a/0:-x}", true);
    each->headers.items = sheaf_pool_zalloc(pool, sizeof(*each->headers.items));
    each->headers.items[0].name = SHEAF_STR("x-name");
    each->headers.items[0].value = bulks_text(pool, "is ${item/name:-none}", false);
    each->headers.count = 1;
    each->body = bulks_object(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_str_t doc = sheaf_str((const char *)data, size);
    char *query = sheaf_alloc(size + 4);
    kit_t kit;

    kit_init(&kit);
    make_bulk(&kit);
    decode(&kit, &sheaf_bulk_json_in, doc, true);
    decode(&kit, &sheaf_bulk_ndjson_in, doc, true);
    memcpy(query, "ids=", 4);
    memcpy(query + 4, data, size);
    kit.outer.query = sheaf_str(query, size + 4);
    decode(&kit, &sheaf_bulk_ids_in, SHEAF_STR_NONE, false);
    kit_fini(&kit);
    free(query);
    return 0;
}
