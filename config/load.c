#include "config/load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "config/form.h"
#include "config/late.h"
#include "config/nearest.h"
#include "config/plugin_load.h"
#include "config/range.h"
#include "config/table.h"
#include "config/value.h"
#include "config/word.h"

typedef struct sheaf_named named_t;
typedef struct sheaf_loader loader_t;

static void load_section(loader_t *loader, const sheaf_section_t *section, const sheaf_yaml_t *node, char *conf);

/* --- the names of upstreams: routes may be read before them --- */

static int by_name(const void *a, const void *b)
{
    const named_t *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = len > 0 ? memcmp(x->name.base, y->name.base, len) : 0;

    return order != 0 ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static void collect_upstreams(loader_t *loader, const sheaf_yaml_t *root)
{
    const sheaf_yaml_t *map = sheaf_yaml_get(root, SHEAF_STR("upstreams"));

    if (map == NULL || map->kind != SHEAF_YAML_MAPPING)
        return;
    loader->upstreams = sheaf_pool_alloc(loader->pool, (map->count + 1) * sizeof(named_t));
    for (const sheaf_yaml_t *node = map->first; node != NULL; node = node->next) {
        loader->upstreams[loader->upstream_count] = (named_t){node->name, loader->upstream_count};
        loader->upstream_count++;
    }
    qsort(loader->upstreams, loader->upstream_count, sizeof(named_t), by_name);
}

/* --- unknown keys --- */

/* The key that an unknown one was probably meant to be, or NULL. */
static const sheaf_key_t *meant_key(const sheaf_section_t *section, sheaf_str_t name)
{
    sheaf_nearest_t nearest = sheaf_nearest_start(name);

    for (uint32_t i = 0; i < section->key_count; i++)
        sheaf_nearest_try(&nearest, section->keys[i].name);
    return nearest.name.base != NULL ? sheaf_section_key(section, nearest.name) : NULL;
}

static void report_unknown_key(loader_t *loader, const sheaf_section_t *section, const sheaf_yaml_t *node)
{
    const sheaf_key_t *meant = sheaf_report_is_full(loader->report) ? NULL : meant_key(section, node->name);
    char known[256] = "";
    size_t len = 0;

    if (meant != NULL) {
        sheaf_report_error(loader->report, node->name_mark, "unknown key `%.*s`, did you mean `%.*s`?",
                           SHEAF_VALUE_ARG(node->name), SHEAF_STR_ARG(meant->name));
        return;
    }
    for (uint32_t i = 0; i < section->key_count && len < sizeof(known); i++)
        len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%.*s", i == 0 ? "" : ", ",
                                SHEAF_STR_ARG(section->keys[i].name));
    sheaf_report_error(loader->report, node->name_mark, "unknown key `%.*s`; known here: %s",
                       SHEAF_VALUE_ARG(node->name), known);
}

/* --- scalars --- */

static sheaf_err_t load_upstream(const loader_t *loader, sheaf_str_t text, uint32_t *ret_index, sheaf_fail_t *fail)
{
    named_t wanted = {text, 0};
    sheaf_nearest_t nearest = sheaf_nearest_start(text);
    const named_t *found = loader->upstream_count == 0
                               ? NULL
                               : bsearch(&wanted, loader->upstreams, loader->upstream_count, sizeof(named_t), by_name);

    if (found != NULL) {
        *ret_index = found->index;
        return SHEAF_OK;
    }
    for (uint32_t i = 0; i < loader->upstream_count && !sheaf_report_is_full(loader->report); i++)
        sheaf_nearest_try(&nearest, loader->upstreams[i].name);
    if (nearest.name.base != NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "unknown upstream `%.*s`, did you mean `%.*s`?",
                          SHEAF_VALUE_ARG(text), SHEAF_VALUE_ARG(nearest.name));
    return sheaf_fail(fail, SHEAF_ERR_CONFIG, "unknown upstream `%.*s`", SHEAF_VALUE_ARG(text));
}

