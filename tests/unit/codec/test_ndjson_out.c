#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/results.h"

/* Every line is one JSON object and the last byte ends one. */
static bool is_ndjson(const char *text, size_t len)
{
    while (len > 0) {
        const char *end = memchr(text, '\n', len);

        if (end == NULL || memchr(text, '\r', (size_t)(end - text)) != NULL ||
            !result_is_json(text, (size_t)(end - text)))
            return false;
        len -= (size_t)(end + 1 - text);
        text = end + 1;
    }
    return true;
}

/* RFC 7464 2: RS, a JSON text, LF, again and again. */
static bool is_json_seq(const char *text, size_t len)
{
    while (len > 0) {
        const char *next = len > 1 ? memchr(text + 1, '\x1e', len - 1) : NULL;
        size_t size = next == NULL ? len : (size_t)(next - text);

        if (size < 3 || text[0] != '\x1e' || text[size - 1] != '\n' || !result_is_json(text + 1, size - 2))
            return false;
        text += size;
        len -= size;
    }
    return true;
}

static bool is_ndjson_as_written(const char *folder)
{
    size_t len;
    char *text = result_encode(folder, &sheaf_ndjson_out, &len);
    bool is_same = kit_is_golden(folder, "want", text, len) && is_ndjson(text, len);

    free(text);
    return is_same;
}

static bool is_json_seq_as_written(const char *folder)
{
    size_t len;
    char *text = result_encode(folder, &sheaf_json_seq_out, &len);
    bool is_same = kit_is_golden(folder, "want", text, len) && is_json_seq(text, len);

    free(text);
    return is_same;
}

static void every_case_is_encoded_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("ndjson_out", is_ndjson_as_written), 0);
    assert_int_equal(kit_each_case("json_seq_out", is_json_seq_as_written), 0);
}

static void a_hostile_body_never_breaks_a_line(void **state)
{
    (void)state;
    result_survives_all(&sheaf_ndjson_out, is_ndjson);
    result_survives_all(&sheaf_json_seq_out, is_json_seq);
}

static void results_do_not_wait_and_come_as_they_complete(void **state)
{
    (void)state;
    assert_false(sheaf_ndjson_out.lingers || sheaf_json_seq_out.lingers);
    assert_int_equal(sheaf_ndjson_out.order, SHEAF_ORDER_COMPLETION);
    assert_int_equal(sheaf_json_seq_out.order, SHEAF_ORDER_COMPLETION);
    assert_int_equal(sheaf_json_out.order, SHEAF_ORDER_REQUEST);
    assert_int_equal(sheaf_dav_out.order, SHEAF_ORDER_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_encoded_as_written),
        cmocka_unit_test(a_hostile_body_never_breaks_a_line),
        cmocka_unit_test(results_do_not_wait_and_come_as_they_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
