#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/http/prefer.h"

typedef struct row {
    const char *field;
    const char *want; /* as Preference-Applied */
} row_t;

static const row_t rows[] = {
    {"", ""},
    {"return=minimal", "return=minimal"},
    {"Return = \"minimal\" ; x=\"a,b\", wait=7", "return=minimal, wait=7"},
    {"return=minimal, return=representation", "return=minimal"},
    {"return=representation", "return=representation"},
    {"return=some, return=minimal", "return=minimal"},
    {"return=MINIMAL", ""},
    {"continue-on-error", "continue-on-error"},
    {"continue-on-error=true", "continue-on-error"},
    {"continue-on-error=\"\"", "continue-on-error"},
    {"continue-on-error=false", "continue-on-error=false"},
    {"odata.continue-on-error", "odata.continue-on-error"},
    {"OData.Continue-On-Error=false", "odata.continue-on-error=false"},
    {"continue-on-error=maybe", ""},
    {"continue-on-error=false, odata.continue-on-error", "continue-on-error=false"},
    {"odata.wait=3", ""},
    {"wait=10", "wait=10"},
    {"wait=0", ""},
    {"wait=-1", ""},
    {"wait=1.5", ""},
    {"wait", ""},
    {"wait=99999999999", "wait=4294967295"},
    {"wait=99999999999999999999999", ""},
    {"wait=00000000000000000000000000000000000000005", ""},
    {"handling=lenient", "handling=lenient"},
    {"handling=strict, handling=lenient", "handling=strict"},
    {"respond-async, wait=5", "wait=5"},
    {"respond-async; wait=5", ""},
    {"foo=\"wait=5, return=minimal\"", ""},
    {"foo=\"a\\\"b, return=minimal\", wait=2", "wait=2"},
    {"foo=\"unclosed, wait=2", ""},
    {"foo=\"\\", ""},
    {"wait=2 3", ""},
    {"wait=2 3, handling=strict", "handling=strict"},
    {"=5,,; ,  wait=2", "wait=2"},
    {"return=representation, odata.continue-on-error=false, wait=4294967295, handling=lenient",
     "return=representation, odata.continue-on-error=false, wait=4294967295, handling=lenient"},
};

static void says(const sheaf_prefer_t *prefer, const char *want)
{
    char text[SHEAF_PREFER_MAX] = "";
    size_t len = sheaf_prefer_write(prefer, text);

    assert_string_equal(text, want);
    assert_int_equal(len, strlen(want));
}

static void a_field_is_read_as_rfc_7240_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_prefer_t prefer = {0};

        sheaf_prefer_add(&prefer, sheaf_str_of(rows[i].field));
        says(&prefer, rows[i].want);
    }
}

static void the_first_of_several_fields_counts(void **state)
{
    sheaf_prefer_t prefer = {0};

    (void)state;
    sheaf_prefer_add(&prefer, SHEAF_STR("wait=3"));
    sheaf_prefer_add(&prefer, SHEAF_STR("wait=4, return=minimal"));
    says(&prefer, "return=minimal, wait=3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_is_read_as_rfc_7240_says),
        cmocka_unit_test(the_first_of_several_fields_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
