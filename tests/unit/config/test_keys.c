#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <jansson.h>

#include "config/snapshot.h"
#include "config/table.h"

static char *printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    print(file);
    fclose(file);
    return text;
}

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);

    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static void the_committed_schema_is_what_sheaf_schema_prints(void **state)
{
    char *schema = printed(sheaf_schema_print), *committed = read_all("config/sheaf.schema.json");

    (void)state;
    assert_string_equal(schema, committed);
    free(schema);
    free(committed);
}

static void check_schema_of(const json_t *object, const sheaf_section_t *section)
{
    const json_t *properties = json_object_get(object, "properties");

    assert_true(json_is_false(json_object_get(object, "additionalProperties")));
    assert_int_equal(json_object_size(properties), section->key_count);
    for (uint32_t i = 0; i < section->key_count; i++) {
        const sheaf_key_t *key = &section->keys[i];
        const json_t *property = json_object_get(properties, key->name.base);

        assert_non_null(property);
        assert_string_equal(json_string_value(json_object_get(property, "description")), key->manual);
        assert_int_equal(json_object_get(property, "default") != NULL, key->fallback != NULL);
    }
}

static void check_definitions(const json_t *defs, const sheaf_section_t *section)
{
    for (uint32_t i = 0; i < section->key_count; i++) {
        const sheaf_section_t *inner = section->keys[i].section != NULL ? section->keys[i].section() : NULL;

        if (inner == NULL)
            continue;
        check_schema_of(json_object_get(defs, inner->name), inner);
        check_definitions(defs, inner);
    }
}

static void the_schema_is_json_and_knows_every_key(void **state)
{
    char *schema = printed(sheaf_schema_print);
    json_t *root = json_loads(schema, JSON_REJECT_DUPLICATES, NULL);

    (void)state;
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    check_schema_of(root, sheaf_section_root());
    check_definitions(json_object_get(root, "$defs"), sheaf_section_root());
    json_decref(root);
    free(schema);
}

static void the_schema_takes_the_servers_that_the_configuration_takes(void **state)
{
    static const char *const good[] = {"http://a", "https://a", "https://[::1]:8443", "unix:/run/a.sock",
                                       "http://unix:/run/a.sock"};
    static const char *const bad[] = {"htps://a", "a:80", "https://a/v1", "https://u@a"};
    char *schema = printed(sheaf_schema_print);
    json_t *root = json_loads(schema, 0, NULL);
    json_t *server = json_object_get(json_object_get(root, "$defs"), "server_url");
    regex_t pattern;

    (void)state;
    assert_int_equal(regcomp(&pattern, json_string_value(json_object_get(server, "pattern")), REG_EXTENDED), 0);
    for (size_t i = 0; i < SHEAF_COUNT(good); i++)
        assert_int_equal(regexec(&pattern, good[i], 0, NULL, 0), 0);
    for (size_t i = 0; i < SHEAF_COUNT(bad); i++)
        assert_int_equal(regexec(&pattern, bad[i], 0, NULL, 0), REG_NOMATCH);
    regfree(&pattern);
    json_decref(root);
    free(schema);
}

static void check_manual_of(const char *manual, const sheaf_section_t *section, const char *prefix)
{
    char line[256], inner[256];

    for (uint32_t i = 0; i < section->key_count; i++) {
        const sheaf_key_t *key = &section->keys[i];

        snprintf(line, sizeof(line), "\n%s%.*s  (", prefix, SHEAF_STR_ARG(key->name));
        if (strstr(manual, line) == NULL)
            fail_msg("the manual lacks %s", line);
        if (key->section == NULL)
            continue;
        snprintf(inner, sizeof(inner), "%s%.*s%s.", prefix, SHEAF_STR_ARG(key->name),
                 key->kind == SHEAF_KIND_OF_LIST  ? "[]"
                 : key->kind == SHEAF_KIND_OF_MAP ? ".NAME"
                                                  : "");
        check_manual_of(manual, key->section(), inner);
    }
}

static void the_manual_names_every_key_by_its_path(void **state)
{
    char *manual = printed(sheaf_keys_print);

    (void)state;
    check_manual_of(manual, sheaf_section_root(), "");
    assert_non_null(strstr(manual, "endpoints[].linger  (duration, 0 to 10s, default 20ms)\n"));
    assert_non_null(strstr(manual, "limits.memory  (size, 16MiB to 1024GiB, default 512MiB)\n"));
    assert_non_null(strstr(manual, "upstreams.NAME.adaptive.tolerance  (percentage, 101% to 10000%, default 200%)\n"));
    assert_non_null(strstr(manual, "upstreams.NAME.max_streams  (number, 1 to 1000, default 100)\n"));
    assert_non_null(strstr(manual, "log.format  (json or text, default json)\n"));
    assert_non_null(strstr(manual, "upstreams.NAME.servers  (list of values or sections, required)\n"));
    free(manual);
}

static void no_line_of_the_manuals_sentences_is_over_80_columns(void **state)
{
    char *manual = printed(sheaf_keys_print);
    sheaf_str_t rest = sheaf_str_of(manual);

    (void)state;
    while (rest.base != NULL) {
        sheaf_str_t line = sheaf_str_cut(&rest, '\n');

        if (sheaf_str_starts(line, SHEAF_STR("    ")))
            assert_true(line.len <= 80);
    }
    free(manual);
}

static void check_shipped(const char *path)
{
    char *report, *text = read_all(path);
    sheaf_snapshot_t *snapshot = sheaf_snapshot_load_file(path, &report);

    assert_string_equal(report, "");
    assert_non_null(snapshot);
    assert_non_null(strstr(text, "# yaml-language-server: $schema=sheaf.schema.json\n"));
    sheaf_snapshot_drop(snapshot);
    free(report);
    free(text);
}

static void the_shipped_files_load_and_point_to_the_schema(void **state)
{
    (void)state;
    check_shipped("config/sheaf.yaml");
    check_shipped("config/demo.yaml");
    check_shipped("config/production.yaml");
}

static void check_named(const char *text, const sheaf_section_t *section)
{
    char line[64];

    for (uint32_t i = 0; i < section->key_count; i++) {
        snprintf(line, sizeof(line), " %s: ", section->keys[i].name.base);
        if (strstr(text, line) == NULL)
            fail_msg("config/sheaf.yaml lacks%s", line);
        if (section->keys[i].section != NULL)
            check_named(text, section->keys[i].section());
    }
}

static void the_shipped_file_names_every_key(void **state)
{
    char *text = read_all("config/sheaf.yaml"), line[64];
    const sheaf_section_t *root = sheaf_section_root();

    (void)state;
    for (uint32_t i = 0; i < root->key_count; i++) {
        snprintf(line, sizeof(line), "\n# %s:", root->keys[i].name.base); /* or without the comment's sign */
        if (strstr(text, line) == NULL && (line[2] = '\n', strstr(text, line + 2)) == NULL)
            fail_msg("config/sheaf.yaml lacks %s", line + 3);
        if (root->keys[i].section != NULL)
            check_named(text, root->keys[i].section());
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_committed_schema_is_what_sheaf_schema_prints),
        cmocka_unit_test(the_schema_is_json_and_knows_every_key),
        cmocka_unit_test(the_schema_takes_the_servers_that_the_configuration_takes),
        cmocka_unit_test(the_manual_names_every_key_by_its_path),
        cmocka_unit_test(no_line_of_the_manuals_sentences_is_over_80_columns),
        cmocka_unit_test(the_shipped_files_load_and_point_to_the_schema),
        cmocka_unit_test(the_shipped_file_names_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
