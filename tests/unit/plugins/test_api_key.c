/* api_key: the file of keys, who passes as whom, and which routes a key is for; for requests and items alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/api_key/api_key_table.h"
#include "tests/unit/plugins/identity_host.h"

#define HEX64 "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
#define HEX65 "1123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"

extern const sheaf_plugin_t sheaf_plugin_api_key;

static sheaf_p_str_t str(const char *text)
{
    return sheaf_p_str(text, strlen(text));
}

/* --- the file --- */

static void a_file_is_read_line_by_line(void **state)
{
    static const char file[] =
        "# who may come\r\n\n  alpha\t" HEX64 "  \r\nbeta " HEX65 " plan=gold routes=/orders/{id},/users/* team=a=b";
    api_key_table_t *table = NULL;
    uint32_t line = 0;
    const api_key_t *beta;

    assert_null(api_key_table_read(str(file), &table, &line));
    assert_int_equal(table->count, 2);
    assert_int_equal(table->name_count, 2);
    beta = &table->keys[1];
    assert_int_equal(beta->attribute_count, 2);
    assert_string_equal(table->names[beta->attributes[1].name], "team");
    assert_memory_equal(beta->attributes[1].value.base, "a=b", 3);
    assert_ptr_equal(api_key_table_find(table, table->hashes[1]), beta);
    assert_true(api_key_may(&table->keys[0], str("/anything")));
    assert_true(api_key_may(beta, str("/orders/{id}")));
    assert_false(api_key_may(beta, str("/orders/{id}/lines")));
    assert_false(api_key_may(beta, str("/orders")));
    assert_true(api_key_may(beta, str("/users/{id}")));
    assert_false(api_key_may(beta, str("/users")));
    assert_false(api_key_may(beta, str("/{all...}")));
    assert_false(api_key_may(beta, str("")));
    api_key_table_free(table);
}

static void a_file_that_is_wrong_says_where(void **state)
{
    static const struct {
        const char *file;
        uint32_t line;
        const char *why; /* its beginning */
    } rows[] = {
        {"", 1, "it has no key"},
        {"# nobody\n\n", 2, "it has no key"},
        {"alpha", 1, "a line is NAME"},
        {"\nalpha " HEX64 "0", 2, "a line is NAME"},
        {"alpha 0123", 1, "a line is NAME"},
        {"alpha " HEX64 "\nbeta " HEX64, 2, "this key stands"},
        {"alpha " HEX64 " plan", 1, "behind the hash"},
        {"alpha " HEX64 " pl/an=x", 1, "an attribute's name"},
        {"alpha " HEX64 " =x", 1, "an attribute's name"},
        {"alpha " HEX64 " routes=", 1, "routes= stands"},
        {"alpha " HEX64 " routes=users", 1, "routes= stands"},
        {"alpha " HEX64 " routes=/a,", 1, "routes= stands"},
        {"alpha " HEX64 " routes=/a,,/b", 1, "routes= stands"},
        {"alpha " HEX64 " routes=/a*b", 1, "routes= stands"},
        {"alpha " HEX64 " routes=/a routes=/b", 1, "routes= stands"},
        {"alpha " HEX64 " a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1", 1,
         "there are at most 16"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        api_key_table_t *table = NULL;
        uint32_t line = 0;
        const char *why = api_key_table_read(str(rows[i].file), &table, &line);

        assert_non_null(why);
        assert_null(table);
        assert_int_equal(line, rows[i].line);
        assert_memory_equal(why, rows[i].why, strlen(rows[i].why));
    }
}

/* Every key of a large file is found at its place, and none that differs in a bit. */
static void each_key_of_many_is_found(void **state)
{
    char *file = malloc(100 * 1000);
    size_t at = 0;
    api_key_table_t *table = NULL;
    uint32_t line = 0;

    for (unsigned i = 0; i < 1000; i++)
        at += (size_t)sprintf(file + at, "k%u %08x%056x\n", i, i * 2654435761u, i);
    assert_null(api_key_table_read(sheaf_p_str(file, at), &table, &line));
    assert_int_equal(table->count, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t hash[API_KEY_HASH_LEN];

        memcpy(hash, table->hashes[i], sizeof(hash));
        assert_ptr_equal(api_key_table_find(table, hash), &table->keys[i]);
        hash[i % API_KEY_HASH_LEN] ^= (uint8_t)(1 << i % 8);
        if (i % API_KEY_HASH_LEN < 28)
            assert_null(api_key_table_find(table, hash));
    }
    api_key_table_free(table);
    free(file);
}

/* --- the plugin --- */

#define FILE_OF_THREE                                                                                                  \
    "alpha " ALPHA_HASH " plan=gold\n"                                                                                 \
    "beta " BETA_HASH " team=b\n"                                                                                      \
    "gamma " GAMMA_HASH " routes=/orders/*\n"
/* printf %s alpha-key | sha256sum */
#define ALPHA_HASH "677509799af78b2efa2f2af71d0f906e0a0c50c048efd3b515625f788e92b99a"
#define BETA_HASH  "7a3d637bc601f7000cc2c33141c8c8a7554e02e319fa8b293a0c88c613b77620"
#define GAMMA_HASH "36c2c0e2d54b8df7e21c9f9afc50a206f2595fc23531fe933e4788e699e0e59d"

static host_t *with_keys(void)
{
    host_t *host = host_new(&sheaf_plugin_api_key);

    host_set(host, "keys", FILE_OF_THREE);
    return host;
}

#define HOST(...) OPENED(with_keys(), __VA_ARGS__)

static sheaf_p_ref_t request_with(host_t *host, const char *key)
{
    return request_showing(host, "X-API-Key", key);
}

static sheaf_p_ref_t item_with(host_t *host, sheaf_p_ref_t request, const char *target, const char *key)
{
    sheaf_p_ref_t item = host_item(host, request, "GET", target);

    host_fact(item, SHEAF_P_ROUTE, "/users/{id}");
    if (key != NULL)
        host_header(item, SHEAF_P_QUESTION, "x-api-key", key);
    return item;
}

static void a_decision_is_the_same_for_a_request_and_an_item(void **state)
{
    static const struct {
        const char *key;
        uint32_t status; /* 0: passes */
        const char *slug;
    } rows[] = {
        {"alpha-key", 0, ""},
        {"beta-key", 0, ""},
        {NULL, 401, "key-required"},
        {"", 401, "invalid-key"},
        {"alpha-keY", 401, "invalid-key"},
        {"alpha-key ", 401, "invalid-key"},
        {"alpha-key, alpha-key", 401, "invalid-key"},
        {ALPHA_HASH, 401, "invalid-key"}, /* what stands in the file is no key */
    };
    host_t *host = HOST(NULL);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sheaf_p_ref_t request = request_with(host, rows[i].key);
        sheaf_p_ref_t item = item_with(host, request, "/users/7", rows[i].key);
        sheaf_p_verdict_t want = rows[i].status == 0 ? SHEAF_P_PASS : SHEAF_P_ANSWER;

        assert_int_equal(host_ask_request(request), want);
        assert_int_equal(host_ask_item(item), want);
        assert_int_equal(host_outcome(request).status, rows[i].status);
        assert_int_equal(host_outcome(item).status, rows[i].status);
        if (rows[i].status != 0) {
            assert_string_equal(host_outcome(request).slug, rows[i].slug);
            assert_string_equal(host_outcome(item).slug, rows[i].slug);
            assert_string_equal(host_field(item, SHEAF_P_RESULT, "www-authenticate"), "ApiKey realm=\"sheaf\"");
            assert_string_equal(host_field(request, SHEAF_P_REPLY, "www-authenticate"), "ApiKey realm=\"sheaf\"");
        }
        host_done(request);
    }
    assert_string_equal(host_logged(host), "");
    host_free(host);
}

