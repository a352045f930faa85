#include "config/plugin_load.h"

#include <stdio.h>

#include "config/nearest.h"
#include "config/plugin_keys.h"
#include "config/plugin_text.h"
#include "config/value.h"

#define PAIRS_MAX 256

/* --- which plugin it is --- */

static const sheaf_yaml_t *word(const sheaf_yaml_t *node, const char *name)
{
    const sheaf_yaml_t *child = sheaf_yaml_get(node, sheaf_str_of(name));

    return child != NULL && child->kind == SHEAF_YAML_SCALAR && !child->is_bad ? child : NULL;
}

static const sheaf_plugin_t *find_plugin(sheaf_loader_t *loader, const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *use = word(node, "use"), *file = word(node, "file");
    const sheaf_plugin_t *plugin;
    sheaf_fail_t fail;

    if (use == NULL && file == NULL) {
        sheaf_report_error(loader->report, node->mark, "a plugin needs `use` or `file`");
        return NULL;
    }
    plugin = use != NULL ? sheaf_plugin_built_in(use->text, &fail) : sheaf_plugin_of_file(file->text, &fail);
    if (plugin == NULL)
        sheaf_report_error(loader->report, use != NULL ? use->mark : file->mark, "%s", fail.detail);
    else if (use != NULL && file != NULL)
        sheaf_report_error(loader->report, file->mark, "a plugin has either `use` or `file`");
    return plugin;
}

/* --- what it is called --- */

static sheaf_plugin_conf_t *find_named(const sheaf_loader_t *loader, sheaf_str_t name)
{
    for (uint32_t i = 0; i < loader->plugin_count; i++)
        if (sheaf_str_eq(loader->plugins[i]->name, name))
            return loader->plugins[i];
    return NULL;
}