/* Kinds whose value is a number with a range. */
static sheaf_err_t read_counted(const sheaf_key_t *key, sheaf_str_t text, uint64_t *ret_value, sheaf_fail_t *fail)
{
    if (key->kind == SHEAF_KIND_OF_DURATION)
        return sheaf_value_duration(text, ret_value, fail);
    if (key->kind == SHEAF_KIND_OF_SIZE)
        return sheaf_value_size(text, ret_value, fail);
    if (key->kind == SHEAF_KIND_OF_PERCENT)
        return sheaf_value_percent(text, ret_value, fail);
    if (key->kind == SHEAF_KIND_OF_WORKERS)
        return sheaf_value_workers(text, key->max, ret_value, fail);
    if (key->kind == SHEAF_KIND_OF_INTEGER)
        return sheaf_range_integer(text, ret_value, fail);
    return sheaf_value_number(text, ret_value, fail);
}

static sheaf_err_t load_counted(loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node, void *member,
                                sheaf_fail_t *fail)
{
    uint64_t value;
    sheaf_err_t err = read_counted(key, node->text, &value, fail);

    if (err != SHEAF_OK || !sheaf_range_has(loader->report, key, node, value))
        return err;
    if (key->kind == SHEAF_KIND_OF_WORKERS)
        *(uint32_t *)member = (uint32_t)value;
    else
        *(uint64_t *)member = value;
    return SHEAF_OK;
}

