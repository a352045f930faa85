#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "gateway/base/json.h"
#include "gateway/base/pointer.h"
#include "gateway/http/stencil.h"

static sheaf_pool_t *pool;
static sheaf_fail_t fail;

/* item is a JSON document; query.NAME is text */
static bool fill(void *data, const sheaf_hole_t *hole, sheaf_pool_t *into, sheaf_filling_t *ret_filling)
{
    if (sheaf_str_eq(hole->source, SHEAF_STR("item")) && !hole->is_named) {
        ret_filling->is_json = true;
        return sheaf_pointer_find(sheaf_json_root(sheaf_str_of(data)), hole->path, into, &ret_filling->text);
    }
    ret_filling->is_json = false;
    ret_filling->text = sheaf_str_of("a b/\"\xc3\xa9\"${x}");
    return sheaf_str_eq(hole->source, SHEAF_STR("query")) && sheaf_str_eq(hole->path, SHEAF_STR("x"));
}

static const char *filled(const sheaf_stencil_t *stencil, const char *item)
{
    sheaf_str_t text;

    if (sheaf_stencil_fill(stencil, fill, (void *)item, 256, pool, &text, &fail) != SHEAF_OK)
        return fail.detail;
    return sheaf_pool_cstr(pool, text);
}

static sheaf_stencil_t *parsed(const char *text, bool is_url)
{
    sheaf_stencil_t *stencil;

    assert_int_equal(sheaf_stencil_parse(pool, sheaf_str_of(text), is_url, &stencil, &fail), SHEAF_OK);
    return stencil;
}

static const char item[] =
    "{\"id\":12345678901234567890,\"name\":\"A & \\\"B\\\"\",\"dot\":\"..\",\"none\":null,\"empty\":\"\","
    "\"list\":[1, 2.0],\"line\":\"a\\nb\",\"$result\":\"u.body\"}";

typedef struct row {
    const char *text, *want;
} row_t;

static void a_value_in_a_url_stays_in_its_segment_or_its_query_value(void **state)
{
    static const row_t rows[] = {
        {"/users", "/users"},
        {"/users/${item/id}", "/users/12345678901234567890"},
        {"/a-${item/name}/b?q=${item/name}&r=1", "/a-A%20%26%20%22B%22/b?q=A%20%26%20%22B%22&r=1"},
        {"/${query.x}", "/a%20b%2F%22%C3%A9%22%24%7Bx%7D"},
        {"/$${item}/$", "/${item}/$"},
        {"/x${item/dot}", "/x.."},
        {"/a?b=${item/dot}${item/empty}", "/a?b=.."},
        {"/a/${query.no:-7}?p=${query.no:-}", "/a/7?p="},
        {"/${item/dot}", "\"${item/dot}\" found a value that makes a segment of the url empty, . or .."},
        {"/a/${item/empty}/b", "\"${item/empty}\" found a value that makes a segment of the url empty, . or .."},
        {"/.${item/empty}", "\"${item/empty}\" found a value that makes a segment of the url empty, . or .."},
        {"/a/%2e${query.no:-.}", "\"${query.no:-.}\" found a value that makes a segment of the url empty, . or .."},
        {"/a/${item/none}", "\"${item/none}\" found null"},
        {"/a/${item/list}", "\"${item/list}\" found an array where a plain value is wanted"},
        {"/a/${item}", "\"${item}\" found an object where a plain value is wanted"},
        {"/a/${item/nothing}", "\"${item/nothing}\" found nothing"},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++)
        assert_string_equal(filled(parsed(rows[i].text, true), item), rows[i].want);
}

static void a_value_in_text_is_as_it_is_but_without_controls(void **state)
{
    static const row_t rows[] = {
        {"x-${item/name}-${item/id}", "x-A & \"B\"-12345678901234567890"},
        {"${query.x}", "a b/\"\xc3\xa9\"${x}"},
        {"${item/line}", "\"${item/line}\" found a value with control characters"},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++)
        assert_string_equal(filled(parsed(rows[i].text, false), item), rows[i].want);
}

static sheaf_stencil_t *body_of(const char *name, const char *text)
{
    sheaf_stencil_maker_t *maker = sheaf_stencil_maker_new(pool);

    sheaf_stencil_maker_put(maker, SHEAF_STR("{"));
    sheaf_stencil_maker_put_name(maker, sheaf_str_of(name));
    sheaf_stencil_maker_put(maker, SHEAF_STR(":"));
    assert_int_equal(sheaf_stencil_maker_put_string(maker, sheaf_str_of(text), &fail), SHEAF_OK);
    sheaf_stencil_maker_put(maker, SHEAF_STR("}"));
    return sheaf_stencil_maker_end(maker);
}