static void an_item_has_the_identity_of_its_own_key_as_a_whole(void **state)
{
    host_t *host = HOST(NULL);
    sheaf_p_ref_t request = request_with(host, "alpha-key"), item;

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(request, "consumer"), "alpha");
    assert_string_equal(host_attribute_of(request, "plan"), "gold");
    item = item_with(host, request, "/users/7", "beta-key");
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(item, "consumer"), "beta");
    assert_string_equal(host_attribute_of(item, "team"), "b");
    assert_string_equal(host_attribute_of(item, "plan"), ""); /* alpha's alone */
    assert_string_equal(host_field(item, SHEAF_P_QUESTION, "x-api-key"), "");
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER); /* its key is gone: not alpha by that */

    item = item_with(host, request, "/users/7", "alpha-key"); /* inherited */
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(item, "consumer"), "alpha");

    assert_int_equal(host_ask_item(item_with(host, request, "/users/7", "wrong")), SHEAF_P_ANSWER);
    item = item_with(host, request, "/users/7", "alpha-key");
    host_header(item, SHEAF_P_QUESTION, "X-Api-Key", "beta-key");
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    host_free(host);
}

static void a_key_is_for_its_routes(void **state)
{
    host_t *host = HOST(NULL);
    sheaf_p_ref_t request = request_with(host, "gamma-key");
    sheaf_p_ref_t item = item_with(host, request, "/users/7", "gamma-key");

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, 403);
    assert_string_equal(host_attribute_of(item, "consumer"), "gamma"); /* the request's */
    item = item_with(host, request, "/orders/1", "gamma-key");
    host_fact(item, SHEAF_P_ROUTE, "/orders/{id}");
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_int_equal(host_counted(host, "forbidden"), 1);
    host_free(host);
}

static const char *text_of(sheaf_p_ref_t ref, sheaf_p_text_t what)
{
    static char text[256];
    sheaf_p_str_t got;

    host_api()->text(ref, what, &got);
    snprintf(text, sizeof(text), "%.*s", (int)got.len, got.base);
    return text;
}

