#include "config/plugin_keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/snapshot.h"

#define SLOT 64 /* bytes for a value of any kind but a section */
#define OWN  4  /* keys of Sheaf's own: everywhere comes first, file last */

/* Sections of one plugin; kept for the life of the process, as the plugin is. */
typedef struct made {
    const sheaf_plugin_t *plugin;
    const sheaf_section_t *top;
    sheaf_section_t inner, own;
    struct made *next;
} made_t;

static made_t *all;

static const sheaf_section_t *make_section(const char *name, const char *spoken, const sheaf_p_key_t *declared,
                                           size_t from, uint32_t before);

/* --- from a declaration to a section --- */

static const sheaf_key_kind_t kinds[] = {
    [SHEAF_P_TEXT] = SHEAF_KIND_OF_TEXT,      [SHEAF_P_BOOL] = SHEAF_KIND_OF_BOOL,
    [SHEAF_P_NUMBER] = SHEAF_KIND_OF_NUMBER,  [SHEAF_P_DURATION] = SHEAF_KIND_OF_DURATION,
    [SHEAF_P_SIZE] = SHEAF_KIND_OF_SIZE,      [SHEAF_P_WORD] = SHEAF_KIND_OF_ENUM,
    [SHEAF_P_TEXTS] = SHEAF_KIND_OF_TEXTS,    [SHEAF_P_FILE] = SHEAF_KIND_OF_FILE,
    [SHEAF_P_NETWORKS] = SHEAF_KIND_OF_CIDRS, [SHEAF_P_UPSTREAM] = SHEAF_KIND_OF_UPSTREAM,
    [SHEAF_P_TEMPLATE] = SHEAF_KIND_OF_TEXT,  [SHEAF_P_FIELDS] = SHEAF_KIND_OF_PAIRS,
    [SHEAF_P_LIST] = SHEAF_KIND_OF_LIST,      [SHEAF_P_SECTION] = SHEAF_KIND_OF_OBJECT,
};

/* The three of them in one text. */
static char *join(const char *a, const char *between, sheaf_str_t b)
{
    size_t size = strlen(a) + strlen(between) + b.len + 1;
    char *text = sheaf_alloc(size);

    snprintf(text, size, "%s%s%.*s", a, between, SHEAF_STR_ARG(b));
    return text;
}

/* "a|b" as words. */
static void take_words(sheaf_key_t *key, const char *text)
{
    const char **words = sheaf_alloc((strlen(text) + 1) * sizeof(*words));

    for (sheaf_str_t rest = sheaf_str_of(text); rest.base != NULL && key->word_count < UINT8_MAX;) {
        sheaf_str_t word = sheaf_str_cut(&rest, '|');

        words[key->word_count++] = join("", "", word);
    }
    key->words = words;
}

/* Numbers below 0 are another kind, whose bounds are both there. */
static void take_range(sheaf_key_t *key, const sheaf_p_key_t *declared)
{
    bool is_negative = declared->type == SHEAF_P_NUMBER && declared->min < 0;

    if (is_negative)
        key->kind = SHEAF_KIND_OF_INTEGER;
    key->min = declared->min < 0 && !is_negative ? 0 : (uint64_t)declared->min;
    key->max = declared->max < 0 && !is_negative ? 0 : (uint64_t)declared->max;
}

static void make_key(sheaf_key_t *key, const char *section, const sheaf_p_key_t *declared, size_t offset)
{
    *key = (sheaf_key_t){.name = sheaf_str_of(declared->name),
                         .fallback = declared->preset,
                         .is_required = declared->required != 0,
                         .manual = declared->manual,
                         .kind = kinds[declared->type],
                         .offset = offset};
    take_range(key, declared);
    if (declared->type == SHEAF_P_WORD)
        take_words(key, declared->words);
    if (declared->keys == NULL)
        return;
    key->min = 0;
    key->max = 1000;
    key->made =
        make_section(join(section, "_", key->name), declared->name, declared->keys, sizeof(sheaf_section_head_t), 0);
}

static size_t room_of(const sheaf_key_t *key)
{
    return key->kind == SHEAF_KIND_OF_OBJECT ? (key->made->size + SLOT - 1) / SLOT * SLOT : SLOT;
}

static uint32_t count_keys(const sheaf_p_key_t *declared)
{
    uint32_t count = 0;

    while (declared != NULL && declared[count].name != NULL)
        count++;
    return count;
}

