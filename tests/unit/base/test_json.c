#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/json.h"

static const struct {
    const char *doc;
    const char *detail; /* part of the sentence */
    const char *pointer;
    uint32_t line, column;
} broken[] = {
    {"", "too early", "", 1, 1},
    {"{\"a\":1,}", "member name", "", 1, 8},
    {"{\"a\":\n  [1, 2,, 3]}", "value is expected", "/a/2", 2, 9},
    {"{\"a\":1 \"b\":2}", "comma", "/a", 1, 8},
    {"[1] x", "follow", "", 1, 5},
    {"[01]", "number", "/0", 1, 3},
    {"[\"\\ud800\"]", "surrogate", "/0", 1, 9},
    {"[\"\xc3\xa9\xff\"]", "UTF-8", "/0", 1, 4},
    {"[\"a\nb\"]", "control", "/0", 1, 4},
    {"{\"a\":{\"b\":1,\"c\":2,\"\\u0062\":3}}", "twice", "/a/b", 1, 19},
    {"[[[[[]]]]]", "deeply", "/0/0/0/0", 1, 5},
    {"[nul]", "misspelt", "/0", 1, 5},
    {"\xef\xbb\xbf{}", "byte order mark", "", 1, 1},
    {"{\"a/b~c\":x}", "value", "/a~1b~0c", 1, 10},
};

static void an_absent_document_is_an_empty_one(void **state)
{
    sheaf_fail_t fail;

    (void)state;
    assert_int_equal(sheaf_json_check(SHEAF_STR_NONE, 64, &fail), SHEAF_ERR_SYNTAX);
    assert_int_equal(fail.line, 1);
    assert_int_equal(fail.column, 1);
}

static void an_error_names_its_place(void **state)
{
    for (size_t i = 0; i < SHEAF_COUNT(broken); i++) {
        sheaf_fail_t fail;

        assert_int_equal(sheaf_json_check(sheaf_str_of(broken[i].doc), 4, &fail), SHEAF_ERR_SYNTAX);
        if (strstr(fail.detail, broken[i].detail) == NULL || strcmp(fail.pointer, broken[i].pointer) != 0 ||
            fail.line != broken[i].line || fail.column != broken[i].column)
            fail_msg("%s: got \"%s\" at %s %u:%u", broken[i].doc, fail.detail, fail.pointer, fail.line, fail.column);
    }
}

static void cursors_walk_in_document_order(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t doc = SHEAF_STR(
        " {\"a\" : [1, \"x\\u00e9\\ud83d\\ude00\\n\", {\"q\":\"]\"} ], \"b\":12345678901234567890 , \"c\":{}} ");
    sheaf_json_t name, value;
    sheaf_json_iter_t members, elements;
    uint64_t number;

    assert_int_equal(sheaf_json_check(doc, 64, NULL), SHEAF_OK);
    members = sheaf_json_iter(sheaf_json_root(doc));
    assert_true(sheaf_json_next_member(&members, &name, &value));
    assert_true(sheaf_str_eq(sheaf_json_string(name, pool), SHEAF_STR("a")));
    assert_int_equal(sheaf_json_type(value), SHEAF_JSON_ARRAY);

    elements = sheaf_json_iter(value);
    assert_true(sheaf_json_next_element(&elements, &value));
    assert_true(sheaf_json_u64(value, &number));
    assert_int_equal(number, 1);
    assert_true(sheaf_json_next_element(&elements, &value));
    assert_true(sheaf_str_eq(sheaf_json_string(value, pool), SHEAF_STR("x\xc3\xa9\xf0\x9f\x98\x80\n")));
    assert_true(sheaf_json_next_element(&elements, &value));
    assert_true(sheaf_str_eq(value, SHEAF_STR("{\"q\":\"]\"}")));
    assert_false(sheaf_json_next_element(&elements, &value));

    assert_true(sheaf_json_next_member(&members, &name, &value));
    assert_true(sheaf_str_eq(value, SHEAF_STR("12345678901234567890")));
    assert_true(sheaf_json_next_member(&members, &name, &value));
    elements = sheaf_json_iter(value);
    assert_false(sheaf_json_next_member(&elements, &name, &value));
    assert_false(sheaf_json_next_member(&members, &name, &value));
    sheaf_pool_free(pool);
}

