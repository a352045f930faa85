/* config/plugin_keys.h - the keys that a plugin declares, as a section like any other, and the values that were read.
 *
 *   sheaf_p_key_t[] --made once--> sheaf_section_t --load--> bytes of a section --take--> sheaf_p_value_t[]
 *
 * So all that holds for keys of Sheaf's own holds for those of a plugin: ranges, nearest names, carets, defaults, manual and
 * schema. */
#ifndef SHEAF_CONFIG_PLUGIN_KEYS_H
#define SHEAF_CONFIG_PLUGIN_KEYS_H

#include "config/plugin.h"
#include "config/table.h"
#include "config/yaml.h"

/* What Sheaf itself reads of a plugin, wherever it stands; what the plugin declares follows. */
typedef struct sheaf_plugin_head {
    sheaf_section_head_t head;
    sheaf_str_t name;
    uint8_t use;
    bool is_everywhere;
    sheaf_str_t file;
} sheaf_plugin_head_t;

/* The section of `plugin` with Sheaf's own keys; at the top level with `everywhere` besides. Made once. */
const sheaf_section_t *sheaf_plugin_section(const sheaf_plugin_t *plugin, bool is_top);
/* The declared keys alone, for the manual. */
const sheaf_section_t *sheaf_plugin_own_section(const sheaf_plugin_t *plugin);

/* The values out of `conf`, which was loaded from `node` by sheaf_plugin_section(). They live in `pool`. */
const sheaf_p_value_t *sheaf_plugin_values(sheaf_pool_t *pool, const sheaf_plugin_t *plugin, const sheaf_yaml_t *node,
                                           const char *conf);

#endif
