/* A copy of what is handed on: whole, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/batch/kept.h"

static void is_text(const sheaf_kept_t *kept, const char *want)
{
    char text[64] = "";

    assert_int_equal(kept->body->len, strlen(want));
    sheaf_buf_copy(kept->body, text);
    assert_string_equal(text, want);
}

static void what_came_before_somebody_asked_is_part_of_it(void **state)
{
    sheaf_kept_t kept = {0};
    sheaf_out_t out;

    (void)state;
    sheaf_out_init(&out);
    sheaf_out_put(&out, "gone before", 11);
    sheaf_out_consume(&out, 5);
    sheaf_kept_put(&kept, "nobody asked", 12);
    sheaf_kept_ask(&kept, 64);
    sheaf_kept_fill(&kept, &out);
    sheaf_kept_fill(&kept, &out); /* once */
    sheaf_kept_put(&kept, " and after", 10);
    sheaf_kept_end(&kept, true);
    assert_int_equal(kept.state, SHEAF_KEPT_WHOLE);
    is_text(&kept, "before and after");
    sheaf_kept_put(&kept, "too late", 8);
    is_text(&kept, "before and after");
    sheaf_kept_lose(&kept);
    sheaf_out_fini(&out);
}

static void what_grows_longer_than_the_largest_bound_is_given_back_at_once(void **state)
{
    sheaf_kept_t kept = {0};

    (void)state;
    sheaf_kept_ask(&kept, 8);
    sheaf_kept_ask(&kept, 4);
    sheaf_kept_put(&kept, "12345678", 8);
    is_text(&kept, "12345678");
    sheaf_kept_put(&kept, "9", 1);
    assert_int_equal(kept.state, SHEAF_KEPT_LOST);
    assert_null(kept.body);
    sheaf_kept_put(&kept, "1", 1);
    sheaf_kept_end(&kept, true);
    assert_int_equal(kept.state, SHEAF_KEPT_LOST);
}

static void what_was_too_long_before_somebody_asked_is_lost_too(void **state)
{
    sheaf_kept_t kept = {0};
    sheaf_out_t out;

    (void)state;
    sheaf_out_init(&out);
    sheaf_out_put(&out, "12345", 5);
    sheaf_kept_ask(&kept, 4);
    sheaf_kept_fill(&kept, &out);
    assert_int_equal(kept.state, SHEAF_KEPT_LOST);
    sheaf_out_fini(&out);
}

static void what_is_cut_is_lost_and_what_is_empty_is_whole(void **state)
{
    sheaf_kept_t cut = {0}, empty = {0}, none = {0};

    (void)state;
    sheaf_kept_ask(&cut, 8);
    sheaf_kept_put(&cut, "half", 4);
    sheaf_kept_end(&cut, false);
    assert_int_equal(cut.state, SHEAF_KEPT_LOST);
    assert_null(cut.body);
    sheaf_kept_ask(&empty, 0);
    sheaf_kept_take(&empty, NULL);
    assert_int_equal(empty.state, SHEAF_KEPT_WHOLE);
    sheaf_kept_end(&none, true);
    assert_int_equal(none.state, SHEAF_KEPT_NONE);
}

static void a_body_that_is_there_is_held_and_not_copied(void **state)
{
    sheaf_kept_t kept = {0};
    sheaf_buf_t *body = sheaf_buf_new(16, 16);

    (void)state;
    sheaf_buf_append(body, "there", 5);
    sheaf_kept_ask(&kept, 16);
    sheaf_kept_take(&kept, body);
    assert_ptr_equal(kept.body, body);
    sheaf_buf_drop(body);
    is_text(&kept, "there");
    sheaf_kept_lose(&kept);
    kept = (sheaf_kept_t){0};
    body = sheaf_buf_new(16, 16);
    sheaf_buf_append(body, "there", 5);
    sheaf_kept_ask(&kept, 4);
    sheaf_kept_take(&kept, body);
    assert_int_equal(kept.state, SHEAF_KEPT_LOST);
    sheaf_buf_drop(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_before_somebody_asked_is_part_of_it),
        cmocka_unit_test(what_grows_longer_than_the_largest_bound_is_given_back_at_once),
        cmocka_unit_test(what_was_too_long_before_somebody_asked_is_lost_too),
        cmocka_unit_test(what_is_cut_is_lost_and_what_is_empty_is_whole),
        cmocka_unit_test(a_body_that_is_there_is_held_and_not_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
