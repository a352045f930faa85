/* unit/codec/plans.h - what a decoder made of a document, as text for the golden folders. */
#ifndef SHEAF_TESTS_CODEC_PLANS_H
#define SHEAF_TESTS_CODEC_PLANS_H

#include "tests/unit/codec/kit.h"

static inline void plan_print_headers(FILE *file, const char *indent, const sheaf_headers_t *headers)
{
    for (uint32_t i = 0; i < headers->count; i++)
        fprintf(file, "%s%.*s: %.*s\n", indent, SHEAF_STR_ARG(headers->entries[i].name),
                SHEAF_STR_ARG(headers->entries[i].value));
}

static inline void plan_print_item(FILE *file, const sheaf_item_t *item)
{
    const sheaf_exchange_t *exchange = &item->exchange;

    fprintf(file, "%.*s = %.*s %.*s\n", SHEAF_STR_ARG(item->id), SHEAF_STR_ARG(exchange->method),
            SHEAF_STR_ARG(item->url_text));
    if (item->err != SHEAF_OK) {
        fprintf(file, "  fails %s: %.*s\n", sheaf_err_slug(item->err), SHEAF_STR_ARG(item->detail));
        return;
    }
    plan_print_headers(file, "  ", &exchange->headers);
    if (item->timeout_ms > 0)
        fprintf(file, "  timeout %llu ms\n", (unsigned long long)item->timeout_ms);
    for (uint32_t i = 0; i < item->depends_on_count; i++)
        fprintf(file, "  after %u\n", item->depends_on[i].blocker);
    if (exchange->has_body)
        fprintf(file, "  body of %zu: %.*s\n", exchange->body.len, SHEAF_STR_ARG(exchange->body));
}

static inline char *plan_print_batch(const sheaf_batch_t *batch, size_t *ret_len)
{
    char *text;
    FILE *file = open_memstream(&text, ret_len);

    fprintf(file, "timeout %llu ms, parallel %u, order %s, on error %s\n", (unsigned long long)batch->timeout_ms,
            batch->parallel, batch->order == SHEAF_ORDER_REQUEST ? "request" : "completion",
            batch->stops_on_error ? "stop" : "continue");
    plan_print_headers(file, "", &batch->headers);
    for (uint32_t i = 0; i < batch->count; i++)
        plan_print_item(file, &batch->items[i]);
    fclose(file);
    return text;
}

static inline char *plan_print_fail(const sheaf_fail_t *fail, size_t *ret_len)
{
    char *text;
    FILE *file = open_memstream(&text, ret_len);

    fprintf(file, "%u %s at \"%s\" %u:%u\n%s\n", sheaf_err_status(fail->err), sheaf_err_slug(fail->err),
            fail->has_pointer ? fail->pointer : "(none)", fail->line, fail->column, fail->detail);
    fclose(file);
    return text;
}

/* A refusal that nobody wants to read the reasons of. */
static inline sheaf_err_t plan_err(const sheaf_decoder_t *decoder, const char *doc)
{
    sheaf_batch_t *batch;
    sheaf_err_t err;
    kit_t kit;

    kit_init(&kit);
    batch = kit_batch(&kit);
    err = decoder->decode(batch, sheaf_str_of(doc), NULL);
    sheaf_batch_free(batch);
    kit_fini(&kit);
    return err;
}

/* The file `name` of a case by `decoder`: its plan is `want`, or its refusal `error`. */
static inline bool plan_is_as_written(const char *folder, const char *name, const sheaf_decoder_t *decoder)
{
    size_t in_len = 0, len;
    char *in = kit_read(folder, name, &in_len), *got;
    sheaf_batch_t *batch;
    sheaf_fail_t fail;
    kit_t kit;
    bool is_same;

    assert_non_null(in);
    kit_init(&kit);
    batch = kit_batch(&kit);
    if (decoder->decode(batch, sheaf_str(in, in_len), &fail) == SHEAF_OK) {
        got = plan_print_batch(batch, &len);
        is_same = kit_is_golden(folder, "want", got, len);
    } else {
        got = plan_print_fail(&fail, &len);
        is_same = kit_is_golden(folder, "error", got, len);
    }
    free(got);
    sheaf_batch_free(batch);
    kit_fini(&kit);
    free(in);
    return is_same;
}

#endif
