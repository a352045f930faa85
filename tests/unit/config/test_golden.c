/* Every folder of tests/golden/config: in.yaml gives `error` (the whole report) or loads and gives `want` (warnings,
 * then every value). SHEAF_GOLDEN_WRITE=1 writes the answers of cases that have none. */
#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/snapshot.h"
#include "config/table.h"
#include "gateway/http/stencil.h"

#define FOLDER "tests/golden/config"

static char *read_all(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);

    if (file == NULL) {
        free(text);
        return NULL;
    }
    *ret_len = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return text;
}

/* --- all values, by the tables --- */

static void dump_section(FILE *out, const sheaf_section_t *section, const char *conf, int depth);

static void dump_server(FILE *out, const sheaf_server_url_t *url)
{
    fprintf(out, " %.*s|%u|%.*s%s%s", SHEAF_STR_ARG(url->host), url->port, SHEAF_STR_ARG(url->authority),
            url->is_unix ? "|unix" : "", url->is_tls ? "|tls" : "");
}

static void dump_hash(FILE *out, const sheaf_hash_by_t *hash)
{
    static const char *const words[] = {"path", "id", "header "};

    fprintf(out, " %s%.*s", words[hash->what], SHEAF_STR_ARG(hash->header));
}

static void dump_late(FILE *out, const sheaf_late_t *late)
{
    if (late->per_mille != 0)
        fprintf(out, " p%u.%u", late->per_mille / 10, late->per_mille % 10);
    else
        fprintf(out, " %" PRIu64 "ms", late->after_ms);
}

static void dump_cidrs(FILE *out, const sheaf_cidrs_t *cidrs)
{
    for (uint32_t i = 0; i < cidrs->count; i++) {
        fputc(' ', out);
        for (int byte = 0; byte < 16; byte++)
            fprintf(out, "%02x", cidrs->items[i].bytes[byte]);
        fprintf(out, "/%u", cidrs->items[i].bits);
    }
}

/* Holes in angle brackets with their place; references in square ones. */
static void dump_stencil(FILE *out, const sheaf_stencil_t *stencil)
{
    static const char *const places[] = {"text", "path", "query", "value", "string"};

    fputs(stencil != NULL && stencil->is_scanned ? " scanned " : " ", out);
    for (uint32_t i = 0; stencil != NULL && i < stencil->count; i++) {
        const sheaf_hole_t *hole = stencil->pieces[i].hole;

        fprintf(out, "%.*s", SHEAF_STR_ARG(stencil->pieces[i].text));
        if (hole != NULL)
            fprintf(out, hole->is_reference ? "[%s %.*s]" : "<%s %.*s>", places[hole->place],
                    SHEAF_STR_ARG(hole->text));
    }
}

static void dump_fields(FILE *out, const sheaf_fields_t *fields)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        fprintf(out, " %.*s:", SHEAF_STR_ARG(fields->items[i].name));
        dump_stencil(out, fields->items[i].value);
    }
}

static void dump_statuses(FILE *out, const sheaf_statuses_t *statuses)
{
    for (uint32_t i = 0; i < statuses->count; i++)
        fprintf(out, " %u", statuses->items[i]);
}

static void dump_edges(FILE *out, const sheaf_edges_t *edges)
{
    for (uint32_t i = 0; i < edges->count; i++) {
        fprintf(out, " %.*s", SHEAF_STR_ARG(edges->items[i].id));
        for (uint32_t k = 0; k < edges->items[i].status_count; k++)
            fprintf(out, "/%u", edges->items[i].statuses[k]);
    }
}

static void dump_plugins(FILE *out, const sheaf_plugins_t *plugins)
{
    for (uint32_t i = 0; i < plugins->count; i++)
        fprintf(out, " %.*s=%s#%u", SHEAF_STR_ARG(plugins->items[i]->name), plugins->items[i]->plugin->name,
                plugins->items[i]->number);
}

/* What is more than a text, a number or a list of them. */
static void dump_made(FILE *out, const sheaf_key_t *key, const void *at)
{
    switch (key->kind) {
    case SHEAF_KIND_OF_BOOL:
        fputs(*(const bool *)at ? " true" : " false", out);
        break;
    case SHEAF_KIND_OF_SET:
        fprintf(out, " %x", *(const uint32_t *)at);
        break;
    case SHEAF_KIND_OF_MODE:
        fprintf(out, " %03o", *(const uint32_t *)at);
        break;
    case SHEAF_KIND_OF_UPSTREAM:
        if (*(const uint32_t *)at != UINT32_MAX)
            fprintf(out, " #%u", *(const uint32_t *)at);
        break;
    case SHEAF_KIND_OF_REWRITE:
        fputs(*(sheaf_rewrite_t *const *)at != NULL ? " yes" : " no", out);
        break;
    case SHEAF_KIND_OF_ENUM:
        fprintf(out, " %s", key->words[*(const uint8_t *)at]);
        break;
    case SHEAF_KIND_OF_STENCIL:
    case SHEAF_KIND_OF_URL:
    case SHEAF_KIND_OF_BODY:
        dump_stencil(out, *(sheaf_stencil_t *const *)at);
        break;
    case SHEAF_KIND_OF_FIELDS:
        dump_fields(out, at);
        break;
    case SHEAF_KIND_OF_EDGES:
        dump_edges(out, at);
        break;
    case SHEAF_KIND_OF_STATUSES:
        dump_statuses(out, at);
        break;
    case SHEAF_KIND_OF_PLUGINS:
        dump_plugins(out, at);
        break;
    default:
        break;
    }
}