static void a_query_may_have_the_key(void **state)
{
    host_t *host = HOST("query", "key", "forward", "true");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch?a=b&key=alpha%2dkey"), item;

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(request, "consumer"), "alpha");
    item = item_with(host, request, "/users/7?key=beta-key&monkey=1", NULL);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(item, "consumer"), "beta");
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7?key=wrong", NULL)), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7?key=", NULL)), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7?key=beta-key&key=alpha-key", NULL)),
                     SHEAF_P_ANSWER);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7?key=beta-key%", NULL)), SHEAF_P_ANSWER);
    item = item_with(host, request, "/users/7?monkey=x", NULL); /* as its request */
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(host_attribute_of(item, "consumer"), "alpha");
    host_free(host);
}

static void a_key_in_the_url_is_taken_out_of_it(void **state)
{
    host_t *host = HOST("query", "key");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch?key=alpha-key"), item, direct;

    item = item_with(host, request, "/users/7?a=1&key=beta-key&b", NULL);
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(text_of(item, SHEAF_P_TARGET), "/users/7?a=1&b");
    /* another instance would take the request's key for that of the item */
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, 401);
    item = item_with(host, request, "/users/7?a=1", NULL);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(text_of(item, SHEAF_P_TARGET), "/users/7?a=1");
    direct = host_direct(host, "GET", "/users/7?key=alpha-key", &item);
    assert_int_equal(host_ask_request(direct), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_PASS);
    assert_string_equal(text_of(item, SHEAF_P_TARGET), "/users/7");
    assert_string_equal(host_attribute_of(item, "consumer"), "alpha");
    host_free(host);
}

static void a_key_in_the_header_and_one_in_the_url_are_two(void **state)
{
    host_t *host = HOST("query", "key", "forward", "true");
    sheaf_p_ref_t request = host_request(host, "POST", "/batch?key=alpha-key"), both;

    assert_int_equal(host_ask_item(item_with(host, request, "/users/7?key=beta-key", "alpha-key")), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7?key=wrong", "alpha-key")), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7", "beta-key")), SHEAF_P_PASS); /* its own */
    both = request_with(host, "alpha-key");
    assert_int_equal(host_ask_request(both), SHEAF_P_PASS);
    both = host_request(host, "POST", "/batch?key=beta-key");
    host_header(both, SHEAF_P_CLIENT, "x-api-key", "alpha-key");
    assert_int_equal(host_ask_request(both), SHEAF_P_ANSWER);
    host_free(host);
}

static void who_has_no_key_may_pass_as_nobody(void **state)
{
    host_t *host = HOST("required", "false");
    sheaf_p_ref_t request = request_with(host, NULL);

    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7", NULL)), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7", "wrong")), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_request(request_with(host, "wrong")), SHEAF_P_ANSWER);
    host_free(host);

    host = HOST("anonymous_batch", "true", "forward", "true");
    request = request_with(host, NULL);
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7", NULL)), SHEAF_P_ANSWER);
    assert_int_equal(host_ask_item(item_with(host, request, "/users/7", "alpha-key")), SHEAF_P_PASS);
    host_free(host);
}

/* Else the request's identity would show through. */
static void an_item_without_room_for_its_identity_is_refused(void **state)
{
    host_t *host = HOST(NULL);
    sheaf_p_ref_t request = request_with(host, "alpha-key"), item = item_with(host, request, "/users/7", "beta-key");
    char name[16];

    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof(name), "full%d", i);
        host_attribute(item, name, "x");
    }
    assert_int_equal(host_ask_request(request), SHEAF_P_PASS);
    assert_int_equal(host_ask_item(item), SHEAF_P_ANSWER);
    assert_int_equal(host_outcome(item).status, 500);
    host_free(host);
}

static void a_configuration_that_cannot_hold_is_refused(void **state)
{
    static const struct {
        const char *key, *text, *want; /* its beginning */
    } rows[] = {
        {"keys", "\nalpha oops", "keys: line 2: a line is NAME"},
        {"header", "x api key", "header: it has letters"},
        {"query", "a&b", "query: it has letters"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        host_t *host = host_new(&sheaf_plugin_api_key);
        const char *why;

        host_set(host, "keys", FILE_OF_THREE);
        host_set(host, rows[i].key, rows[i].text);
        why = host_open(host);
        assert_non_null(why);
        assert_memory_equal(why, rows[i].want, strlen(rows[i].want));
        host_free(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_line_by_line),
        cmocka_unit_test(a_file_that_is_wrong_says_where),
        cmocka_unit_test(each_key_of_many_is_found),
        cmocka_unit_test(a_decision_is_the_same_for_a_request_and_an_item),
        cmocka_unit_test(an_item_has_the_identity_of_its_own_key_as_a_whole),
        cmocka_unit_test(a_key_is_for_its_routes),
        cmocka_unit_test(a_query_may_have_the_key),
        cmocka_unit_test(a_key_in_the_url_is_taken_out_of_it),
        cmocka_unit_test(a_key_in_the_header_and_one_in_the_url_are_two),
        cmocka_unit_test(who_has_no_key_may_pass_as_nobody),
        cmocka_unit_test(an_item_without_room_for_its_identity_is_refused),
        cmocka_unit_test(a_configuration_that_cannot_hold_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
