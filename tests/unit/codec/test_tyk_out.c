#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/results.h"

static bool is_encoded_as_written(const char *folder)
{
    size_t len;
    char *text = result_encode(folder, &sheaf_tyk_out, &len);
    bool is_same = kit_is_golden(folder, "want", text, len) && result_is_json(text, len);

    free(text);
    return is_same;
}

static void every_case_is_encoded_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("tyk_out", is_encoded_as_written), 0);
}

static void a_hostile_body_never_breaks_the_document(void **state)
{
    (void)state;
    result_survives_all(&sheaf_tyk_out, result_is_json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_encoded_as_written),
        cmocka_unit_test(a_hostile_body_never_breaks_the_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