static void a_value_in_json_keeps_its_type_alone_and_is_text_within_a_string(void **state)
{
    static const row_t rows[] = {
        {"${item/id}", "{\"a\\\"\":12345678901234567890}"},
        {"${item/list}", "{\"a\\\"\":[1, 2.0]}"},
        {"${item/none}", "{\"a\\\"\":null}"},
        {"${query.x}", "{\"a\\\"\":\"a b/\\\"\xc3\xa9\\\"${x}\"}"},
        {"${query.no:-[1]}", "{\"a\\\"\":[1]}"},
        {"${query.no:-[1}", "{\"a\\\"\":\"[1\"}"},
        {"it's \"${item/name}\"\t${item/id}", "{\"a\\\"\":\"it's \\\"A & \\\"B\\\"\\\"\\u000912345678901234567890\"}"},
        {"${item/line}!", "{\"a\\\"\":\"a\\u000ab!\"}"},
        {"$${item}", "{\"a\\\"\":\"${item}\"}"},
        {"${item/list} ", "\"${item/list}\" found an array where a plain value is wanted"},
    };

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        const char *made = filled(body_of("a\"", rows[i].text), item);

        if (rows[i].want[0] == '{')
            assert_int_equal(sheaf_json_check(sheaf_str_of(made), 64, NULL), SHEAF_OK);
        assert_string_equal(made, rows[i].want);
    }
}

static void an_element_that_is_the_whole_body_is_not_copied(void **state)
{
    sheaf_stencil_maker_t *maker = sheaf_stencil_maker_new(pool);
    sheaf_stencil_t *stencil;
    sheaf_str_t text;

    (void)state;
    assert_int_equal(sheaf_stencil_maker_put_string(maker, SHEAF_STR("${item}"), &fail), SHEAF_OK);
    stencil = sheaf_stencil_maker_end(maker);
    assert_int_equal(sheaf_stencil_fill(stencil, fill, (void *)item, sizeof(item), pool, &text, &fail), SHEAF_OK);
    assert_ptr_equal(text.base, item);
    assert_int_equal(text.len, sizeof(item) - 1);
}

static void what_is_scanned_for_references_holds_none_that_data_brought(void **state)
{
    sheaf_stencil_t *url = parsed("/$${a}/${u.body/id}?x=${query.x}", true), *header = parsed("${query.x}", false),
                    *whole = body_of("a", "${item}"), *result = body_of("a", "${u.body/id}"),
                    *text = body_of("a", "$${x} ${query.x}");

    (void)state;
    url->is_scanned = header->is_scanned = whole->is_scanned = result->is_scanned = text->is_scanned = true;
    url->pieces[0].hole->is_reference = result->pieces[0].hole->is_reference = true;
    assert_string_equal(filled(url, item), "/$${a}/${u.body/id}?x=a%20b%2F%22%C3%A9%22%24%7Bx%7D");
    assert_string_equal(filled(header, item), "a b/\"\xc3\xa9\"$${x}");
    assert_string_equal(filled(whole, "{\"$result\":\"u.body\"}"), "{\"a\":{\"$literal\":{\"$result\":\"u.body\"}}}");
    assert_string_equal(filled(result, item), "{\"a\":{\"$result\":\"u.body/id\"}}");
    assert_string_equal(filled(text, item), "{\"a\":\"${x} a b/\\\"\xc3\xa9\\\"${x}\"}");
}

static void no_reference_begins_or_ends_where_values_meet(void **state)
{
    static const row_t rows[] = {
        {"${item/a}${item/b}", "x$${u.body}"},
        {"${item/a}{u.body}", "x$${u.body}"},
        {"${item/a} ${item/b}", "x$ {u.body}"},
        {"${item/b}${item/a}", "{u.body}x$"},
        {"${item/a}${item/a}${item/b}", "x$x$${u.body}"},
    };
    sheaf_stencil_t *behind = parsed("${item/a}${u.body}", false);

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        sheaf_stencil_t *stencil = parsed(rows[i].text, false);

        stencil->is_scanned = true;
        assert_string_equal(filled(stencil, "{\"a\":\"x$\",\"b\":\"{u.body}\"}"), rows[i].want);
    }
    behind->is_scanned = behind->pieces[1].hole->is_reference = true;
    assert_string_equal(filled(behind, "{\"a\":\"x\"}"), "x${u.body}");
    assert_string_equal(filled(behind, "{\"a\":\"x$\"}"), "\"${u.body}\" stands behind a value that ends in $");
}

