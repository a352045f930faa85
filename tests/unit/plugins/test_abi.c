/* Version 1.0 of the ABI, frozen: every place, size and value that a plugin built with it relies on. Nothing here is ever
 * changed. What a later minor version appends comes behind it: sizes of structs that a plugin fills may then grow, and
 * their lines become "at least". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plugins/sheaf_plugin.h"

#define SIZE(type, bytes)           assert_int_equal(sizeof(type), bytes)
#define PLACE(type, member, offset) assert_int_equal(offsetof(type, member), offset)
#define VALUE(name, value)          assert_int_equal(name, value)

/* --- structs, on machines with 64-bit pointers, which are those that Sheaf runs on --- */

static void texts_and_handles_are_laid_out_as_in_1_0(void **state)
{
    (void)state;
    SIZE(sheaf_p_str_t, 16);
    PLACE(sheaf_p_str_t, base, 0);
    PLACE(sheaf_p_str_t, len, 8);
    SIZE(sheaf_p_ref_t, 8);
    PLACE(sheaf_p_ref_t, value, 0);
    SIZE(sheaf_p_timer_t, 8);
    PLACE(sheaf_p_timer_t, value, 0);
    SIZE(sheaf_p_watch_t, 8);
    PLACE(sheaf_p_watch_t, value, 0);
    SIZE(sheaf_p_call_t, 8);
    PLACE(sheaf_p_call_t, value, 0);
}

static void keys_and_values_are_laid_out_as_in_1_0(void **state)
{
    (void)state;
    SIZE(sheaf_p_key_t, 64);
    PLACE(sheaf_p_key_t, name, 0);
    PLACE(sheaf_p_key_t, type, 8);
    PLACE(sheaf_p_key_t, required, 12);
    PLACE(sheaf_p_key_t, preset, 16);
    PLACE(sheaf_p_key_t, min, 24);
    PLACE(sheaf_p_key_t, max, 32);
    PLACE(sheaf_p_key_t, words, 40);
    PLACE(sheaf_p_key_t, manual, 48);
    PLACE(sheaf_p_key_t, keys, 56);
    SIZE(sheaf_p_network_t, 20);
    PLACE(sheaf_p_network_t, address, 0);
    PLACE(sheaf_p_network_t, bits, 16);
    SIZE(sheaf_p_value_t, 72);
    PLACE(sheaf_p_value_t, is_set, 0);
    PLACE(sheaf_p_value_t, count, 4);
    PLACE(sheaf_p_value_t, number, 8);
    PLACE(sheaf_p_value_t, text, 16);
    PLACE(sheaf_p_value_t, path, 32);
    PLACE(sheaf_p_value_t, texts, 48);
    PLACE(sheaf_p_value_t, networks, 56);
    PLACE(sheaf_p_value_t, sections, 64);
}

static void a_request_to_an_upstream_is_laid_out_as_in_1_0(void **state)
{
    (void)state;
    SIZE(sheaf_p_field_t, 32);
    PLACE(sheaf_p_field_t, name, 0);
    PLACE(sheaf_p_field_t, value, 16);
    SIZE(sheaf_p_request_t, 112);
    PLACE(sheaf_p_request_t, size, 0);
    PLACE(sheaf_p_request_t, field_count, 4);
    PLACE(sheaf_p_request_t, upstream, 8);
    PLACE(sheaf_p_request_t, method, 16);
    PLACE(sheaf_p_request_t, target, 32);
    PLACE(sheaf_p_request_t, fields, 48);
    PLACE(sheaf_p_request_t, body, 56);
    PLACE(sheaf_p_request_t, timeout_ms, 72);
    PLACE(sheaf_p_request_t, max_bytes, 80);
    PLACE(sheaf_p_request_t, data, 88);
    PLACE(sheaf_p_request_t, on_answer, 96);
    PLACE(sheaf_p_request_t, like, 104);
}

