#include "config/plugin.h"

#include "config/nearest.h"
#include "config/value.h"

#define KEYS_MAX  64
#define DEPTH_MAX 3

/* What a plugin of version 1.0 has; what later minor versions append comes behind it. */
#define SIZE_1_0 152

_Static_assert(SHEAF_P_ABI_MINOR > 0 || sizeof(sheaf_plugin_t) == SIZE_1_0, "1.0 ends where it ends");

static sheaf_plugin_opener_t opener;

void sheaf_plugin_register(sheaf_plugin_opener_t who)
{
    opener = who;
}

/* --- what Sheaf can run --- */

static bool is_word(const char *name, size_t most)
{
    size_t len = name == NULL ? 0 : strlen(name);

    for (size_t i = 0; i < len; i++) {
        char c = name[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return len > 0 && len <= most;
}

static sheaf_err_t check_keys(const sheaf_p_key_t *keys, uint32_t depth, sheaf_fail_t *fail)
{
    for (uint32_t i = 0; keys != NULL && keys[i].name != NULL; i++) {
        const sheaf_p_key_t *key = &keys[i];
        bool has_keys = key->type == SHEAF_P_LIST || key->type == SHEAF_P_SECTION;

        if (i >= KEYS_MAX || depth > DEPTH_MAX)
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "it has too many keys");
        if (!is_word(key->name, SHEAF_PLUGIN_NAME_MAX) || key->type > SHEAF_P_SECTION || key->manual == NULL ||
            has_keys != (key->keys != NULL) || (key->type == SHEAF_P_WORD && key->words == NULL))
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "its key `%.64s` is not declared as the ABI wants it", key->name);
        if (has_keys && check_keys(key->keys, depth + 1, fail) != SHEAF_OK)
            return SHEAF_ERR_CONFIG;
    }
    return SHEAF_OK;
}

static sheaf_err_t check_names(const sheaf_plugin_t *plugin, sheaf_fail_t *fail)
{
    static const char *const ours[] = {"name", "use", "file", "everywhere"};

    for (uint32_t i = 0; plugin->keys != NULL && plugin->keys[i].name != NULL; i++)
        for (size_t k = 0; k < SHEAF_COUNT(ours); k++)
            if (strcmp(plugin->keys[i].name, ours[k]) == 0)
                return sheaf_fail(fail, SHEAF_ERR_CONFIG, "its key `%s` is one of Sheaf's", ours[k]);
    for (uint32_t i = 0; plugin->counters != NULL && plugin->counters[i].name != NULL; i++)
        if (i >= SHEAF_PLUGIN_COUNTERS || !is_word(plugin->counters[i].name, 40) || plugin->counters[i].manual == NULL)
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "its counters are not declared as the ABI wants them");
    return SHEAF_OK;
}

sheaf_err_t sheaf_plugin_check(const sheaf_plugin_t *plugin, sheaf_fail_t *fail)
{
    if (plugin->abi_major != SHEAF_P_ABI_MAJOR || plugin->abi_minor > SHEAF_P_ABI_MINOR)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "it needs version %u.%u of the plugin ABI, this Sheaf has %u.%u",
                          plugin->abi_major, plugin->abi_minor, SHEAF_P_ABI_MAJOR, SHEAF_P_ABI_MINOR);
    if (plugin->size < SIZE_1_0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "its constant has %u bytes, %u are needed", plugin->size, SIZE_1_0);
    if (!is_word(plugin->name, 32) || plugin->version == NULL || plugin->manual == NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "it has no name of a-z, 0-9 and `_`, no version, or no manual");
    if (check_names(plugin, fail) != SHEAF_OK)
        return SHEAF_ERR_CONFIG;
    return check_keys(plugin->keys, 0, fail);
}

/* --- one of another minor version --- */

typedef struct widened {
    const sheaf_plugin_t *from;
    sheaf_plugin_t plugin;
    struct widened *next;
} widened_t;

static widened_t *all_widened; /* a plugin stays for the life of the process, and so does what is made of it */

void sheaf_plugin_widen(const sheaf_plugin_t *plugin, void *ret_wide, size_t size)
{
    memset(ret_wide, 0, size);
    memcpy(ret_wide, plugin, plugin->size < size ? plugin->size : size);
}

/* What was built with an older header ends earlier: behind its end is nothing that we may read. */
static const sheaf_plugin_t *as_ours(const sheaf_plugin_t *plugin)
{
    widened_t *made = all_widened;

    if (plugin->size >= sizeof(*plugin))
        return plugin;
    while (made != NULL && made->from != plugin)
        made = made->next;
    if (made != NULL)
        return &made->plugin;
    made = sheaf_zalloc(sizeof(*made));
    made->from = plugin;
    sheaf_plugin_widen(plugin, &made->plugin, sizeof(made->plugin));
    made->next = all_widened;
    all_widened = made;
    return &made->plugin;
}

/* --- where it is --- */

static const sheaf_plugin_t *checked(const sheaf_plugin_t *plugin, sheaf_str_t where, sheaf_fail_t *fail)
{
    sheaf_fail_t why;

    if (sheaf_plugin_check(plugin, &why) == SHEAF_OK)
        return as_ours(plugin);
    sheaf_fail(fail, SHEAF_ERR_CONFIG, "the plugin `%.*s` cannot be used: %s", SHEAF_VALUE_ARG(where), why.detail);
    return NULL;
}

const sheaf_plugin_t *sheaf_plugin_built_in(sheaf_str_t name, sheaf_fail_t *fail)
{
    sheaf_nearest_t nearest = sheaf_nearest_start(name);

    for (uint32_t i = 0; sheaf_plugins_built_in[i] != NULL; i++) {
        if (sheaf_str_eq(name, sheaf_str_of(sheaf_plugins_built_in[i]->name)))
            return checked(sheaf_plugins_built_in[i], name, fail);
        sheaf_nearest_try(&nearest, sheaf_str_of(sheaf_plugins_built_in[i]->name));
    }
    if (nearest.name.base != NULL)
        sheaf_fail(fail, SHEAF_ERR_CONFIG, "no plugin `%.*s` is built in, did you mean `%.*s`?", SHEAF_VALUE_ARG(name),
                   SHEAF_VALUE_ARG(nearest.name));
    else
        sheaf_fail(fail, SHEAF_ERR_CONFIG, "no plugin `%.*s` is built in", SHEAF_VALUE_ARG(name));
    return NULL;
}

const sheaf_plugin_t *sheaf_plugin_of_file(sheaf_str_t path, sheaf_fail_t *fail)
{
    char text[4096];
    const sheaf_plugin_t *plugin;
    sheaf_fail_t why;

    if (path.len == 0 || path.len >= sizeof(text) || memchr(path.base, 0, path.len) != NULL || opener == NULL) {
        sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is no file", SHEAF_VALUE_ARG(path));
        return NULL;
    }
    memcpy(text, path.base, path.len);
    text[path.len] = '\0';
    plugin = opener(text, &why);
    if (plugin != NULL)
        return checked(plugin, path, fail);
    sheaf_fail(fail, SHEAF_ERR_CONFIG, "the plugin `%.*s` cannot be loaded: %.180s", SHEAF_VALUE_ARG(path), why.detail);
    return NULL;
}
