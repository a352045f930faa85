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

static const sheaf_p_key_t lax_keys[] = {
    {.name = "open", .type = SHEAF_P_BOOL, .preset = "true", .manual = "Whether anybody passes."},
    {.name = NULL},
};

static const char *lets_pass(const sheaf_p_value_t *values)
{
    return values[0].number != 0 ? "everybody (`open: true`)" : NULL;
}

#define HEAD .size = sizeof(sheaf_plugin_t), .abi_major = SHEAF_P_ABI_MAJOR, .version = "1", .manual = "It is here."

static const sheaf_plugin_t plugins[] = {
    {HEAD, .name = "whole", .on_request = pass},
    {HEAD, .name = "sums", .on_batch = pass},
    {HEAD, .name = "guard", .on_request = pass, .on_item = pass},
    {HEAD, .name = "lax", .keys = lax_keys, .on_request = pass, .on_item = pass, .lets_pass = lets_pass},
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
    assert_string_equal(said("{file: whole}", "{file: sums}", "", ", expose: [batch]"), "");
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

static void one_that_lets_pass_whom_it_is_there_to_stop_cannot_be_required(void **state)
{
    const char *strict = "{file: lax, open: false}", *require = ", require: [lax]";

    (void)state;
    assert_says(said("{file: lax}", "", "", require),
                "error: `lax` is required, but as it is configured it lets pass everybody (`open: true`)");
    assert_says(said("", "", "{file: lax}", require), "it lets pass everybody");
    assert_string_equal(said("{file: lax}", "", "", ""), "");
    assert_string_equal(said(strict, "", "", require), "");
    assert_string_equal(said("{file: lax, name: soft}", "", strict, require), "");
    assert_string_equal(said(strict, "", "{file: lax, name: soft}", require), "");
    assert_says(said(strict, "", "{file: lax, name: soft}", ", require: [soft]"), "it lets pass everybody");
}

static void a_guard_of_an_endpoint_alone_is_told_of(void **state)
{
    const char *guard = "{file: guard}", *shared = "{file: guard, everywhere: false}";

    (void)state;
    assert_says(said("", guard, "", ""), "t:6:38: warning: direct requests for `/a` get past `guard`");
    assert_string_equal(said("", "{file: harmless}, {file: store}", "", ""), "");
    assert_string_equal(said("", guard, "", ", expose: [batch]"), "");
    assert_string_equal(said("", guard, "", ", expose: [direct]"), "");
    assert_string_equal(said("", guard, guard, ""), "");
    assert_string_equal(said(guard, guard, "", ""), "");
    assert_string_equal(said(shared, "guard", "guard", ""), "");
    assert_says(said(shared, "guard", "", ""), "t:6:38: warning: direct requests for `/a` get past `guard`");
}

static void and_one_that_is_stricter_there_than_elsewhere(void **state)
{
    const char *strict = "{file: lax, open: false}";

    (void)state;
    assert_says(said("{file: lax}", strict, "", ""), "get past `lax@2`");
    assert_says(said("", strict, "{file: lax}", ""), "direct requests for `/a` get past");
    assert_string_equal(said(strict, "{file: lax}", "", ""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_hears_of_requests_only_guards_no_route_that_takes_items),
        cmocka_unit_test(a_guard_on_a_route_is_not_asked_behind_what_answers_for_others),
        cmocka_unit_test(nor_is_one_of_the_same_list_or_of_an_endpoint),
        cmocka_unit_test(one_that_stands_further_up_as_well_is_asked_there),
        cmocka_unit_test(what_goes_by_answers_sees_what_they_say),
        cmocka_unit_test(one_that_lets_pass_whom_it_is_there_to_stop_cannot_be_required),
        cmocka_unit_test(a_guard_of_an_endpoint_alone_is_told_of),
        cmocka_unit_test(and_one_that_is_stricter_there_than_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
