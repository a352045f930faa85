#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/base/pointer.h"

/* The value at `pointer` in `doc`; NULL: nothing is there. */
static void expect(const char *doc, const char *pointer, const char *wanted)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_json_t found = SHEAF_STR_NONE;
    bool is_there;

    assert_true(sheaf_pointer_is_valid(sheaf_str_of(pointer)));
    is_there = sheaf_pointer_find(sheaf_json_root(sheaf_str_of(doc)), sheaf_str_of(pointer), pool, &found);
    if (is_there != (wanted != NULL))
        fail_msg("%s is %s", pointer, is_there ? "there" : "not there");
    if (wanted != NULL) {
        assert_int_equal(found.len, strlen(wanted));
        assert_memory_equal(found.base, wanted, found.len);
    }
    sheaf_pool_free(pool);
}

/* RFC 6901 section 5 */
static void the_examples_of_the_rfc(void **state)
{
    const char *doc =
        "{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3, \"g|h\": 4, \"i\\\\j\": 5,"
        " \"k\\\"l\": 6, \" \": 7, \"m~n\": 8}";

    (void)state;
    expect(doc, "", doc);
    expect(doc, "/foo", "[\"bar\", \"baz\"]");
    expect(doc, "/foo/0", "\"bar\"");
    expect(doc, "/", "0");
    expect(doc, "/a~1b", "1");
    expect(doc, "/c%d", "2");
    expect(doc, "/e^f", "3");
    expect(doc, "/g|h", "4");
    expect(doc, "/i\\j", "5");
    expect(doc, "/k\"l", "6");
    expect(doc, "/ ", "7");
    expect(doc, "/m~0n", "8");
}

/* A client chooses the names that are passed over: none of them may cost memory. */
static void names_that_are_passed_over_take_no_memory(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    size_t before = sheaf_pool_bytes(pool), len = 1;
    char *doc = calloc(1, 40 * 1000);
    sheaf_json_t found;

    (void)state;
    doc[0] = '{';
    for (int i = 0; i < 1000; i++)
        len += (size_t)sprintf(doc + len, "\"\\u0061\\n%d\":%d,", i, i);
    strcpy(doc + len, "\"\\ud83d\\ude00\\/\":true}");
    assert_true(sheaf_pointer_find(sheaf_str_of(doc), SHEAF_STR("/\xf0\x9f\x98\x80~1"), pool, &found));
    assert_true(sheaf_str_eq(found, SHEAF_STR("true")));
    assert_false(sheaf_pointer_find(sheaf_str_of(doc), SHEAF_STR("/a\n1000"), pool, &found));
    assert_false(sheaf_pointer_find(sheaf_str_of(doc), SHEAF_STR("/\xf0\x9f\x98"), pool, &found));
    assert_int_equal(sheaf_pool_bytes(pool), before);
    free(doc);
    sheaf_pool_free(pool);
}

static void what_is_not_there_is_not_found(void **state)
{
    const char *doc = "{\"a\":[1,{\"b\":null}],\"~1\":2}";

    (void)state;
    expect(doc, "/a/1/b", "null");
    expect(doc, "/a/1/b/c", NULL);
    expect(doc, "/a/2", NULL);
    expect(doc, "/a/-", NULL);
    expect(doc, "/a/00", NULL);
    expect(doc, "/a/01", NULL);
    expect(doc, "/a/+1", NULL);
    expect(doc, "/a/18446744073709551616", NULL);
    expect(doc, "/a/", NULL);
    expect(doc, "/b", NULL);
    expect(doc, "/~01", "2");
    expect("{\"\\u0061\":1,\"a\":2}", "/a", "1");
    expect("7", "/a", NULL);
}

static bool walks(const char *doc, const char *pointer, uint64_t *steps)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_json_t found;
    bool is_there = sheaf_pointer_walk(sheaf_json_root(sheaf_str_of(doc)), sheaf_str_of(pointer), pool, steps, &found);

    sheaf_pool_free(pool);
    return is_there;
}

static void a_walk_takes_a_step_for_all_that_it_passes_over(void **state)
{
    const char *doc = "{\"a\":[1,2,3],\"b\":{\"c\":0,\"d\":[[],{},7]}}";
    uint64_t steps = 100;

    (void)state;
    assert_true(walks(doc, "/b/d/2", &steps)); /* a, c, two elements, and the value itself */
    assert_int_equal(steps, 95);
    steps = 5;
    assert_false(walks(doc, "/b/d/2", &steps));
    assert_int_equal(steps, 0);
    steps = 100;
    assert_false(walks(doc, "/e", &steps));
    assert_int_equal(steps, 98);
}

static void what_is_long_takes_more_steps(void **state)
{
    char *doc = malloc(102404);
    uint64_t steps = 1000;

    (void)state;
    memset(doc, 'x', 102403);
    doc[0] = '[';
    doc[1] = doc[102399] = '"';
    memcpy(doc + 102400, ",1]", 4);
    assert_true(walks(doc, "/1", &steps));
    assert_in_range(steps, 590, 600);
    free(doc);
}

/* Where the end of every level was looked for on the way down, this took seconds. */
static void a_deep_value_is_found_in_one_walk(void **state)
{
    enum { DEPTH = 510, ELEMENTS = 300000 };
    char *doc = malloc(DEPTH * 2 + ELEMENTS * 3 + 8), *at = doc, pointer[DEPTH * 2 + 16];
    uint64_t steps = 2 * ELEMENTS;

    (void)state;
    memset(at, '[', DEPTH);
    at += DEPTH;
    for (int i = 0; i < ELEMENTS; i++)
        at = stpcpy(at, i == 0 ? "[]" : ",[]");
    memset(at, ']', DEPTH);
    at[DEPTH] = '\0';
    for (int i = 0; i < DEPTH - 1; i++)
        memcpy(pointer + 2 * i, "/0", 3);
    sprintf(pointer + 2 * (DEPTH - 1), "/%d", ELEMENTS - 1);
    for (int i = 0; i < 10; i++, steps = 2 * ELEMENTS)
        assert_true(walks(doc, pointer, &steps));
    free(doc);
}

static void malformed_pointers_are_refused(void **state)
{
    (void)state;
    assert_false(sheaf_pointer_is_valid(SHEAF_STR("a")));
    assert_false(sheaf_pointer_is_valid(SHEAF_STR("/~")));
    assert_false(sheaf_pointer_is_valid(SHEAF_STR("/~2")));
    assert_true(sheaf_pointer_is_valid(SHEAF_STR("/~0~1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc),
        cmocka_unit_test(names_that_are_passed_over_take_no_memory),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_walk_takes_a_step_for_all_that_it_passes_over),
        cmocka_unit_test(what_is_long_takes_more_steps),
        cmocka_unit_test(a_deep_value_is_found_in_one_walk),
        cmocka_unit_test(malformed_pointers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
