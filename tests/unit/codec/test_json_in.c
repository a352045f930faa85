/* The golden folder of the JSON decoder: each in.json is either understood (want: the plan) or refused (error). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/kit.h"

static void print_headers(FILE *file, const char *indent, const sheaf_headers_t *headers)
{
    for (uint32_t i = 0; i < headers->count; i++)
        fprintf(file, "%s%.*s: %.*s\n", indent, SHEAF_STR_ARG(headers->entries[i].name),
                SHEAF_STR_ARG(headers->entries[i].value));
}

static void print_item(FILE *file, const sheaf_item_t *item)
{
    const sheaf_exchange_t *exchange = &item->exchange;

    fprintf(file, "%.*s = %.*s %.*s\n", SHEAF_STR_ARG(item->id), SHEAF_STR_ARG(exchange->method),
            SHEAF_STR_ARG(item->url_text));
    if (item->err != SHEAF_OK) {
        fprintf(file, "  fails %s: %.*s\n", sheaf_err_slug(item->err), SHEAF_STR_ARG(item->detail));
        return;
    }
    print_headers(file, "  ", &exchange->headers);
    if (item->timeout_ms > 0)
        fprintf(file, "  timeout %llu ms\n", (unsigned long long)item->timeout_ms);
    for (uint32_t i = 0; i < item->depends_on_count; i++)
        fprintf(file, "  after %u\n", item->depends_on[i].blocker);
    if (exchange->has_body)
        fprintf(file, "  body of %zu: %.*s\n", exchange->body.len, SHEAF_STR_ARG(exchange->body));
}

static char *print_batch(const sheaf_batch_t *batch, size_t *ret_len)
{
    char *text;
    FILE *file = open_memstream(&text, ret_len);

    fprintf(file, "timeout %llu ms, parallel %u, order %s, on error %s\n", (unsigned long long)batch->timeout_ms,
            batch->parallel, batch->order == SHEAF_ORDER_REQUEST ? "request" : "completion",
            batch->stops_on_error ? "stop" : "continue");
    print_headers(file, "", &batch->headers);
    for (uint32_t i = 0; i < batch->count; i++)
        print_item(file, &batch->items[i]);
    fclose(file);
    return text;
}

static char *print_fail(const sheaf_fail_t *fail, size_t *ret_len)
{
    char *text;
    FILE *file = open_memstream(&text, ret_len);

    fprintf(file, "%u %s at \"%s\" %u:%u\n%s\n", sheaf_err_status(fail->err), sheaf_err_slug(fail->err),
            fail->has_pointer ? fail->pointer : "(none)", fail->line, fail->column, fail->detail);
    fclose(file);
    return text;
}

static bool is_decoded_as_written(const char *folder)
{
    size_t in_len = 0, len;
    char *in = kit_read(folder, "in.json", &in_len), *got;
    sheaf_batch_t *batch;
    sheaf_fail_t fail;
    kit_t kit;
    bool is_same;

    assert_non_null(in);
    kit_init(&kit);
    batch = kit_batch(&kit);
    if (sheaf_json_in.decode(batch, sheaf_str(in, in_len), &fail) == SHEAF_OK) {
        got = print_batch(batch, &len);
        is_same = kit_is_golden(folder, "want", got, len);
    } else {
        got = print_fail(&fail, &len);
        is_same = kit_is_golden(folder, "error", got, len);
    }
    free(got);
    sheaf_batch_free(batch);
    kit_fini(&kit);
    free(in);
    return is_same;
}

static void every_case_is_decoded_or_refused_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("json_in", is_decoded_as_written), 0);
}

static void a_missing_fail_is_fine(void **state)
{
    kit_t kit;
    sheaf_batch_t *batch;

    (void)state;
    kit_init(&kit);
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_json_in.decode(batch, SHEAF_STR("[{\"urll\":1}]"), NULL), SHEAF_ERR_MEMBER);
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

static void slices_of_the_document_are_not_copied(void **state)
{
    sheaf_str_t doc = SHEAF_STR("[{\"url\":\"/orders\",\"method\":\"POST\",\"body\":{\"n\":12345678901234567890}}]");
    const sheaf_exchange_t *exchange;
    sheaf_batch_t *batch;
    kit_t kit;

    (void)state;
    kit_init(&kit);
    batch = kit_batch(&kit);
    assert_int_equal(sheaf_json_in.decode(batch, doc, NULL), SHEAF_OK);
    exchange = &batch->items[0].exchange;
    assert_true(exchange->body.base > doc.base && exchange->body.base < doc.base + doc.len);
    assert_memory_equal(exchange->body.base, "{\"n\":12345678901234567890}", exchange->body.len);
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_decoded_or_refused_as_written),
        cmocka_unit_test(a_missing_fail_is_fine),
        cmocka_unit_test(slices_of_the_document_are_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
