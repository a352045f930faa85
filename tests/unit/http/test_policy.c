#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http/policy.h"

static const sheaf_str_t allow[] = {{"accept", 6}, {"x-app-*", 7}, {"x-user", 6}};
static const sheaf_str_t deny[] = {{"x-internal-*", 12}, {"x-user-role", 11}, {"x_debug", 7}};

static void what_is_denied_does_not_pass_however_it_is_written(void **state)
{
    static const struct {
        const char *name;
        bool passes;
    } rows[] = {
        {"x-internal-a", false}, {"x_internal_a", false},
        {"x-internal_a", false}, {"x-internal-", false},
        {"x-internal", true},    {"x-user-role", false},
        {"x_user_role", false},  {"x-user_role", false},
        {"x-user-rolex", true},  {"x-debug", false},
        {"x_debug", false},      {"content-type", true},
        {"via", true},           {"", true},
    };
    sheaf_policy_t policy = {.deny = deny, .deny_count = SHEAF_COUNT(deny)};

    for (size_t i = 0; i < SHEAF_COUNT(rows); i++)
        assert_int_equal(sheaf_policy_passes(&policy, sheaf_str_of(rows[i].name)), rows[i].passes);
}

static void what_is_allowed_passes_as_it_is_named(void **state)
{
    static const struct {
        const char *name;
        bool passes;
    } rows[] = {
        {"accept", true},
        {"x-app-a", true},
        {"x-app-", true},
        {"x-user", true},
        {"x_user", false},
        {"x_app_a", false},
        {"accept-language", false},
        {"authorization", false},
        {"accept-encoding", true},
        {"content-type", true},
        {"content-encoding", true},
        {"content-length", true},
        {"content-language", false},
    };
    sheaf_policy_t policy = {.allow = allow, .allow_count = SHEAF_COUNT(allow)};

    for (size_t i = 0; i < SHEAF_COUNT(rows); i++)
        assert_int_equal(sheaf_policy_passes(&policy, sheaf_str_of(rows[i].name)), rows[i].passes);
    policy.allow_count = 0; /* an empty list allows nothing */
    assert_false(sheaf_policy_passes(&policy, SHEAF_STR("accept")));
    assert_true(sheaf_policy_passes(&policy, SHEAF_STR("content-type")));
}

static void denial_beats_allowance_and_credentials_are_their_own_matter(void **state)
{
    static const sheaf_str_t all[] = {{"*", 1}};
    sheaf_policy_t policy = {.allow = all, .allow_count = 1, .deny = deny, .deny_count = SHEAF_COUNT(deny)};

    assert_true(sheaf_policy_passes(&policy, SHEAF_STR("cookie")));
    assert_false(sheaf_policy_passes(&policy, SHEAF_STR("x-internal-a")));
    policy.drops_credentials = true;
    assert_false(sheaf_policy_passes(&policy, SHEAF_STR("cookie")));
    assert_false(sheaf_policy_passes(&policy, SHEAF_STR("authorization")));
    assert_true(sheaf_policy_passes(&policy, SHEAF_STR("x-authorization")));
    policy = (sheaf_policy_t){.deny = all, .deny_count = 1};
    assert_false(sheaf_policy_passes(&policy, SHEAF_STR("anything")));
    assert_true(sheaf_policy_passes(&policy, SHEAF_STR("content-type")));
}

static void a_list_is_filtered_in_its_order_and_not_in_its_place(void **state)
{
    static sheaf_header_t entries[] = {{{"a", 1}, {"1", 1}}, {{"x-debug", 7}, {"2", 1}}, {{"b", 1}, {"3", 1}}};
    sheaf_headers_t headers = {entries, 3, 3};
    sheaf_policy_t policy = {0};
    sheaf_pool_t *pool = sheaf_pool_new();

    assert_true(sheaf_policy_is_open(&policy));
    sheaf_policy_filter(&policy, NULL, pool, &headers);
    assert_ptr_equal(headers.entries, entries);
    policy = (sheaf_policy_t){.deny = deny, .deny_count = SHEAF_COUNT(deny)};
    assert_false(sheaf_policy_is_open(&policy));
    sheaf_policy_filter(&policy, NULL, pool, &headers);
    assert_int_equal(headers.count, 2);
    assert_true(sheaf_str_eq(headers.entries[0].name, SHEAF_STR("a")));
    assert_true(sheaf_str_eq(headers.entries[1].value, SHEAF_STR("3")));
    assert_true(sheaf_str_eq(entries[1].name, SHEAF_STR("x-debug"))); /* others may share it */
    sheaf_pool_free(pool);
}

static void a_name_that_is_excepted_stays_in_that_spelling(void **state)
{
    static sheaf_header_t names[] = {{{"x-debug", 7}, {"", 0}}},
                          entries[] = {{{"x_debug", 7}, {"1", 1}}, {{"x-debug", 7}, {"2", 1}}};
    const sheaf_headers_t except = {names, 1, 1};
    sheaf_headers_t headers = {entries, 2, 2};
    sheaf_policy_t policy = {.deny = deny, .deny_count = SHEAF_COUNT(deny)};
    sheaf_pool_t *pool = sheaf_pool_new();

    sheaf_policy_filter(&policy, &except, pool, &headers);
    assert_int_equal(headers.count, 1);
    assert_true(sheaf_str_eq(headers.entries[0].value, SHEAF_STR("2")));
    sheaf_pool_free(pool);
}

static void patterns_are_names_or_their_beginnings(void **state)
{
    static const char *const good[] = {"a", "x-internal-*", "*", "x_debug"}, *const bad[] = {"", "a b", "a*b", "**",
                                                                                             "a:"};
    sheaf_fail_t fail;

    for (size_t i = 0; i < SHEAF_COUNT(good); i++)
        assert_int_equal(sheaf_policy_check(sheaf_str_of(good[i]), true, &fail), SHEAF_OK);
    for (size_t i = 0; i < SHEAF_COUNT(bad); i++)
        assert_int_equal(sheaf_policy_check(sheaf_str_of(bad[i]), false, &fail), SHEAF_ERR_CONFIG);
    assert_int_equal(sheaf_policy_check(SHEAF_STR("content-type"), false, &fail), SHEAF_OK);
    assert_int_equal(sheaf_policy_check(SHEAF_STR("content-type"), true, &fail), SHEAF_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_denied_does_not_pass_however_it_is_written),
        cmocka_unit_test(what_is_allowed_passes_as_it_is_named),
        cmocka_unit_test(denial_beats_allowance_and_credentials_are_their_own_matter),
        cmocka_unit_test(a_list_is_filtered_in_its_order_and_not_in_its_place),
        cmocka_unit_test(a_name_that_is_excepted_stays_in_that_spelling),
        cmocka_unit_test(patterns_are_names_or_their_beginnings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
