/* What a bulk hands to its batch, element by element. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/bulks.h"
#include "tests/unit/codec/kit.h"

static void bulk_init(kit_t *kit)
{
    kit_init(kit);
    kit->endpoint.kind = SHEAF_KIND_BULK;
    kit->endpoint.each.method = SHEAF_STR("POST");
    kit->endpoint.each.url = bulks_text(kit->snapshot.pool, "/users/${item/id:-0}", true);
    kit->endpoint.each.body = bulks_value(kit->snapshot.pool, "${item}");
}

static sheaf_draft_t next_draft(sheaf_batch_t *batch, uint32_t index)
{
    sheaf_draft_t draft = {0};

    batch->feed.next(batch->feed.data, index, batch->pool, &draft);
    return draft;
}

static void elements_are_slices_of_the_document_in_its_order(void **state)
{
    static const struct {
        const sheaf_decoder_t *decoder;
        const char *doc;
    } rows[] = {
        {&sheaf_bulk_json_in, " [ {\"id\":7} , 1.50,[2 , 3],\"\\u0041\" ] "},
        {&sheaf_bulk_json_in, "{\"@a\":0,\"items\":[{\"id\":7}\n,1.50,[2 , 3],\"\\u0041\"]}"},
        {&sheaf_bulk_ndjson_in, "\n{\"id\":7}\r\n \t\n 1.50 \n[2 , 3]\n\"\\u0041\""},
    };
    static const char *const wants[] = {"{\"id\":7}", "1.50", "[2 , 3]", "\"\\u0041\""};

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_str_t doc = sheaf_str_of(rows[i].doc);
        sheaf_batch_t *batch;
        kit_t kit;

        bulk_init(&kit);
        batch = kit_batch(&kit);
        assert_int_equal(rows[i].decoder->decode(batch, doc, NULL), SHEAF_OK);
        assert_int_equal(batch->total, SHEAF_COUNT(wants));
        assert_true(batch->shows_index);
        for (uint32_t k = 0; k < SHEAF_COUNT(wants); k++) {
            sheaf_draft_t draft = next_draft(batch, k);

            assert_int_equal(draft.err, SHEAF_OK);
            assert_true(sheaf_str_eq(draft.body, sheaf_str_of(wants[k])));
            assert_true(draft.body.base > doc.base && draft.body.base < doc.base + doc.len);
            assert_true(draft.has_body && draft.body_is_json && draft.id.base == NULL);
            assert_true(sheaf_str_eq(draft.url, k == 0 ? SHEAF_STR("/users/7") : SHEAF_STR("/users/0")));
        }
        sheaf_batch_free(batch);
        kit_fini(&kit);
    }
}

static void an_id_of_the_query_is_a_number_or_a_text(void **state)
{
    static const char *const wants[] = {"1", "-2.5", "\"a,\\\"b\"", "\"01\"", "\"true\""};
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    bulk_init(&kit);
    kit.outer.query = SHEAF_STR("x&ids=1,-2.5,a%2C%22b,01,true");
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_bulk_ids_in.decode(batch, SHEAF_STR(""), NULL), SHEAF_OK);
    assert_int_equal(batch->total, SHEAF_COUNT(wants));
    for (uint32_t k = 0; k < SHEAF_COUNT(wants); k++)
        assert_true(sheaf_str_eq(next_draft(batch, k).body, sheaf_str_of(wants[k])));
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

static void what_an_element_lacks_is_told_and_nothing_else_is_made(void **state)
{
    sheaf_draft_t draft;
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    bulk_init(&kit);
    kit.endpoint.each.id = bulks_text(kit.snapshot.pool, "${item/id}", false);
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_bulk_json_in.decode(batch, SHEAF_STR("[{}]"), NULL), SHEAF_OK);
    draft = next_draft(batch, 0);
    assert_int_equal(draft.err, SHEAF_ERR_ITEM_DATA);
    assert_string_equal(draft.detail, "\"${item/id}\" found nothing");
    assert_false(draft.has_body);
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

static void a_bulk_of_the_wrong_shape_or_size_is_refused(void **state)
{
    static const struct {
        const sheaf_decoder_t *decoder;
        const char *doc, *query;
        sheaf_err_t err;
    } rows[] = {
        {&sheaf_bulk_json_in, "[1,2,3,4,5,6,7,8,9]", NULL, SHEAF_ERR_TOO_MANY_ITEMS},
        {&sheaf_bulk_ndjson_in, "1\n2\n3\n4\n5\n6\n7\n8\n9", NULL, SHEAF_ERR_TOO_MANY_ITEMS},
        {&sheaf_bulk_ids_in, "", "ids=1,2,3,4,5,6,7,8,9", SHEAF_ERR_TOO_MANY_ITEMS},
        {&sheaf_bulk_json_in, "{\"items\":[],\"more\":1}", NULL, SHEAF_ERR_MEMBER},
        {&sheaf_bulk_json_in, "7", NULL, SHEAF_ERR_MEMBER},
        {&sheaf_bulk_ndjson_in, "1\n2 3", NULL, SHEAF_ERR_SYNTAX},
        {&sheaf_bulk_json_in, "[1]", "ids=1", SHEAF_ERR_VALUE},
        {&sheaf_bulk_ids_in, "", "ids=,", SHEAF_ERR_VALUE},
        {&sheaf_bulk_ids_in, "", "id=1", SHEAF_ERR_MEDIA_TYPE},
        {&sheaf_bulk_ids_in, "[1]", NULL, SHEAF_ERR_MEDIA_TYPE},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_batch_t *batch;
        kit_t kit;

        bulk_init(&kit);
        if (rows[i].query != NULL)
            kit.outer.query = sheaf_str_of(rows[i].query);
        batch = kit_batch(&kit);
        assert_int_equal(rows[i].decoder->decode(batch, sheaf_str_of(rows[i].doc), NULL), rows[i].err);
        sheaf_batch_free(batch);
        kit_fini(&kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_slices_of_the_document_in_its_order),
        cmocka_unit_test(an_id_of_the_query_is_a_number_or_a_text),
        cmocka_unit_test(what_an_element_lacks_is_told_and_nothing_else_is_made),
        cmocka_unit_test(a_bulk_of_the_wrong_shape_or_size_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
