/* Cache-Control, read and joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/http/cache_control.h"

static void assert_written(const sheaf_cache_control_t *control, const char *wanted)
{
    char text[SHEAF_CACHE_CONTROL_MAX + 1];

    text[sheaf_cache_control_write(control, text)] = '\0';
    assert_string_equal(text, wanted);
}

static void fields_are_read_as_rfc_9111_wants_it(void **state)
{
    static const struct {
        const char *field, *wanted;
    } rows[] = {
        {"max-age=60", "max-age=60"},
        {"Public , MAX-AGE=60,,s-maxage=\"10\"", "public, max-age=60, s-maxage=10"},
        {"max-age=60, max-age=5", "max-age=5"},
        {"max-age=x, public", "public, max-age=0"},
        {"max-age, public", "public, max-age=0"},
        {"max-age=-1", "max-age=0"},
        {"max-age=99999999999999999999", "max-age=2147483648"},
        {"no-cache, max-age=9", "no-cache"},
        {"no-cache=\"set-cookie, a\\\"b\", must-revalidate, proxy-revalidate", "no-cache, must-revalidate"},
        {"private=\"x\", s-maxage=9, public", "private"},
        {"proxy-revalidate, max-age=1", "max-age=1, proxy-revalidate"},
        {"no-store, max-age=60", "no-store"},
        {"immutable", "no-store"},
        {"stale-while-revalidate=9, max-age=1", "max-age=1"},
        {"", "no-store"},
        {" , ,", "no-store"},
        {"max-age=60 public", "no-store"},
        {"max-age=60, private=\"x", "no-store"},
        {"=, public", "no-store"},
        {"public, \"", "no-store"},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_cache_control_t control = {0};

        sheaf_cache_control_read(sheaf_str_of(rows[i].field), &control);
        assert_written(&control, rows[i].wanted);
    }
}

static void of_several_the_strictest_goes(void **state)
{
    static const struct {
        const char *fields[3], *wanted;
    } rows[] = {
        {{"public, max-age=60", "public, max-age=30"}, "public, max-age=30"},
        {{"public, max-age=60", "max-age=90"}, "max-age=60"},
        {{"public, max-age=60", "private, max-age=90", "public"}, "private, max-age=0"},
        {{"max-age=60", "no-cache", "private"}, "no-cache, private"},
        {{"max-age=60", "no-store", "public"}, "no-store"},
        {{"max-age=60", ""}, "no-store"},
        {{"max-age=60, s-maxage=5", "max-age=10"}, "max-age=10, s-maxage=5"},
        {{"max-age=10", "s-maxage=50"}, "max-age=0, s-maxage=10"},
        {{"must-revalidate, max-age=1", "max-age=2, proxy-revalidate"}, "max-age=1, must-revalidate"},
        {{"public", "public"}, "public"},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_cache_control_t all = {0};

        for (size_t k = 0; k < 3 && rows[i].fields[k] != NULL; k++) {
            sheaf_cache_control_t part = {0};

            sheaf_cache_control_read(sheaf_str_of(rows[i].fields[k]), &part);
            sheaf_cache_control_join(&all, &part);
        }
        assert_written(&all, rows[i].wanted);
    }
}

static void an_answer_ages(void **state)
{
    sheaf_cache_control_t control = {0};

    (void)state;
    sheaf_cache_control_read(SHEAF_STR("max-age=60, s-maxage=10"), &control);
    sheaf_cache_control_age(SHEAF_STR("20"), &control);
    assert_written(&control, "max-age=40, s-maxage=0");
    sheaf_cache_control_age(SHEAF_STR("soon"), &control);
    assert_written(&control, "max-age=0, s-maxage=0");
}

static void an_answer_to_authorization_is_private_unless_it_says_otherwise(void **state)
{
    static const struct {
        const char *field, *wanted;
    } rows[] = {
        {"max-age=60", "private, max-age=60"},
        {"no-cache", "no-cache, private"},
        {"public, max-age=60", "public, max-age=60"},
        {"max-age=60, must-revalidate", "max-age=60, must-revalidate"},
        {"s-maxage=60", "s-maxage=60"},
        {"no-store", "no-store"},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_cache_control_t control = {0};

        sheaf_cache_control_read(sheaf_str_of(rows[i].field), &control);
        sheaf_cache_control_authorize(&control);
        assert_written(&control, rows[i].wanted);
    }
}

static void what_expires_without_a_max_age_is_not_fresh(void **state)
{
    sheaf_cache_control_t plain = {0}, aged = {0};

    (void)state;
    sheaf_cache_control_read(SHEAF_STR("public"), &plain);
    sheaf_cache_control_expire(&plain);
    assert_written(&plain, "public, max-age=0");
    sheaf_cache_control_read(SHEAF_STR("max-age=9"), &aged);
    sheaf_cache_control_expire(&aged);
    assert_written(&aged, "max-age=9");
}

static void the_longest_fits(void **state)
{
    sheaf_cache_control_t control = {.is_there = true,
                                     .no_cache = false,
                                     .is_public = true,
                                     .must_revalidate = true,
                                     .proxy_revalidate = true,
                                     .has_max_age = true,
                                     .has_s_maxage = true,
                                     .max_age_s = UINT32_MAX,
                                     .s_maxage_s = UINT32_MAX};

    (void)state;
    assert_written(&control, "public, max-age=4294967295, s-maxage=4294967295, must-revalidate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_as_rfc_9111_wants_it),
        cmocka_unit_test(of_several_the_strictest_goes),
        cmocka_unit_test(an_answer_ages),
        cmocka_unit_test(an_answer_to_authorization_is_private_unless_it_says_otherwise),
        cmocka_unit_test(what_expires_without_a_max_age_is_not_fresh),
        cmocka_unit_test(the_longest_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
