/* What may be stored (RFC 9111 3) and what may be answered from the store (RFC 9111 4.2.4, 5.2.1, RFC 5861). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cache/cache_rules.h"

static cache_facts_t facts_of(const char *control, const char *field)
{
    cache_head_t head = {0};
    cache_facts_t facts;

    cache_head_set(&head, "cache-control", control);
    if (field != NULL)
        cache_head_set(&head, field, "\"x\"");
    cache_facts_read(&head, 1000, 1000, 0, &facts);
    cache_head_free(&head);
    return facts;
}

static const char *refusal(uint32_t status, const char *control, const char *field, int is_personal)
{
    cache_facts_t facts = facts_of(control, field);
    cache_head_t head = {0};
    const char *why;

    if (field != NULL)
        cache_head_set(&head, field, "\"x\"");
    why = cache_rules_refusal(status, &head, &facts, is_personal);
    cache_head_free(&head);
    return why == NULL ? "stored" : why;
}

static void rfc9111_3_only_what_says_how_long_is_stored(void **state)
{
    (void)state;
    assert_string_equal(refusal(200, "max-age=5", NULL, 0), "stored");
    assert_string_equal(refusal(200, "public", NULL, 0), "lifetime");
    assert_string_equal(refusal(200, "", "etag", 0), "lifetime");
    assert_string_equal(refusal(200, "max-age=0", NULL, 0), "lifetime");
    assert_string_equal(refusal(200, "max-age=0", "etag", 0), "stored");
    assert_string_equal(refusal(200, "no-cache", "etag", 0), "stored");
    assert_string_equal(refusal(200, "no-cache, max-age=9", NULL, 0), "lifetime");
    assert_string_equal(refusal(200, "max-age=0, stale-while-revalidate=9", NULL, 0), "stored");
}

static void rfc9111_3_what_forbids_it_is_not_stored(void **state)
{
    (void)state;
    assert_string_equal(refusal(200, "max-age=5, no-store", NULL, 0), "no-store");
    assert_string_equal(refusal(200, "max-age=5, private", NULL, 0), "private");
    assert_string_equal(refusal(200, "public, max-age=5, private=\"x\"", NULL, 0), "private");
    assert_string_equal(refusal(200, "max-age=5, a=\"", NULL, 0), "malformed");
    assert_string_equal(refusal(200, "public, max-age=5", "set-cookie", 0), "set-cookie");
    assert_string_equal(refusal(200, "public, max-age=5", "content-range", 0), "content-range");
}

static void rfc9111_3_only_final_whole_statuses_that_are_understood_are_stored(void **state)
{
    static const uint32_t stored[] = {200, 203, 204, 300, 301, 302, 307, 308, 404, 405, 410, 414, 451, 501};
    static const uint32_t refused[] = {0, 100, 201, 206, 299, 303, 304, 400, 401, 403, 429, 500, 502, 503, 504};

    (void)state;
    for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++)
        assert_string_equal(refusal(stored[i], "max-age=5", NULL, 0), "stored");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_string_equal(refusal(refused[i], "max-age=5", NULL, 0), "status");
}

static void rfc9111_5_2_2_3_must_understand_takes_back_no_store_for_known_statuses(void **state)
{
    (void)state;
    assert_string_equal(refusal(200, "must-understand, no-store, max-age=5", NULL, 0), "stored");
    assert_string_equal(refusal(299, "must-understand, no-store, max-age=5", NULL, 0), "status");
    assert_string_equal(refusal(200, "must-understand, no-store, max-age=5, \"", NULL, 0), "malformed");
}

static void rfc9111_3_5_an_answer_for_one_who_said_who_he_is_is_stored_only_if_it_is_for_all(void **state)
{
    (void)state;
    assert_string_equal(refusal(200, "max-age=5", NULL, 1), "personal");
    assert_string_equal(refusal(200, "max-age=5, must-revalidate", NULL, 1), "personal");
    assert_string_equal(refusal(200, "max-age=5, public", NULL, 1), "stored");
    assert_string_equal(refusal(200, "s-maxage=5", NULL, 1), "stored");
}

static cache_use_t use(const char *answer, int64_t age, const char *question)
{
    cache_facts_t facts = facts_of(answer, NULL);
    cache_control_t control;

    cache_control_init(&control);
    cache_control_read(sheaf_p_str(question, strlen(question)), &control);
    return cache_rules_use(&facts, age, &control);
}

static void rfc9111_4_2_fresh_is_what_is_younger_than_its_lifetime(void **state)
{
    (void)state;
    assert_int_equal(use("max-age=10", 0, ""), CACHE_USE_FRESH);
    assert_int_equal(use("max-age=10", 9, ""), CACHE_USE_FRESH);
    assert_int_equal(use("max-age=10", 10, ""), CACHE_USE_REVALIDATE);
    assert_int_equal(use("max-age=10, s-maxage=20", 15, ""), CACHE_USE_FRESH);
    assert_int_equal(use("public", 0, ""), CACHE_USE_REVALIDATE);
}

static void rfc9111_5_2_2_4_no_cache_is_never_used_unasked(void **state)
{
    (void)state;
    assert_int_equal(use("max-age=10, no-cache", 0, ""), CACHE_USE_REVALIDATE);
    assert_int_equal(use("max-age=10, no-cache, stale-while-revalidate=9", 11, ""), CACHE_USE_REVALIDATE);
}

static void rfc9111_5_2_1_questions_may_want_it_fresher(void **state)
{
    (void)state;
    assert_int_equal(use("max-age=10", 5, "no-cache"), CACHE_USE_REVALIDATE);
    assert_int_equal(use("max-age=10", 5, "max-age=5"), CACHE_USE_FRESH);
    assert_int_equal(use("max-age=10", 5, "max-age=4"), CACHE_USE_REVALIDATE);
    assert_int_equal(use("max-age=10", 5, "max-age=x"), CACHE_USE_REVALIDATE);
    assert_int_equal(use("max-age=10", 5, "min-fresh=4"), CACHE_USE_FRESH);
    assert_int_equal(use("max-age=10", 5, "min-fresh=5"), CACHE_USE_REVALIDATE);
    assert_int_equal(use("max-age=10, stale-while-revalidate=99", 12, "min-fresh=0"), CACHE_USE_REVALIDATE);
}

static void rfc9111_5_2_1_2_max_stale_permits_what_the_answer_does_not_forbid(void **state)
{
    (void)state;
    assert_int_equal(use("max-age=10", 15, "max-stale=5"), CACHE_USE_STALE);
    assert_int_equal(use("max-age=10", 16, "max-stale=5"), CACHE_USE_REVALIDATE);
    assert_int_equal(use("max-age=10", 9999, "max-stale"), CACHE_USE_STALE);
    assert_int_equal(use("max-age=10, must-revalidate", 11, "max-stale"), CACHE_USE_REVALIDATE);
    assert_int_equal(use("max-age=10, proxy-revalidate", 11, "max-stale"), CACHE_USE_REVALIDATE);
    assert_int_equal(use("s-maxage=10", 11, "max-stale"), CACHE_USE_REVALIDATE);
}

static void rfc5861_3_stale_while_revalidate_is_as_long_as_it_says(void **state)
{
    (void)state;
    assert_int_equal(use("max-age=10, stale-while-revalidate=5", 15, ""), CACHE_USE_WHILE);
    assert_int_equal(use("max-age=10, stale-while-revalidate=5", 16, ""), CACHE_USE_REVALIDATE);
    assert_int_equal(use("s-maxage=10, stale-while-revalidate=5", 15, ""), CACHE_USE_WHILE);
    assert_int_equal(use("max-age=10, stale-while-revalidate=5, must-revalidate", 15, ""), CACHE_USE_REVALIDATE);
}

static void rfc5861_4_stale_if_error_is_as_long_as_it_says(void **state)
{
    cache_facts_t yes = facts_of("max-age=10, stale-if-error=5", NULL),
                  no = facts_of("max-age=10, stale-if-error=5, must-revalidate", NULL),
                  none = facts_of("max-age=10", NULL);

    (void)state;
    assert_true(cache_rules_stands_in(&yes, 15));
    assert_false(cache_rules_stands_in(&yes, 16));
    assert_false(cache_rules_stands_in(&no, 11));
    assert_false(cache_rules_stands_in(&none, 10));
}

static void rfc9111_4_4_unsafe_methods_that_succeed_invalidate(void **state)
{
    (void)state;
    assert_true(cache_rules_invalidates(sheaf_p_str("PUT", 3), 204));
    assert_true(cache_rules_invalidates(sheaf_p_str("POST", 4), 303));
    assert_true(cache_rules_invalidates(sheaf_p_str("FROB", 4), 200)); /* not known to be safe */
    assert_false(cache_rules_invalidates(sheaf_p_str("PUT", 3), 404));
    assert_false(cache_rules_invalidates(sheaf_p_str("PUT", 3), 500));
    assert_false(cache_rules_invalidates(sheaf_p_str("GET", 3), 200));
    assert_false(cache_rules_invalidates(sheaf_p_str("OPTIONS", 7), 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9111_3_only_what_says_how_long_is_stored),
        cmocka_unit_test(rfc9111_3_what_forbids_it_is_not_stored),
        cmocka_unit_test(rfc9111_3_only_final_whole_statuses_that_are_understood_are_stored),
        cmocka_unit_test(rfc9111_5_2_2_3_must_understand_takes_back_no_store_for_known_statuses),
        cmocka_unit_test(rfc9111_3_5_an_answer_for_one_who_said_who_he_is_is_stored_only_if_it_is_for_all),
        cmocka_unit_test(rfc9111_4_2_fresh_is_what_is_younger_than_its_lifetime),
        cmocka_unit_test(rfc9111_5_2_2_4_no_cache_is_never_used_unasked),
        cmocka_unit_test(rfc9111_5_2_1_questions_may_want_it_fresher),
        cmocka_unit_test(rfc9111_5_2_1_2_max_stale_permits_what_the_answer_does_not_forbid),
        cmocka_unit_test(rfc5861_3_stale_while_revalidate_is_as_long_as_it_says),
        cmocka_unit_test(rfc5861_4_stale_if_error_is_as_long_as_it_says),
        cmocka_unit_test(rfc9111_4_4_unsafe_methods_that_succeed_invalidate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
