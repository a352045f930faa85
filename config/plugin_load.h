/* config/plugin_load.h - `plugins` of the whole gateway, an endpoint or a route. For load.c. */
#ifndef SHEAF_CONFIG_PLUGIN_LOAD_H
#define SHEAF_CONFIG_PLUGIN_LOAD_H

#include "config/files.h"
#include "config/plugin.h"
#include "config/table.h"
#include "config/yaml.h"

/* An upstream's name and its index. */
typedef struct sheaf_named {
    sheaf_str_t name;
    uint32_t index;
} sheaf_named_t;

/* A configuration while it is loaded. */
typedef struct sheaf_loader {
    sheaf_pool_t *pool;
    sheaf_files_t *files;
    sheaf_report_t *report;
    sheaf_named_t *upstreams; /* sorted by name */
    uint32_t upstream_count;
    sheaf_plugin_conf_t **plugins; /* all of them, by number */
    uint32_t plugin_count;
    const sheaf_yaml_t *top; /* the list at the top level: it is loaded first, because others name what stands there */
} sheaf_loader_t;

/* In load.c. */
void sheaf_load_section(sheaf_loader_t *loader, const sheaf_section_t *section, const sheaf_yaml_t *node, char *conf);

/* Those at the top level of `root`. Before anything else is loaded, but after the names of upstreams are known. */
void sheaf_plugins_define(sheaf_loader_t *loader, const sheaf_yaml_t *root, sheaf_plugins_t *ret_plugins);
/* Those of one place. For the list at the top level nothing is left to do. */
void sheaf_plugins_load(sheaf_loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node,
                        sheaf_plugins_t *ret_plugins);
/* Warns of those that nobody will ask, once all places are loaded and none is wrong. */
void sheaf_plugins_doubt(const sheaf_loader_t *loader);

/* A mapping of names to texts, as texts in turns. */
void sheaf_pairs_load(sheaf_loader_t *loader, const sheaf_key_t *key, const sheaf_yaml_t *node,
                      sheaf_texts_t *ret_texts);

/* "[a, b]", the default of a list, as a node. */
const sheaf_yaml_t *sheaf_preset_list(sheaf_pool_t *pool, const char *text);

#endif
