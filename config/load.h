/* config/load.h - from a YAML tree to the structs of keys.def. */
#ifndef SHEAF_CONFIG_LOAD_H
#define SHEAF_CONFIG_LOAD_H

#include "config/files.h"
#include "config/snapshot.h"
#include "config/yaml.h"

/* Walks `root` along the tables, fills `conf` (zeroed by the caller; strings and lists land in `pool`) and gives every
 * key that is not there its default. Every unknown, missing or unreadable value is an error in `report`; the walk goes
 * on after each. Lists and maps keep one item per node, in order, also where an item is bad, so that check.c can walk
 * nodes and items side by side. Files that are named come from `files`. A member whose value was bad is zero. Rewrites
 * are left to check.c. All plugins, wherever they stand, are left in `ret_plugins`. */
void sheaf_load(sheaf_pool_t *pool, sheaf_files_t *files, sheaf_report_t *report, const sheaf_yaml_t *root,
                sheaf_conf_t *conf, sheaf_plugin_conf_t ***ret_plugins, uint32_t *ret_plugin_count);

#endif