/* The first value stands at `from`; `before`: rows that are left free for others. */
static const sheaf_section_t *make_section(const char *name, const char *spoken, const sheaf_p_key_t *declared,
                                           size_t from, uint32_t before)
{
    uint32_t count = count_keys(declared);
    sheaf_key_t *keys = sheaf_zalloc((before + count + 1) * sizeof(*keys));
    sheaf_section_t *section = sheaf_zalloc(sizeof(*section));
    size_t at = (from + SLOT - 1) / SLOT * SLOT;

    for (uint32_t i = 0; i < count; i++) {
        make_key(&keys[before + i], name, &declared[i], at);
        at += room_of(&keys[before + i]);
    }
    *section = (sheaf_section_t){name, at, keys, before + count, spoken};
    return section;
}

static sheaf_key_t own_key(const char *name, sheaf_key_kind_t kind, size_t offset, const char *manual)
{
    return (sheaf_key_t){.name = sheaf_str_of(name), .kind = kind, .offset = offset, .manual = manual};
}

static void add_own(sheaf_key_t *keys, const sheaf_plugin_t *plugin)
{
    keys[0] = own_key("everywhere", SHEAF_KIND_OF_BOOL, offsetof(sheaf_plugin_head_t, is_everywhere),
                      "Whether every request and item is asked; false: only where its name stands.");
    keys[0].fallback = "true";
    keys[1] =
        own_key("name", SHEAF_KIND_OF_TEXT, offsetof(sheaf_plugin_head_t, name),
                "What it is called in the log, in metrics and by endpoints and routes. Default: that of the plugin.");
    keys[2] = own_key("use", SHEAF_KIND_OF_ENUM, offsetof(sheaf_plugin_head_t, use), "A plugin that is built in.");
    take_words(&keys[2], plugin->name);
    keys[3] = own_key("file", SHEAF_KIND_OF_TEXT, offsetof(sheaf_plugin_head_t, file),
                      "A plugin in a shared object, instead of use.");
}

static const made_t *made_of(const sheaf_plugin_t *plugin)
{
    made_t *made;

    for (made = all; made != NULL; made = made->next)
        if (made->plugin == plugin)
            return made;
    made = sheaf_zalloc(sizeof(*made));
    made->plugin = plugin;
    made->top =
        make_section(join("plugin", "_", sheaf_str_of(plugin->name)), join("plugin", " ", sheaf_str_of(plugin->name)),
                     plugin->keys, sizeof(sheaf_plugin_head_t), OWN);
    add_own((sheaf_key_t *)(uintptr_t)made->top->keys, plugin);
    made->inner = made->own = *made->top;
    made->inner.keys += 1;
    made->inner.key_count -= 1;
    made->own.keys += OWN;
    made->own.key_count -= OWN;
    made->next = all;
    all = made;
    return made;
}

const sheaf_section_t *sheaf_plugin_section(const sheaf_plugin_t *plugin, bool is_top)
{
    return is_top ? made_of(plugin)->top : &made_of(plugin)->inner;
}

const sheaf_section_t *sheaf_plugin_own_section(const sheaf_plugin_t *plugin)
{
    return &made_of(plugin)->own;
}

/* --- from what was loaded to values --- */

static const sheaf_p_value_t *take_values(sheaf_pool_t *pool, const sheaf_p_key_t *declared, const sheaf_key_t *keys,
                                          const sheaf_yaml_t *node, const char *conf);

/* A NUL follows: names of headers are wanted that way. */
static sheaf_p_str_t p_str(sheaf_pool_t *pool, sheaf_str_t text)
{
    return sheaf_p_str(text.base != NULL ? sheaf_pool_cstr(pool, text) : "", text.len);
}

static void take_texts(sheaf_pool_t *pool, const sheaf_texts_t *texts, sheaf_p_value_t *value)
{
    sheaf_p_str_t *items = sheaf_pool_alloc(pool, (texts->count + 1) * sizeof(*items));

    for (uint32_t i = 0; i < texts->count; i++)
        items[i] = p_str(pool, texts->items[i]);
    value->texts = items;
    value->count = texts->count;
}

static void take_networks(sheaf_pool_t *pool, const sheaf_cidrs_t *list, sheaf_p_value_t *value)
{
    sheaf_p_network_t *items = sheaf_pool_zalloc(pool, (list->count + 1) * sizeof(*items));

    for (uint32_t i = 0; i < list->count; i++) {
        memcpy(items[i].address, list->items[i].bytes, sizeof(items[i].address));
        items[i].bits = list->items[i].bits;
    }
    value->networks = items;
    value->count = list->count;
}