static void the_api_is_laid_out_as_in_1_0(void **state)
{
    (void)state;
    SIZE(sheaf_p_api_t, 256);
    PLACE(sheaf_p_api_t, size, 0);
    PLACE(sheaf_p_api_t, major, 4);
    PLACE(sheaf_p_api_t, minor, 6);
    PLACE(sheaf_p_api_t, header, 8);
    PLACE(sheaf_p_api_t, header_at, 16);
    PLACE(sheaf_p_api_t, header_set, 24);
    PLACE(sheaf_p_api_t, header_add, 32);
    PLACE(sheaf_p_api_t, header_remove, 40);
    PLACE(sheaf_p_api_t, text, 48);
    PLACE(sheaf_p_api_t, number, 56);
    PLACE(sheaf_p_api_t, client_address, 64);
    PLACE(sheaf_p_api_t, body, 72);
    PLACE(sheaf_p_api_t, body_set, 80);
    PLACE(sheaf_p_api_t, keep_body, 88);
    PLACE(sheaf_p_api_t, query_remove, 96);
    PLACE(sheaf_p_api_t, request_of, 104);
    PLACE(sheaf_p_api_t, set, 112);
    PLACE(sheaf_p_api_t, get, 120);
    PLACE(sheaf_p_api_t, expand, 128);
    PLACE(sheaf_p_api_t, answer, 136);
    PLACE(sheaf_p_api_t, problem, 144);
    PLACE(sheaf_p_api_t, resume, 152);
    PLACE(sheaf_p_api_t, now_ms, 160);
    PLACE(sheaf_p_api_t, wall_s, 168);
    PLACE(sheaf_p_api_t, timer_start, 176);
    PLACE(sheaf_p_api_t, timer_stop, 184);
    PLACE(sheaf_p_api_t, watch, 192);
    PLACE(sheaf_p_api_t, watch_change, 200);
    PLACE(sheaf_p_api_t, watch_stop, 208);
    PLACE(sheaf_p_api_t, call, 216);
    PLACE(sheaf_p_api_t, call_cancel, 224);
    PLACE(sheaf_p_api_t, count, 232);
    PLACE(sheaf_p_api_t, log, 240);
    PLACE(sheaf_p_api_t, random, 248);
}

static void a_plugin_is_laid_out_as_in_1_0(void **state)
{
    (void)state;
    SIZE(sheaf_p_open_t, 48);
    PLACE(sheaf_p_open_t, size, 0);
    PLACE(sheaf_p_open_t, worker_number, 4);
    PLACE(sheaf_p_open_t, api, 8);
    PLACE(sheaf_p_open_t, worker, 16);
    PLACE(sheaf_p_open_t, values, 24);
    PLACE(sheaf_p_open_t, shared, 32);
    PLACE(sheaf_p_open_t, shared_bytes, 40);
    SIZE(sheaf_p_counter_t, 16);
    PLACE(sheaf_p_counter_t, name, 0);
    PLACE(sheaf_p_counter_t, manual, 8);
    SIZE(sheaf_p_fail_t, 256);
    PLACE(sheaf_p_fail_t, key, 0);
    PLACE(sheaf_p_fail_t, why, 64);
    SIZE(sheaf_plugin_t, 152);
    PLACE(sheaf_plugin_t, size, 0);
    PLACE(sheaf_plugin_t, abi_major, 4);
    PLACE(sheaf_plugin_t, abi_minor, 6);
    PLACE(sheaf_plugin_t, name, 8);
    PLACE(sheaf_plugin_t, version, 16);
    PLACE(sheaf_plugin_t, manual, 24);
    PLACE(sheaf_plugin_t, keys, 32);
    PLACE(sheaf_plugin_t, counters, 40);
    PLACE(sheaf_plugin_t, check, 48);
    PLACE(sheaf_plugin_t, shared_bytes, 56);
    PLACE(sheaf_plugin_t, open, 64);
    PLACE(sheaf_plugin_t, close, 72);
    PLACE(sheaf_plugin_t, on_request, 80);
    PLACE(sheaf_plugin_t, on_batch, 88);
    PLACE(sheaf_plugin_t, on_item, 96);
    PLACE(sheaf_plugin_t, on_result, 104);
    PLACE(sheaf_plugin_t, on_body, 112);
    PLACE(sheaf_plugin_t, on_done, 120);
    PLACE(sheaf_plugin_t, on_reopen, 128);
    PLACE(sheaf_plugin_t, traits, 136);
    PLACE(sheaf_plugin_t, lets_pass, 144);
}