static void dump_value(FILE *out, const sheaf_key_t *key, const char *member)
{
    const void *at = member;
    const sheaf_texts_t *texts = at;
    const sheaf_address_t *address = at;

    switch (key->kind) {
    case SHEAF_KIND_OF_TEXT:
    case SHEAF_KIND_OF_PATH:
    case SHEAF_KIND_OF_TEMPLATE:
    case SHEAF_KIND_OF_METHOD:
    case SHEAF_KIND_OF_JSON:
        fprintf(out, " %.*s", SHEAF_STR_ARG(*(const sheaf_str_t *)at));
        break;
    case SHEAF_KIND_OF_FILE:
        fprintf(out, " %.*s", SHEAF_STR_ARG(((const sheaf_file_t *)at)->path));
        break;
    case SHEAF_KIND_OF_NUMBER:
    case SHEAF_KIND_OF_DURATION:
    case SHEAF_KIND_OF_SIZE:
    case SHEAF_KIND_OF_PERCENT:
        fprintf(out, " %" PRIu64, *(const uint64_t *)at);
        break;
    case SHEAF_KIND_OF_ADDRESS:
        fprintf(out, " %.*s|%u%s", SHEAF_STR_ARG(address->host), address->port, address->is_unix ? "|unix" : "");
        break;
    case SHEAF_KIND_OF_METHODS:
    case SHEAF_KIND_OF_TEXTS:
        for (uint32_t i = 0; i < texts->count; i++)
            fprintf(out, " %.*s", SHEAF_STR_ARG(texts->items[i]));
        break;
    case SHEAF_KIND_OF_SERVER:
        dump_server(out, at);
        break;
    case SHEAF_KIND_OF_HASH:
        dump_hash(out, at);
        break;
    case SHEAF_KIND_OF_LATE:
        dump_late(out, at);
        break;
    case SHEAF_KIND_OF_CIDRS:
        dump_cidrs(out, at);
        break;
    default:
        dump_made(out, key, at);
        break;
    }
}

static void dump_items(FILE *out, const sheaf_key_t *key, const char *member, int depth)
{
    const sheaf_items_t *list = (const void *)member;
    const sheaf_section_t *section = key->section();

    for (uint32_t i = 0; i < list->count; i++) {
        const char *item = (const char *)list->items + i * section->size;
        const sheaf_section_head_t *head = (const void *)item;

        fprintf(out, "%*s- %.*s (%u:%u)\n", depth * 2, "", SHEAF_STR_ARG(head->map_key), head->mark.line,
                head->mark.column);
        dump_section(out, section, item, depth + 1);
    }
}

static void dump_section(FILE *out, const sheaf_section_t *section, const char *conf, int depth)
{
    for (uint32_t i = 0; i < section->key_count; i++) {
        const sheaf_key_t *key = &section->keys[i];

        if (key->kind == SHEAF_KIND_OF_WORKERS) /* auto differs from machine to machine */
            continue;
        fprintf(out, "%*s%.*s", depth * 2, "", SHEAF_STR_ARG(key->name));
        dump_value(out, key, conf + key->offset);
        fputc('\n', out);
        if (key->kind == SHEAF_KIND_OF_OBJECT)
            dump_section(out, key->section(), conf + key->offset, depth + 1);
        else if (key->section != NULL)
            dump_items(out, key, conf + key->offset, depth + 1);
    }
}

/* --- the cases --- */

static char *answer_of(const char *text, size_t len, bool *ret_is_loaded)
{
    char *report, *answer = NULL;
    size_t size = 0;
    sheaf_snapshot_t *snapshot = sheaf_snapshot_load("in.yaml", sheaf_str(text, len), &report);
    FILE *out = open_memstream(&answer, &size);

    fputs(report, out);
    if (snapshot != NULL)
        dump_section(out, sheaf_section_root(), (const char *)&snapshot->conf, 0);
    fclose(out);
    free(report);
    *ret_is_loaded = snapshot != NULL;
    sheaf_snapshot_drop(snapshot);
    return answer;
}

static char *expected(const char *name, bool is_loaded, const char *answer)
{
    char path[512];
    size_t len;
    char *text;
    FILE *file;

    snprintf(path, sizeof(path), FOLDER "/%s/%s", name, is_loaded ? "want" : "error");
    text = read_all(path, &len);
    if (text != NULL || getenv("SHEAF_GOLDEN_WRITE") == NULL)
        return text;
    file = fopen(path, "wb");
    assert_non_null(file);
    fputs(answer, file);
    fclose(file);
    return strdup(answer);
}

static void run_case(const char *name)
{
    char path[512];
    size_t len = 0;
    bool is_loaded;
    char *text, *answer, *want;

    snprintf(path, sizeof(path), FOLDER "/%s/in.yaml", name);
    text = read_all(path, &len);
    assert_non_null(text);
    answer = answer_of(text, len, &is_loaded);
    want = expected(name, is_loaded, answer);
    if (want == NULL)
        fail_msg("%s: nothing expected, but it %s:\n%s", name, is_loaded ? "loaded" : "failed", answer);
    if (strcmp(answer, want) != 0)
        fail_msg("%s: got\n%s\ninstead of\n%s", name, answer, want);
    free(text);
    free(answer);
    free(want);
}

static void every_golden_case_is_answered_to_the_letter(void **state)
{
    DIR *dir = opendir(FOLDER);
    struct dirent *entry;
    int count = 0;

    (void)state;
    assert_non_null(dir);
    setenv("SHEAF_TEST_PORT", "8081", 1);
    setenv("SHEAF_TEST_EMPTY", "", 1);
    setenv("SHEAF_TEST_EVIL", "{level: debug}", 1);
    unsetenv("SHEAF_TEST_UNSET");
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        run_case(entry->d_name);
        count++;
    }
    closedir(dir);
    assert_true(count >= 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_case_is_answered_to_the_letter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
