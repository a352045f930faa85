#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/results.h"

static bool is_encoded_as_written(const char *folder)
{
    size_t len;
    char *text = result_encode(folder, &sheaf_json_out, &len);
    bool is_same = kit_is_golden(folder, "want", text, len) && result_is_json(text, len);

    free(text);
    return is_same;
}

static void every_case_is_encoded_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("json_out", is_encoded_as_written), 0);
}

static void a_hostile_body_never_breaks_the_document(void **state)
{
    (void)state;
    result_survives_all(&sheaf_json_out, result_is_json);
}

static void json_is_embedded_down_to_512_levels_and_base64_beyond(void **state)
{
    (void)state;
    for (size_t depth = 512; depth <= 513; depth++) {
        size_t len, got_len;
        char *body = result_nest(SHEAF_STR("["), SHEAF_STR("]"), depth, &len);
        char *got = result_of_body(&sheaf_json_out, "application/json", body, len, &got_len);

        assert_int_equal(strstr(got, "base64") != NULL, depth > 512);
        free(got);
        free(body);
    }
}

static void a_large_json_body_comes_through_byte_for_byte(void **state)
{
    size_t len = 300000, got_len;
    char *body = sheaf_alloc(len), *got;

    (void)state;
    memset(body, ' ', len);
    body[0] = '"';
    body[len - 1] = '"';
    got = result_of_body(&sheaf_json_out, "application/json", body, len, &got_len);
    assert_non_null(memmem(got, got_len, body, len));
    assert_true(result_is_json(got, got_len));
    free(got);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_encoded_as_written),
        cmocka_unit_test(a_hostile_body_never_breaks_the_document),
        cmocka_unit_test(json_is_embedded_down_to_512_levels_and_base64_beyond),
        cmocka_unit_test(a_large_json_body_comes_through_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