static void many_members_take_no_quadratic_time(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    char *doc = sheaf_pool_alloc(pool, 4 << 20);
    size_t len = 0;

    doc[len++] = '{';
    for (int i = 0; i < 200000; i++)
        len += (size_t)sprintf(doc + len, "%s\"m%d\":0", i > 0 ? "," : "", i);
    doc[len++] = '}';
    assert_int_equal(sheaf_json_check(sheaf_str(doc, len), 64, NULL), SHEAF_OK);
    sheaf_pool_free(pool);
}

/* Each escape once made the cursors look for the end of the string anew: four times the escapes, forty times as long. */
static void many_escapes_take_no_quadratic_time(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    size_t escapes = 2 << 20, len = 0;
    char *doc = sheaf_pool_alloc(pool, escapes * 2 + 16);
    sheaf_json_iter_t iter;
    sheaf_json_t value;

    doc[len++] = '[';
    doc[len++] = '"';
    for (size_t i = 0; i < escapes; i++) {
        doc[len++] = '\\';
        doc[len++] = i % 2 == 0 ? 'n' : '"';
    }
    doc[len++] = '"';
    doc[len++] = ']';
    assert_int_equal(sheaf_json_check(sheaf_str(doc, len), 64, NULL), SHEAF_OK);
    iter = sheaf_json_iter(sheaf_json_root(sheaf_str(doc, len)));
    assert_true(sheaf_json_next_element(&iter, &value));
    assert_int_equal(value.len, len - 2);
    assert_int_equal(sheaf_json_string(value, pool).len, escapes);
    assert_false(sheaf_json_next_element(&iter, &value));
    sheaf_pool_free(pool);
}

static void a_twin_is_found_among_few_and_among_many(void **state)
{
    for (int count = 2; count < 40; count++) {
        char doc[1024] = "{\"m1\":{},", twin[16];
        sheaf_fail_t fail;
        size_t len = strlen(doc);

        for (int i = 2; i < count; i++)
            len += (size_t)sprintf(doc + len, "\"m%d\":{\"m1\":0},", i);
        sprintf(doc + len, "\"\\u006d%d\":0}", count - 1);
        sprintf(twin, "/m%d", count - 1);
        assert_int_equal(sheaf_json_check(sheaf_str_of(doc), 64, &fail), SHEAF_ERR_SYNTAX);
        assert_string_equal(fail.pointer, twin);
        assert_int_equal(fail.column, len + 1);
    }
}

/* In no order, and with a long beginning that all have. */
static void of_many_twins_the_first_is_named(void **state)
{
    enum { COUNT = 100000 };
    char *doc = malloc(COUNT * 64 + 128), *at = doc + sprintf(doc, "{");
    sheaf_fail_t fail;

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++)
        at += sprintf(at, "\"all of them have a long beginning %08x\":0,", i * 2654435761u);
    strcpy(at, "\"z\":0}");
    assert_int_equal(sheaf_json_check(sheaf_str_of(doc), 64, NULL), SHEAF_OK);
    sprintf(at, "\"\\u007a\":0,\"z\":1,\"all of them have a long beginning 00000000\":0,\"z\":2}");
    assert_int_equal(sheaf_json_check(sheaf_str_of(doc), 64, &fail), SHEAF_ERR_SYNTAX);
    assert_string_equal(fail.pointer, "/z");
    assert_int_equal(fail.column, (at - doc) + (ptrdiff_t)strlen("\"\\u007a\":0,") + 1);
    free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_document_is_an_empty_one),
        cmocka_unit_test(an_error_names_its_place),
        cmocka_unit_test(cursors_walk_in_document_order),
        cmocka_unit_test(many_members_take_no_quadratic_time),
        cmocka_unit_test(many_escapes_take_no_quadratic_time),
        cmocka_unit_test(a_twin_is_found_among_few_and_among_many),
        cmocka_unit_test(of_many_twins_the_first_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