static void take_sections(sheaf_pool_t *pool, const sheaf_p_key_t *declared, const sheaf_key_t *key,
                          const sheaf_yaml_t *node, const char *member, sheaf_p_value_t *value)
{
    const sheaf_items_t *list = (const sheaf_items_t *)(const void *)member;
    bool is_list = key->kind == SHEAF_KIND_OF_LIST;
    const sheaf_yaml_t *child = !is_list ? node : node == NULL ? NULL : node->first;
    const char *conf = is_list ? list->items : member;
    const sheaf_p_value_t **items;

    value->count = is_list ? list->count : 1;
    items = sheaf_pool_zalloc(pool, (value->count + 1) * sizeof(*items));
    for (uint32_t i = 0; i < value->count; i++, conf += key->made->size) {
        items[i] = take_values(pool, declared->keys, key->made->keys, child, conf);
        child = child == NULL ? NULL : child->next;
    }
    value->sections = items;
}

/* Without a bound a number may be written that is more than a plugin can be told. */
static int64_t number_of(const sheaf_key_t *key, uint64_t value)
{
    bool is_too_much = key->kind != SHEAF_KIND_OF_INTEGER && value > (uint64_t)INT64_MAX;

    return is_too_much ? INT64_MAX : (int64_t)value;
}

static void take_value(sheaf_pool_t *pool, const sheaf_p_key_t *declared, const sheaf_key_t *key,
                       const sheaf_yaml_t *node, const char *member, sheaf_p_value_t *value)
{
    const void *at = member;

    switch ((sheaf_p_type_t)declared->type) {
    case SHEAF_P_TEXT:
    case SHEAF_P_TEMPLATE:
        value->text = p_str(pool, *(const sheaf_str_t *)at);
        break;
    case SHEAF_P_BOOL:
        value->number = *(const bool *)at;
        break;
    case SHEAF_P_NUMBER:
    case SHEAF_P_DURATION:
    case SHEAF_P_SIZE:
        value->number = number_of(key, *(const uint64_t *)at);
        break;
    case SHEAF_P_WORD:
        value->number = *(const uint8_t *)at;
        if (value->is_set)
            value->text = p_str(pool, sheaf_str_of(key->words[*(const uint8_t *)at]));
        break;
    case SHEAF_P_TEXTS:
    case SHEAF_P_FIELDS:
        take_texts(pool, at, value);
        break;
    case SHEAF_P_FILE:
        value->text = sheaf_p_str(((const sheaf_file_t *)at)->bytes.base, ((const sheaf_file_t *)at)->bytes.len);
        value->path = p_str(pool, ((const sheaf_file_t *)at)->path);
        break;
    case SHEAF_P_NETWORKS:
        take_networks(pool, at, value);
        break;
    case SHEAF_P_UPSTREAM:
        value->number = *(const uint32_t *)at == UINT32_MAX ? -1 : (int64_t) * (const uint32_t *)at;
        if (node != NULL)
            value->text = p_str(pool, node->text);
        break;
    case SHEAF_P_LIST:
    case SHEAF_P_SECTION:
        take_sections(pool, declared, key, node, member, value);
        break;
    }
}

static const sheaf_p_value_t *take_values(sheaf_pool_t *pool, const sheaf_p_key_t *declared, const sheaf_key_t *keys,
                                          const sheaf_yaml_t *node, const char *conf)
{
    uint32_t count = count_keys(declared);
    sheaf_p_value_t *values = sheaf_pool_zalloc(pool, (count + 1) * sizeof(*values));

    for (uint32_t i = 0; i < count; i++) {
        const sheaf_yaml_t *child = sheaf_yaml_get(node, keys[i].name);

        if (child != NULL && child->kind == SHEAF_YAML_NULL)
            child = NULL;
        values[i].is_set = child != NULL || keys[i].fallback != NULL;
        take_value(pool, &declared[i], &keys[i], child, conf + keys[i].offset, &values[i]);
    }
    return values;
}

const sheaf_p_value_t *sheaf_plugin_values(sheaf_pool_t *pool, const sheaf_plugin_t *plugin, const sheaf_yaml_t *node,
                                           const char *conf)
{
    return take_values(pool, plugin->keys, made_of(plugin)->own.keys, node, conf);
}