/* --- values --- */

static void every_value_is_that_of_1_0(void **state)
{
    (void)state;
    VALUE(SHEAF_P_ABI_MAJOR, 1);
    VALUE(SHEAF_P_TEXT, 0);
    VALUE(SHEAF_P_BOOL, 1);
    VALUE(SHEAF_P_NUMBER, 2);
    VALUE(SHEAF_P_DURATION, 3);
    VALUE(SHEAF_P_SIZE, 4);
    VALUE(SHEAF_P_WORD, 5);
    VALUE(SHEAF_P_TEXTS, 6);
    VALUE(SHEAF_P_FILE, 7);
    VALUE(SHEAF_P_NETWORKS, 8);
    VALUE(SHEAF_P_UPSTREAM, 9);
    VALUE(SHEAF_P_TEMPLATE, 10);
    VALUE(SHEAF_P_FIELDS, 11);
    VALUE(SHEAF_P_LIST, 12);
    VALUE(SHEAF_P_SECTION, 13);
    VALUE(SHEAF_P_CLIENT, 0);
    VALUE(SHEAF_P_QUESTION, 1);
    VALUE(SHEAF_P_RESULT, 2);
    VALUE(SHEAF_P_REPLY, 3);
    VALUE(SHEAF_P_REQUEST_ID, 0);
    VALUE(SHEAF_P_METHOD, 1);
    VALUE(SHEAF_P_PATH, 2);
    VALUE(SHEAF_P_QUERY, 3);
    VALUE(SHEAF_P_TARGET, 4);
    VALUE(SHEAF_P_ROUTE, 5);
    VALUE(SHEAF_P_UPSTREAM_NAME, 6);
    VALUE(SHEAF_P_ENDPOINT, 7);
    VALUE(SHEAF_P_ITEM_ID, 8);
    VALUE(SHEAF_P_CLIENT_IP, 9);
    VALUE(SHEAF_P_PEER_IP, 10);
    VALUE(SHEAF_P_SCHEME, 11);
    VALUE(SHEAF_P_HOST, 12);
    VALUE(SHEAF_P_ERROR, 13);
    VALUE(SHEAF_P_CERTIFICATE, 14);
    VALUE(SHEAF_P_STATUS, 0);
    VALUE(SHEAF_P_ITEMS, 1);
    VALUE(SHEAF_P_INDEX, 2);
    VALUE(SHEAF_P_IS_DIRECT, 3);
    VALUE(SHEAF_P_ELAPSED_US, 4);
    VALUE(SHEAF_P_BYTES_IN, 5);
    VALUE(SHEAF_P_BYTES_OUT, 6);
    VALUE(SHEAF_P_HTTP_VERSION, 7);
    VALUE(SHEAF_P_BODY_BYTES, 8);
    VALUE(SHEAF_P_UPSTREAM_ID, 9);
    VALUE(SHEAF_P_LEFT_MS, 10);
    VALUE(SHEAF_P_PASS, 0);
    VALUE(SHEAF_P_ANSWER, 1);
    VALUE(SHEAF_P_LATER, 2);
    VALUE(SHEAF_P_DEBUG, 0);
    VALUE(SHEAF_P_INFO, 1);
    VALUE(SHEAF_P_WARN, 2);
    VALUE(SHEAF_P_ERROR_LEVEL, 3);
    VALUE(SHEAF_P_READABLE, 1);
    VALUE(SHEAF_P_WRITABLE, 2);
    VALUE(SHEAF_P_GUARDS_NOTHING, 1);
    VALUE(SHEAF_P_REPLAYS, 2);
    VALUE(SHEAF_P_HEEDS_ANSWERS, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_handles_are_laid_out_as_in_1_0),
        cmocka_unit_test(keys_and_values_are_laid_out_as_in_1_0),
        cmocka_unit_test(a_request_to_an_upstream_is_laid_out_as_in_1_0),
        cmocka_unit_test(the_api_is_laid_out_as_in_1_0),
        cmocka_unit_test(a_plugin_is_laid_out_as_in_1_0),
        cmocka_unit_test(every_value_is_that_of_1_0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
