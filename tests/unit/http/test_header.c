#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "gateway/http/header.h"

#define HOP     SHEAF_HEADER_HOP_BY_HOP
#define TRUST   SHEAF_HEADER_TRUST
#define OWN     SHEAF_HEADER_NOT_INHERITED
#define FRAMING SHEAF_HEADER_FRAMING
#define LEFT    SHEAF_HEADER_NOT_IN_RESULT

typedef struct row {
    const char *name;
    unsigned want;
} row_t;

static const row_t hop_rows[] = {
    {"connection", HOP},
    {"keep-alive", HOP},
    {"te", HOP},
    {"trailer", HOP},
    {"transfer-encoding", HOP},
    {"upgrade", HOP},
    {"proxy-connection", HOP},
    {"proxy-authenticate", HOP},
    {"proxy-authorization", HOP},
    {"http2-settings", HOP},
    {"transfer_encoding", HOP},
    {"keep_alive", HOP},
    {"proxy_authorization", HOP},
    {"proxy", HOP},
};

/* What only a proxy may say, in every spelling, and what only looks like it. */
static const row_t trust_rows[] = {
    {"forwarded", TRUST},
    {"x-real-ip", TRUST},
    {"x-forwarded-for", TRUST},
    {"x-forwarded-anything", TRUST},
    {"x_forwarded_for", TRUST},
    {"x-forwarded_host", TRUST},
    {"x_real_ip", TRUST},
    {"x-original-url", TRUST},
    {"x-rewrite-url", TRUST},
    {"x_rewrite_url", TRUST},
    {"x-rewrite-url2", 0},
    {"x-real-ips", 0},
    {"x-forwarded", 0},
    {"x-request-id", TRUST},
    {"x_request-id", TRUST},
    {"x-request-ids", 0},
    {"x", 0},
};

static const row_t other_rows[] = {
    {"accept", OWN},
    {"accept-encoding", OWN},
    {"accept-language", 0},
    {"content-type", OWN},
    {"content-language", OWN},
    {"content-length", OWN | FRAMING | LEFT},
    {"range", OWN},
    {"if-match", OWN},
    {"if-none-match", OWN},
    {"expect", OWN | FRAMING},
    {"prefer", OWN},
    {"idempotency-key", OWN},
    {"host", OWN | FRAMING},
    {"date", LEFT},
    {"server", LEFT},
    {"via", SHEAF_HEADER_VIA},
    {"etag", 0},
    {"authorization", 0},
    {"cookie", 0},
    {"set-cookie", SHEAF_HEADER_PLACE},
    {"location", SHEAF_HEADER_PLACE},
    {"content-location", OWN | SHEAF_HEADER_PLACE},
    {"refresh", SHEAF_HEADER_PLACE},
    {"locations", 0},
    {"cache-control", 0},
    {"", 0},
    {"contents", 0},
};

static void assert_classes(const row_t *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sheaf_header_classify(sheaf_str_of(rows[i].name)) != rows[i].want)
            fail_msg("%s is %u", rows[i].name, sheaf_header_classify(sheaf_str_of(rows[i].name)));
    }
}

static void every_field_has_its_class(void **state)
{
    (void)state;
    assert_classes(hop_rows, SHEAF_COUNT(hop_rows));
    assert_classes(trust_rows, SHEAF_COUNT(trust_rows));
    assert_classes(other_rows, SHEAF_COUNT(other_rows));
}

static void names_are_tokens_and_values_hold_no_controls(void **state)
{
    (void)state;
    assert_true(sheaf_header_name_is_valid(SHEAF_STR("X-a_1!#$%&'*+.^`|~")));
    assert_false(sheaf_header_name_is_valid(SHEAF_STR("")));
    for (int c = 0; c < 256; c++) {
        char name[2] = {'a', (char)c}, value[12] = "aaaaaaaaaaa";
        bool is_token = c > ' ' && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
        bool is_text = c == '\t' || (c >= ' ' && c != 0x7f);

        assert_int_equal(sheaf_header_name_is_valid(sheaf_str(name, 2)), is_token);
        for (size_t place = 1; place < 10; place++) { /* the eight-byte step and the rest alike */
            memset(value, 'a', 11);
            value[place] = (char)c;
            assert_int_equal(sheaf_header_value_is_valid(sheaf_str(value, 11)), is_text);
        }
    }
    assert_true(sheaf_header_value_is_valid(SHEAF_STR("")));
    assert_false(sheaf_header_value_is_valid(SHEAF_STR(" a")));
    assert_false(sheaf_header_value_is_valid(SHEAF_STR("a\t")));
}

static void fields_keep_order_and_repetition(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_headers_t headers = {0};
    char names[100][12];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "h%d", i % 50);
        sheaf_headers_add(&headers, pool, sheaf_str_of(names[i]), i < 50 ? SHEAF_STR("first") : SHEAF_STR("second"));
    }
    assert_int_equal(headers.count, 100);
    assert_true(sheaf_str_eq(headers.entries[99].name, SHEAF_STR("h49")));
    assert_true(sheaf_str_eq(sheaf_headers_find(&headers, SHEAF_STR("h49"))->value, SHEAF_STR("first")));
    assert_null(sheaf_headers_find(&headers, SHEAF_STR("h50")));
    sheaf_pool_free(pool);
}

static void lowering_copies_only_what_changes(void **state)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_str_t lower = SHEAF_STR("content-type");

    (void)state;
    assert_ptr_equal(sheaf_header_lower(pool, lower).base, lower.base);
    assert_true(sheaf_str_eq(sheaf_header_lower(pool, SHEAF_STR("Content-TYPE")), lower));
    sheaf_pool_free(pool);
}

static void a_list_is_searched_without_regard_to_case_and_blanks(void **state)
{
    (void)state;
    assert_true(sheaf_header_list_has(SHEAF_STR("close"), SHEAF_STR("close")));
    assert_true(sheaf_header_list_has(SHEAF_STR("x-a ,\tClose, b"), SHEAF_STR("close")));
    assert_false(sheaf_header_list_has(SHEAF_STR("x-close, closed"), SHEAF_STR("close")));
    assert_false(sheaf_header_list_has(SHEAF_STR(""), SHEAF_STR("close")));
    assert_int_equal(sheaf_header_list_count(SHEAF_STR_NONE), 0);
    assert_int_equal(sheaf_header_list_count(SHEAF_STR("a")), 1);
    assert_int_equal(sheaf_header_list_count(SHEAF_STR("a, b,,")), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_has_its_class),
        cmocka_unit_test(names_are_tokens_and_values_hold_no_controls),
        cmocka_unit_test(fields_keep_order_and_repetition),
        cmocka_unit_test(lowering_copies_only_what_changes),
        cmocka_unit_test(a_list_is_searched_without_regard_to_case_and_blanks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
