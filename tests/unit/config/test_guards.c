/* Plugins that could not keep what a route relies on them for are refused when the configuration is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/plugin.h"
#include "config/snapshot.h"

static sheaf_p_verdict_t pass(void *self, sheaf_p_ref_t ref)
{
    (void)self;
    (void)ref;
    return SHEAF_P_PASS;
}

#define HEAD .size = sizeof(sheaf_plugin_t), .abi_major = SHEAF_P_ABI_MAJOR, .version = "1", .manual = "It is here."

static const sheaf_plugin_t plugins[] = {
    {HEAD, .name = "whole", .on_request = pass},
    {HEAD, .name = "sums", .on_batch = pass},
    {HEAD, .name = "guard", .on_request = pass, .on_item = pass},
    {HEAD, .name = "harmless", .on_request = pass, .traits = SHEAF_P_GUARDS_NOTHING},
    {HEAD, .name = "writer", .on_item = pass, .traits = SHEAF_P_GUARDS_NOTHING},
    {HEAD, .name = "store", .on_item = pass, .traits = SHEAF_P_GUARDS_NOTHING | SHEAF_P_REPLAYS},
    {HEAD, .name = "reader", .on_item = pass, .traits = SHEAF_P_GUARDS_NOTHING | SHEAF_P_HEEDS_ANSWERS},
};

/* Files are called like the plugins in them. */
static const sheaf_plugin_t *open_fake(const char *path, sheaf_fail_t *fail)
{
    for (size_t i = 0; i < SHEAF_COUNT(plugins); i++)
        if (strcmp(plugins[i].name, path) == 0)
            return &plugins[i];
    sheaf_fail(fail, SHEAF_ERR_CONFIG, "there is none");
    return NULL;
}

/* The first line that is reported; "" when it loads. Lists are the plugins of each place. */
static const char *said(const char *top, const char *endpoint, const char *route, const char *keys)
{
    static char line[512];
    char text[4096], *report;
    sheaf_snapshot_t *snapshot;

    snprintf(text, sizeof(text),
             "listen: [{address: \"127.0.0.1:0\"}]\nupstreams: {a: {servers: [\"http://10.0.0.1\"]}}\n"
             "plugins: [%s]\nroutes:\n  - {match: /a, upstream: a, plugins: [%s]%s}\n"
             "endpoints: [{path: /batch, plugins: [%s]}]\n",
             top, route, keys, endpoint);
    sheaf_plugin_register(open_fake);
    snapshot = sheaf_snapshot_load("t", sheaf_str_of(text), &report);
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(report, "\n"), report);
    assert_true((snapshot == NULL) == (strstr(report, "error") != NULL));
    free(report);
    if (snapshot != NULL)
        sheaf_snapshot_drop(snapshot);
    return line;
}

static void assert_says(const char *line, const char *words)
{
    if (strstr(line, words) == NULL)
        fail_msg("`%s` is not in `%s`", words, line);
}

static void what_hears_of_requests_only_guards_no_route_that_takes_items(void **state)
{
    (void)state;
    assert_says(said("", "", "{file: whole}", ""), "items of batches would get past `whole`");
    assert_says(said("", "", "{file: sums}", ""), "items of batches would get past `sums`");
    assert_string_equal(said("", "", "{file: whole}", ", expose: [direct]"), "");
    assert_string_equal(said("", "", "{file: guard}, {file: harmless}", ""), "");
    assert_string_equal(said("{file: whole}", "{file: sums}", "", ""), "");
    assert_says(said("{file: whole}", "", "", ", require: [whole]"), "get past `whole`, which is required");
    assert_string_equal(said("{file: guard}", "", "", ", require: [guard]"), "");
    assert_string_equal(said("{file: whole}", "", "", ", require: [whole], expose: [direct]"), "");
}

static void a_guard_on_a_route_is_not_asked_behind_what_answers_for_others(void **state)
{
    (void)state;
    assert_says(said("{file: store}", "", "{file: guard}", ""), "`guard` is asked behind `store`");
    assert_says(said("", "{file: store}", "{file: guard}", ""), "`guard` is asked behind `store`");
    assert_says(said("{file: store}", "", "{file: guard}", ", expose: [direct]"), "`guard` is asked behind `store`");
    assert_string_equal(said("", "{file: store}", "{file: guard}", ", expose: [direct]"), "");
    assert_string_equal(said("", "", "{file: guard}, {file: store}", ""), "");
    assert_string_equal(said("{file: store}", "", "{file: writer}, {file: store, name: other}", ""), "");
}

static void nor_is_one_of_the_same_list_or_of_an_endpoint(void **state)
{
    (void)state;
    assert_says(said("", "", "{file: store}, {file: guard}", ""), "t:5:55: error: `guard` is asked behind `store`");
    assert_says(said("{file: store}, {file: guard}", "", "", ""), "t:3:26: error: `guard` is asked behind `store`");
    assert_says(said("{file: store}", "{file: guard}", "", ""), "`guard` is asked behind `store`");
    assert_string_equal(said("{file: guard}, {file: store}", "", "", ""), "");
}

static void one_that_stands_further_up_as_well_is_asked_there(void **state)
{
    const char *both = "{file: guard, everywhere: false}, {file: store, everywhere: false}";

    (void)state;
    assert_string_equal(said(both, "guard, store", "guard", ""), "");
    assert_says(said(both, "store", "guard", ""), "`guard` is asked behind `store`");
}

static void what_goes_by_answers_sees_what_they_say(void **state)
{
    const char *without = ", response_headers: {deny: [x-a, vary]}", *few = ", response_headers: {allow: [vary, x-*]}";
    const char *enough = ", response_headers: {allow: [vary, cache-*]}";

    (void)state;
    assert_says(said("", "", "{file: reader}", without), "t:5:75: error: `reader` goes by `vary` of answers");
    assert_says(said("{file: reader}", "", "", without), "`reader` goes by `vary`");
    assert_says(said("", "{file: reader}", "", few), "`reader` goes by `cache-control`");
    assert_string_equal(said("", "{file: reader}", "", ", response_headers: {deny: [vary]}, expose: [direct]"), "");
    assert_string_equal(said("{file: reader}", "", "", enough), "");
    assert_string_equal(said("{file: store}", "", "", without), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_hears_of_requests_only_guards_no_route_that_takes_items),
        cmocka_unit_test(a_guard_on_a_route_is_not_asked_behind_what_answers_for_others),
        cmocka_unit_test(nor_is_one_of_the_same_list_or_of_an_endpoint),
        cmocka_unit_test(one_that_stands_further_up_as_well_is_asked_there),
        cmocka_unit_test(what_goes_by_answers_sees_what_they_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
