/* Which plugins this Sheaf can run: by the version of the ABI that they want, and the size of their constant. And what they are told
 * of numbers. */
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

#define SIZE_1_0 152

static sheaf_p_verdict_t pass(void *self, sheaf_p_ref_t ref)
{
    (void)self;
    (void)ref;
    return SHEAF_P_PASS;
}

/* What a later minor version may look like. */
typedef struct longer {
    sheaf_plugin_t now;
    void (*on_later)(void *self);
    uint64_t later;
} longer_t;

static longer_t shown;

static const sheaf_plugin_t *open_shown(const char *path, sheaf_fail_t *fail)
{
    (void)path;
    (void)fail;
    return &shown.now;
}

/* Can one of `size` bytes be had that can do with `minor`? */
static const sheaf_plugin_t *had(uint32_t size, uint16_t minor, sheaf_fail_t *fail)
{
    shown = (longer_t){.now = {.size = size,
                               .abi_major = SHEAF_P_ABI_MAJOR,
                               .abi_minor = minor,
                               .name = "shown",
                               .version = "1",
                               .manual = "It is here.",
                               .on_item = pass,
                               .traits = SHEAF_P_GUARDS_NOTHING},
                       .later = 7};
    sheaf_plugin_register(open_shown);
    return sheaf_plugin_of_file(SHEAF_STR("shown.so"), fail);
}

static void every_size_since_1_0_is_taken(void **state)
{
    const uint32_t sizes[] = {SIZE_1_0, sizeof(sheaf_plugin_t), sizeof(longer_t)};
    sheaf_fail_t fail;

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(sizes); i++) {
        const sheaf_plugin_t *plugin = had(sizes[i], 0, &fail);

        assert_non_null(plugin);
        assert_string_equal(plugin->name, "shown");
        assert_ptr_equal(plugin->on_item, pass);
        assert_int_equal(plugin->traits, SHEAF_P_GUARDS_NOTHING);
        assert_ptr_equal(had(sizes[i], 0, &fail), plugin); /* the same one, whenever it is asked for */
    }
}

static void one_that_ends_before_1_0_does_is_refused(void **state)
{
    sheaf_fail_t fail;

    (void)state;
    assert_null(had(SIZE_1_0 - 8, 0, &fail));
    assert_non_null(strstr(fail.detail, "its constant has 144 bytes, 152 are needed"));
}

static void one_that_needs_a_later_minor_is_refused(void **state)
{
    sheaf_fail_t fail;

    (void)state;
    assert_null(had(sizeof(longer_t), SHEAF_P_ABI_MINOR + 1, &fail));
    assert_non_null(strstr(fail.detail, "it needs version 1."));
}

static void one_with_a_key_that_is_ours_is_refused(void **state)
{
    const char *const ours[] = {"name", "use", "file", "everywhere"};
    sheaf_fail_t fail;

    (void)state;
    for (size_t i = 0; i < SHEAF_COUNT(ours); i++) {
        const sheaf_p_key_t own[] = {{.name = ours[i], .type = SHEAF_P_TEXT, .manual = "Ours."}, {.name = NULL}};
        char words[64];

        assert_non_null(had(SIZE_1_0, 0, &fail));
        shown.now.keys = own;
        assert_int_equal(sheaf_plugin_check(&shown.now, &fail), SHEAF_ERR_CONFIG);
        snprintf(words, sizeof(words), "its key `%s` is one of Sheaf's", ours[i]);
        assert_string_equal(fail.detail, words);
    }
}

/* As this Sheaf will be to those of today, so is the longer one to it. */
static void what_an_older_one_has_not_is_nothing(void **state)
{
    struct {
        sheaf_plugin_t plugin;
        char behind[sizeof(longer_t)];
    } old;
    sheaf_fail_t fail;
    longer_t wide;

    (void)state;
    assert_non_null(had(SIZE_1_0, 0, &fail));
    memset(&old, 0x5a, sizeof(old)); /* what lies behind it is not its own */
    memcpy(&old.plugin, &shown.now, SIZE_1_0);
    sheaf_plugin_widen(&old.plugin, &wide, sizeof(wide));
    assert_ptr_equal(wide.now.on_item, pass);
    assert_null(wide.on_later);
    assert_int_equal(wide.later, 0);
    assert_non_null(had(sizeof(longer_t), 0, &fail));
    sheaf_plugin_widen(&shown.now, &wide.now, sizeof(wide.now));
    assert_int_equal(wide.now.size, sizeof(longer_t));
    assert_null(wide.on_later);
}