static bool is_name(sheaf_str_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = sheaf_lower(name.base[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.')
            return false;
    }
    return name.len > 0 && name.len <= SHEAF_PLUGIN_NAME_MAX;
}

/* That of the plugin, with a number where it is taken: names are known before, so that nobody is called like another. */
static sheaf_str_t make_name(const sheaf_loader_t *loader, const sheaf_plugin_t *plugin)
{
    sheaf_str_t name = sheaf_pool_dup(loader->pool, sheaf_str_of(plugin->name));

    for (uint32_t i = 2; find_named(loader, name) != NULL; i++)
        name = sheaf_pool_printf(loader->pool, "%s@%u", plugin->name, i);
    return name;
}

static void take_name(sheaf_loader_t *loader, const sheaf_yaml_t *node, sheaf_str_t written, sheaf_plugin_conf_t *conf)
{
    const sheaf_yaml_t *name = word(node, "name");

    conf->name = name == NULL ? make_name(loader, conf->plugin) : written;
    if (name == NULL)
        return;
    if (!is_name(written))
        sheaf_report_error(loader->report, name->mark,
                           "the name `%.*s` must be 1 to 64 of A-Z, a-z, 0-9, `_`, `-` and `.`",
                           SHEAF_VALUE_ARG(written));
    else if (find_named(loader, written) != NULL)
        sheaf_report_error(loader->report, name->mark, "another plugin is called `%.*s`", SHEAF_VALUE_ARG(written));
}

/* --- what it says of its values --- */

static sheaf_mark_t place_of(const sheaf_yaml_t *node, const char *key)
{
    const sheaf_yaml_t *child = sheaf_yaml_get(node, sheaf_str_of(key));

    return child != NULL ? child->mark : node->mark;
}

static void check_texts(sheaf_loader_t *loader, const sheaf_p_key_t *keys, const sheaf_p_value_t *values,
                        const sheaf_yaml_t *node);

static void check_text(sheaf_loader_t *loader, sheaf_p_str_t text, sheaf_mark_t mark)
{
    sheaf_fail_t fail;

    if (sheaf_plugin_text_check(sheaf_str(text.base, text.len), &fail) != SHEAF_OK)
        sheaf_report_error(loader->report, mark, "%s", fail.detail);
}

static void check_value(sheaf_loader_t *loader, const sheaf_p_key_t *key, const sheaf_p_value_t *value,
                        const sheaf_yaml_t *node)
{
    sheaf_mark_t mark = node != NULL ? node->mark : (sheaf_mark_t){0, 0};
    const sheaf_yaml_t *child = node != NULL && key->type == SHEAF_P_LIST ? node->first : node;

    if (key->type == SHEAF_P_TEMPLATE)
        check_text(loader, value->text, mark);
    for (uint32_t i = 1; key->type == SHEAF_P_FIELDS && i < value->count; i += 2)
        check_text(loader, value->texts[i], mark);
    for (uint32_t i = 0; key->keys != NULL && i < value->count; i++) {
        check_texts(loader, key->keys, value->sections[i], child);
        child = child == NULL ? NULL : child->next;
    }
}

static void check_texts(sheaf_loader_t *loader, const sheaf_p_key_t *keys, const sheaf_p_value_t *values,
                        const sheaf_yaml_t *node)
{
    for (uint32_t i = 0; keys != NULL && keys[i].name != NULL; i++)
        check_value(loader, &keys[i], &values[i], sheaf_yaml_get(node, sheaf_str_of(keys[i].name)));
}

static void ask_plugin(sheaf_loader_t *loader, const sheaf_yaml_t *node, sheaf_plugin_conf_t *conf)
{
    const sheaf_plugin_t *plugin = conf->plugin;
    sheaf_p_fail_t fail = {.key = "", .why = ""};

    if (plugin->check != NULL && plugin->check(conf->values, &fail) != 0) {
        fail.key[sizeof(fail.key) - 1] = fail.why[sizeof(fail.why) - 1] = '\0';
        sheaf_report_error(loader->report, place_of(node, fail.key), "plugin %.*s: %s%s%s", SHEAF_STR_ARG(conf->name),
                           fail.key, fail.key[0] != '\0' ? ": " : "", fail.why);
        return;
    }
    if (plugin->shared_bytes != NULL)
        conf->shared_bytes = plugin->shared_bytes(conf->values);
    if (conf->shared_bytes > SHEAF_PLUGIN_SHARED_MAX)
        sheaf_report_error(loader->report, node->mark,
                           "plugin %.*s wants %llu bytes of shared memory, 1GiB is the most", SHEAF_STR_ARG(conf->name),
                           (unsigned long long)conf->shared_bytes);
}

/* --- one, and a list of them --- */

static sheaf_plugin_conf_t *load_plugin(sheaf_loader_t *loader, const sheaf_yaml_t *node, bool is_top)
{
    const sheaf_plugin_t *plugin = find_plugin(loader, node);
    uint32_t errors = loader->report->errors;
    const sheaf_section_t *section;
    const sheaf_plugin_head_t *head;
    sheaf_plugin_conf_t *conf;
    char *bytes;

    if (plugin == NULL)
        return NULL;
    section = sheaf_plugin_section(plugin, is_top);
    bytes = sheaf_pool_zalloc(loader->pool, section->size);
    head = (const sheaf_plugin_head_t *)(void *)bytes;
    sheaf_load_section(loader, section, node, bytes);
    conf = sheaf_pool_zalloc(loader->pool, sizeof(*conf));
    conf->mark = node->mark;
    conf->plugin = plugin;
    conf->is_everywhere = is_top && head->is_everywhere;
    conf->is_named = !is_top;
    conf->number = loader->plugin_count;
    take_name(loader, node, head->name, conf);
    loader->plugins[loader->plugin_count++] = conf;
    if (loader->report->errors > errors)
        return conf;
    conf->values = sheaf_plugin_values(loader->pool, plugin, node, bytes);
    check_texts(loader, plugin->keys, conf->values, node);
    if (loader->report->errors == errors)
        ask_plugin(loader, node, conf);
    return conf;
}

static const sheaf_plugin_conf_t *find_defined(sheaf_loader_t *loader, const sheaf_yaml_t *node)
{
    sheaf_plugin_conf_t *found = find_named(loader, node->text);
    sheaf_nearest_t nearest = sheaf_nearest_start(node->text);

    if (found != NULL) {
        found->is_named = true;
        return found;
    }
    for (uint32_t i = 0; i < loader->plugin_count; i++)
        sheaf_nearest_try(&nearest, loader->plugins[i]->name);
    if (nearest.name.base != NULL)
        sheaf_report_error(loader->report, node->mark, "no plugin is called `%.*s`, did you mean `%.*s`?",
                           SHEAF_VALUE_ARG(node->text), SHEAF_VALUE_ARG(nearest.name));
    else
        sheaf_report_error(loader->report, node->mark, "no plugin is called `%.*s`", SHEAF_VALUE_ARG(node->text));
    return NULL;
}

static const sheaf_plugin_conf_t *load_entry(sheaf_loader_t *loader, const sheaf_yaml_t *node, bool is_top)
{
    if (node->is_bad)
        return NULL;
    if (loader->plugin_count >= SHEAF_PLUGINS_MAX) {
        sheaf_report_error(loader->report, node->mark, "there are more than %d plugins", SHEAF_PLUGINS_MAX);
        return NULL;
    }
    if (node->kind == SHEAF_YAML_SCALAR && !is_top)
        return find_defined(loader, node);
    if (node->kind == SHEAF_YAML_MAPPING)
        return load_plugin(loader, node, is_top);
    sheaf_report_error(loader->report, node->mark, "a plugin must be a mapping of keys%s",
                       is_top ? "" : ", or the name of one");
    return NULL;
}

static bool has(const sheaf_plugins_t *plugins, const sheaf_plugin_conf_t *conf)
{
    for (uint32_t i = 0; i < plugins->count; i++)
        if (plugins->items[i] == conf)
            return true;
    return false;
}

static void load_list(sheaf_loader_t *loader, const sheaf_yaml_t *list, bool is_top, sheaf_plugins_t *ret_plugins)
{
    ret_plugins->items = sheaf_pool_zalloc(loader->pool, (list->count + 1) * sizeof(*ret_plugins->items));
    for (const sheaf_yaml_t *node = list->first; node != NULL; node = node->next) {
        const sheaf_plugin_conf_t *conf = load_entry(loader, node, is_top);

        if (conf == NULL || (is_top && !conf->is_everywhere))
            continue;
        if (!is_top && (conf->is_everywhere || has(ret_plugins, conf)))
            sheaf_report_error(loader->report, node->mark, "`%.*s` is asked already", SHEAF_VALUE_ARG(conf->name));
        ret_plugins->items[ret_plugins->count++] = conf;
    }
}

void sheaf_plugins_define(sheaf_loader_t *loader, const sheaf_yaml_t *root, sheaf_plugins_t *ret_plugins)
{
    loader->plugins = sheaf_pool_zalloc(loader->pool, SHEAF_PLUGINS_MAX * sizeof(*loader->plugins));
    loader->top = sheaf_yaml_get(root, SHEAF_STR("plugins"));
    if (loader->top != NULL && loader->top->kind == SHEAF_YAML_SEQUENCE && !loader->top->is_bad)
        load_list(loader, loader->top, true, ret_plugins);
}

void sheaf_plugins_load(sheaf_loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node,
                        sheaf_plugins_t *ret_plugins)
{
    (void)key;
    if (node != loader->top)
        load_list(loader, node, false, ret_plugins);
}

void sheaf_plugins_doubt(const sheaf_loader_t *loader)
{
    for (uint32_t i = 0; i < loader->plugin_count && loader->report->errors == 0; i++) {
        const sheaf_plugin_conf_t *conf = loader->plugins[i];

        if (!conf->is_everywhere && !conf->is_named)
            sheaf_report_warning(
                loader->report, conf->mark,
                "the plugin `%.*s` is never asked: with `everywhere: false` it is for the endpoints and "
                "routes that name it, and none does",
                SHEAF_STR_ARG(conf->name));
    }
}

/* --- kinds of values that only plugins have --- */

void sheaf_pairs_load(sheaf_loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node,
                      sheaf_texts_t *ret_texts)
{
    if (node->count > PAIRS_MAX) {
        sheaf_report_error(loader->report, node->mark, "`%.*s` holds more than %d items", SHEAF_STR_ARG(key->name),
                           PAIRS_MAX);
        return;
    }
    ret_texts->items = sheaf_pool_zalloc(loader->pool, (2 * (size_t)node->count + 1) * sizeof(sheaf_str_t));
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next) {
        if (child->is_bad)
            continue;
        if (child->kind != SHEAF_YAML_SCALAR) {
            sheaf_report_error(loader->report, child->mark, "an item of `%.*s` must be a single value",
                               SHEAF_STR_ARG(key->name));
            continue;
        }
        ret_texts->items[ret_texts->count++] = sheaf_pool_dup(loader->pool, child->name);
        ret_texts->items[ret_texts->count++] = sheaf_pool_dup(loader->pool, child->text);
    }
}

const sheaf_yaml_t *sheaf_preset_list(sheaf_pool_t *pool, const char *text)
{
    sheaf_yaml_t *list = sheaf_pool_zalloc(pool, sizeof(*list)), **last = &list->first;
    sheaf_str_t rest = sheaf_str_trim(sheaf_str_of(text));

    list->kind = SHEAF_YAML_SEQUENCE;
    if (rest.len >= 2 && rest.base[0] == '[' && rest.base[rest.len - 1] == ']')
        rest = sheaf_str(rest.base + 1, rest.len - 2);
    while (rest.base != NULL && sheaf_str_trim(rest).len > 0) {
        sheaf_yaml_t *item = sheaf_pool_zalloc(pool, sizeof(*item));
        sheaf_str_t value = sheaf_str_trim(sheaf_str_cut(&rest, ','));

        if (value.len >= 2 && value.base[0] == '"' && value.base[value.len - 1] == '"')
            value = sheaf_str(value.base + 1, value.len - 2);
        item->kind = SHEAF_YAML_SCALAR;
        item->text = value;
        *last = item;
        last = &item->next;
        list->count++;
    }
    return list;
}
