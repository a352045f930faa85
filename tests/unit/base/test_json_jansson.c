/* The scanner against jansson on generated and mutated documents; every difference has a reason or the test fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <jansson.h>

#include "gateway/base/json.h"

#define DOCUMENTS 40000

static uint64_t seed = 20261124;

static unsigned roll(unsigned sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % sides;
}

typedef struct {
    char bytes[8192];
    size_t len;
} text_t;

static void put(text_t *text, const char *piece)
{
    size_t len = strlen(piece);

    if (text->len + len < sizeof(text->bytes)) {
        memcpy(text->bytes + text->len, piece, len);
        text->len += len;
    }
}

static void put_string(text_t *text)
{
    static const char *const pieces[] = {"a",
                                         "xyz",
                                         "\\n",
                                         "\\u00e9",
                                         "\\ud83d\\ude00",
                                         "\\ud83d",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\\\"",
                                         "\\\\",
                                         "\\/",
                                         "\\u0000",
                                         "\xf0\x9f\x98\x80",
                                         "long enough to be skipped"};

    put(text, "\"");
    for (unsigned n = roll(4); n > 0; n--)
        put(text, pieces[roll(SHEAF_COUNT(pieces))]);
    put(text, "\"");
}

static void put_value(text_t *text, unsigned depth)
{
    static const char *const scalars[] = {
        "0", "-0", "1", "-17", "3.25", "1e5", "2E-3", "1e999", "12345678901234567890", "true", "false", "null", " 7 "};
    unsigned kind = roll(depth > 6 ? 2 : 4);

    if (kind == 0) {
        put(text, scalars[roll(SHEAF_COUNT(scalars))]);
    } else if (kind == 1) {
        put_string(text);
    } else {
        put(text, kind == 2 ? "[" : "{");
        for (unsigned n = roll(4), i = 0; i < n; i++) {
            put(text, i > 0 ? ", " : "");
            if (kind == 3) {
                put_string(text);
                put(text, " : ");
            }
            put_value(text, depth + 1);
        }
        put(text, kind == 2 ? "]" : "}");
    }
}

static void mutate(text_t *text)
{
    static const char bytes[] = "{}[]\",:\\0123456789.eE+-tfn u\x01\x80\xc3\xff";

    for (unsigned n = roll(3); n > 0 && text->len > 0; n--) {
        size_t at = roll((unsigned)text->len);
        if (roll(3) == 0)
            memmove(text->bytes + at, text->bytes + at + 1, --text->len - at);
        else
            text->bytes[at] = bytes[roll(sizeof(bytes))];
    }
}

static bool scan(const text_t *text)
{
    sheaf_json_scan_t state;

    sheaf_json_scan_init(&state, SHEAF_JSON_MAX_DEPTH);
    return sheaf_json_scan_feed(&state, text->bytes, text->len) && sheaf_json_scan_end(&state);
}

/* Why may jansson refuse what the scanner takes? It turns numbers and strings into C values, the scanner passes them on. */
static bool may_be_stricter(const json_error_t *error)
{
    static const char *const reasons[] = {"real number overflow",     "too big integer",
                                          "too big negative integer", "\\u0000 is not allowed",
                                          "NUL byte in object key",   "maximum parsing depth"};

    for (size_t i = 0; i < SHEAF_COUNT(reasons); i++) {
        if (strstr(error->text, reasons[i]) != NULL)
            return true;
    }
    return false;
}

/* And why may it take what the scanner refuses? Its lexer's token for a NUL byte is the one for the end of the input. */
static bool ends_at_nul(const text_t *text)
{
    return memchr(text->bytes, '\0', text->len) != NULL;
}

static void the_scanner_and_jansson_differ_only_where_jansson_needs_c_values(void **state)
{
    unsigned valid = 0, stricter = 0;

    for (unsigned i = 0; i < DOCUMENTS; i++) {
        text_t text = {.len = 0};
        json_error_t error;
        json_t *json;
        bool is_valid;

        put_value(&text, 0);
        if (i % 2 == 1)
            mutate(&text);
        is_valid = scan(&text);
        json = json_loadb(text.bytes, text.len, JSON_DECODE_ANY, &error);
        if (is_valid != (json != NULL) && !(is_valid ? may_be_stricter(&error) : ends_at_nul(&text)))
            fail_msg("scanner %d, jansson %d (%s): %.*s", is_valid, json != NULL, error.text, (int)text.len,
                     text.bytes);
        valid += is_valid;
        stricter += is_valid && json == NULL;
        json_decref(json);
    }
    assert_true(valid > DOCUMENTS / 4);
    assert_true(stricter > 0); /* the documents do reach the places where the two differ */
}

