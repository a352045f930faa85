/* config/route.h - what of the routes no single value can tell: templates, hosts, rewrites.
 *
 * Fills snapshot->routes and, where a route names hosts, snapshot->hosts. */
#ifndef SHEAF_CONFIG_ROUTE_H
#define SHEAF_CONFIG_ROUTE_H

#include "config/snapshot.h"
#include "config/yaml.h"

/* `root` is the tree that snapshot->conf was loaded from. */
void sheaf_route_check_all(sheaf_report_t *report, const sheaf_yaml_t *root, sheaf_snapshot_t *snapshot);

#endif