static void load_scalar(loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node, void *member)
{
    sheaf_fail_t fail;
    sheaf_err_t err = SHEAF_OK;

    switch (key->kind) {
    case SHEAF_KIND_OF_TEXT:
        *(sheaf_str_t *)member = sheaf_pool_dup(loader->pool, node->text);
        break;
    case SHEAF_KIND_OF_PATH:
        err = sheaf_value_path(loader->pool, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_TEMPLATE:
        err = sheaf_value_template(loader->pool, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_BOOL:
        err = sheaf_value_bool(node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_ADDRESS:
        err = sheaf_value_address(loader->pool, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_MODE:
        err = sheaf_value_mode(node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_FILE:
        err = sheaf_files_read(loader->files, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_METHOD:
        err = sheaf_value_method(loader->pool, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_UPSTREAM:
        *(uint32_t *)member = UINT32_MAX; /* where the name is unknown */
        err = load_upstream(loader, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_SERVER:
        err = sheaf_value_server(loader->pool, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_HASH:
        err = sheaf_value_hash(loader->pool, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_LATE:
        err = sheaf_late_read(node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_ENUM:
        err = sheaf_word_load(key, node->text, member, &fail);
        break;
    case SHEAF_KIND_OF_SET: /* its default; a written one is a list */
        sheaf_word_load_set(loader->report, key, node, member);
        break;
    case SHEAF_KIND_OF_REWRITE: /* check.c, once the route's match is known */
        break;
    default:
        err = load_counted(loader, key, node, member, &fail);
        break;
    }
    if (err != SHEAF_OK)
        sheaf_report_error(loader->report, node->mark, "%s", fail.detail);
}

/* --- lists of scalars --- */

static sheaf_err_t load_cidr(loader_t *loader, const sheaf_yaml_t *node, sheaf_cidr_t *cidr, sheaf_fail_t *fail)
{
    bool had_host_bits;
    sheaf_err_t err = sheaf_value_cidr(node->text, cidr, &had_host_bits, fail);

    if (err == SHEAF_OK && had_host_bits)
        sheaf_report_warning(loader->report, node->mark, "`%.*s` has bits beyond its prefix; they are ignored",
                             SHEAF_VALUE_ARG(node->text));
    return err;
}

static sheaf_err_t load_method(loader_t *loader, const sheaf_yaml_t *node, sheaf_str_t *items, uint32_t count,
                               sheaf_fail_t *fail)
{
    sheaf_err_t err = sheaf_value_method(loader->pool, node->text, &items[count], fail);

    for (uint32_t i = 0; err == SHEAF_OK && i < count; i++)
        if (sheaf_str_eq(items[i], items[count]))
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the method %.*s stands twice", SHEAF_STR_ARG(items[i]));
    return err;
}

static size_t element_size(sheaf_key_kind_t kind)
{
    return kind == SHEAF_KIND_OF_CIDRS ? sizeof(sheaf_cidr_t) : sizeof(sheaf_str_t);
}

static sheaf_err_t load_element(loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node, sheaf_items_t *list,
                                sheaf_fail_t *fail)
{
    switch (key->kind) {
    case SHEAF_KIND_OF_CIDRS:
        return load_cidr(loader, node, (sheaf_cidr_t *)list->items + list->count, fail);
    case SHEAF_KIND_OF_METHODS:
        return load_method(loader, node, list->items, list->count, fail);
    default:
        ((sheaf_str_t *)list->items)[list->count] = sheaf_pool_dup(loader->pool, node->text);
        return SHEAF_OK;
    }
}

#define ELEMENTS_MAX 1024 /* networks, methods of a route */

static void load_elements(loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node, sheaf_items_t *list)
{
    sheaf_fail_t fail;

    if (node->count > ELEMENTS_MAX) {
        sheaf_report_error(loader->report, node->mark, "`%.*s` holds more than %d items", SHEAF_STR_ARG(key->name),
                           ELEMENTS_MAX);
        return;
    }
    if (node->count == 0 && key->kind != SHEAF_KIND_OF_CIDRS && key->kind != SHEAF_KIND_OF_TEXTS)
        sheaf_report_error(loader->report, node->mark, "`%.*s` needs at least one item", SHEAF_STR_ARG(key->name));
    list->items = sheaf_pool_zalloc(loader->pool, (node->count + 1) * element_size(key->kind));
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next) {
        if (child->is_bad)
            continue;
        if (child->kind != SHEAF_YAML_SCALAR) {
            sheaf_report_error(loader->report, child->mark, "an item of `%.*s` must be a single value",
                               SHEAF_STR_ARG(key->name));
            continue;
        }
        if (load_element(loader, key, child, list, &fail) == SHEAF_OK)
            list->count++;
        else
            sheaf_report_error(loader->report, child->mark, "%s", fail.detail);
    }
}

/* --- sections --- */

static void check_upstream_name(loader_t *loader, const sheaf_yaml_t *node)
{
    bool is_good = node->name.len > 0 && node->name.len <= 64;

    for (size_t i = 0; i < node->name.len; i++) {
        char c = sheaf_lower(node->name.base[i]);

        is_good &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    }
    if (!is_good) /* names are labels in /metrics and fields in the log */
        sheaf_report_error(loader->report, node->name_mark,
                           "the name `%.*s` must be 1 to 64 of A-Z, a-z, 0-9, `_`, `-` and `.`",
                           SHEAF_VALUE_ARG(node->name));
}

static void load_items(loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node, sheaf_items_t *list)
{
    const sheaf_section_t *section = sheaf_key_section(key);
    char *item;

    if (node->count < key->min || node->count > key->max) {
        sheaf_report_error(loader->report, node->mark,
                           node->count < key->min ? "`%.*s` must hold at least %" PRIu64 " item"
                                                  : "`%.*s` must hold at most %" PRIu64 " items",
                           SHEAF_STR_ARG(key->name), node->count < key->min ? key->min : key->max);
        return;
    }
    item = list->items = sheaf_pool_zalloc(loader->pool, (node->count + 1) * section->size);
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next, item += section->size) {
        sheaf_section_head_t *head = (sheaf_section_head_t *)(void *)item;

        list->count++;
        if (key->kind == SHEAF_KIND_OF_MAP) {
            check_upstream_name(loader, child);
            head->map_key = sheaf_pool_dup(loader->pool, child->name);
        }
        load_section(loader, section, child, item);
    }
}

static sheaf_yaml_kind_t wanted_kind(sheaf_key_kind_t kind)
{
    switch (kind) {
    case SHEAF_KIND_OF_OBJECT:
    case SHEAF_KIND_OF_MAP:
    case SHEAF_KIND_OF_FIELDS:
    case SHEAF_KIND_OF_PAIRS:
        return SHEAF_YAML_MAPPING;
    case SHEAF_KIND_OF_LIST:
    case SHEAF_KIND_OF_CIDRS:
    case SHEAF_KIND_OF_TEXTS:
    case SHEAF_KIND_OF_METHODS:
    case SHEAF_KIND_OF_EDGES:
    case SHEAF_KIND_OF_SET:
    case SHEAF_KIND_OF_PLUGINS:
        return SHEAF_YAML_SEQUENCE;
    default:
        return SHEAF_YAML_SCALAR;
    }
}

static const char *const kind_words[] = {
    [SHEAF_YAML_NULL] = "nothing",
    [SHEAF_YAML_SCALAR] = "a single value",
    [SHEAF_YAML_SEQUENCE] = "a list",
    [SHEAF_YAML_MAPPING] = "a mapping of keys",
};

static void load_value(loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node, char *member)
{
    sheaf_yaml_kind_t wanted = wanted_kind(key->kind);

    if (node->is_bad)
        return;
    if (sheaf_form_is(key->kind, node->kind)) {
        sheaf_form_load(loader->pool, loader->report, key, node, member);
        return;
    }
    if (node->kind == SHEAF_YAML_NULL) {
        sheaf_report_error(loader->report, node->mark, "`%.*s` has no value", SHEAF_STR_ARG(key->name));
        return;
    }
    if (node->kind != wanted) {
        sheaf_report_error(loader->report, node->mark, "`%.*s` must be %s, not %s", SHEAF_STR_ARG(key->name),
                           kind_words[wanted], kind_words[node->kind]);
        return;
    }
    if (key->kind == SHEAF_KIND_OF_OBJECT)
        load_section(loader, sheaf_key_section(key), node, member);
    else if (wanted == SHEAF_YAML_SCALAR)
        load_scalar(loader, key, node, member);
    else if (sheaf_key_section(key) != NULL)
        load_items(loader, key, node, (sheaf_items_t *)(void *)member);
    else if (key->kind == SHEAF_KIND_OF_SET)
        sheaf_word_load_set(loader->report, key, node, (uint32_t *)(void *)member);
    else if (key->kind == SHEAF_KIND_OF_PLUGINS)
        sheaf_plugins_load(loader, key, node, (sheaf_plugins_t *)(void *)member);
    else if (key->kind == SHEAF_KIND_OF_PAIRS)
        sheaf_pairs_load(loader, key, node, (sheaf_texts_t *)(void *)member);
    else
        load_elements(loader, key, node, (sheaf_items_t *)(void *)member);
}

/* What a key that is not written is worth. Defaults of a section that is not written count too. */
static void load_default(loader_t *loader, const sheaf_key_t *key, char *member)
{
    sheaf_yaml_t written = {.kind = SHEAF_YAML_SCALAR};

    if (key->kind == SHEAF_KIND_OF_OBJECT) {
        load_section(loader, sheaf_key_section(key), NULL, member);
    } else if (key->kind == SHEAF_KIND_OF_UPSTREAM) {
        *(uint32_t *)(void *)member = UINT32_MAX;
    } else if (key->fallback != NULL) {
        written.text = sheaf_str_of(key->fallback);
        if (sheaf_form_is(key->kind, written.kind))
            sheaf_form_load(loader->pool, loader->report, key, &written, member);
        else if (wanted_kind(key->kind) == SHEAF_YAML_SEQUENCE && key->kind != SHEAF_KIND_OF_SET)
            load_elements(loader, key, sheaf_preset_list(loader->pool, key->fallback), (sheaf_items_t *)(void *)member);
        else
            load_scalar(loader, key, &written, member);
    }
}

/* Lists and sections whose whole content is commented out count as not written. */
static bool is_absent(const sheaf_key_t *key, const sheaf_yaml_t *node)
{
    return node == NULL ||
           (node->kind == SHEAF_YAML_NULL && !node->is_bad && wanted_kind(key->kind) != SHEAF_YAML_SCALAR);
}

/* A required key that is there under a misspelt name is told once, as unknown. */
static bool is_misspelt(const loader_t *loader, const sheaf_section_t *section, const sheaf_key_t *key,
                        const sheaf_yaml_t *node)
{
    if (node->kind != SHEAF_YAML_MAPPING || sheaf_report_is_full(loader->report))
        return false;
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next)
        if (sheaf_section_key(section, child->name) == NULL && meant_key(section, child->name) == key)
            return true;
    return false;
}

static void report_missing(loader_t *loader, const sheaf_section_t *section, const sheaf_key_t *key,
                           const sheaf_yaml_t *node, sheaf_mark_t parent)
{
    const sheaf_yaml_t *value = sheaf_yaml_get(node, key->name);

    if (value != NULL)
        sheaf_report_error(loader->report, value->name_mark, "`%.*s` has no value", SHEAF_STR_ARG(key->name));
    else if (is_misspelt(loader, section, key, node))
        return;
    else if (section == sheaf_section_root())
        sheaf_report_error(loader->report, parent, "missing key `%.*s`", SHEAF_STR_ARG(key->name));
    else
        sheaf_report_error(loader->report, parent, "missing key `%.*s` of this %s", SHEAF_STR_ARG(key->name),
                           sheaf_section_spoken(section));
}

static void load_key(loader_t *loader, const sheaf_section_t *section, const sheaf_key_t *key, const sheaf_yaml_t *node,
                     sheaf_mark_t parent, char *conf)
{
    const sheaf_yaml_t *value = sheaf_yaml_get(node, key->name);

    if (!is_absent(key, value))
        load_value(loader, key, value, conf + key->offset);
    else if (key->is_required && node != NULL)
        report_missing(loader, section, key, node, parent);
    else
        load_default(loader, key, conf + key->offset);
}

static void check_known(loader_t *loader, const sheaf_section_t *section, const sheaf_yaml_t *node)
{
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next)
        if (sheaf_section_key(section, child->name) == NULL)
            report_unknown_key(loader, section, child);
}

/* node NULL: nothing is written, all defaults. */
static void load_section(loader_t *loader, const sheaf_section_t *section, const sheaf_yaml_t *node, char *conf)
{
    sheaf_section_head_t *head = (sheaf_section_head_t *)(void *)conf;
    bool is_short = false;

    if (node != NULL) {
        head->mark = node->name.base != NULL ? node->name_mark : node->mark;
        if (node->is_bad)
            return;
        is_short = node->kind == SHEAF_YAML_SCALAR && sheaf_section_is_short(section);
        if (node->kind != SHEAF_YAML_MAPPING && !is_short) {
            sheaf_report_error(loader->report, node->mark, "%s must be a mapping of keys, not %s",
                               section == sheaf_section_root() ? "the configuration" : sheaf_section_spoken(section),
                               kind_words[node->kind]);
            return;
        }
        check_known(loader, section, node);
    }
    if (is_short)
        load_scalar(loader, &section->keys[0], node, conf + section->keys[0].offset);
    for (uint32_t i = is_short; i < section->key_count; i++)
        load_key(loader, section, &section->keys[i], node, head->mark, conf);
}

void sheaf_load_section(loader_t *loader, const sheaf_section_t *section, const sheaf_yaml_t *node, char *conf)
{
    load_section(loader, section, node, conf);
}

void sheaf_load(sheaf_pool_t *pool, sheaf_files_t *files, sheaf_report_t *report, const sheaf_yaml_t *root,
                sheaf_conf_t *conf, sheaf_plugin_conf_t ***ret_plugins, uint32_t *ret_plugin_count)
{
    loader_t loader = {.pool = pool, .files = files, .report = report};

    collect_upstreams(&loader, root);
    sheaf_plugins_define(&loader, root, &conf->plugins);
    load_section(&loader, sheaf_section_root(), root, (char *)conf);
    sheaf_plugins_doubt(&loader);
    *ret_plugins = loader.plugins;
    *ret_plugin_count = loader.plugin_count;
}