static void the_scanner_does_not_care_where_the_bytes_are_cut(void **state)
{
    for (unsigned i = 0; i < DOCUMENTS / 10; i++) {
        text_t text = {.len = 0};
        sheaf_json_scan_t split;
        size_t cut;

        put_value(&text, 0);
        if (i % 2 == 1)
            mutate(&text);
        cut = text.len > 0 ? roll((unsigned)text.len + 1) : 0;
        sheaf_json_scan_init(&split, SHEAF_JSON_MAX_DEPTH);
        sheaf_json_scan_feed(&split, text.bytes, cut);
        for (size_t at = cut; at < text.len; at++)
            sheaf_json_scan_feed(&split, text.bytes + at, 1);
        assert_int_equal(sheaf_json_scan_end(&split), scan(&text));
    }
}

/* By jansson, where names may not stand twice, for a reason with this in it. */
static bool is_refused(const text_t *text, const char *why)
{
    json_error_t error;
    json_t *json =
        json_loadb(text->bytes, text->len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

    json_decref(json);
    return json == NULL && strstr(error.text, why) != NULL;
}

static void a_check_is_a_scan_that_also_refuses_twins(void **state)
{
    unsigned twins = 0;

    for (unsigned i = 0; i < DOCUMENTS / 4; i++) {
        text_t text = {.len = 0};
        sheaf_fail_t fail;
        sheaf_err_t err;

        put_value(&text, 0);
        if (i % 2 == 1)
            mutate(&text);
        err = sheaf_json_check(sheaf_str(text.bytes, text.len), SHEAF_JSON_MAX_DEPTH, &fail);
        if (err == SHEAF_OK) {
            assert_true(scan(&text));
            if (is_refused(&text, "duplicate"))
                fail_msg("passed with twins: %.*s", (int)text.len, text.bytes);
        } else if (scan(&text)) {
            assert_non_null(strstr(fail.detail, "twice"));
            assert_true(is_refused(&text, ""));
            twins++;
        }
    }
    assert_true(twins > 0);
}

/* One element that is opened without its end being known: where it closes is where its slice ends. */
static void walk_opened(sheaf_json_iter_t *opened, sheaf_json_t value)
{
    sheaf_json_t open, inner_value;
    sheaf_json_iter_t inner;

    assert_true(sheaf_json_open_element(opened, &open));
    assert_ptr_equal(open.base, value.base);
    if (sheaf_json_type(value) != SHEAF_JSON_ARRAY && sheaf_json_type(value) != SHEAF_JSON_OBJECT) {
        assert_true(sheaf_json_next_element(opened, &open));
        return;
    }
    inner = sheaf_json_iter(open);
    while (sheaf_json_next_element(&inner, &inner_value))
        ;
    assert_ptr_equal(inner.at, value.base + value.len - 1);
    sheaf_json_close_element(opened, &inner);
}

static void walk(sheaf_json_t value)
{
    sheaf_json_iter_t iter = sheaf_json_iter(value), opened = iter;
    sheaf_json_t inner;

    while (sheaf_json_next_element(&iter, &inner)) { /* names of members, too */
        text_t slice = {.len = inner.len};

        memcpy(slice.bytes, inner.base, inner.len);
        if (!scan(&slice))
            fail_msg("no value: %.*s", (int)inner.len, inner.base);
        walk_opened(&opened, inner);
        assert_ptr_equal(opened.at, iter.at);
        if (inner.base[0] == '[' || inner.base[0] == '{')
            walk(inner);
    }
    assert_false(sheaf_json_open_element(&opened, &inner));
}

static void cursors_cut_where_values_end(void **state)
{
    unsigned walked = 0;

    (void)state;
    for (unsigned i = 0; i < DOCUMENTS / 4; i++) {
        text_t text = {.len = 0};

        put(&text, "[");
        for (unsigned n = 1 + roll(4); n > 0; n--) {
            put_value(&text, 0);
            put(&text, n > 1 ? "," : "");
        }
        put(&text, "]");
        if (!scan(&text))
            continue;
        walk(sheaf_json_root(sheaf_str(text.bytes, text.len)));
        walked++;
    }
    assert_true(walked > DOCUMENTS / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scanner_and_jansson_differ_only_where_jansson_needs_c_values),
        cmocka_unit_test(the_scanner_does_not_care_where_the_bytes_are_cut),
        cmocka_unit_test(a_check_is_a_scan_that_also_refuses_twins),
        cmocka_unit_test(cursors_cut_where_values_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