static void what_is_made_has_a_limit(void **state)
{
    sheaf_stencil_t *stencil = parsed("${item/a}${item/a}", false);
    char long_item[256] = "{\"a\":\"";

    (void)state;
    memset(long_item + 6, 'x', 200);
    memcpy(long_item + 206, "\"}", 3);
    assert_string_equal(filled(stencil, long_item), "what the data makes is larger than 256 bytes");
    assert_int_equal(fail.err, SHEAF_ERR_ITEM_TOO_LARGE);
}

static void a_malformed_stencil_says_what_is_wrong(void **state)
{
    static const row_t rows[] = {
        {"/a/${item", "`${` is not closed by `}`; `$${` stands for itself"},
        {"/a/${}", "`${}` is none of ${SOURCE}, ${SOURCE.NAME} and ${SOURCE/POINTER}"},
        {"/a/${item~}", "`${item~}` is none of ${SOURCE}, ${SOURCE.NAME} and ${SOURCE/POINTER}"},
        {"/a/${item/~2}", "`${item/~2}` is none of ${SOURCE}, ${SOURCE.NAME} and ${SOURCE/POINTER}"},
        {"/a/${query.}", "`${query.}` is none of ${SOURCE}, ${SOURCE.NAME} and ${SOURCE/POINTER}"},
        {"/a/%2${item}", "a percent-encoding is open where `${` begins"},
        {"/a/%${item}", "a percent-encoding is open where `${` begins"},
    };
    sheaf_stencil_t *stencil;

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(rows); i++) {
        assert_int_equal(sheaf_stencil_parse(pool, sheaf_str_of(rows[i].text), true, &stencil, &fail),
                         SHEAF_ERR_CONFIG);
        assert_string_equal(fail.detail, rows[i].want);
    }
}

static void more_holes_than_allowed_are_refused(void **state)
{
    char text[4 * 65 + 1] = "";
    sheaf_stencil_t *stencil;

    (void)state;
    for (size_t i = 0; i < SHEAF_STENCIL_MAX_HOLES; i++)
        memcpy(text + 4 * i, "${i}", 4);
    assert_int_equal(sheaf_stencil_parse(pool, sheaf_str_of(text), false, &stencil, &fail), SHEAF_OK);
    memcpy(text + sizeof(text) - 5, "${i}", 4);
    assert_int_equal(sheaf_stencil_parse(pool, sheaf_str_of(text), false, &stencil, &fail), SHEAF_ERR_CONFIG);
    assert_string_equal(fail.detail, "more than 64 `${...}`");
}

static void a_long_hole_is_named_by_whole_characters(void **state)
{
    char text[256] = "/x${item/", *end = text + strlen(text);
    sheaf_stencil_t *unread;

    (void)state;
    for (int i = 0; i < 90; i++)
        end = stpcpy(end, "\xc3\xa9");
    strcpy(end, "}");
    filled(parsed(text, true), item);
    assert_non_null(strstr(fail.detail, "found nothing"));
    assert_int_equal(sheaf_utf8_valid_prefix(sheaf_str_of(fail.detail)), strlen(fail.detail));

    memcpy(text, "/xxxxx${.", 9); /* no source begins so */
    assert_int_equal(sheaf_stencil_parse(pool, sheaf_str_of(text), true, &unread, &fail), SHEAF_ERR_CONFIG);
    assert_int_equal(sheaf_utf8_valid_prefix(sheaf_str_of(fail.detail)), strlen(fail.detail));
}

static int set_up(void **state)
{
    (void)state;
    pool = sheaf_pool_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sheaf_pool_free(pool);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_in_a_url_stays_in_its_segment_or_its_query_value),
        TEST(a_value_in_text_is_as_it_is_but_without_controls),
        TEST(a_value_in_json_keeps_its_type_alone_and_is_text_within_a_string),
        TEST(an_element_that_is_the_whole_body_is_not_copied),
        TEST(what_is_scanned_for_references_holds_none_that_data_brought),
        TEST(no_reference_begins_or_ends_where_values_meet),
        TEST(what_is_made_has_a_limit),
        TEST(a_long_hole_is_named_by_whole_characters),
        TEST(a_malformed_stencil_says_what_is_wrong),
        TEST(more_holes_than_allowed_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
