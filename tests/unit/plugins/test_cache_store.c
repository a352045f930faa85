/* The store is bounded in every way, and the least recently used leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "plugins/cache/cache_hash.h"
#include "plugins/cache/cache_store.h"
#include "plugins/cache/cache_vary.h"

static const uint8_t secret[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static cache_store_t *store_of(uint64_t bytes, uint64_t entries, uint64_t entry_bytes)
{
    cache_limits_t limits = {bytes, entries, entry_bytes};

    return cache_store_new(&limits, secret);
}

/* An answer that depends on x-a. */
static int put(cache_store_t *store, const char *uri, const char *place, const char *x_a, size_t body)
{
    cache_entry_t *entry = cache_entry_new(uri, place);

    entry->status = 200;
    entry->body = calloc(1, body + 1);
    entry->body_len = body;
    cache_control_init(&entry->facts.control);
    cache_head_set(&entry->selecting, "x-a", x_a);
    return cache_store_put(store, entry);
}

static cache_entry_t *find(cache_store_t *store, const char *uri, const char *place, const char *x_a)
{
    cache_head_t question = {0};
    cache_entry_t *entry;

    cache_head_set(&question, "x-a", x_a);
    entry = cache_store_find(store, uri, place, &question);
    cache_head_free(&question);
    return entry;
}

static void the_hash_is_siphash_2_4(void **state)
{
    uint8_t bytes[15];

    (void)state;
    for (uint8_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = i;
    assert_true(cache_hash(secret, bytes, 15) == 0xa129ca6149be45e5u); /* the vector of its paper */
    assert_true(cache_hash(secret, bytes, 0) == 0x726fdb47dd0e0e31u);
}

static void one_is_found_by_uri_place_and_what_it_depends_on(void **state)
{
    cache_store_t *store = store_of(100000, 100, 50000);

    (void)state;
    assert_int_equal(put(store, "u", "p", "+1", 1), 0);
    assert_int_equal(put(store, "u", "p", "+2", 2), 0);
    assert_int_equal(find(store, "u", "p", "1")->body_len, 1);
    assert_int_equal(find(store, "u", "p", "2")->body_len, 2);
    assert_null(find(store, "u", "p", "3"));
    assert_null(find(store, "u", "q", "1"));
    assert_null(find(store, "v", "p", "1"));
    assert_int_equal(put(store, "u", "p", "+1", 7), 0);
    assert_int_equal(find(store, "u", "p", "1")->body_len, 7);
    assert_int_equal(cache_store_entries(store), 2);
    cache_store_free(store);
}

static void the_least_recently_used_leaves(void **state)
{
    cache_store_t *store = store_of(100000, 2, 50000);

    (void)state;
    put(store, "a", "p", "+1", 1);
    put(store, "b", "p", "+1", 1);
    assert_non_null(find(store, "a", "p", "1"));
    put(store, "c", "p", "+1", 1);
    assert_null(find(store, "b", "p", "1"));
    assert_non_null(find(store, "a", "p", "1"));
    assert_non_null(find(store, "c", "p", "1"));
    cache_store_free(store);
}

static void bytes_are_bounded_and_an_entry_too(void **state)
{
    cache_store_t *store = store_of(8192, 1000, 4096);

    (void)state;
    assert_int_equal(put(store, "a", "p", "+1", 5000), -1);
    for (int i = 0; i < 50; i++) {
        char uri[16];

        snprintf(uri, sizeof(uri), "%d", i);
        assert_int_equal(put(store, uri, "p", "+1", 1000), 0);
        assert_true(cache_store_bytes(store) <= 8192);
    }
    assert_in_range(cache_store_entries(store), 4, 8);
    cache_store_free(store);
}

static void variants_of_one_uri_do_not_push_out_others(void **state)
{
    cache_store_t *store = store_of(1000000, 1000, 50000);
    char value[16];

    (void)state;
    put(store, "other", "p", "+1", 1);
    for (int i = 0; i < 100; i++) {
        snprintf(value, sizeof(value), "+%d", i);
        put(store, "u", "p", value, 1);
    }
    assert_int_equal(cache_store_entries(store), CACHE_STORE_VARIANTS + 1);
    assert_non_null(find(store, "other", "p", "1"));
    assert_null(find(store, "u", "p", "5"));
    assert_non_null(find(store, "u", "p", "99"));
    cache_store_free(store);
}

static void rfc9111_4_4_invalidation_takes_all_variants_and_what_is_under_way(void **state)
{
    cache_store_t *store = store_of(100000, 100, 50000);

    (void)state;
    put(store, "u", "p", "+1", 1);
    put(store, "u", "q", "+2", 1);
    put(store, "v", "p", "+1", 1);
    assert_int_equal(cache_store_invalidate(store, "u", 500), 2);
    assert_int_equal(cache_store_entries(store), 1);
    assert_true(cache_store_is_spoiled(store, "u", 500));
    assert_true(cache_store_is_spoiled(store, "u", 1));
    assert_false(cache_store_is_spoiled(store, "u", 501));
    assert_false(cache_store_is_spoiled(store, "v", 1));
    cache_store_free(store);
}

static void a_mark_holds_until_its_time_or_until_there_is_an_answer(void **state)
{
    cache_store_t *store = store_of(100000, 100, 50000);

    (void)state;
    cache_store_mark(store, "u", "p", 100);
    assert_true(cache_store_is_marked(store, "u", "p", 99));
    assert_false(cache_store_is_marked(store, "u", "p", 100));
    assert_false(cache_store_is_marked(store, "u", "q", 99));
    assert_null(find(store, "u", "p", "1"));
    put(store, "u", "p", "+1", 1);
    assert_false(cache_store_is_marked(store, "u", "p", 99));
    cache_store_mark(store, "u", "p", 100);
    assert_non_null(find(store, "u", "p", "1"));
    cache_store_free(store);
}

static void rfc9111_4_1_of_several_the_newest_is_used(void **state)
{
    cache_store_t *store = store_of(100000, 100, 50000);
    cache_head_t none = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        cache_entry_t *entry = cache_entry_new("u", "p");

        entry->facts.date_s = i == 1 ? 50 : i;
        cache_head_set(&entry->selecting, i == 0 ? "x-a" : i == 1 ? "x-b" : "x-c", "-");
        cache_store_put(store, entry);
    }
    assert_int_equal(cache_store_find(store, "u", "p", &none)->facts.date_s, 50);
    cache_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_siphash_2_4),
        cmocka_unit_test(one_is_found_by_uri_place_and_what_it_depends_on),
        cmocka_unit_test(the_least_recently_used_leaves),
        cmocka_unit_test(bytes_are_bounded_and_an_entry_too),
        cmocka_unit_test(variants_of_one_uri_do_not_push_out_others),
        cmocka_unit_test(rfc9111_4_4_invalidation_takes_all_variants_and_what_is_under_way),
        cmocka_unit_test(a_mark_holds_until_its_time_or_until_there_is_an_answer),
        cmocka_unit_test(rfc9111_4_1_of_several_the_newest_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