/* --- numbers --- */

static const sheaf_p_key_t keys[] = {
    {.name = "offset", .type = SHEAF_P_NUMBER, .preset = "-3", .min = -10, .max = 10, .manual = "An offset."},
    {.name = "depth", .type = SHEAF_P_NUMBER, .preset = "-1", .min = -5, .max = 0, .manual = "A depth."},
    {.name = "any", .type = SHEAF_P_NUMBER, .preset = "1", .manual = "Any number."},
    {.name = NULL},
};
static int64_t told[3];

static int take_told(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    (void)fail;
    for (size_t i = 0; i < SHEAF_COUNT(told); i++)
        told[i] = values[i].number;
    return 0;
}

static const sheaf_plugin_t counting = {.size = sizeof(sheaf_plugin_t),
                                        .abi_major = SHEAF_P_ABI_MAJOR,
                                        .name = "counting",
                                        .version = "1",
                                        .manual = "It is here.",
                                        .keys = keys,
                                        .check = take_told};

static const sheaf_plugin_t *open_counting(const char *path, sheaf_fail_t *fail)
{
    (void)path;
    (void)fail;
    return &counting;
}

/* The first line that is reported; "" when it loads. */
static const char *said(const char *written)
{
    static char line[256];
    char text[1024], *report;
    sheaf_snapshot_t *snapshot;

    sheaf_plugin_register(open_counting);
    snprintf(text, sizeof(text), "listen: [{address: \"127.0.0.1:0\"}]\nplugins: [{file: counting.so%s}]\n", written);
    snapshot = sheaf_snapshot_load("t", sheaf_str_of(text), &report);
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(report, "\n"), report);
    free(report);
    if (snapshot != NULL)
        sheaf_snapshot_drop(snapshot);
    return line;
}

static void a_number_is_below_0_where_its_key_says_so(void **state)
{
    (void)state;
    assert_string_equal(said(""), "");
    assert_int_equal(told[0], -3);
    assert_int_equal(told[1], -1);
    assert_string_equal(said(", offset: -10, depth: -5"), "");
    assert_int_equal(told[0], -10);
    assert_int_equal(told[1], -5);
    assert_string_equal(said(", offset: 10, depth: 0"), "");
    assert_int_equal(told[0], 10);
    assert_int_equal(told[1], 0);
}

static void its_bounds_hold_on_both_sides_of_0(void **state)
{
    (void)state;
    assert_non_null(strstr(said(", offset: -11"), "`offset` must be between -10 and 10, not -11"));
    assert_non_null(strstr(said(", offset: 11"), "`offset` must be between -10 and 10, not 11"));
    assert_non_null(strstr(said(", depth: 1"), "`depth` must be between -5 and 0, not 1"));
    assert_non_null(strstr(said(", offset: --1"), "`--1` is no whole number"));
    assert_non_null(strstr(said(", offset: -9223372036854775808"), "is no whole number"));
    assert_non_null(strstr(said(", any: -1"), "`-1` is no whole number"));
}

static void one_without_a_bound_is_never_told_as_a_negative_one(void **state)
{
    (void)state;
    assert_string_equal(said(", any: 18446744073709551615"), "");
    assert_true(told[2] == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_since_1_0_is_taken),
        cmocka_unit_test(one_that_ends_before_1_0_does_is_refused),
        cmocka_unit_test(one_that_needs_a_later_minor_is_refused),
        cmocka_unit_test(one_with_a_key_that_is_ours_is_refused),
        cmocka_unit_test(what_an_older_one_has_not_is_nothing),
        cmocka_unit_test(a_number_is_below_0_where_its_key_says_so),
        cmocka_unit_test(its_bounds_hold_on_both_sides_of_0),
        cmocka_unit_test(one_without_a_bound_is_never_told_as_a_negative_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
