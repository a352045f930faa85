/* config/check.h - what no single value can tell: how the parts of a configuration fit together.
 *
 * Builds the router and the rewrites, resolves the defaults that depend on other keys (an endpoint's base), and finds
 * routes that clash, endpoints that clash with each other or with a route, addresses that stand twice, and plugins that cannot
 * guard what they stand at (guards). */
#ifndef SHEAF_CONFIG_CHECK_H
#define SHEAF_CONFIG_CHECK_H

#include "config/snapshot.h"
#include "config/yaml.h"

/* `root` is the tree `snapshot->conf` was loaded from. Findings go to `report`. */
void sheaf_check(sheaf_report_t *report, const sheaf_yaml_t *root, sheaf_snapshot_t *snapshot);

#endif
